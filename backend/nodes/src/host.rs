//! The host: sessions and nodes that live here.
//!
//! ```text
//! Host (any number of handles)
//! ├─ boot       one task and one thread per node being made
//! ├─ end        one task per node being ended
//! └─ names      one task per session: answers its nodes' name queries
//! ```
//!
//! [`State`] says who has which name, address and id block; a name is reserved in it before anything is made and
//! freed after all of it is gone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drydock_networks::NetNs;
use rustix::fs::{FlockOperation, flock};
use tokio::net::UdpSocket;

use crate::adopt::{self, Adopted};
use crate::boot::{self, BootError, Yard};
use crate::capacity::{self, Full, Inventory};
use crate::config::{HostConfig, Limits, NodeImage, NodeSpec};
use crate::id::{NodeId, SessionId};
use crate::names::{self, Names};
use crate::node::Node;
use crate::places::Places;
use crate::record::{NodeRecord, SessionRecord, Stage};
use crate::removal::{self, EndError, Failures};
use crate::runtime::Runtime;
use crate::session::{self, Session, SessionError, Uplink};
use crate::table::{self, Subnet};
use crate::uplink::{self, Surroundings, UplinkError};

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot make {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("another process uses {path}")]
    Locked { path: PathBuf },
    #[error("{path} is missing")]
    Program { path: PathBuf },
    #[error("cannot open the image store {path}")]
    Store { path: PathBuf, source: drydock_images::OpenError },
    #[error("there is no node image {reference}")]
    Image { reference: String, source: drydock_images::FindError },
    #[error("a node image by reference needs an image store")]
    NoStore,
    #[error("cannot set up the host's network")]
    Uplink { source: UplinkError },
    #[error("cannot take over a running session")]
    Session { source: SessionError },
}

/// This host's sessions and nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    config: HostConfig,
    yard: Yard,
    uplink: Uplink,
    /// Where names are asked that no node has.
    resolver: Option<IpAddr>,
    state: Mutex<State>,
    /// Making and ending sessions, one at a time: it takes a millisecond.
    session_changes: tokio::sync::Mutex<()>,
    _lock: File,
}

#[derive(Debug, Default)]
struct State {
    sessions: BTreeMap<SessionId, (Session, Names)>,
    nodes: BTreeMap<NodeId, Entry>,
}

/// ```text
/// Making ──▶ Running ──▶ Ending ──▶ (forgotten)
///    ╰───────────────────────▲
/// ```
#[derive(Debug)]
enum Entry {
    Making(NodeRecord),
    Running(Node),
    Ending(NodeRecord),
}

impl Entry {
    fn record(&self) -> &NodeRecord {
        match self {
            Self::Making(record) | Self::Ending(record) => record,
            Self::Running(node) => node.record(),
        }
    }
}

impl Host {
    /// Adopts what an earlier process left running and sweeps what it left half made.
    pub async fn open(config: HostConfig) -> Result<Self, OpenError> {
        blocking(move || Inner::open(config)).await?.start().await
    }

    /// The switch of a session; made when it is not there yet.
    pub async fn create_session(&self, id: &SessionId) -> Result<Session, SessionError> {
        let _turn = self.inner.session_changes.lock().await;
        if let Some(session) = self.session(id) {
            return Ok(session);
        }
        let (inner, wanted) = (Arc::clone(&self.inner), id.clone());
        let made = blocking(move || inner.make_session(&wanted)).await;
        let (record, namespace) = made?;
        let names = Names::default();
        let session = self.inner.switch(record, namespace, &names).await?;
        self.inner.state().sessions.insert(id.clone(), (session.clone(), names));
        Ok(session)
    }

    pub fn session(&self, id: &SessionId) -> Option<Session> {
        self.inner.state().sessions.get(id).map(|(session, _)| session.clone())
    }

    pub fn sessions(&self) -> Vec<Session> {
        self.inner.state().sessions.values().map(|(session, _)| session.clone()).collect()
    }

    /// Makes a node and starts its agent; the engine's first answer is awaited by [`Node::ready`]. Goes on to its end
    /// even when the caller stops waiting.
    pub async fn boot(&self, spec: NodeSpec) -> Result<Node, BootError> {
        let host = self.clone();
        joined(tokio::spawn(async move { host.boot_to_its_end(spec).await })).await
    }

    pub fn node(&self, id: &NodeId) -> Option<Node> {
        match self.inner.state().nodes.get(id) {
            Some(Entry::Running(node)) => Some(node.clone()),
            _ => None,
        }
    }

    pub fn nodes(&self) -> Vec<Node> {
        let state = self.inner.state();
        let running = state.nodes.values().filter_map(|entry| match entry {
            Entry::Running(node) => Some(node.clone()),
            _ => None,
        });
        running.collect()
    }

    /// Ends a node and removes all of it; no error when there is none.
    pub async fn end(&self, id: &NodeId) -> Result<(), EndError> {
        let Some(record) = self.inner.begin_end(id) else { return Ok(()) };
        let host = self.clone();
        joined(tokio::spawn(async move { host.remove_node(record).await })).await
    }

    /// Ends a session's nodes and its switch.
    pub async fn end_session(&self, id: &SessionId) -> Result<(), EndError> {
        let _turn = self.inner.session_changes.lock().await;
        let mut failures = Failures::default();
        let ends: Vec<_> = self.inner.nodes_of(id).into_iter().map(|node| self.spawn_end(node)).collect();
        for end in ends {
            failures.join(joined(end).await);
        }
        let Some((session, _)) = self.inner.state().sessions.remove(id) else {
            return failures.into_result(format_args!("session {id}"));
        };
        let record = SessionRecord { id: id.clone(), number: session.number() };
        drop(session);
        let inner = Arc::clone(&self.inner);
        failures.join(blocking(move || removal::session(&inner.yard.places, &record)).await);
        failures.into_result(format_args!("session {id}"))
    }

    /// Ends all, and removes what the host itself was given.
    pub async fn reset(&self) -> Result<(), EndError> {
        let mut failures = Failures::default();
        let ids: Vec<SessionId> = self.inner.state().sessions.keys().cloned().collect();
        for id in ids {
            failures.join(self.end_session(&id).await);
        }
        let places = &self.inner.yard.places;
        failures.note("remove the host's packet rules", uplink::remove_table(places));
        failures.note("remove the cgroups", crate::control_groups::remove(&places.control_groups()));
        failures.into_result("all sessions")
    }

    /// Whether a node of these limits fits now.
    pub fn capacity(&self, limits: &Limits) -> Result<(), Full> {
        let nodes = self.inner.state().nodes.len();
        let inventory = self.inner.inventory(nodes).map_err(|error| Full { reason: error.to_string() })?;
        capacity::check(&self.inner.config.capacity, &inventory, limits)
    }

    fn spawn_end(&self, id: NodeId) -> tokio::task::JoinHandle<Result<(), EndError>> {
        let host = self.clone();
        tokio::spawn(async move { host.end(&id).await })
    }

    async fn boot_to_its_end(&self, spec: NodeSpec) -> Result<Node, BootError> {
        let (record, session) = self.inner.reserve(spec)?;
        let id = record.spec.id.clone();
        let outcome = self.inner.make_node(&session, &record).await;
        match outcome {
            Ok(record) => {
                let folder = self.inner.yard.places.node(&id);
                let node = Node::new(record, session, folder);
                self.inner.state().nodes.insert(id, Entry::Running(node.clone()));
                Ok(node)
            }
            Err(error) => {
                if let Err(leftover) = self.remove_node(record).await {
                    tracing::error!(node.id = %id, error = %leftover, "a failed boot left something behind");
                }
                Err(error)
            }
        }
    }

    async fn remove_node(&self, record: NodeRecord) -> Result<(), EndError> {
        let inner = Arc::clone(&self.inner);
        let id = record.spec.id.clone();
        let outcome = blocking(move || {
            let session =
                inner.state().sessions.get(&record.spec.session).map(|(session, _)| session.clone());
            let switch = session.as_ref().map(Session::namespace);
            removal::node(&inner.yard.places, &inner.yard.runtime, &record, switch)
        });
        let outcome = outcome.await;
        self.inner.forget(&id);
        outcome
    }
}

impl Inner {
    fn open(config: HostConfig) -> Result<(Self, Adopted), OpenError> {
        let folder = |path: PathBuf| {
            fs::create_dir_all(&path).map_err(|source| OpenError::Folder { path: path.clone(), source })
        };
        folder(config.data_dir.clone())?;
        let places = Places::new(&config.data_dir)
            .map_err(|source| OpenError::Folder { path: config.data_dir.clone(), source })?;
        for path in [places.runtime(), places.templates(), places.sessions(), places.nodes()] {
            folder(path)?;
        }
        let lock = lock(places.lock())?;
        let layers = layers(&config)?;
        for program in crate::root::PROGRAMS {
            let path = config.bin_dir.join(program);
            if !path.is_file() {
                return Err(OpenError::Program { path });
            }
        }
        let runtime = Runtime { program: config.bin_dir.join("drydock-runtime"), state: places.runtime() };
        let (adopted, swept) = adopt::adopt(&places, &runtime);
        if let Err(error) = swept {
            tracing::error!(%error, "something of an earlier process remains");
        }
        let uplink = connect_host(&places, &adopted).map_err(|source| OpenError::Uplink { source })?;
        let yard = Yard {
            places,
            runtime,
            bin_dir: config.bin_dir.clone(),
            layers,
            store: config.store.clone(),
            first_id: config.first_id,
        };
        let resolver = fs::read_to_string("/etc/resolv.conf").ok().and_then(|text| names::resolver(&text));
        let inner = Self {
            resolver: resolver.filter(|_| uplink == Uplink::Wanted),
            config,
            yard,
            uplink,
            state: Mutex::default(),
            session_changes: tokio::sync::Mutex::default(),
            _lock: lock,
        };
        Ok((inner, adopted))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the table; and if it did, the table would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_session(&self, id: &SessionId) -> Result<(SessionRecord, NetNs), SessionError> {
        let surroundings = Surroundings::look().map_err(|source| SessionError::Routes { source })?;
        let taken: BTreeSet<u32> =
            self.state().sessions.values().map(|(session, _)| session.number()).collect();
        let pool = self.config.subnets;
        let number = table::free_subnet(pool, &taken, &surroundings.routes).ok_or(SessionError::NoSubnet)?;
        let subnet = Subnet::nth(pool, number).ok_or(SessionError::NoSubnet)?;
        let record = SessionRecord { id: id.clone(), number };
        match session::make(&self.yard.places, &record, subnet, self.uplink) {
            Ok(namespace) => Ok((record, namespace)),
            Err(error) => {
                if let Err(leftover) = removal::session(&self.yard.places, &record) {
                    tracing::error!(session.id = %id, error = %leftover, "a failed session left something behind");
                }
                Err(error)
            }
        }
    }

    /// Puts a session's switch to work: from here on its nodes' name queries are answered.
    async fn switch(
        &self,
        record: SessionRecord,
        namespace: NetNs,
        names: &Names,
    ) -> Result<Session, SessionError> {
        let subnet = Subnet::nth(self.config.subnets, record.number).ok_or(SessionError::NoSubnet)?;
        let address = SocketAddr::new(IpAddr::V4(subnet.gateway()), 53);
        let socket = namespace.bind_udp(address).and_then(UdpSocket::from_std);
        let socket = socket.map_err(|source| SessionError::Names { source })?;
        let answering = tokio::spawn(names::serve(socket, Arc::clone(names), self.resolver));
        Ok(Session::new(record.id, subnet, record.number, namespace, answering.abort_handle()))
    }

    /// Gives the node its name, address and id block, all at once.
    fn reserve(&self, spec: NodeSpec) -> Result<(NodeRecord, Session), BootError> {
        if !is_hostname(&spec.hostname) {
            return Err(BootError::Hostname(spec.hostname));
        }
        let mut state = self.state();
        let inventory =
            self.inventory(state.nodes.len()).map_err(|source| BootError::Inventory { source })?;
        capacity::check(&self.config.capacity, &inventory, &spec.limits)?;
        if state.nodes.contains_key(&spec.id) {
            return Err(BootError::Exists(spec.id));
        }
        let session = state.sessions.get(&spec.session).map(|(session, _)| session.clone());
        let session = session.ok_or_else(|| BootError::NoSession(spec.session.clone()))?;
        let address = state.address(&spec, &session)?;
        let blocks = state.nodes.values().map(|entry| entry.record().block).collect();
        let block = table::free_block(&blocks).ok_or(BootError::NoIds)?;
        let record = NodeRecord { spec, address, block, stage: Stage::Making };
        state.nodes.insert(record.spec.id.clone(), Entry::Making(record.clone()));
        state.name(&record);
        Ok((record, session))
    }

    async fn make_node(
        self: &Arc<Self>,
        session: &Session,
        record: &NodeRecord,
    ) -> Result<NodeRecord, BootError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let (inner, session, record) = (Arc::clone(self), session.clone(), record.clone());
        // Not a pool thread: it leaves the host's mount namespace for good.
        let work = move || {
            // The receiver is gone only if the program ends.
            let _ = sender.send(boot::make(&inner.yard, &session, record));
        };
        let thread = std::thread::Builder::new().name("boot".to_owned()).spawn(work);
        thread.map_err(|source| BootError::Thread { source })?;
        let died = || io::Error::other("the thread that made the node died");
        receiver.await.unwrap_or_else(|_| Err(BootError::Thread { source: died() }))
    }

    /// Marks a running node as ending; `None` when it is not running.
    fn begin_end(&self, id: &NodeId) -> Option<NodeRecord> {
        let mut state = self.state();
        let entry = state.nodes.get_mut(id)?;
        let Entry::Running(node) = entry else { return None };
        let record = node.record().clone();
        *entry = Entry::Ending(record.clone());
        Some(record)
    }

    fn forget(&self, id: &NodeId) {
        let mut state = self.state();
        if let Some(entry) = state.nodes.remove(id) {
            state.unname(entry.record());
        }
    }

    fn nodes_of(&self, session: &SessionId) -> Vec<NodeId> {
        let state = self.state();
        let records = state.nodes.values().map(Entry::record);
        records
            .filter(|record| record.spec.session == *session)
            .map(|record| record.spec.id.clone())
            .collect()
    }

    fn inventory(&self, nodes: usize) -> io::Result<Inventory> {
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let available_memory = capacity::available_memory(&meminfo);
        let available_memory = available_memory.ok_or(io::ErrorKind::InvalidData)?;
        let disk = rustix::fs::statvfs(self.yard.places.data())?;
        Ok(Inventory { nodes, available_memory, free_disk: disk.f_bavail * disk.f_frsize })
    }
}

impl State {
    fn address(&self, spec: &NodeSpec, session: &Session) -> Result<Ipv4Addr, BootError> {
        let of_session = self.nodes.values().map(Entry::record);
        let of_session = of_session.filter(|record| record.spec.session == spec.session);
        let taken: BTreeSet<Ipv4Addr> = of_session.map(|record| record.address).collect();
        match spec.address {
            None => session.addresses().free_address(&taken).ok_or(BootError::NoAddress),
            Some(address) if taken.contains(&address) || !session.addresses().may_have(address) => {
                Err(BootError::Address(address))
            }
            Some(address) => Ok(address),
        }
    }

    fn names_of(&self, session: &SessionId) -> Option<&Names> {
        self.sessions.get(session).map(|(_, names)| names)
    }

    fn name(&self, record: &NodeRecord) {
        if let Some(mut names) = self.names_of(&record.spec.session).and_then(|names| names.write().ok()) {
            names.insert(record.spec.hostname.to_ascii_lowercase(), record.address);
        }
    }

    fn unname(&self, record: &NodeRecord) {
        if let Some(mut names) = self.names_of(&record.spec.session).and_then(|names| names.write().ok()) {
            names.retain(|_, address| *address != record.address);
        }
    }
}

/// What was opened, before its tasks are running.
trait Start {
    async fn start(self) -> Result<Host, OpenError>;
}

impl Start for (Inner, Adopted) {
    async fn start(self) -> Result<Host, OpenError> {
        let (inner, adopted) = self;
        for (id, (record, namespace)) in adopted.sessions {
            let names = Names::default();
            let session = inner.switch(record, namespace, &names).await;
            let session = session.map_err(|source| OpenError::Session { source })?;
            inner.state().sessions.insert(id, (session, names));
        }
        for record in adopted.nodes {
            let mut state = inner.state();
            let Some((session, _)) = state.sessions.get(&record.spec.session) else { continue };
            let node = Node::new(record.clone(), session.clone(), inner.yard.places.node(&record.spec.id));
            state.name(&record);
            state.nodes.insert(record.spec.id, Entry::Running(node));
        }
        Ok(Host { inner: Arc::new(inner) })
    }
}

fn lock(path: PathBuf) -> Result<File, OpenError> {
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|source| OpenError::Folder { path: path.clone(), source })?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(_) => Err(OpenError::Locked { path }),
    }
}

/// The node image's unpacked layers, topmost first.
fn layers(config: &HostConfig) -> Result<Vec<PathBuf>, OpenError> {
    match &config.image {
        NodeImage::Layers(layers) => Ok(layers.iter().rev().cloned().collect()),
        NodeImage::Reference(reference) => {
            let path = config.store.clone().ok_or(OpenError::NoStore)?;
            let store = drydock_images::Store::open(&path, None);
            let store = store.map_err(|source| OpenError::Store { path, source })?;
            let image = store.find(reference);
            let image = image.map_err(|source| OpenError::Image { reference: reference.clone(), source })?;
            Ok(store.layer_paths(&image))
        }
    }
}

fn connect_host(places: &Places, adopted: &Adopted) -> Result<Uplink, UplinkError> {
    if !Surroundings::look()?.has_default_route {
        return Ok(Uplink::Pointless);
    }
    let sessions: Vec<u32> = adopted.sessions.values().map(|(record, _)| record.number).collect();
    uplink::prepare(places, &sessions)?;
    Ok(Uplink::Wanted)
}

/// A label of RFC 1123.
fn is_hostname(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Runs what blocks on a thread for such work; a panic there is a panic here.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    joined(tokio::task::spawn_blocking(work)).await
}

async fn joined<T>(task: tokio::task::JoinHandle<T>) -> T {
    match task.await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The program is ending: nobody is left to answer.
            Err(_) => std::future::pending().await,
        },
    }
}
