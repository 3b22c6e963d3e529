//! The swarm's own time, which every decision is dated by: delays, windows and watches are counted in it.
//!
//! ```text
//!  the first leader's wall clock ─▶ an entry of the log ─▶ one moment later ─▶ …, on every manager by a clock that nobody sets
//! ```
//! A wall clock may be set, and another leader's may be a day away: a delay would be over at once, or not for a day. So each entry of
//! the log carries the time at which it was proposed, and from there on every manager counts by itself. Who leads next goes on from what
//! it has counted. Only while no manager runs does this time stand still; it need not agree with any wall clock, and is never shown.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::objects::{Duration, Timestamp};

/// Clones are one clock.
#[derive(Debug, Clone, Default)]
pub(super) struct SwarmTime(Arc<Mutex<Option<Known>>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    time: Timestamp,
    since: Instant,
}

impl Known {
    fn at(self, now: Instant) -> Timestamp {
        let passed = now.saturating_duration_since(self.since).as_nanos();
        self.time + Duration(i64::try_from(passed).unwrap_or(i64::MAX))
    }
}

impl SwarmTime {
    /// It was `time` a moment ago. It never goes back: an entry that was long on its way says nothing new.
    pub fn was(&self, time: Timestamp) {
        let now = Instant::now();
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_none_or(|known| known.at(now) < time) {
            *known = Some(Known { time, since: now });
        }
    }

    /// The time now; that of the wall clock while the swarm has none.
    pub fn now(&self, wall: Timestamp) -> Timestamp {
        let known = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.map_or(wall, |known| known.at(Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::seconds(86_400);
    const START: Timestamp = Timestamp(1_800_000_000_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_at_its_pace_while_wall_clocks_step() {
        let time = SwarmTime::default();
        assert_eq!(time.now(START), START, "it begins with the first leader's clock");
        time.was(START);
        tokio::time::advance(std::time::Duration::from_secs(7)).await;
        for wall in [START, START + DAY, START - DAY] {
            assert_eq!(time.now(wall), START + Duration::seconds(7));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_entry_takes_it_ahead_and_never_back() {
        let time = SwarmTime::default();
        time.was(START);
        time.was(START + DAY);
        assert_eq!(time.now(START), START + DAY, "so it was for who wrote the entry");
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        time.was(START + DAY);
        assert_eq!(time.now(START), START + DAY + Duration::seconds(1), "that entry was a second on its way");
    }
}
