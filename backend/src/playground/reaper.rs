//! Ends sessions whose time, or whose company, is over.

use std::sync::Arc;
use std::time::Duration;

use drydock_sessions::life::{self, Fate};
use time::OffsetDateTime;

use super::Playground;
use super::end::Reason;

/// The countdown in the page shows seconds.
const ROUND: Duration = Duration::from_secs(1);

impl Playground {
    /// Runs until it is dropped.
    pub async fn reap(self: Arc<Self>) {
        let mut rounds = tokio::time::interval(ROUND);
        rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            rounds.tick().await;
            let now = OffsetDateTime::now_utc();
            for session in self.sessions() {
                let reason = match life::fate(&session.record(), session.presence(), &self.config.life, now) {
                    Fate::Stays => continue,
                    Fate::Expired => Reason::Expired,
                    Fate::Orphaned => Reason::Orphaned,
                };
                let playground = self.clone();
                // One that ends slowly must not keep the others alive.
                self.tasks.spawn(async move { playground.end(&session.id(), reason).await });
            }
        }
    }
}
