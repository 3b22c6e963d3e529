//! A node that is part of a swarm: its identity, its agent, and what follows from both.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lead::Seed;
use super::office::Manager;
use super::settings::{Settings, save_remotes};
use super::{keeper, supervisor};
use crate::agent::database::DatabaseError;
use crate::agent::{Agent, Database, Executor, Remotes, Reporter, Worker};
use crate::dispatcher::calls::{ManagerAddress, SessionMessage};
use crate::identity::files::FilesError;
use crate::identity::{CertificateFiles, Credentials, Identity, NodeKey, UnlockKey};
use crate::wire::{Pool, Source};

/// What a node is started with.
#[derive(Debug)]
pub(super) struct NodeParts {
    pub data_root: PathBuf,
    pub identity: Identity,
    pub key: NodeKey,
    pub unlock: Option<UnlockKey>,
    pub settings: Settings,
    pub remotes: Vec<ManagerAddress>,
    pub seed: Option<Seed>,
    pub force_new_cluster: bool,
}

/// The key file's contents, and what it is locked with.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub key: NodeKey,
    pub unlock: Option<UnlockKey>,
}

/// What the node's tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub data_root: PathBuf,
    pub files: CertificateFiles,
    pub credentials: Credentials,
    pub pool: Pool,
    pub remotes: Remotes,
    pub settings: Mutex<Settings>,
    pub keys: Mutex<Keys>,
    /// What the leader last told the agent.
    pub told: watch::Sender<Option<SessionMessage>>,
    /// The manager on this node, while it has one.
    pub manager: watch::Sender<Option<Arc<Manager>>>,
    /// Why this node is not what it should be: shown by `docker info`.
    pub trouble: watch::Sender<Option<String>>,
    pub end: CancellationToken,
}

impl Shared {
    pub fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a new identity down and uses it from now on.
    pub fn adopt(&self, identity: Identity) -> Result<(), FilesError> {
        let mut keys = self.keys();
        let key = NodeKey { pem: identity.key.clone(), ..keys.key.clone() };
        self.files.save_identity(&identity.certificate, &key, keys.unlock.as_ref())?;
        keys.key = key;
        drop(keys);
        self.credentials.replace(identity);
        Ok(())
    }

    /// Changes the key file.
    pub fn rewrite_key(&self, change: impl FnOnce(&mut Keys)) -> Result<(), FilesError> {
        let mut keys = self.keys();
        let mut next = keys.clone();
        change(&mut next);
        self.files.save_key(&next.key, next.unlock.as_ref())?;
        *keys = next;
        Ok(())
    }

    pub fn remember_remotes(&self) {
        if let Err(error) = save_remotes(&self.data_root, &self.remotes.list()) {
            tracing::warn!(%error, "the managers would not be known after a restart");
        }
    }
}

/// A running node.
pub(super) struct Node<E: Executor> {
    pub shared: Arc<Shared>,
    pub worker: Arc<Worker<E>>,
    tracker: TaskTracker,
}

impl<E: Executor> Node<E> {
    pub fn start(parts: NodeParts, executor: Arc<E>) -> Result<Self, DatabaseError> {
        let credentials = Credentials::new(parts.identity);
        let source = Source(parts.settings.advertised_ip());
        let database = Database::open(&parts.data_root)?;
        let end = CancellationToken::new();
        let reporter = Reporter::default();
        let worker = Worker::start(executor.clone(), database, reporter.clone(), end.clone())?;
        let address = parts.settings.advertised_ip();
        let data_path = parts.settings.data_path_ip();
        let shared = Arc::new(Shared {
            files: CertificateFiles::below(&parts.data_root),
            data_root: parts.data_root,
            pool: Pool::new(credentials.clone(), source),
            credentials,
            remotes: Remotes::new(parts.remotes),
            settings: Mutex::new(parts.settings),
            keys: Mutex::new(Keys { key: parts.key, unlock: parts.unlock }),
            told: watch::Sender::new(None),
            manager: watch::Sender::new(None),
            trouble: watch::Sender::new(None),
            end: end.clone(),
        });
        let tracker = TaskTracker::new();
        let agent = Agent {
            executor,
            worker: worker.clone(),
            reporter,
            pool: shared.pool.clone(),
            remotes: shared.remotes.clone(),
            address,
            data_path,
            told: shared.told.clone(),
            end,
        };
        tracker.spawn(agent.run());
        tracker.spawn(keeper::keep(shared.clone()));
        tracker.spawn(supervisor::supervise(shared.clone(), parts.seed, parts.force_new_cluster));
        Ok(Self { shared, worker, tracker })
    }

    /// Ends all tasks and waits for them. Containers run on.
    pub async fn stop(&self) {
        self.shared.end.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.shared.pool.clear();
    }
}
