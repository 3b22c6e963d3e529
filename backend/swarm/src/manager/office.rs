//! A manager: a member of raft that answers calls, and leads while raft says so.
//!
//! Tasks: the server; `lead`, which has a [`Lead`] while this manager leads; `locks`, which keeps the key file as the cluster wants it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::calls::{JoinRaft, JoinRaftRequest};
use super::lead::{Lead, Seed};
use crate::agent::Remotes;
use crate::ask::{Answer, Ask, AttachNetwork, Control, Reading};
use crate::ca::calls::{GetRootCertificate, IssueCertificate, RootAnswer};
use crate::ca::issue;
use crate::dispatcher::calls::{
    Assignments, Heartbeat, ListenSubscriptions, LogRequest, ManagerAddress, Nothing, PublishLogs, Session,
    SubscribeLogs, UpdateDescription, UpdateTaskStatus,
};
use crate::dispatcher::{Dispatcher, LogBroker};
use crate::identity::SealKey;
use crate::objects::{ManagerStatus, NodeId, ObservedRole};
use crate::raft::node::Return;
use crate::raft::{self, Io, Links, RaftId, RaftNode, Reach, StartError};
use crate::store::View;
use crate::wire::{Gate, Leader, Peer, Pool, Routes, Server, await_leader, no_leader};
use crate::{Code, Status};

/// How long a manager may take to be a member: the leader hands over its log meanwhile.
const JOIN_LIMIT: Duration = Duration::from_secs(20);
/// How long an answer to a question may take.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// What a manager is started with.
#[derive(Debug)]
pub struct ManagerSettings {
    /// `<data-root>/swarm/raft`.
    pub folder: PathBuf,
    pub raft_key: SealKey,
    pub next_raft_key: Option<SealKey>,
    pub raft_id: RaftId,
    pub listener: TcpListener,
    /// `host:port` where the others reach this manager.
    pub advertise: String,
    pub pool: Pool,
    pub remotes: Remotes,
    /// The cluster to make, when there is none.
    pub seed: Option<Seed>,
    pub force_new_cluster: bool,
    pub return_from: Return,
}

/// Why a manager did not start.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    #[error("raft did not start")]
    Raft(#[from] StartError),
    #[error("{0}")]
    Join(Status),
}

/// A running manager.
pub struct Manager {
    raft: Arc<RaftNode>,
    node_id: NodeId,
    pool: Pool,
    lead: Mutex<Option<Arc<Lead>>>,
    /// One change of membership at a time.
    membership: tokio::sync::Mutex<()>,
    tracker: TaskTracker,
    end: CancellationToken,
}

impl std::fmt::Debug for Manager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager").field("raft", &self.raft).finish_non_exhaustive()
    }
}

impl Manager {
    /// Starts raft and the server; a manager that is no member yet joins by one of `remotes`.
    pub async fn start(settings: ManagerSettings) -> Result<Arc<Self>, ManagerError> {
        let node_id = NodeId::from(settings.pool.credentials().node_id());
        let me = raft::Manager { node_id: node_id.to_string(), address: settings.advertise.clone() };
        let reach = Reach::default();
        let links = Links::new(settings.pool.clone(), reach.clone());
        let raft = RaftNode::start(
            raft::Settings {
                folder: settings.folder,
                key: settings.raft_key,
                next_key: settings.next_raft_key,
                id: settings.raft_id,
                manager: me.clone(),
                reach,
                io: Io::Aside,
                force_new_cluster: settings.force_new_cluster,
                return_from: settings.return_from,
            },
            links,
        )
        .await?;
        let is_new = !raft.is_member().await;
        let manager = Arc::new(Self {
            raft,
            node_id,
            pool: settings.pool.clone(),
            lead: Mutex::default(),
            membership: tokio::sync::Mutex::default(),
            tracker: TaskTracker::new(),
            end: CancellationToken::new(),
        });
        manager.serve(settings.listener);
        let has_seed = settings.seed.is_some();
        let own = ManagerStatus {
            raft_id: settings.raft_id,
            addr: settings.advertise.clone(),
            ..ManagerStatus::default()
        };
        if has_seed || !is_new {
            // Who joins asks the others.
            settings.remotes.add(ManagerAddress {
                node_id: manager.node_id.to_string(),
                address: settings.advertise.clone(),
            });
        }
        let seed = settings.seed.map(|mut seed| {
            seed.node.manager_status = Some(own);
            seed
        });
        manager.tracker.spawn(manager.clone().follow_leadership(seed));
        if is_new {
            let joined = if has_seed {
                manager.raft.bootstrap(me).await.map_err(ManagerError::Raft)
            } else {
                manager.join(&settings.remotes, &settings.advertise).await.map_err(ManagerError::Join)
            };
            if let Err(error) = joined {
                manager.stop().await;
                return Err(error);
            }
        }
        Ok(manager)
    }

    pub fn raft(&self) -> &Arc<RaftNode> {
        &self.raft
    }

    /// What the engine or another manager asks, answered by whoever leads.
    pub async fn ask(&self, request: Ask) -> Result<Answer, Status> {
        match await_leader(&mut self.raft.leader()).await? {
            Leader::Here => crate::ask::answer(&self.raft, request).await,
            Leader::At(address) => self.pool.call::<Control>(&address, request, ASK_LIMIT).await,
            Leader::None => Err(no_leader()),
        }
    }

    /// Looks at this manager's copy of the store when it has all that the leader had when it was asked.
    pub async fn read<R>(&self, look: impl FnOnce(&View, &Reading) -> R) -> Result<R, Status> {
        let Answer::Reading(reading) = self.ask(Ask::Read).await? else {
            return Err(Status::new(Code::Internal, "the leader answered something else"));
        };
        self.raft.has_applied(reading.index).await?;
        Ok(self.raft.replica().view(|view| look(view, &reading)))
    }

    /// Lines of tasks, from whoever leads.
    pub async fn logs(
        &self,
        request: LogRequest,
    ) -> Result<crate::wire::Incoming<crate::dispatcher::calls::LogLines>, Status> {
        // Through the server even when the leader is here: one way for all.
        let address = match await_leader(&mut self.raft.leader()).await? {
            Leader::At(address) => address,
            _ => self.own_address().ok_or_else(no_leader)?,
        };
        self.pool.channel(&address).await?.stream::<SubscribeLogs>(request).await
    }

    /// Ends everything; the disk is as a restart wants it.
    pub async fn stop(&self) {
        self.end.cancel();
        self.tracker.close();
        self.tracker.wait().await;
        self.raft.stop().await;
    }

    fn own_address(&self) -> Option<String> {
        let members = self.raft.members();
        members.into_iter().find(|member| member.id == self.raft.id()).map(|member| member.manager.address)
    }

    fn serve(self: &Arc<Self>, listener: TcpListener) {
        let replica = self.raft.replica().clone();
        let is_removed = move |node_id: &str| {
            replica.view(|view| {
                let is_blocked = |cluster: &Arc<crate::objects::Cluster>| {
                    cluster.blocked_certificates.contains_key(node_id)
                };
                view.cluster().is_some_and(is_blocked) && !view.nodes().contains(node_id)
            })
        };
        let gate = Gate { credentials: self.pool.credentials().clone(), is_removed: Arc::new(is_removed) };
        let server = Server::new(gate, self.routes(), self.pool.clone(), self.raft.leader());
        self.tracker.spawn(server.serve(listener, self.end.clone()));
    }

    fn routes(self: &Arc<Self>) -> Routes {
        let routes = self.raft.routes(Routes::default());
        self.log_routes(self.agent_routes(self.own_routes(routes)))
    }

    fn own_routes(self: &Arc<Self>, routes: Routes) -> Routes {
        let (root, issuer, join, control) = (self.clone(), self.clone(), self.clone(), self.clone());
        let attach = self.clone();
        routes
            .unary::<GetRootCertificate, _, _>(move |_, _| {
                let manager = root.clone();
                async move { Ok(RootAnswer { certificate: manager.trusted() }) }
            })
            .unary::<IssueCertificate, _, _>(move |peer, request| {
                let manager = issuer.clone();
                async move { issue::issue(&manager.raft, &peer, request).await }
            })
            .unary::<JoinRaft, _, _>(move |peer, request| {
                let manager = join.clone();
                async move { manager.take_in(&peer, request).await }
            })
            .unary::<AttachNetwork, _, _>(move |peer, request| {
                let manager = attach.clone();
                async move {
                    let node = peer.node_id()?.into();
                    crate::ask::attach::attach(&manager.raft, node, request).await
                }
            })
            .unary::<Control, _, _>(move |_, request| {
                let manager = control.clone();
                async move { crate::ask::answer(&manager.raft, request).await }
            })
    }

    fn agent_routes(self: &Arc<Self>, routes: Routes) -> Routes {
        let (session, beat, assign, status, describe) =
            (self.clone(), self.clone(), self.clone(), self.clone(), self.clone());
        routes
            .streaming::<Session, _, _, _>(move |peer, request| {
                let manager = session.clone();
                async move { manager.dispatcher()?.session(peer, request).await }
            })
            .unary::<Heartbeat, _, _>(move |peer, request| {
                let manager = beat.clone();
                async move { manager.dispatcher()?.heartbeat(&peer, &request) }
            })
            .streaming::<Assignments, _, _, _>(move |peer, request| {
                let manager = assign.clone();
                async move { manager.dispatcher()?.assignments(&peer, &request) }
            })
            .unary::<UpdateTaskStatus, _, _>(move |peer, request| {
                let manager = status.clone();
                async move { manager.dispatcher()?.update_status(&peer, request) }
            })
            .unary::<UpdateDescription, _, _>(move |peer, request| {
                let manager = describe.clone();
                async move { manager.dispatcher()?.update_description(&peer, request).await }
            })
    }

    fn log_routes(self: &Arc<Self>, routes: Routes) -> Routes {
        let (subscribe, listen, publish) = (self.clone(), self.clone(), self.clone());
        routes
            .streaming::<SubscribeLogs, _, _, _>(move |_, request| {
                let manager = subscribe.clone();
                async move { manager.broker()?.subscribe(request) }
            })
            .streaming::<ListenSubscriptions, _, _, _>(move |peer, _| {
                let manager = listen.clone();
                async move { manager.broker()?.listen(&peer) }
            })
            .unary::<PublishLogs, _, _>(move |peer, publication| {
                let manager = publish.clone();
                async move { manager.broker()?.publish(&peer, publication).await }
            })
    }

    fn dispatcher(&self) -> Result<Arc<Dispatcher>, Status> {
        let stopped = || Status::new(Code::Aborted, "dispatcher is stopped");
        self.current_lead().map(|lead| lead.dispatcher().clone()).ok_or_else(stopped)
    }

    fn broker(&self) -> Result<Arc<LogBroker>, Status> {
        let stopped = || Status::new(Code::Aborted, "broker is not running");
        self.current_lead().map(|lead| lead.broker().clone()).ok_or_else(stopped)
    }

    fn current_lead(&self) -> Option<Arc<Lead>> {
        self.lead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What newcomers are to trust.
    fn trusted(&self) -> String {
        let root = self
            .raft
            .replica()
            .view(|view| view.cluster().map(|cluster| cluster.root_ca.certificate.clone()));
        root.filter(|root| !root.is_empty())
            .unwrap_or_else(|| self.pool.credentials().get().root.pem().to_owned())
    }

    /// Has a [`Lead`] while this manager leads.
    async fn follow_leadership(self: Arc<Self>, seed: Option<Seed>) {
        let mut leader = self.raft.leader();
        loop {
            let leads = *leader.borrow_and_update() == Leader::Here;
            if leads {
                self.lead_on(&mut leader, seed.as_ref()).await;
            } else {
                tokio::select! {
                    () = self.end.cancelled() => return,
                    changed = leader.changed() => if changed.is_err() { return },
                }
            }
            if self.end.is_cancelled() {
                return;
            }
        }
    }

    /// Leads until another does, or the manager ends.
    async fn lead_on(
        self: &Arc<Self>,
        leader: &mut tokio::sync::watch::Receiver<Leader>,
        seed: Option<&Seed>,
    ) {
        let lead = match Lead::start(self.raft.clone(), self.node_id.clone(), seed).await {
            Ok(lead) => lead,
            Err(error) => {
                tracing::warn!(%error, "this manager was elected and could not lead");
                tokio::time::sleep(Duration::from_millis(100)).await;
                return;
            }
        };
        tracing::info!(node.id = %self.node_id, "this manager leads");
        *self.lead.lock().unwrap_or_else(PoisonError::into_inner) = Some(lead.clone());
        tokio::select! {
            () = self.end.cancelled() => {}
            () = async { _ = leader.wait_for(|leader| *leader != Leader::Here).await } => {}
        }
        *self.lead.lock().unwrap_or_else(PoisonError::into_inner) = None;
        lead.stop().await;
        tracing::info!(node.id = %self.node_id, "this manager no longer leads");
    }

    /// Asks the leader, by whichever manager answers, to be a member.
    async fn join(&self, remotes: &Remotes, advertise: &str) -> Result<(), Status> {
        let mut last = Status::new(Code::Unavailable, "no manager is known to join by");
        for attempt in 0..5 {
            let Some(address) = remotes.pick(attempt) else { break };
            let request = JoinRaftRequest { raft_id: self.raft.id(), address: advertise.to_owned() };
            match self.pool.call::<JoinRaft>(&address, request, JOIN_LIMIT).await {
                Ok(Nothing {}) => return Ok(()),
                Err(status) => {
                    remotes.failed(&address);
                    last = status;
                }
            }
            tokio::time::sleep(Duration::from_millis(100 << attempt)).await;
        }
        Err(last)
    }

    /// On the leader: makes the caller a member.
    async fn take_in(&self, peer: &Peer, request: JoinRaftRequest) -> Result<Nothing, Status> {
        let _turn = self.membership.lock().await;
        let node_id = NodeId::from(peer.node_id()?);
        let address = reachable_address(&request.address, peer.address)?;
        let role = self
            .raft
            .replica()
            .view(|view| view.nodes().get(node_id.as_str()).map(|node| node.observed_role));
        if role != Some(ObservedRole::Manager) {
            return Err(Status::new(
                Code::PermissionDenied,
                format!("node {node_id} is no manager of this swarm"),
            ));
        }
        let manager = raft::Manager { node_id: node_id.to_string(), address: address.clone() };
        let earlier =
            self.raft.members().into_iter().find(|member| member.manager.node_id == node_id.as_str());
        if let Some(earlier) = earlier.filter(|earlier| earlier.id != request.raft_id) {
            // It lost its disk and comes anew.
            self.raft.remove_member(earlier.id).await?;
        }
        self.raft.add_member(request.raft_id, manager).await?;
        let status = ManagerStatus { raft_id: request.raft_id, addr: address, ..ManagerStatus::default() };
        self.raft
            .update(|tx| {
                let Some(node) = tx.nodes().get(node_id.as_str()) else { return Ok(()) };
                let mut node = node.as_ref().clone();
                node.manager_status = Some(status);
                tx.update(node).map_err(Status::from)
            })
            .await?;
        Ok(Nothing {})
    }
}

/// An address that says only a port gets the host that the call came from.
fn reachable_address(address: &str, from: SocketAddr) -> Result<String, Status> {
    match address.parse::<SocketAddr>() {
        Ok(parsed) if parsed.ip().is_unspecified() => {
            Ok(SocketAddr::new(from.ip().to_canonical(), parsed.port()).to_string())
        }
        Ok(_) => Ok(address.to_owned()),
        Err(_) if address.contains(':') => Ok(address.to_owned()),
        Err(_) => Err(Status::invalid(format!("invalid address {address} in raft join request"))),
    }
}
