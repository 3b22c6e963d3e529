//! Ends and extends sessions.

use std::sync::Arc;

use drydock_sessions::{SessionId, StoreError, life};
use time::OffsetDateTime;
use tracing::Instrument;

use super::create::chain;
use super::instances::host_session;
use super::{Playground, Session};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    Closed,
    Expired,
    Orphaned,
}

impl Reason {
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Expired => "expired",
            Self::Orphaned => "orphaned",
        }
    }
}

impl Playground {
    /// Ends a session with all it has. False when there is none of that id (any more).
    pub async fn end(self: &Arc<Self>, id: &SessionId, reason: Reason) -> bool {
        let Some(session) = self.leave(id) else { return false };
        let playground = self.clone();
        let work = async move { playground.unmake(session, reason).await };
        // The work logs its own failures, and goes on when nobody waits for it.
        let _ = self.tasks.spawn(work.in_current_span()).await;
        true
    }

    async fn unmake(&self, session: Arc<Session>, reason: Reason) {
        session.events.publish("session end", vec![reason.word().into()]);
        session.ended.cancel();
        let record = session.record();
        // Forgotten first: a restart in between sweeps nodes that nobody knows.
        if let Err(error) = self.store.remove_session(&record.id).await {
            tracing::error!(session.id = record.id.short(), error = %chain(&error), "session not forgotten");
        }
        session.tasks.close();
        session.tasks.wait().await;
        if let Err(error) = self.host.end_session(&host_session(&record.label)).await {
            tracing::error!(session.id = record.id.short(), error = %chain(&error), "session left remains");
        }
        for instance in session.instances() {
            session.remove(&instance.record.name);
        }
        self.metrics.session_ended(reason);
        tracing::info!(session.id = record.id.short(), reason = reason.word(), "session ended");
    }

    /// Gives a session more time, as much as it may have; its expiry then.
    pub async fn extend(&self, session: &Session) -> Result<OffsetDateTime, StoreError> {
        let record = session.record();
        let later =
            life::extended(&record, &self.config.life, OffsetDateTime::now_utc().truncate_to_millisecond());
        if let Some(later) = later {
            self.store.set_expiry(&record.id, later).await?;
            session.set_expiry(later);
        }
        Ok(session.record().expires)
    }
}
