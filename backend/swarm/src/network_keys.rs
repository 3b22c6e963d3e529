//! The secret that the nodes' networks are sealed with, and its successors. Pure: the time is an argument.
//!
//! ```text
//!  made with the cluster ─▶ newest ── twelve hours ─▶ the one before ── twelve hours ─▶ forgotten
//! ```
//! A key is in the cluster object, so managers keep it in their encrypted log; other nodes are told it within their session, which only a
//! member's certificate opens, and keep it in memory alone. While one key spreads, the one before is good still, so nobody waits
//! for anybody. Subsystems and lengths are moby's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::identity::random;
use crate::objects::{Cluster, Duration, EncryptionKey, Timestamp};

/// What the data of encrypted overlay networks is sealed with.
pub const DATA: &str = "networking:ipsec";
/// What moby's nodes seal their gossip with.
pub const GOSSIP: &str = "networking:gossip";
/// How long a key is the newest.
pub const LIFETIME: Duration = Duration::seconds(12 * 3600);
/// Keys of a subsystem that are good at the same time.
const KEPT: usize = 2;
/// Bytes.
const LENGTH: usize = 16;

/// Gives a cluster keys with one more tick of its clock, in place of the oldest.
pub fn renew(cluster: &mut Cluster, now: Timestamp) {
    cluster.lamport_clock += 1;
    cluster.network_keys_renewed_at = now;
    for subsystem in [GOSSIP, DATA] {
        cluster.network_keys.push(key(subsystem, cluster.lamport_clock));
        let mut times: Vec<u64> = of(&cluster.network_keys, subsystem).map(|key| key.lamport_time).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        let Some(&oldest) = times.iter().take(KEPT).next_back() else { continue };
        cluster.network_keys.retain(|key| key.subsystem != subsystem || key.lamport_time >= oldest);
    }
}

/// When the newest keys will have been that for long enough.
pub fn due(cluster: &Cluster) -> Timestamp {
    cluster.network_keys_renewed_at + LIFETIME
}

/// The keys of a subsystem.
pub fn of<'a>(keys: &'a [EncryptionKey], subsystem: &'a str) -> impl Iterator<Item = &'a EncryptionKey> {
    keys.iter().filter(move |key| key.subsystem == subsystem)
}

fn key(subsystem: &str, lamport_time: u64) -> EncryptionKey {
    let mut key = [0; LENGTH];
    random(&mut key);
    EncryptionKey { subsystem: subsystem.to_owned(), key: STANDARD.encode(key), lamport_time }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(cluster: &Cluster, subsystem: &str) -> Vec<u64> {
        of(&cluster.network_keys, subsystem).map(|key| key.lamport_time).collect()
    }

    #[test]
    fn the_key_before_is_good_while_the_next_one_spreads_and_older_ones_are_forgotten() {
        let mut cluster = Cluster::default();
        let start = Timestamp(1);
        renew(&mut cluster, start);
        assert_eq!(times(&cluster, DATA), [1]);
        assert_eq!(due(&cluster), start + LIFETIME);
        let first = cluster.network_keys.clone();
        renew(&mut cluster, start + LIFETIME);
        assert_eq!((times(&cluster, DATA), times(&cluster, GOSSIP)), (vec![1, 2], vec![1, 2]));
        assert!(first.iter().all(|key| cluster.network_keys.contains(key)));
        renew(&mut cluster, start + LIFETIME + LIFETIME);
        assert_eq!((times(&cluster, DATA), times(&cluster, GOSSIP)), (vec![2, 3], vec![2, 3]));
        assert_eq!(cluster.lamport_clock, 3);
    }

    #[test]
    fn no_two_keys_are_alike_and_each_has_sixteen_bytes() {
        let mut cluster = Cluster::default();
        renew(&mut cluster, Timestamp(1));
        renew(&mut cluster, Timestamp(2));
        let mut keys: Vec<_> = cluster.network_keys.iter().map(|key| key.key.clone()).collect();
        assert!(keys.iter().all(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == LENGTH)));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 4);
    }
}
