//! An engine that has nothing to do gives memory back: that of its heap, and that of code only a start or a build needs.
//!
//! ```text
//!  busy ── nothing noted for a while ─▶ gives back ─▶ quiet ── something noted ─▶ busy
//!   └── busy for long: gives back all the same ──▲
//! ```

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// So long after the last that was noted nobody is expected at once.
const QUIET: Duration = Duration::from_secs(2);
/// Of an engine that is looked at or looks at its containers every second: what it did an hour ago it does not need now either.
const LONGEST: Duration = Duration::from_secs(60);

/// Told of every connection that comes or goes, of every event, and of every news of a swarm: what a connection asked for goes on behind it.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Notify>);

impl Activity {
    pub fn noted(&self) {
        self.0.notify_one();
    }

    /// Waits for a quiet time after each busy one, for ever. The first busy time is the start.
    pub async fn give_memory_back_when_quiet(self) {
        loop {
            let began = Instant::now();
            let mut last = began;
            while timeout_at(end_of_busy_time(began, last), self.0.notified()).await.is_ok() {
                last = Instant::now();
            }
            // Reads a table of the kernel's; too little to trouble another thread with.
            drydock_sys::memory::give_back();
            drydock_sys::memory::forget_code();
            self.0.notified().await;
        }
    }
}

/// When a busy time that `began` then ends, unless something is noted after `last`.
fn end_of_busy_time(began: Instant, last: Instant) -> Instant {
    (last + QUIET).min(began + LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_time_ends_with_a_pause_or_when_it_is_long() {
        let began = Instant::now();
        let after = |seconds| began + Duration::from_secs(seconds);
        let cases = [(0, 2), (1, 3), (57, 59), (59, 60), (90, 60)];
        for (last, end) in cases {
            assert_eq!(end_of_busy_time(began, after(last)), after(end), "last noted after {last} s");
        }
    }
}
