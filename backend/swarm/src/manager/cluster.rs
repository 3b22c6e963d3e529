//! The engine's handle on its swarm: none, one, or one that is locked.
//!
//! Written by one verb at a time; whoever only reads sees the state before or after it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

use super::error::ClusterError;
use super::lead::Seed;
use super::node::{Node, NodeParts};
use super::office::Manager;
use super::settings::{Settings, load_remotes, with_port};
use crate::agent::Executor;
use crate::ask::{Answer, Ask, AttachAnswer, AttachNetwork, AttachRequest, Reading, swarm};
use crate::ca::issue::{observed, spec_role, the_cluster, unlock_key};
use crate::ca::join::{fetch_root, first_identity};
use crate::dispatcher::calls::{LogLines, LogRequest, ManagerAddress, SessionMessage};
use crate::identity::files::FilesError;
use crate::identity::{
    CertificateFiles, CertificateRequest, Grant, Identity, JoinToken, NodeKey, Role, RootAuthority,
    UnlockKey, new_id,
};
use crate::objects::{Availability, NodeSpec, SwarmSpec, Timestamp};
use crate::store::View;
use crate::wire::{Incoming, Leader, NO_LEADER, Source};
use crate::{Code, Status, objects};

/// How long a verb waits for the node to be what it shall be.
const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long a manager may take to write down a container's place on a network.
const ATTACH_LIMIT: Duration = Duration::from_secs(5);
/// How often a newcomer asks each manager: each answer waits for an election already.
const ADMISSION_TRIES: usize = 3;

/// What `docker info` calls the local node state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocalState {
    Inactive,
    /// Joining.
    Pending,
    Active,
    Locked,
    /// Part of a swarm, and something is wrong.
    Error(String),
}

/// `docker swarm init`, with addresses resolved.
#[derive(Debug, Clone, Default)]
pub struct InitRequest {
    /// `0.0.0.0:2377` as a rule.
    pub listen_addr: String,
    pub advertise_addr: String,
    pub data_path_addr: String,
    pub data_path_port: u32,
    pub default_address_pool: Vec<String>,
    pub subnet_size: u32,
    pub force_new_cluster: bool,
    pub spec: SwarmSpec,
    pub availability: Option<Availability>,
}

/// `docker swarm join`, with addresses resolved.
#[derive(Debug, Clone, Default)]
pub struct JoinRequest {
    pub listen_addr: String,
    pub advertise_addr: String,
    pub data_path_addr: String,
    pub remote_addrs: Vec<String>,
    pub token: String,
    pub availability: Option<Availability>,
}

enum State<E: Executor> {
    Inactive,
    Locked,
    Active(Arc<Node<E>>),
}

impl<E: Executor> Clone for State<E> {
    fn clone(&self) -> Self {
        match self {
            Self::Inactive => Self::Inactive,
            Self::Locked => Self::Locked,
            Self::Active(node) => Self::Active(node.clone()),
        }
    }
}

/// One engine's swarm.
pub struct Cluster<E: Executor> {
    data_root: PathBuf,
    executor: Arc<E>,
    state: watch::Sender<State<E>>,
    /// One verb at a time.
    turn: Mutex<()>,
}

impl<E: Executor> std::fmt::Debug for Cluster<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("state", &self.local_state()).finish_non_exhaustive()
    }
}

impl<E: Executor> Cluster<E> {
    /// Takes up what is below `data_root`: a node that was part of a swarm is one again, or waits to be unlocked.
    pub fn open(data_root: &Path, executor: Arc<E>) -> Result<Self, ClusterError> {
        let cluster = Self {
            data_root: data_root.to_owned(),
            executor,
            state: watch::Sender::new(State::Inactive),
            turn: Mutex::default(),
        };
        match cluster.restore(None, false) {
            Ok(state) => _ = cluster.state.send_replace(state),
            Err(ClusterError::Locked) => _ = cluster.state.send_replace(State::Locked),
            Err(error) => return Err(error),
        }
        Ok(cluster)
    }

    /// For `docker info`.
    pub fn local_state(&self) -> LocalState {
        match &*self.state.borrow() {
            State::Inactive => LocalState::Inactive,
            State::Locked => LocalState::Locked,
            State::Active(node) => {
                let trouble = node.shared.trouble.borrow().clone();
                match trouble {
                    Some(trouble) => LocalState::Error(trouble),
                    None if node.shared.told.borrow().is_none() && node.shared.manager.borrow().is_none() => {
                        LocalState::Pending
                    }
                    None => LocalState::Active,
                }
            }
        }
    }

    /// What is the matter with this node's certificate, or with its clock.
    pub fn complaint(&self) -> Option<String> {
        self.active().and_then(|node| node.shared.credentials.complaint())
    }

    /// This node's id, while it is part of a swarm.
    pub fn node_id(&self) -> Option<String> {
        self.active().map(|node| node.shared.credentials.node_id())
    }

    /// The swarm's id, while this node is part of one.
    pub fn cluster_id(&self) -> Option<String> {
        self.active().map(|node| node.shared.credentials.cluster_id())
    }

    /// Whether a manager runs here.
    pub fn is_manager(&self) -> bool {
        self.active().is_some_and(|node| node.shared.manager.borrow().is_some())
    }

    pub fn settings(&self) -> Option<Settings> {
        self.active().map(|node| node.shared.settings().clone())
    }

    /// The managers that this node knows.
    pub fn remote_managers(&self) -> Vec<ManagerAddress> {
        self.active().map(|node| node.shared.remotes.list()).unwrap_or_default()
    }

    /// What the leader last told this node: its own object, the managers, the keys of the networks.
    pub fn told(&self) -> Option<SessionMessage> {
        self.active().and_then(|node| node.shared.told.borrow().clone())
    }

    /// What runs tasks on this node, while it is part of a swarm.
    pub fn worker(&self) -> Option<Arc<crate::agent::Worker<E>>> {
        self.active().map(|node| node.worker.clone())
    }

    /// The manager here. The error says why there is none.
    pub fn manager(&self) -> Result<Arc<Manager>, ClusterError> {
        let state = self.state.borrow().clone();
        match state {
            State::Inactive => Err(ClusterError::NotInSwarm),
            State::Locked => Err(ClusterError::Locked),
            State::Active(node) => {
                let manager = node.shared.manager.borrow().clone();
                manager.ok_or_else(|| match node.shared.credentials.role() {
                    Role::Worker => ClusterError::NotManager,
                    Role::Manager => ClusterError::Refused(crate::wire::no_leader()),
                })
            }
        }
    }

    /// Makes a swarm of this node. Its id.
    pub async fn init(&self, request: InitRequest) -> Result<String, ClusterError> {
        let _turn = self.turn.lock().await;
        let state = self.state.borrow().clone();
        match (state, request.force_new_cluster) {
            (State::Inactive, false) => {}
            (State::Locked, _) => return Err(ClusterError::Locked),
            (State::Active(_), false) => return Err(ClusterError::Exists),
            (State::Inactive, true) => return Err(ClusterError::NoSwarm),
            (State::Active(node), true) => return self.force_new(&node, &request).await,
        }
        let settings = settings_of(&request.listen_addr, &request.advertise_addr, &request.data_path_addr);
        let (identity, seed) = found(&request)?;
        self.write_down(&identity, &settings)?;
        self.run(identity, settings, Vec::new(), Some(seed), false).await
    }

    /// Joins the swarm that the token is of.
    pub async fn join(&self, request: JoinRequest) -> Result<String, ClusterError> {
        let _turn = self.turn.lock().await;
        match &*self.state.borrow() {
            State::Inactive => {}
            State::Locked => return Err(ClusterError::Locked),
            State::Active(_) => return Err(ClusterError::Exists),
        }
        let token: JoinToken =
            request.token.parse().map_err(|error: crate::identity::token::InvalidJoinToken| {
                ClusterError::Invalid(error.to_string())
            })?;
        let settings = settings_of(&request.listen_addr, &request.advertise_addr, &request.data_path_addr);
        let remotes: Vec<String> = request.remote_addrs.iter().map(|address| with_port(address)).collect();
        let identity =
            admitted(&remotes, &token, request.availability, Source(settings.advertised_ip())).await?;
        self.write_down(&identity, &settings)?;
        let managers = remotes.into_iter().map(|address| ManagerAddress { node_id: String::new(), address });
        self.run(identity, settings, managers.collect(), None, false).await
    }

    /// Leaves the swarm: whatever ran here ends, and nothing of the swarm stays on disk.
    pub async fn leave(&self, is_forced: bool) -> Result<(), ClusterError> {
        let _turn = self.turn.lock().await;
        let state = self.state.borrow().clone();
        match state {
            State::Inactive => return Err(ClusterError::NoSwarm),
            State::Locked if !is_forced => return Err(ClusterError::Locked),
            State::Locked => {}
            State::Active(node) => {
                if !is_forced {
                    self.may_leave(&node).await?;
                }
                node.stop_agent_work().await;
            }
        }
        self.clear()?;
        self.state.send_replace(State::Inactive);
        Ok(())
    }

    /// Opens a locked manager.
    pub async fn unlock(&self, key: &str) -> Result<(), ClusterError> {
        let _turn = self.turn.lock().await;
        match &*self.state.borrow() {
            State::Locked => {}
            State::Inactive => return Err(ClusterError::NoSwarm),
            State::Active(_) => return Err(ClusterError::NotLocked),
        }
        let key: UnlockKey = key.parse().map_err(|error: crate::identity::unlock::InvalidUnlockKey| {
            ClusterError::Invalid(error.to_string())
        })?;
        let state = self.restore(Some(key), false).map_err(|error| match error {
            ClusterError::Locked => ClusterError::WrongKey,
            error => error,
        })?;
        self.state.send_replace(state);
        Ok(())
    }

    /// Asks whoever leads.
    pub async fn ask(&self, ask: Ask) -> Result<Answer, ClusterError> {
        Ok(self.manager()?.ask(ask).await?)
    }

    /// Looks at the swarm's objects, at least as new as they were when this was called.
    pub async fn read<R>(&self, look: impl FnOnce(&View, &Reading) -> R) -> Result<R, ClusterError> {
        Ok(self.manager()?.read(look).await?)
    }

    /// The swarm's object, tokens and all.
    pub async fn inspect(&self) -> Result<Arc<objects::Cluster>, ClusterError> {
        Ok(self.read(|view, _| the_cluster(view)).await??)
    }

    /// All nodes, with who leads and who answers.
    pub async fn nodes(&self) -> Result<Vec<objects::Node>, ClusterError> {
        self.read(|view, reading| view.nodes().iter().map(|node| reading.node(node)).collect()).await
    }

    /// `SWMKEY-1-…`; empty when managers unlock themselves.
    pub async fn unlock_key(&self) -> Result<String, ClusterError> {
        Ok(self.read(|view, _| unlock_key(view)).await??.key.unwrap_or_default())
    }

    /// Asks for a place on a network for a plain container, by whichever manager answers. Its task comes like any other.
    pub async fn attach(&self, request: AttachRequest) -> Result<AttachAnswer, ClusterError> {
        let node = self.active().ok_or(ClusterError::NoSwarm)?;
        let mut last = crate::wire::no_leader();
        for manager in node.shared.remotes.list() {
            match node
                .shared
                .pool
                .call::<AttachNetwork>(&manager.address, request.clone(), ATTACH_LIMIT)
                .await
            {
                Ok(answer) => return Ok(answer),
                Err(status) if status.code == Code::Unavailable || status.code == Code::DeadlineExceeded => {
                    last = status;
                }
                Err(status) => return Err(status.into()),
            }
        }
        Err(last.into())
    }

    /// Lines of tasks on all nodes.
    pub async fn logs(&self, request: LogRequest) -> Result<Incoming<LogLines>, ClusterError> {
        Ok(self.manager()?.logs(request).await?)
    }

    /// Ends everything but the tasks' containers: the engine stops.
    pub async fn stop(&self) {
        let _turn = self.turn.lock().await;
        if let Some(node) = self.active() {
            node.stop().await;
        }
        self.state.send_replace(State::Inactive);
    }

    fn active(&self) -> Option<Arc<Node<E>>> {
        match &*self.state.borrow() {
            State::Active(node) => Some(node.clone()),
            _ => None,
        }
    }

    fn write_down(&self, identity: &Identity, settings: &Settings) -> Result<(), ClusterError> {
        let files = CertificateFiles::below(&self.data_root);
        settings.save(&self.data_root)?;
        files.save_root(&identity.root)?;
        let key = NodeKey { pem: identity.key.clone(), raft_key: None, next_raft_key: None, kek_version: 0 };
        files.save_identity(&identity.certificate, &key, None)?;
        Ok(())
    }

    /// Starts the node and waits until it is what it shall be; undoes all when it cannot be.
    async fn run(
        &self,
        identity: Identity,
        settings: Settings,
        remotes: Vec<ManagerAddress>,
        seed: Option<Seed>,
        force_new_cluster: bool,
    ) -> Result<String, ClusterError> {
        let node_id = identity.subject.node_id.clone();
        let key = NodeKey { pem: identity.key.clone(), raft_key: None, next_raft_key: None, kek_version: 0 };
        let data_root = self.data_root.clone();
        let founds = seed.is_some();
        let parts =
            NodeParts { data_root, identity, key, unlock: None, settings, remotes, seed, force_new_cluster };
        let node = Arc::new(Node::start(parts, self.executor.clone())?);
        self.state.send_replace(State::Active(node.clone()));
        match timeout(READY_LIMIT, ready(&node, founds)).await {
            Ok(Ok(())) => Ok(node_id),
            Ok(Err(error)) => {
                node.stop_agent_work().await;
                self.clear()?;
                self.state.send_replace(State::Inactive);
                Err(error)
            }
            Err(_) => Err(ClusterError::JoinTimeout),
        }
    }

    async fn force_new(&self, node: &Arc<Node<E>>, request: &InitRequest) -> Result<String, ClusterError> {
        if node.shared.credentials.role() != Role::Manager {
            return Err(ClusterError::NotManager);
        }
        node.stop().await;
        let mut settings = node.shared.settings().clone();
        if !request.advertise_addr.is_empty() {
            settings.advertise_addr = with_port(&request.advertise_addr);
            settings.save(&self.data_root)?;
        }
        let unlock = node.shared.keys().unlock.clone();
        let State::Active(node) = self.restore(unlock, true)? else { return Err(ClusterError::NoSwarm) };
        self.state.send_replace(State::Active(node.clone()));
        match timeout(READY_LIMIT, ready(&node, true)).await {
            Ok(Ok(())) => Ok(node.shared.credentials.node_id()),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(ClusterError::JoinTimeout),
        }
    }

    /// The node as its files say.
    fn restore(&self, unlock: Option<UnlockKey>, force_new_cluster: bool) -> Result<State<E>, ClusterError> {
        let files = CertificateFiles::below(&self.data_root);
        let (Some(root), Some(certificate)) = (files.load_root()?, files.load_certificate()?) else {
            return Ok(State::Inactive);
        };
        let key = match files.load_key(unlock.as_ref()) {
            Ok(Some(key)) => key,
            Ok(None) => return Ok(State::Inactive),
            Err(FilesError::Locked) => return Err(ClusterError::Locked),
            Err(error) => return Err(error.into()),
        };
        let parts = NodeParts {
            data_root: self.data_root.clone(),
            identity: Identity::new(root, certificate, key.pem.clone())?,
            key,
            unlock,
            settings: Settings::load(&self.data_root)?,
            remotes: load_remotes(&self.data_root)?,
            seed: None,
            force_new_cluster,
        };
        Ok(State::Active(Arc::new(Node::start(parts, self.executor.clone())?)))
    }

    /// Moby's words of warning, unless the node is a worker.
    async fn may_leave(&self, node: &Node<E>) -> Result<(), ClusterError> {
        if node.shared.credentials.role() == Role::Worker {
            return Ok(());
        }
        let mut words =
            "You are attempting to leave the swarm on a node that is participating as a manager. ".to_owned();
        match self.nodes().await {
            Err(_) => words.push_str("Doing so may lose the consensus of your cluster. "),
            Ok(nodes) => {
                let statuses: Vec<_> = nodes.iter().filter_map(|node| node.manager_status.as_ref()).collect();
                let reachable = statuses
                    .iter()
                    .filter(|status| status.reachability == objects::Reachability::REACHABLE)
                    .count();
                let unreachable = statuses.len() - reachable;
                if reachable == 1 && unreachable == 0 {
                    words.push_str("Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ");
                    return Err(ClusterError::NotAllowed(words));
                }
                if reachable <= unreachable + 2 {
                    words.push_str(&format!(
                        "Removing this node leaves {} managers out of {}. Without a Raft quorum your swarm will be inaccessible. ",
                        reachable.saturating_sub(1),
                        reachable + unreachable
                    ));
                }
            }
        }
        words.push_str(
            "The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message.",
        );
        Err(ClusterError::NotAllowed(words))
    }

    fn clear(&self) -> Result<(), ClusterError> {
        match fs::remove_dir_all(self.data_root.join("swarm")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ClusterError::local(&error)),
            _ => Ok(()),
        }
    }
}

impl<E: Executor> Node<E> {
    /// Ends the node and everything that it runs.
    async fn stop_agent_work(&self) {
        // Task managers end with the token: what they run is taken down before.
        self.worker.clear().await;
        self.stop().await;
    }
}

/// A manager is ready when its swarm has a leader and, for who founds, an object; a worker when the leader has told it of its node.
async fn ready<E: Executor>(node: &Node<E>, founds: bool) -> Result<(), ClusterError> {
    if node.shared.credentials.role() == Role::Worker {
        let mut told = node.shared.told.subscribe();
        _ = told.wait_for(Option::is_some).await;
        return Ok(());
    }
    let mut manager = node.shared.manager.subscribe();
    let mut trouble = node.shared.trouble.subscribe();
    let manager = tokio::select! {
        found = manager.wait_for(Option::is_some) => found.ok().and_then(|manager| manager.clone()),
        troubled = trouble.wait_for(Option::is_some) => {
            let words = troubled.ok().and_then(|words| words.clone()).unwrap_or_default();
            return Err(ClusterError::Local(words));
        }
    };
    let Some(manager) = manager else { return Err(ClusterError::NoSwarm) };
    let mut leader = manager.raft().leader();
    _ = leader.wait_for(|leader| *leader != Leader::None).await;
    if founds {
        // Made by the leader's first write; the agent is told of its node after it.
        let mut told = node.shared.told.subscribe();
        _ = told.wait_for(Option::is_some).await;
    }
    Ok(())
}

/// A root, a certificate and a cluster, all new.
fn found(request: &InitRequest) -> Result<(Identity, Seed), ClusterError> {
    let now = OffsetDateTime::now_utc();
    let authority = RootAuthority::create(now)?;
    let mut cluster = swarm::create(&authority, request.spec.clone(), Timestamp::at(now));
    cluster.data_path_port = if request.data_path_port == 0 {
        objects::Cluster::DEFAULT_DATA_PATH_PORT
    } else {
        request.data_path_port
    };
    cluster.default_address_pool = match &request.default_address_pool[..] {
        [] => vec![objects::Cluster::DEFAULT_POOL.to_owned()],
        pool => pool.to_vec(),
    };
    cluster.subnet_size =
        if request.subnet_size == 0 { objects::Cluster::DEFAULT_SUBNET_SIZE } else { request.subnet_size };
    let node_id = new_id();
    let csr = CertificateRequest::generate()?;
    let grant = Grant {
        node_id: &node_id,
        role: Role::Manager,
        cluster_id: cluster.id.as_str(),
        validity: crate::ca::issue::validity(&cluster),
    };
    let certificate = authority.sign(&csr.csr_pem, grant, now)?;
    let identity = Identity::new(authority.root().clone(), certificate, csr.key_pem)?;
    let node = objects::Node {
        id: node_id.into(),
        spec: NodeSpec {
            role: Some(spec_role(Role::Manager)),
            availability: request.availability.or(Some(Availability::ACTIVE)),
            ..NodeSpec::default()
        },
        observed_role: observed(Role::Manager),
        data_path_port: cluster.data_path_port,
        ..objects::Node::default()
    };
    Ok((identity, Seed { cluster, node, networks: swarm::networks() }))
}

/// A first certificate, from the first of the managers that gives one. An election on the other side is waited for.
async fn admitted(
    remotes: &[String],
    token: &JoinToken,
    availability: Option<Availability>,
    source: Source,
) -> Result<Identity, ClusterError> {
    let mut last = Status::new(Code::Unavailable, "no manager to join by");
    for address in remotes.iter().cycle().take(ADMISSION_TRIES * remotes.len()) {
        let asked = async {
            let root = fetch_root(address, token, source).await?;
            first_identity(address, &root, token, availability, source).await
        };
        match asked.await {
            Ok(identity) => return Ok(identity),
            Err(status) if status.message == NO_LEADER => last = status,
            Err(status) if remotes.len() > 1 => last = status,
            Err(status) => return Err(status.into()),
        }
    }
    Err(last.into())
}

fn settings_of(listen: &str, advertise: &str, data_path: &str) -> Settings {
    Settings {
        listen_addr: with_port(listen),
        advertise_addr: with_port(advertise),
        data_path_addr: data_path.to_owned(),
        raft_id: 0,
    }
}
