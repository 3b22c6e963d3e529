//! Makes a session.

use std::sync::Arc;

use drydock_sessions::capacity::Full;
use drydock_sessions::id::NoRandomness;
use drydock_sessions::{Label, Session as Record, SessionId, StoreError, life};
use time::{Duration, OffsetDateTime};
use tracing::Instrument;

use super::furnish::Beginning;
use super::instances::host_session;
use super::{Playground, Session};

/// What was asked for.
#[derive(Debug, Default)]
pub struct NewSession {
    pub duration: Option<Duration>,
    pub stack: String,
    pub stack_name: String,
    pub image: String,
    pub lab: Option<String>,
    /// The nodes it begins with.
    pub instances: Vec<Beginning>,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateSession {
    #[error(transparent)]
    Full(#[from] Full),
    #[error("{0}")]
    HostFull(#[source] drydock_nodes::Full),
    #[error("cannot name the session")]
    Name(#[source] NoRandomness),
    #[error("cannot make the session's network")]
    Network(#[source] drydock_nodes::SessionError),
    #[error("cannot keep the session")]
    Keep(#[source] StoreError),
    #[error("the work was cut short")]
    CutShort,
}

impl Playground {
    /// Makes the session and begins with its nodes, which are ready when [`Session::ready`] says so.
    pub async fn create(self: &Arc<Self>, asked: NewSession) -> Result<Arc<Session>, CreateSession> {
        let playground = self.clone();
        let work = async move { playground.make(asked).await };
        self.tasks.spawn(work.in_current_span()).await.map_err(|_| CreateSession::CutShort)?
    }

    async fn make(self: Arc<Self>, asked: NewSession) -> Result<Arc<Session>, CreateSession> {
        let place = self.places.session(asked.instances.len() as u32)?;
        self.host.capacity(&self.config.node_limits).map_err(CreateSession::HostFull)?;
        // As exact as the store keeps it: a restart must not move the expiry.
        let now = OffsetDateTime::now_utc().truncate_to_millisecond();
        let record = Record {
            id: SessionId::random().map_err(CreateSession::Name)?,
            label: Label::random().map_err(CreateSession::Name)?,
            created: now,
            expires: now + life::duration(asked.duration, &self.config.life),
            stack: asked.stack,
            stack_name: asked.stack_name,
            image: asked.image,
            lab: asked.lab,
        };
        let home = host_session(&record.label);
        let network = self.host.create_session(&home).await.map_err(CreateSession::Network)?;
        if let Err(error) = self.store.add_session(&record).await {
            if let Err(left) = self.host.end_session(&home).await {
                tracing::warn!(session.label = record.label.as_str(), error = %left, "left over");
            }
            return Err(CreateSession::Keep(error));
        }
        let session = Session::new(record, network, place);
        self.enter(session.clone());
        self.attend(&session);
        self.metrics.sessions_created.add(1);
        tracing::info!(session.id = session.id().short(), "session made");
        if !asked.instances.is_empty() {
            session.set_ready(false);
            self.tasks.spawn(self.clone().begin_with(session.clone(), asked.instances));
        }
        self.follow_lab(&session).await;
        Ok(session)
    }

    async fn begin_with(self: Arc<Self>, session: Arc<Session>, wanted: Vec<Beginning>) {
        for error in self.furnish(&session, wanted).await.into_iter().filter_map(Result::err) {
            tracing::error!(session.id = session.id().short(), error = %chain(&error), "not begun as asked");
            session.events.publish("session builder out", vec![format!("{}\r\n", chain(&error)).into()]);
        }
        session.set_ready(true);
    }
}

/// An error with all its causes, on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
