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

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drydock_networks::NetNs;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Notify;

use crate::boot::{self, BootError, Yard};
use crate::capacity::{self, Full, Inventory};
use crate::config::{HostConfig, Limits, NodeSpec, is_hostname};
use crate::faults::{Cable, Ends, FaultError, Faults, Loss};
use crate::firewall;
use crate::id::{NodeId, SessionId};
use crate::names::{self, Names};
use crate::node::Node;
use crate::opening::{self, OpenError};
use crate::record::{NodeRecord, SessionRecord};
use crate::removal::{self, EndError, Failures};
use crate::session::{self, Session, SessionError, Uplink};
use crate::state::{BeginEnd, Entry, State};
use crate::table::{self, Subnet};
use crate::uplink::{self, Surroundings};

/// This host's sessions and nodes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub struct Inner {
    pub config: HostConfig,
    pub yard: Yard,
    pub uplink: Uplink,
    /// Where names are asked that no node has.
    pub resolver: Option<IpAddr>,
    pub state: Mutex<State>,
    /// Woken when a boot has ended, well or not, and when a node is gone.
    pub changed: Notify,
    /// Making and ending sessions, one at a time: it takes a millisecond.
    pub session_changes: tokio::sync::Mutex<()>,
    pub _lock: File,
}

impl Host {
    /// Adopts what an earlier process left running and sweeps what it left half made.
    pub async fn open(config: HostConfig) -> Result<Self, OpenError> {
        let opened = blocking(move || opening::open(config)).await?;
        Ok(Self { inner: Arc::new(opening::start(opened).await?) })
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

    /// Ends a node and removes all of it; it is gone when this returns, whoever removed it. One that is being made is ended
    /// as soon as it runs. No error when there is none. Goes on to its end even when the caller stops waiting.
    pub async fn end(&self, id: &NodeId) -> Result<(), EndError> {
        joined(self.spawn_end(id.clone())).await
    }

    async fn end_once_it_runs(&self, id: &NodeId) -> Result<(), EndError> {
        loop {
            let changed = self.inner.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let begun = self.inner.state().begin_end(id);
            match begun {
                BeginEnd::Begun(record) => return self.remove_node(record).await,
                BeginEnd::NotYet => changed.await,
                BeginEnd::Nothing => return Ok(()),
            }
        }
    }

    /// Ends a session's nodes, those still being made too, and its switch. No error when there is none.
    pub async fn end_session(&self, id: &SessionId) -> Result<(), EndError> {
        let _turn = self.inner.session_changes.lock().await;
        // From here on it gets no new nodes.
        let Some((session, _)) = self.inner.state().sessions.remove(id) else { return Ok(()) };
        let mut failures = Failures::default();
        self.end_nodes_of(id, &mut failures).await;
        session.fall_silent();
        let record = SessionRecord { id: id.clone(), number: session.number() };
        drop(session);
        let inner = Arc::clone(&self.inner);
        failures.join(blocking(move || removal::session(&inner.yard.places, &record)).await);
        failures.into_result(format_args!("session {id}"))
    }

    /// Ends all nodes of a session at once; it gets no new ones meanwhile.
    async fn end_nodes_of(&self, id: &SessionId, failures: &mut Failures) {
        let nodes = self.inner.state().nodes_of(id);
        for end in nodes.into_iter().map(|node| self.spawn_end(node)).collect::<Vec<_>>() {
            failures.join(joined(end).await);
        }
    }

    /// What the cables of a session lose, in no order that means anything.
    pub fn faults(&self, session: &SessionId) -> Vec<(Cable, Loss)> {
        let Some(session) = self.session(session) else { return Vec::new() };
        let faults = session.faults().list();
        let state = self.inner.state();
        let named = |ends: Ends| {
            let node = |address| state.node_at(session.id(), address);
            let (one, other) = ends.addresses();
            Some(match other {
                None => Cable::Of(node(one)?),
                Some(other) => Cable::Between(node(one)?, node(other)?),
            })
        };
        faults.into_iter().filter_map(|(ends, loss)| Some((named(ends)?, loss))).collect()
    }

    /// Lets a cable of a session lose packets, or heals it when `loss` is `None`.
    pub async fn set_fault(
        &self,
        session: &SessionId,
        cable: Cable,
        loss: Option<Loss>,
    ) -> Result<(), FaultError> {
        let session = self.session(session).ok_or_else(|| FaultError::NoSession(session.clone()))?;
        let inner = Arc::clone(&self.inner);
        let work = move || {
            // Held while the nodes are looked up: one that ends afterwards takes its faults with it.
            let mut faults = session.faults();
            let ends = inner.state().ends(session.id(), &cable)?;
            faults.put(session.namespace(), ends, loss)
        };
        blocking(work).await
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
        failures.note("remove our rules from the host's firewall", firewall::retire(&places.link_prefix()));
        failures.note("remove the sockets", removal::remove_folder(&places.sockets()));
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
        tokio::spawn(async move { host.end_once_it_runs(&id).await })
    }

    async fn boot_to_its_end(&self, spec: NodeSpec) -> Result<Node, BootError> {
        let (record, session) = self.inner.reserve(spec)?;
        let id = record.spec.id.clone();
        let outcome = self.inner.make_node(&session, &record).await;
        match outcome {
            Ok(record) => {
                let sockets = self.inner.yard.places.sockets_of(&id);
                let node = Node::new(record, session, sockets);
                self.inner.state().nodes.insert(id, Entry::Running(node.clone()));
                self.inner.changed.notify_waiters();
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
            let mut failures = Failures::default();
            failures.join(removal::node(&inner.yard.places, &inner.yard.runtime, &record, switch));
            if let Some(session) = &session {
                let forgotten = session.faults().forget(session.namespace(), record.address);
                failures.note("heal its cable", forgotten);
            }
            failures.into_result(format_args!("node {}", record.spec.id))
        });
        let outcome = outcome.await;
        self.inner.state().forget(&id);
        self.inner.changed.notify_waiters();
        outcome
    }
}

impl Inner {
    pub fn state(&self) -> MutexGuard<'_, State> {
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
    pub async fn switch(
        &self,
        record: SessionRecord,
        namespace: NetNs,
        names: &Names,
    ) -> Result<Session, SessionError> {
        let subnet = Subnet::nth(self.config.subnets, record.number).ok_or(SessionError::NoSubnet)?;
        let address = SocketAddr::new(IpAddr::V4(subnet.gateway()), 53);
        let failed = |source| SessionError::Names { source };
        let socket = namespace.bind_udp(address).and_then(UdpSocket::from_std).map_err(failed)?;
        let listener = namespace.listen_tcp(address).and_then(TcpListener::from_std).map_err(failed)?;
        let answering = tokio::spawn(names::serve((socket, listener), Arc::clone(names), self.resolver));
        let faults = Faults::read(self.yard.places.faults(&record.id));
        Ok(Session::new(record.id, subnet, record.number, namespace, faults, answering.abort_handle()))
    }

    fn reserve(&self, spec: NodeSpec) -> Result<(NodeRecord, Session), BootError> {
        if !is_hostname(&spec.hostname) {
            return Err(BootError::Hostname(spec.hostname));
        }
        let mut state = self.state();
        let inventory =
            self.inventory(state.nodes.len()).map_err(|source| BootError::Inventory { source })?;
        capacity::check(&self.config.capacity, &inventory, &spec.limits)?;
        state.reserve(spec)
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

    fn inventory(&self, nodes: usize) -> io::Result<Inventory> {
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let available_memory = capacity::available_memory(&meminfo);
        let available_memory = available_memory.ok_or(io::ErrorKind::InvalidData)?;
        let disk = rustix::fs::statvfs(self.yard.places.data())?;
        Ok(Inventory { nodes, available_memory, free_disk: disk.f_bavail * disk.f_frsize })
    }
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
