//! The dispatcher of a leader.
//!
//! ```text
//! expire          one task: sleeps until the next node would have been silent for too long
//! write_reports   one task: what agents said since the last write, in one write
//! session, feed   two tasks for each agent: tell it what changed, end with its session
//! ```
//! All are in the leader's tracker and end with its token.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::assignments::Assigned;
use super::calls::{
    AssignmentsMessage, DescriptionRequest, HeartbeatResponse, InSession, ManagerAddress, Nothing,
    SessionMessage, SessionRequest, StatusRequest, StatusUpdate,
};
use super::landscape::Landscape;
use super::sessions::Sessions;
use crate::identity::new_id;
use crate::objects::{Cluster, Node, NodeId, NodeState, Object, Timestamp};
use crate::raft::RaftNode;
use crate::store::{Event, Transaction, View, Watch};
use crate::wire::Peer;
use crate::{Code, Status};

/// How often agents speak while the cluster is small and its period is swarm's default: a dead node is found within a second.
const QUICK_PERIOD: Duration = Duration::from_millis(300);
/// Up to so many nodes that costs nothing to speak of.
const QUICK_NODES: usize = 64;
/// Task states written at once.
const WRITE_CHUNK: usize = 500;

/// What agents call.
#[derive(Debug)]
pub struct Dispatcher {
    raft: Arc<RaftNode>,
    node_id: NodeId,
    sessions: Mutex<Sessions>,
    /// A deadline may be earlier than the one slept for.
    registered: Notify,
    reports: Mutex<Vec<StatusUpdate>>,
    reported: Notify,
    tracker: TaskTracker,
    end: CancellationToken,
}

type Answers<T> = ReceiverStream<Result<T, Status>>;

impl Dispatcher {
    /// Takes over: nodes that were alive under the leader before are awaited. Ends with `end`.
    pub async fn start(
        raft: Arc<RaftNode>,
        node_id: NodeId,
        tracker: TaskTracker,
        end: CancellationToken,
    ) -> Result<Arc<Self>, Status> {
        let mut sessions = Sessions::new(raft.replica().view(period_of));
        let now = raft.replica().now().clock;
        let awaited = raft.update(|tx| await_all(tx, now)).await?;
        for id in awaited {
            sessions.await_node(id.as_str(), Instant::now());
        }
        let dispatcher = Arc::new(Self {
            raft,
            node_id,
            sessions: Mutex::new(sessions),
            registered: Notify::new(),
            reports: Mutex::default(),
            reported: Notify::new(),
            tracker,
            end,
        });
        dispatcher.spawn(dispatcher.clone().expire());
        dispatcher.spawn(dispatcher.clone().write_reports());
        Ok(dispatcher)
    }

    /// An agent comes: from now on the node is ready.
    pub async fn session(
        self: &Arc<Self>,
        peer: Peer,
        request: SessionRequest,
    ) -> Result<Answers<SessionMessage>, Status> {
        let node_id = NodeId::from(peer.node_id()?);
        let address = request.address.clone().unwrap_or_else(|| ip_text(peer.address.ip()));
        let watch = self.raft.replica().watch();
        let now = self.now();
        self.raft.update(|tx| register(tx, &node_id, &request, &address, now)).await?;
        let session_id = new_id();
        let end = self.sessions().register(node_id.as_str(), session_id.clone(), Instant::now());
        self.registered.notify_one();
        tracing::info!(node.id = %node_id, "an agent registered");
        let (sender, receiver) = mpsc::channel(4);
        self.spawn(self.clone().tell(node_id, session_id, watch, sender, end));
        Ok(ReceiverStream::new(receiver))
    }

    /// The agent lives.
    pub fn heartbeat(&self, peer: &Peer, request: &InSession) -> Result<HeartbeatResponse, Status> {
        let mut sessions = self.sessions();
        sessions.set_period(self.raft.replica().view(period_of));
        sessions.beat(peer.node_id()?, &request.session_id, Instant::now())?;
        Ok(HeartbeatResponse { period_ms: u64::try_from(sessions.period().as_millis()).unwrap_or(u64::MAX) })
    }

    /// What the node shall have, from now until the session ends.
    pub fn assignments(
        self: &Arc<Self>,
        peer: &Peer,
        request: &InSession,
    ) -> Result<Answers<AssignmentsMessage>, Status> {
        let node_id = NodeId::from(peer.node_id()?);
        let end = self.sessions().check(node_id.as_str(), &request.session_id)?;
        let (sender, receiver) = mpsc::channel(4);
        let watch = self.raft.replica().watch();
        self.spawn(self.clone().feed(node_id, watch, sender, end));
        Ok(ReceiverStream::new(receiver))
    }

    /// Takes down what became of tasks. Tasks that are unknown are passed over: they were deleted meanwhile.
    pub fn update_status(&self, peer: &Peer, request: StatusRequest) -> Result<Nothing, Status> {
        let node_id = peer.node_id()?;
        self.sessions().check(node_id, &request.session_id)?;
        let is_own = |update: &StatusUpdate, view: &View| {
            let task = view.tasks().get(update.task_id.as_str());
            task.is_none_or(|task| task.node_id.as_ref().is_some_and(|id| id.as_str() == node_id))
        };
        if !self.raft.replica().view(|view| request.updates.iter().all(|update| is_own(update, view))) {
            return Err(Status::new(Code::PermissionDenied, "cannot update a task not assigned this node"));
        }
        self.lock_reports().extend(request.updates);
        self.reported.notify_one();
        Ok(Nothing {})
    }

    pub async fn update_description(
        &self,
        peer: &Peer,
        request: DescriptionRequest,
    ) -> Result<Nothing, Status> {
        let node_id = peer.node_id()?.to_owned();
        self.sessions().check(&node_id, &request.session_id)?;
        let update = |tx: &mut Transaction<'_>| {
            let mut node = found(tx, &node_id)?;
            node.description = Some(request.description);
            tx.update(node).map_err(Status::from)
        };
        self.raft.update(update).await.map(|()| Nothing {})
    }

    /// Ends the sessions of a node that was removed.
    pub fn forget(&self, node_id: &str) {
        self.sessions().end(node_id);
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        self.tracker.spawn(async move {
            tokio::select! {
                () = end.cancelled() => {}
                () = task => {}
            }
        });
    }

    /// Finds out who is dead.
    async fn expire(self: Arc<Self>) {
        loop {
            let deadline = self.sessions().next_deadline();
            tokio::select! {
                () = self.registered.notified() => {}
                () = async { sleep_until(deadline.unwrap_or_else(Instant::now)).await }, if deadline.is_some() => {}
            }
            let gone = self.sessions().expire(Instant::now());
            for (node_id, was_awaited) in gone {
                self.mark_down(node_id, was_awaited).await;
            }
        }
    }

    async fn mark_down(&self, node_id: String, was_awaited: bool) {
        let message =
            if was_awaited { "heartbeat failure for node in \"unknown\" state" } else { "heartbeat failure" };
        tracing::info!(node.id = node_id, message, "a node is down");
        let now = self.now();
        let marked = self.raft.update(|tx| set_state(tx, &node_id, NodeState::DOWN, message, now)).await;
        if let Err(error) = marked {
            tracing::warn!(%error, node.id = node_id, "that a node is down could not be written");
            self.sessions().await_node(&node_id, Instant::now());
        }
    }

    /// One write for all that came while the last one was on its way.
    async fn write_reports(self: Arc<Self>) {
        loop {
            self.reported.notified().await;
            loop {
                let updates: Vec<StatusUpdate> = {
                    let mut reports = self.lock_reports();
                    let count = reports.len().min(WRITE_CHUNK);
                    reports.drain(..count).collect()
                };
                if updates.is_empty() {
                    break;
                }
                if let Err(error) =
                    self.raft.update(|tx| write_down(tx, &updates, &self.node_id, self.now())).await
                {
                    tracing::warn!(%error, "what agents said could not be written");
                    self.put_back(updates);
                    tokio::time::sleep(QUICK_PERIOD).await;
                }
            }
        }
    }

    /// Before what was said since.
    fn put_back(&self, updates: Vec<StatusUpdate>) {
        let mut reports = self.lock_reports();
        let later = std::mem::replace(&mut *reports, updates);
        reports.extend(later);
    }

    /// Tells one agent what changes about its cluster and its node.
    async fn tell(
        self: Arc<Self>,
        node_id: NodeId,
        session_id: String,
        mut watch: Watch,
        sender: mpsc::Sender<Result<SessionMessage, Status>>,
        end: CancellationToken,
    ) {
        let mut last = None;
        loop {
            let message = self.raft.replica().view(|view| message_for(view, &node_id, &session_id));
            let Some(message) = message else {
                // The agent hears it or is gone already.
                let _ = sender.send(Err(Status::not_found("node not found"))).await;
                self.forget(node_id.as_str());
                return;
            };
            if last.as_ref() != Some(&message) {
                if sender.send(Ok(message.clone())).await.is_err() {
                    return;
                }
                last = Some(message);
            }
            let is_over = tokio::select! {
                () = end.cancelled() => true,
                () = sender.closed() => true,
                () = wait_for(&mut watch, is_about_cluster) => false,
            };
            if is_over {
                return;
            }
        }
    }

    /// Tells one agent what its node shall have.
    async fn feed(
        self: Arc<Self>,
        node_id: NodeId,
        mut watch: Watch,
        sender: mpsc::Sender<Result<AssignmentsMessage, Status>>,
        end: CancellationToken,
    ) {
        let (mut had, mut known, mut number) = (Assigned::default(), Landscape::default(), 0);
        loop {
            let looked = self.raft.replica().view(|view| {
                let node = view.nodes().get(node_id.as_str())?;
                Some((Assigned::of(view, node), Landscape::of(view, node)))
            });
            let Some((wanted, landscape)) = looked else { return };
            let changes = had.changes_to(&wanted);
            let is_new = landscape != known;
            if number == 0 || is_new || !changes.is_empty() {
                let message = AssignmentsMessage {
                    is_complete: number == 0,
                    applies_to: number,
                    results_in: number + 1,
                    changes,
                    landscape: is_new.then(|| landscape.clone()),
                };
                if sender.send(Ok(message)).await.is_err() {
                    return;
                }
                number += 1;
            }
            known = landscape;
            had = wanted;
            let is_over = tokio::select! {
                () = end.cancelled() => true,
                () = sender.closed() => true,
                () = wait_for(&mut watch, is_about_tasks) => false,
            };
            if is_over {
                return;
            }
        }
    }

    /// By the swarm's own time.
    fn now(&self) -> Timestamp {
        self.raft.replica().now().clock
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_reports(&self) -> MutexGuard<'_, Vec<StatusUpdate>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.sessions().end_all();
    }
}

/// Returns when something happened to an object that `is_relevant`, before or after; whatever else waits in the watch is taken with it.
pub(crate) async fn wait_for(watch: &mut Watch, is_relevant: impl Fn(&Object) -> bool) {
    let touches = |event: &Event| {
        event.restored
            || event.changes.iter().any(|change| change.before.iter().chain(&change.after).any(&is_relevant))
    };
    loop {
        match watch.recv().await {
            Ok(event) if !touches(&event) => {}
            Ok(_) | Err(RecvError::Lagged(_)) => break,
            Err(RecvError::Closed) => return std::future::pending().await,
        }
    }
    // What follows is seen by the look that comes next.
    while watch.try_recv().is_ok() {}
}

fn is_about_cluster(object: &Object) -> bool {
    matches!(object, Object::Cluster(_) | Object::Node(_))
}

fn is_about_tasks(object: &Object) -> bool {
    !matches!(object, Object::Cluster(_))
}

/// How often agents shall speak.
fn period_of(view: &View) -> Duration {
    let wanted = view.cluster().map_or(Cluster::DEFAULT_HEARTBEAT, |cluster| cluster.heartbeat());
    if wanted == Cluster::DEFAULT_HEARTBEAT && view.nodes().len() <= QUICK_NODES {
        return QUICK_PERIOD;
    }
    Duration::from_nanos(u64::try_from(wanted.0).unwrap_or(0)).max(QUICK_PERIOD)
}

fn message_for(view: &View, node_id: &NodeId, session_id: &str) -> Option<SessionMessage> {
    let node = view.nodes().get(node_id.as_str())?;
    let cluster = view.cluster();
    let managers = view.nodes().iter().filter_map(|node| {
        let status = node.manager_status.as_ref()?;
        Some(ManagerAddress { node_id: node.id.to_string(), address: status.addr.clone() })
    });
    Some(SessionMessage {
        session_id: session_id.to_owned(),
        // The node's own words are not told back to it.
        node: Node {
            description: None,
            status: Default::default(),
            meta: Default::default(),
            ..node.as_ref().clone()
        },
        managers: managers.collect(),
        network_keys: cluster.map(|cluster| cluster.network_keys.clone()).unwrap_or_default(),
        root_ca: cluster.map(|cluster| cluster.root_ca.certificate.clone()).unwrap_or_default(),
    })
}

/// All nodes that were not known to be down; their state is unknown until they register.
fn await_all(tx: &mut Transaction<'_>, now: Timestamp) -> Result<Vec<NodeId>, Status> {
    let ids: Vec<NodeId> =
        tx.nodes().iter().filter(|node| !node.is_down()).map(|node| node.id.clone()).collect();
    for id in &ids {
        set_state(
            tx,
            id.as_str(),
            NodeState::UNKNOWN,
            "Node moved to \"unknown\" state due to leadership change in cluster",
            now,
        )?;
    }
    Ok(ids)
}

fn register(
    tx: &mut Transaction<'_>,
    node_id: &NodeId,
    request: &SessionRequest,
    address: &str,
    now: Timestamp,
) -> Result<(), Status> {
    let node = found(tx, node_id.as_str())?;
    let description = &request.description;
    let is_known = node.status.state == NodeState::READY
        && node.status.addr == address
        && node.status.message.is_empty()
        && node.data_path_addr == request.data_path
        && node.description.as_ref() == Some(description);
    if is_known {
        return Ok(());
    }
    let mut node = node;
    node.description = Some(description.clone());
    node.observe(NodeState::READY, "", now);
    address.clone_into(&mut node.status.addr);
    node.data_path_addr.clone_from(&request.data_path);
    tx.update(node).map_err(Status::from)
}

fn set_state(
    tx: &mut Transaction<'_>,
    node_id: &str,
    state: NodeState,
    message: &str,
    now: Timestamp,
) -> Result<(), Status> {
    let Some(node) = tx.nodes().get(node_id) else { return Ok(()) };
    let mut node = node.as_ref().clone();
    if node.observe(state, message, now) {
        tx.update(node)?;
    }
    Ok(())
}

fn found(tx: &Transaction<'_>, node_id: &str) -> Result<Node, Status> {
    let node = tx.nodes().get(node_id).ok_or_else(|| Status::not_found("node not found"))?;
    Ok(node.as_ref().clone())
}

/// What agents said, as far as it is news.
fn write_down(
    tx: &mut Transaction<'_>,
    updates: &[StatusUpdate],
    writer: &NodeId,
    now: Timestamp,
) -> Result<(), Status> {
    for update in updates {
        let Some(task) = tx.tasks().get(update.task_id.as_str()) else { continue };
        let mut task = task.as_ref().clone();
        if task.observe(update.status.clone(), Some(writer.clone()), now) {
            tx.update(task)?;
        }
    }
    Ok(())
}

/// An address that came over a socket for both families is told as what it is.
fn ip_text(address: IpAddr) -> String {
    address.to_canonical().to_string()
}
