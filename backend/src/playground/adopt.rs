//! Picks up after an earlier process: what the store and the host both know lives on, what only one of them knows
//! is removed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};

use drydock_nodes::Host;
use drydock_sessions::{Instance as Record, Session as SessionRecord, SessionId, Store, StoreError};
use tokio_util::task::TaskTracker;

use super::create::chain;
use super::instances::{host_node, host_session};
use super::lessons::Labs;
use super::places::Places;
use super::{Instance, Live, Playground, Session};
use crate::config::Config;
use crate::doors::metrics::Metrics;

#[derive(Debug, thiserror::Error)]
pub enum Adopt {
    #[error("cannot read the sessions of the last run")]
    Read(#[source] StoreError),
    #[error("cannot forget a node that ended meanwhile")]
    Forget(#[source] StoreError),
    #[error("cannot make the network of session {session}…")]
    Network { session: String, source: drydock_nodes::SessionError },
}

impl Playground {
    pub async fn open(
        config: Arc<Config>,
        store: Store,
        host: Host,
        metrics: Arc<Metrics>,
        registry: axum::Router,
    ) -> Result<Arc<Self>, Adopt> {
        let places = Places::new(config.capacity);
        let live = RwLock::new(Live::default());
        let labs = Arc::new(Labs::open(&config.labs()));
        let playground = Arc::new(Self {
            config,
            store,
            host,
            metrics,
            labs,
            registry,
            places,
            live,
            tasks: TaskTracker::new(),
        });
        let records = playground.store.sessions().await.map_err(Adopt::Read)?;
        let mut instances: HashMap<SessionId, Vec<Record>> = HashMap::new();
        for instance in playground.store.instances().await.map_err(Adopt::Read)? {
            instances.entry(instance.session.clone()).or_default().push(instance);
        }
        for record in records {
            let instances = instances.remove(&record.id).unwrap_or_default();
            playground.adopt(record, instances).await?;
        }
        playground.sweep().await;
        Ok(playground)
    }

    async fn adopt(self: &Arc<Self>, record: SessionRecord, instances: Vec<Record>) -> Result<(), Adopt> {
        let short = record.id.short().to_owned();
        let network = self
            .host
            .create_session(&host_session(&record.label))
            .await
            .map_err(|source| Adopt::Network { session: short.clone(), source })?;
        let session = Session::new(record, network, self.places.adopted_session());
        for record in instances {
            match self.host.node(&host_node(&record.name)) {
                Some(node) => {
                    let place = self.places.adopted_instance();
                    let ended = session.ended.child_token();
                    session.add(Arc::new(Instance::new(record, node, ended, place)));
                }
                None => {
                    tracing::warn!(node.id = record.name.as_str(), "this node ended while nobody looked");
                    self.store.remove_instance(&record.name).await.map_err(Adopt::Forget)?;
                }
            }
        }
        tracing::info!(session.id = short, nodes = session.instances().len(), "session adopted");
        self.enter(session.clone());
        self.attend(&session);
        for instance in session.instances() {
            self.tend(&session, &instance);
            session.publish_terminals(&instance).await;
        }
        self.follow_lab(&session).await;
        Ok(())
    }

    /// Ends what the host runs and the store does not know.
    async fn sweep(&self) {
        let sessions = self.sessions();
        let known: HashSet<_> = sessions.iter().map(|session| host_session(&session.label())).collect();
        for stray in self.host.sessions().iter().filter(|session| !known.contains(session.id())) {
            if let Err(error) = self.host.end_session(stray.id()).await {
                tracing::error!(session.label = stray.id().as_str(), error = %chain(&error), "not swept");
            }
        }
        let known: HashSet<_> = sessions
            .iter()
            .flat_map(|session| session.instances())
            .map(|instance| host_node(&instance.record.name))
            .collect();
        for stray in self.host.nodes().iter().filter(|node| !known.contains(node.id())) {
            if let Err(error) = self.host.end(stray.id()).await {
                tracing::error!(node.id = stray.id().as_str(), error = %chain(&error), "not swept");
            }
        }
    }
}
