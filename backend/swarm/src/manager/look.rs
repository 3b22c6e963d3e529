//! The loop that decides what runs where: a look after every batch, and when the time has come that the last look named.

use std::sync::Arc;
use std::time::Duration;

use crate::control;
use crate::dispatcher::service::wait_for;
use crate::identity;
use crate::raft::RaftNode;
use crate::random::Random;

/// How long to wait after a look that came to nothing: another change may have come between.
const RETRY: Duration = Duration::from_millis(20);
/// Nobody sleeps longer without a look.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Looks for as long as this manager leads. Its own batches are seen like any others: the last look is one that changes nothing.
pub(super) async fn look(raft: Arc<RaftNode>) {
    let mut watch = raft.replica().watch();
    let mut random = Random::seeded(seed());
    loop {
        let now = raft.replica().now();
        let next = raft.update(|tx| Ok(control::look(tx, now, &mut random))).await;
        let is_idle = matches!(next, Ok(None));
        let pause = match next {
            Ok(Some(due)) => Duration::from_nanos(u64::try_from((due - now.clock).0).unwrap_or(0))
                .clamp(RETRY, LONGEST_SLEEP),
            Ok(None) => LONGEST_SLEEP,
            Err(error) => {
                tracing::warn!(%error, "what was decided was not written, and will be decided anew");
                RETRY
            }
        };
        tokio::select! {
            () = wait_for(&mut watch, |_| true) => {}
            () = tokio::time::sleep(pause), if !is_idle => {}
        }
    }
}

fn seed() -> u64 {
    let mut seed = [0; 8];
    identity::random(&mut seed);
    u64::from_le_bytes(seed)
}
