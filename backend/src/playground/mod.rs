//! Sessions as they live in this process: records, nodes, watchers and what was last observed of them.
//!
//! ```text
//!            create                end (owner, expiry, orphaned)
//!   nothing ────────▶ Session ──────────────────────────▶ nothing
//!                       │  ▲
//!               instance│  │instance deleted, or its PID 1 ended
//!                       ▼  │
//!                     Instance
//! ```
//!
//! Every change is written to the store before anyone is told. A restart reads the store and adopts the nodes the
//! host still runs ([`adopt`]); what only one of the two knows is removed. The work of a verb runs in a task of its
//! own, so that a client which hangs up leaves nothing half made.

pub mod adopt;
pub mod create;
pub mod end;
pub mod engine;
pub mod events;
pub mod furnish;
pub mod instance;
pub mod instances;
pub mod lessons;
pub mod links;
pub mod observe;
pub mod places;
pub mod publish;
pub mod reaper;
pub mod registry;
pub mod roles;
pub mod session;
pub mod stats;
pub mod traffic;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use drydock_nodes::Host;
use drydock_sessions::{Label, SessionId, Store};
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::doors::metrics::Metrics;
pub use instance::Instance;
pub use session::Session;

#[derive(Debug)]
pub struct Playground {
    pub config: Arc<Config>,
    pub store: Store,
    pub host: Host,
    pub metrics: Arc<Metrics>,
    pub labs: Arc<lessons::Labs>,
    /// Served to every session's nodes.
    registry: axum::Router,
    places: places::Places,
    live: RwLock<Live>,
    /// Verbs under way.
    tasks: TaskTracker,
}

/// The same sessions by both of their names.
#[derive(Debug, Default)]
struct Live {
    by_id: HashMap<SessionId, Arc<Session>>,
    by_label: HashMap<Label, Arc<Session>>,
}

impl Playground {
    pub fn session(&self, id: &SessionId) -> Option<Arc<Session>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    /// The session a port link names.
    pub fn session_by_label(&self, label: &Label) -> Option<Arc<Session>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).by_label.get(label).cloned()
    }

    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).by_id.values().cloned().collect()
    }

    fn enter(&self, session: Arc<Session>) {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.by_label.insert(session.label(), session.clone());
        live.by_id.insert(session.id(), session);
    }

    /// Takes the session out; `None` when another caller did so before.
    fn leave(&self, id: &SessionId) -> Option<Arc<Session>> {
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        let session = live.by_id.remove(id)?;
        live.by_label.remove(&session.label());
        Some(session)
    }

    /// Waits for verbs under way, so that a graceful stop leaves no half-made node for the next start to sweep.
    pub async fn settle(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Why no session can be made now, if so.
    pub fn full(&self) -> Option<String> {
        let session = self.places.admit(0).err().map(|full| full.to_string());
        session.or_else(|| self.host.capacity(&self.config.node_limits).err().map(|full| full.reason))
    }
}
