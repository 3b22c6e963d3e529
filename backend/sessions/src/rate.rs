//! Token buckets, one per client: a burst at once, then a steady rate.

use std::collections::HashMap;
use std::hash::Hash;

use time::{Duration, OffsetDateTime};

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Allowance {
    /// How many at once after a rest.
    pub burst: u32,
    /// One more per this long.
    pub every: Duration,
}

/// How long to wait before asking again.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("too many requests from this address: try again in {} s", .0.whole_seconds().max(1))]
pub struct TooMany(pub Duration);

#[derive(Debug)]
pub struct Buckets<K> {
    allowance: Allowance,
    /// When each client will be at rest again. A client not in here is.
    rests: HashMap<K, OffsetDateTime>,
}

/// Beyond it clients at rest are forgotten, so that a flood of addresses takes no memory for long.
const MANY: usize = 10_000;

impl<K: Eq + Hash> Buckets<K> {
    pub fn new(allowance: Allowance) -> Self {
        Self { allowance, rests: HashMap::new() }
    }

    /// Takes one token of `client` at `now`.
    pub fn take(&mut self, client: K, now: OffsetDateTime) -> Result<(), TooMany> {
        if self.rests.len() >= MANY {
            self.rests.retain(|_, rest| *rest > now);
        }
        let rest = self.rests.entry(client).or_insert(now);
        let after = (*rest).max(now) + self.allowance.every;
        let latest = now + self.allowance.every * self.allowance.burst;
        if after > latest {
            return Err(TooMany(after - latest));
        }
        *rest = after;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    #[test]
    fn a_burst_then_one_per_interval() {
        let mut buckets = Buckets::new(Allowance { burst: 3, every: Duration::seconds(10) });
        for (now, client, expected) in [
            (0, 'a', Ok(())),
            (0, 'a', Ok(())),
            (0, 'a', Ok(())),
            (0, 'a', Err(TooMany(Duration::seconds(10)))),
            (0, 'b', Ok(())),
            (4, 'a', Err(TooMany(Duration::seconds(6)))),
            (10, 'a', Ok(())),
            (10, 'a', Err(TooMany(Duration::seconds(10)))),
            (1000, 'a', Ok(())),
            (1000, 'a', Ok(())),
            (1000, 'a', Ok(())),
            (1000, 'a', Err(TooMany(Duration::seconds(10)))),
        ] {
            assert_eq!(buckets.take(client, at(now)), expected, "{now} {client}");
        }
    }

    #[test]
    fn clients_at_rest_are_forgotten() {
        let mut buckets = Buckets::new(Allowance { burst: 1, every: Duration::seconds(1) });
        for client in 0..MANY {
            buckets.take(client, at(0)).unwrap();
        }
        buckets.take(MANY, at(60)).unwrap();
        assert_eq!(buckets.rests.len(), 1);
    }
}
