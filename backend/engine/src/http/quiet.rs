//! An engine that nobody speaks to gives memory back: that of its heap, and that of code only a start or a build needs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

/// So long after the last connection came or went nobody is expected at once.
const QUIET: Duration = Duration::from_secs(2);

/// Told of every connection that comes or goes.
#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<Notify>);

impl Activity {
    pub fn noted(&self) {
        self.0.notify_one();
    }

    /// Waits for a quiet time after each busy one, for ever. The first busy time is the start.
    pub async fn give_memory_back_when_quiet(self) {
        loop {
            while tokio::time::timeout(QUIET, self.0.notified()).await.is_ok() {}
            // Reads a table of the kernel's; too little to trouble another thread with.
            drydock_sys::memory::give_back();
            drydock_sys::memory::forget_code();
            self.0.notified().await;
        }
    }
}
