//! Logs of tasks, from the nodes that have them to the manager that was asked.
//!
//! ```text
//!  service logs ── SubscribeLogs ─▶ broker ── Subscription ─▶ agents with such tasks
//!       ◀───────────── lines ────── broker ◀── Publication ── each agent
//! ```
//! The stream ends when every node that was asked has said that it has no more. Lines are not kept: a slow reader holds the agents up.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::calls::{LogLines, LogRequest, LogSelector, Nothing, Publication, Subscription};
use crate::identity::new_id;
use crate::objects::{NodeId, TaskState};
use crate::raft::Replica;
use crate::store::View;
use crate::wire::Peer;
use crate::{Code, Status};

/// Batches of lines on their way to a reader.
const BACKLOG: usize = 16;

/// The leader's go-between.
#[derive(Debug)]
pub struct LogBroker {
    replica: Replica,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    subscriptions: HashMap<String, Reader>,
    /// Agents that listen for subscriptions.
    listeners: HashMap<NodeId, mpsc::Sender<Result<Subscription, Status>>>,
}

#[derive(Debug)]
struct Reader {
    request: LogRequest,
    lines: mpsc::Sender<Result<LogLines, Status>>,
    /// Nodes that have not said that they are done.
    waits_for: HashSet<NodeId>,
}

impl LogBroker {
    pub fn new(replica: Replica) -> Arc<Self> {
        Arc::new(Self { replica, state: Mutex::default() })
    }

    /// Lines of the selected tasks, from now on as they come.
    pub fn subscribe(self: &Arc<Self>, request: LogRequest) -> Result<Reading, Status> {
        let nodes = self.replica.view(|view| nodes_of(view, &request.selector));
        let (lines, receiver) = mpsc::channel(BACKLOG);
        let id = new_id();
        let mut state = self.lock();
        let silent: Vec<NodeId> =
            nodes.iter().filter(|node| !state.listeners.contains_key(*node)).cloned().collect();
        if let (Some(node), false) = (silent.first(), request.options.follow) {
            let words = format!(
                "warning: incomplete log stream. some logs could not be retrieved for the following reasons: node {node} is not available"
            );
            // The reader has the whole backlog before it.
            let _ = lines.try_send(Err(Status::new(Code::Unavailable, words)));
        }
        let waits_for: HashSet<NodeId> =
            nodes.into_iter().filter(|node| request.options.follow || !silent.contains(node)).collect();
        if waits_for.is_empty() && !request.options.follow {
            return Ok(Reading { lines: receiver, close: None });
        }
        let subscription = Subscription { id: id.clone(), request: request.clone(), is_over: false };
        for (node, listener) in &state.listeners {
            // Who follows a service hears of its tasks to come, wherever they will be. An agent whose queue is full is on its way out;
            // it gets all subscriptions when it listens anew.
            if request.options.follow || waits_for.contains(node) {
                let _ = listener.try_send(Ok(subscription.clone()));
            }
        }
        state.subscriptions.insert(id.clone(), Reader { request, lines, waits_for });
        Ok(Reading { lines: receiver, close: Some((self.clone(), id)) })
    }

    /// An agent listens: it gets the subscriptions that concern it, and those to come.
    pub fn listen(&self, peer: &Peer) -> Result<ReceiverStream<Result<Subscription, Status>>, Status> {
        let node_id = NodeId::from(peer.node_id()?);
        let (sender, receiver) = mpsc::channel(64);
        let mut state = self.lock();
        for (id, reader) in &state.subscriptions {
            if reader.waits_for.contains(&node_id) || reader.request.options.follow {
                let subscription =
                    Subscription { id: id.clone(), request: reader.request.clone(), is_over: false };
                // Room for more than there are readers; else the agent listens anew.
                let _ = sender.try_send(Ok(subscription));
            }
        }
        state.listeners.insert(node_id, sender);
        Ok(ReceiverStream::new(receiver))
    }

    /// Lines of one node.
    pub async fn publish(&self, peer: &Peer, publication: Publication) -> Result<Nothing, Status> {
        let node_id = NodeId::from(peer.node_id()?);
        let gone = || Status::not_found("log subscription not found");
        let reader = {
            let state = self.lock();
            state
                .subscriptions
                .get(&publication.subscription_id)
                .map(|reader| reader.lines.clone())
                .ok_or_else(gone)?
        };
        if publication.lines.iter().any(|line| line.node_id != node_id) {
            return Err(Status::new(Code::PermissionDenied, "lines of another node"));
        }
        if !publication.lines.is_empty() {
            reader.send(Ok(LogLines { lines: publication.lines })).await.map_err(|_| gone())?;
        }
        if let Some(error) = publication.error {
            reader.send(Err(Status::new(Code::Unknown, error))).await.map_err(|_| gone())?;
        }
        if publication.is_over {
            self.done(&publication.subscription_id, &node_id);
        }
        Ok(Nothing {})
    }

    /// The node has said everything; when all have, the reader's stream ends.
    fn done(&self, subscription: &str, node_id: &NodeId) {
        let mut state = self.lock();
        let Some(reader) = state.subscriptions.get_mut(subscription) else { return };
        reader.waits_for.remove(node_id);
        if reader.waits_for.is_empty() && !reader.request.options.follow {
            state.subscriptions.remove(subscription);
        }
    }

    /// The reader went away: agents need not go on.
    fn close(&self, subscription: &str) {
        let mut state = self.lock();
        if state.subscriptions.remove(subscription).is_some() {
            let over = Subscription { id: subscription.to_owned(), is_over: true, ..Subscription::default() };
            state.listeners.retain(|_, listener| listener.try_send(Ok(over.clone())).is_ok());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a reader gets. Dropping it tells the agents to stop.
#[derive(Debug)]
pub struct Reading {
    lines: mpsc::Receiver<Result<LogLines, Status>>,
    close: Option<(Arc<LogBroker>, String)>,
}

impl Stream for Reading {
    type Item = Result<LogLines, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.lines.poll_recv(context)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some((broker, id)) = self.close.take() {
            broker.close(&id);
        }
    }
}

/// The nodes that have, or will have, logs of what is selected.
fn nodes_of(view: &View, selector: &LogSelector) -> HashSet<NodeId> {
    let of_services = selector.services.iter().flat_map(|service| view.service_tasks(service));
    let of_tasks = selector.tasks.iter().filter_map(|task| view.tasks().get(task.as_str()));
    let of_nodes = selector.nodes.iter().cloned();
    let tasks = of_services.chain(of_tasks).filter(|task| task.status.state >= TaskState::ASSIGNED);
    tasks.filter_map(|task| task.node_id.clone()).chain(of_nodes).collect()
}
