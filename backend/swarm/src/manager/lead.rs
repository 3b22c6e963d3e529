//! What a leader does beside answering: one of these exists while its manager leads.
//!
//! Tasks, all in its tracker and ended by its token: the dispatcher's; `roles`; `rotation`; `renew_network_keys`; the control loops.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::look::look;
use super::roles::{RoleStep, decide, forget_strangers, observe};
use crate::ca::rotation;
use crate::dispatcher::service::wait_for;
use crate::dispatcher::{Dispatcher, LogBroker};
use crate::objects::{Cluster, Network, Node, NodeId, Object, Timestamp};
use crate::raft::RaftNode;
use crate::store::Transaction;
use crate::{Status, network_keys};

/// How long to leave a step alone that could not be done.
const RETRY: Duration = Duration::from_millis(500);
/// Another leader may have renewed them: nobody sleeps longer without looking.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// A cluster to make.
#[derive(Debug, Clone)]
pub struct Seed {
    pub cluster: Cluster,
    /// The manager that makes it.
    pub node: Node,
    /// The network of the routing mesh, and those that every node has by itself.
    pub networks: Vec<Network>,
}

/// A term of leading.
#[derive(Debug)]
pub struct Lead {
    dispatcher: Arc<Dispatcher>,
    broker: Arc<LogBroker>,
    tracker: TaskTracker,
    end: CancellationToken,
}

impl Lead {
    pub async fn start(
        raft: Arc<RaftNode>,
        node_id: NodeId,
        seed: Option<&Seed>,
    ) -> Result<Arc<Self>, Status> {
        if let Some(seed) = seed {
            raft.update(|tx| plant(tx, seed)).await?;
        }
        let members = raft.members();
        raft.update(|tx| forget_strangers(tx, &members)).await?;
        let (tracker, end) = (TaskTracker::new(), CancellationToken::new());
        let dispatcher =
            Dispatcher::start(raft.clone(), node_id.clone(), tracker.clone(), end.clone()).await?;
        let lead = Self { dispatcher, broker: LogBroker::new(raft.replica().clone()), tracker, end };
        lead.spawn(roles(raft.clone(), node_id, lead.dispatcher.clone()));
        lead.spawn(rotate(raft.clone()));
        lead.spawn(renew_network_keys(raft.clone()));
        lead.spawn(look(raft));
        Ok(Arc::new(lead))
    }

    pub fn dispatcher(&self) -> &Arc<Dispatcher> {
        &self.dispatcher
    }

    pub fn broker(&self) -> &Arc<LogBroker> {
        &self.broker
    }

    /// Ends all tasks and waits for them.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tracker.close();
        self.tracker.wait().await;
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
}

/// Makes the cluster, unless there is one.
fn plant(tx: &mut Transaction<'_>, seed: &Seed) -> Result<(), Status> {
    if tx.cluster().is_some() {
        return Ok(());
    }
    tx.create(seed.cluster.clone())?;
    tx.create(seed.node.clone())?;
    for network in &seed.networks {
        tx.create(network.clone())?;
    }
    Ok(())
}

/// Makes roles and members fit the specs, each time nodes change.
async fn roles(raft: Arc<RaftNode>, own: NodeId, dispatcher: Arc<Dispatcher>) {
    let mut watch = raft.replica().watch();
    loop {
        let mut is_done = true;
        for step in raft.replica().view(|view| decide(view, &raft.members(), &own)) {
            let taken = match &step {
                RoleStep::Observe(id, role) => raft.update(|tx| observe(tx, id, *role)).await,
                RoleStep::Remove(id) => raft.remove_member(*id).await,
            };
            if let Err(error) = taken {
                tracing::warn!(%error, ?step, "a role could not be changed, and will be again");
                is_done = false;
            } else if matches!(step, RoleStep::Remove(_)) {
                // Raft's members are no objects: nothing tells that they changed.
                is_done = false;
            }
        }
        tokio::select! {
            () = wait_for(&mut watch, |object| matches!(object, Object::Node(_))) => {}
            () = tokio::time::sleep(RETRY), if !is_done => {}
        }
        end_sessions_of_removed(&raft, &dispatcher);
    }
}

/// A node that is no object any more has no session either.
fn end_sessions_of_removed(raft: &RaftNode, dispatcher: &Dispatcher) {
    let blocked: Vec<String> = raft.replica().view(|view| {
        let blocked =
            view.cluster().map(|cluster| cluster.blocked_certificates.keys().cloned().collect::<Vec<_>>());
        blocked.unwrap_or_default().into_iter().filter(|id| !view.nodes().contains(id)).collect()
    });
    blocked.iter().for_each(|id| dispatcher.forget(id));
}

/// Goes on with a rotation of the root, each time nodes or the cluster change.
async fn rotate(raft: Arc<RaftNode>) {
    let mut watch = raft.replica().watch();
    loop {
        let gone_on = raft.update(rotation::go_on).await;
        if let Err(error) = &gone_on {
            tracing::warn!(%error, "the rotation of the root did not go on, and will");
        }
        tokio::select! {
            () = wait_for(&mut watch, |object| matches!(object, Object::Node(_) | Object::Cluster(_))) => {}
            () = tokio::time::sleep(RETRY), if gone_on.is_err() => {}
        }
    }
}

/// Gives the networks another key whenever the newest has been that for long enough, whoever led meanwhile.
async fn renew_network_keys(raft: Arc<RaftNode>) {
    loop {
        let due = raft.replica().view(|view| view.cluster().map(|cluster| network_keys::due(cluster)));
        let left = due.map_or(LONGEST_SLEEP, |due| {
            Duration::from_nanos(u64::try_from((due - raft.replica().now().clock).0).unwrap_or(0))
                .min(LONGEST_SLEEP)
        });
        if !left.is_zero() {
            tokio::time::sleep(left).await;
            continue;
        }
        if let Err(error) = raft.update(|tx| renew_due_keys(tx, raft.replica().now().clock)).await {
            tracing::warn!(%error, "the networks' keys were not renewed, and will be");
            tokio::time::sleep(RETRY).await;
        }
    }
}

/// Looked at again within the transaction: another leader may have been first.
fn renew_due_keys(tx: &mut Transaction<'_>, now: Timestamp) -> Result<(), Status> {
    let Some(cluster) = tx.cluster() else { return Ok(()) };
    if network_keys::due(cluster) > now {
        return Ok(());
    }
    let mut cluster = cluster.as_ref().clone();
    network_keys::renew(&mut cluster, now);
    tx.update(cluster).map_err(Status::from)
}
