//! One member of raft: how it is started, how it is written to, how members come and go.
//!
//! ```text
//!               ┌──────────── quorum silent ────────────┐
//!               ▼                                       │
//!  None ──▶ elected ──▶ everything agreed before is applied ──▶ Here
//!   ▲                                                           │
//!   └───────────────── another leader: At(address) ◀────────────┘
//! ```
//! Written by [`steer`] alone, a task that ends with the raft core.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openraft::error::{ClientWriteError, Fatal, InitializeError, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{ChangeMembers, Config, Raft, ServerState, SnapshotPolicy};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};

use super::calls::{Append, Install, RequestVote, To};
use super::dice::Dice;
use super::frames::FrameError;
use super::recovery::force_new_cluster;
use super::types::{Manager, RaftId, Snapshot, Types, Vote};
use super::{Io, Log, Machine, Reach, Replica, Snapshots};
use crate::identity::SealKey;
use crate::store::{Batch, Transaction};
use crate::wire::{Leader, Routes, no_leader};
use crate::{Code, Status};

/// How long a write may take to be agreed on.
const WRITE_LIMIT: Duration = Duration::from_secs(5);
/// How long a new member may take to catch up.
const CATCH_UP_LIMIT: Duration = Duration::from_secs(20);
/// A leader whose quorum was silent for longer is none, and a member silent for longer is unreachable.
pub const SILENCE_LIMIT: Duration = Duration::from_millis(1000);
const HEARTBEAT_MS: u64 = 100;
/// So long without a leader, elections may be standing in each other's way.
const STALEMATE: Duration = Duration::from_millis(1500);
const LONGEST_DELAY_MS: u64 = 500;

/// What a member is started with.
#[derive(Debug)]
pub struct Settings {
    /// `<data-root>/swarm/raft`.
    pub folder: PathBuf,
    pub key: SealKey,
    /// The key that was to take its place when the process ended.
    pub next_key: Option<SealKey>,
    pub id: RaftId,
    pub manager: Manager,
    pub reach: Reach,
    pub io: Io,
    /// Make a cluster of one out of what is on disk.
    pub force_new_cluster: bool,
    pub return_from: Return,
}

/// What was before a member's start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Return {
    /// Nothing, or a process that ended: it takes up what it was.
    #[default]
    Away,
    /// It could not write: it begins only when it can, and leads only when it is elected.
    BrokenDisk,
}

/// Why a member did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the raft log cannot be used")]
    Log(#[source] FrameError),
    #[error("the raft snapshot cannot be opened")]
    Snapshot(#[source] FrameError),
    #[error("the cluster cannot be forced")]
    Force(#[source] FrameError),
    #[error("raft's settings are wrong")]
    Config(#[source] openraft::ConfigError),
    #[error("raft did not start")]
    Raft(#[source] Fatal<RaftId>),
    #[error("raft did not begin a cluster")]
    Initialize(#[source] RaftError<RaftId, InitializeError<RaftId, Manager>>),
}

/// A running member.
pub struct RaftNode {
    raft: Raft<Types>,
    id: RaftId,
    replica: Replica,
    log: Log,
    snapshots: Snapshots,
    machine: Machine,
    reach: Reach,
    leader: watch::Receiver<Leader>,
    failed: watch::Receiver<bool>,
    /// One decision at a time: each sees what the one before it changed.
    writing: Mutex<()>,
}

/// A member, as a leader sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    pub id: RaftId,
    pub manager: Manager,
    /// Whether its vote counts; it does not while the member catches up.
    pub is_voter: bool,
    pub is_leader: bool,
    pub is_reachable: bool,
}

impl RaftNode {
    /// Starts with what is on disk, and speaks to the others through `network`.
    pub async fn start<N>(settings: Settings, network: N) -> Result<Arc<Self>, StartError>
    where
        N: openraft::RaftNetworkFactory<Types>,
    {
        let Settings { folder, key, next_key, id, manager, reach, io, .. } = settings;
        let replica = Replica::new();
        let log = Log::open(&folder, key.clone(), io);
        let log = match (log, &next_key) {
            (Err(FrameError::Damaged { .. }), Some(next)) => Log::open(&folder, next.clone(), io),
            (log, _) => log,
        };
        let log = log.map_err(StartError::Log)?;
        if settings.return_from == Return::BrokenDisk {
            log.stand_back().map_err(StartError::Log)?;
        }
        let snapshots = Snapshots::below(&folder, key);
        if let Some(next) = next_key {
            log.rekey(next.clone()).map_err(StartError::Log)?;
            snapshots.rekey(next).map_err(StartError::Snapshot)?;
        }
        let machine = Machine::open(replica.clone(), snapshots.clone(), io).map_err(StartError::Snapshot)?;
        if settings.force_new_cluster {
            force_new_cluster(&log, &machine, id, manager).map_err(StartError::Force)?;
        }
        let config = Arc::new(config().validate().map_err(StartError::Config)?);
        let raft =
            Raft::new(id, config, network, log.clone(), machine.clone()).await.map_err(StartError::Raft)?;
        let (leader_sender, leader) = watch::channel(Leader::None);
        let (failed_sender, failed) = watch::channel(false);
        tokio::spawn(steer(raft.clone(), id, leader_sender, failed_sender));
        let writing = Mutex::new(());
        Ok(Arc::new(Self { raft, id, replica, log, snapshots, machine, reach, leader, failed, writing }))
    }

    /// Begins a cluster of this one member; does nothing when the disk already has one.
    pub async fn bootstrap(&self, manager: Manager) -> Result<(), StartError> {
        match self.raft.initialize(BTreeMap::from([(self.id, manager)])).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(()),
            Err(error) => Err(StartError::Initialize(error)),
        }
    }

    pub fn id(&self) -> RaftId {
        self.id
    }

    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// Where the leader is, and each change of it.
    pub fn leader(&self) -> watch::Receiver<Leader> {
        self.leader.clone()
    }

    /// Turns true when the member cannot go on: its disk is full or broken. What it had agreed to is on disk.
    pub fn failed(&self) -> watch::Receiver<bool> {
        self.failed.clone()
    }

    pub fn is_leader(&self) -> bool {
        *self.leader.borrow() == Leader::Here
    }

    /// Whether the disk had nothing of a cluster when the member was started.
    pub fn is_pristine(&self) -> bool {
        self.log.is_pristine() && self.machine.last_applied().is_none()
    }

    /// Lets `decide` change the store, and returns when a quorum has it on disk and this manager has applied it. On an error of
    /// `decide` nothing is changed. A refusal that names no leader leaves open whether the change will yet be made.
    pub async fn update<R>(
        &self,
        decide: impl FnOnce(&mut Transaction<'_>) -> Result<R, Status>,
    ) -> Result<R, Status> {
        let _turn = self.writing.lock().await;
        if !self.is_leader() {
            return Err(no_leader());
        }
        let (answer, changes) = self.replica.propose(decide);
        let answer = answer?;
        if !changes.is_empty() {
            let now = self.replica.now();
            self.write(Batch { at: now.wall, clock: now.clock, changes }).await?;
        }
        Ok(answer)
    }

    async fn write(&self, batch: Batch) -> Result<(), Status> {
        let written = timeout(WRITE_LIMIT, self.raft.client_write(batch)).await;
        let response =
            written.map_err(|_| Status::new(Code::DeadlineExceeded, "context deadline exceeded"))?;
        match response.map_err(|error| refused(&error))?.data.refusal {
            None => Ok(()),
            Some(refusal) => Err(refusal.into()),
        }
    }

    /// Takes a member in: it catches up first, and votes then.
    pub async fn add_member(&self, id: RaftId, manager: Manager) -> Result<(), Status> {
        let caught_up = timeout(CATCH_UP_LIMIT, self.raft.add_learner(id, manager, true)).await;
        match caught_up {
            Ok(added) => added.map(drop).map_err(|error| refused(&error))?,
            Err(_) => {
                self.change(ChangeMembers::RemoveNodes([id].into()), false).await?;
                return Err(Status::new(Code::DeadlineExceeded, "context deadline exceeded"));
            }
        }
        self.change(ChangeMembers::AddVoterIds([id].into()), true).await
    }

    /// Lets a member go. Refused when those who stay could not agree on anything.
    pub async fn remove_member(&self, id: RaftId) -> Result<(), Status> {
        let members = self.members();
        match members.iter().find(|member| member.id == id) {
            None => return Ok(()),
            Some(member) if !member.is_voter => {
                return self.change(ChangeMembers::RemoveNodes([id].into()), false).await;
            }
            Some(_) => {}
        }
        if !may_go(&members, id) {
            let words = "raft: member cannot be removed, because removing it may result in loss of quorum";
            return Err(Status::new(Code::FailedPrecondition, words));
        }
        self.change(ChangeMembers::RemoveVoters([id].into()), false).await
    }

    async fn change(&self, change: ChangeMembers<RaftId, Manager>, retain: bool) -> Result<(), Status> {
        let changed = timeout(CATCH_UP_LIMIT, self.raft.change_membership(change, retain)).await;
        let changed =
            changed.map_err(|_| Status::new(Code::DeadlineExceeded, "context deadline exceeded"))?;
        changed.map(drop).map_err(|error| refused(&error))
    }

    /// The members as this manager knows them; who is reachable is known to the leader alone.
    pub fn members(&self) -> Vec<Member> {
        let metrics = self.raft.metrics().borrow().clone();
        let membership = &metrics.membership_config;
        let voters: BTreeSet<RaftId> = membership.voter_ids().collect();
        membership
            .nodes()
            .map(|(id, manager)| Member {
                id: *id,
                manager: manager.clone(),
                is_voter: voters.contains(id),
                is_leader: metrics.current_leader == Some(*id),
                is_reachable: *id == self.id || self.reach.is_reachable(*id, SILENCE_LIMIT),
            })
            .collect()
    }

    /// Whether the cluster on disk has this member: one that was cut short while it joined is none yet.
    pub async fn is_member(&self) -> bool {
        let id = self.id;
        let found = self.raft.with_raft_state(move |state| {
            state.membership_state.effective().membership().get_node(&id).is_some()
        });
        found.await.unwrap_or(false)
    }

    /// Seals log and snapshot with another key. Waits for the disk.
    pub fn rekey(&self, key: SealKey) -> Result<(), FrameError> {
        self.log.rekey(key.clone())?;
        self.snapshots.rekey(key)
    }

    /// Compacts now.
    pub async fn snapshot(&self) -> Result<(), Fatal<RaftId>> {
        self.raft.trigger().snapshot().await
    }

    /// Ends the member; the disk is as a restart wants it.
    pub async fn stop(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::error!(%error, "the raft core did not end in order");
        }
    }

    /// Index of the newest entry that this member has applied.
    pub fn applied(&self) -> u64 {
        self.machine.last_applied().map_or(0, |last| last.index)
    }

    /// Returns when this member has applied the entry at `index`.
    pub async fn has_applied(&self, index: u64) -> Result<(), Status> {
        let waited = self.raft.wait(Some(WRITE_LIMIT)).applied_index_at_least(Some(index), "a read").await;
        waited.map(drop).map_err(|_| Status::new(Code::DeadlineExceeded, "context deadline exceeded"))
    }

    /// Adds the calls that the other members make.
    pub fn routes(self: &Arc<Self>, routes: Routes) -> Routes {
        let (append, vote, install) = (self.clone(), self.clone(), self.clone());
        routes
            .unary::<Append, _, _>(move |_, to| {
                let node = append.clone();
                async move { Ok(node.take_append(node.mine(to)?).await) }
            })
            .unary::<RequestVote, _, _>(move |_, to| {
                let node = vote.clone();
                async move { Ok(node.take_vote(node.mine(to)?).await) }
            })
            .unary::<Install, _, _>(move |_, to| {
                let node = install.clone();
                async move {
                    let parcel = node.mine(to)?;
                    let bytes =
                        parcel.unpack().ok_or_else(|| Status::invalid("the snapshot is not base64"))?;
                    let snapshot = Snapshot { meta: parcel.meta, snapshot: Box::new(bytes) };
                    Ok(node.take_snapshot(parcel.vote, snapshot).await)
                }
            })
    }

    /// Another member's entries.
    pub async fn take_append(
        &self,
        rpc: AppendEntriesRequest<Types>,
    ) -> Result<AppendEntriesResponse<RaftId>, RaftError<RaftId>> {
        self.raft.append_entries(rpc).await
    }

    /// A candidate's question.
    pub async fn take_vote(
        &self,
        rpc: VoteRequest<RaftId>,
    ) -> Result<VoteResponse<RaftId>, RaftError<RaftId>> {
        self.raft.vote(rpc).await
    }

    /// A leader's snapshot.
    pub async fn take_snapshot(
        &self,
        vote: Vote,
        snapshot: Snapshot,
    ) -> Result<SnapshotResponse<RaftId>, Fatal<RaftId>> {
        self.raft.install_full_snapshot(vote, snapshot).await
    }

    /// The term in which this member holds itself for the leader, whether or not a quorum still listens.
    pub fn leads_term(&self) -> Option<u64> {
        let metrics = self.raft.metrics().borrow().clone();
        (metrics.state == ServerState::Leader).then_some(metrics.current_term)
    }

    fn mine<T>(&self, to: To<T>) -> Result<T, Status> {
        if to.to == self.id {
            Ok(to.message)
        } else {
            Err(Status::not_found(format!("member {:x} not found", to.to)))
        }
    }
}

impl std::fmt::Debug for RaftNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let metrics = self.raft.metrics().borrow().clone();
        f.debug_struct("RaftNode")
            .field("leader", &*self.leader.borrow())
            .field("raft", &metrics.to_string())
            .field("running", &metrics.running_state)
            .finish_non_exhaustive()
    }
}

/// Whether those who stay could agree on anything without the member.
pub fn may_go(members: &[Member], id: RaftId) -> bool {
    let staying: Vec<_> = members.iter().filter(|member| member.id != id && member.is_voter).collect();
    staying.iter().filter(|member| member.is_reachable).count() > staying.len() / 2
}

/// Elections within a second: openraft waits for the longest election time before it counts a leader as lost, and for a random one
/// before it asks for votes.
fn config() -> Config {
    Config {
        cluster_name: "swarm".to_owned(),
        heartbeat_interval: HEARTBEAT_MS,
        election_timeout_min: 3 * HEARTBEAT_MS,
        election_timeout_max: 5 * HEARTBEAT_MS,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(500),
        max_in_snapshot_log_to_keep: 100,
        replication_lag_threshold: 400,
        max_payload_entries: 64,
        ..Config::default()
    }
}

fn refused(error: &RaftError<RaftId, ClientWriteError<RaftId, Manager>>) -> Status {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => {
            Status::new(Code::Unavailable, "raft: failed to process the request: node lost leader status")
        }
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            Status::new(Code::FailedPrecondition, error.to_string())
        }
        RaftError::Fatal(_) => {
            Status::new(Code::Unavailable, "raft: failed to process the request: node is stopped")
        }
    }
}

type Metrics = openraft::RaftMetrics<RaftId, Manager>;

/// Publishes where the leader is, until the raft core ends.
async fn steer(raft: Raft<Types>, id: RaftId, leader: watch::Sender<Leader>, failed: watch::Sender<bool>) {
    let mut metrics = raft.metrics();
    let (mut served_term, mut lost_since) = (None, None);
    loop {
        let now = metrics.borrow_and_update().clone();
        let seen_at = Instant::now();
        if let Err(fatal) = &now.running_state {
            leader.send_replace(Leader::None);
            failed.send_replace(!matches!(fatal, Fatal::Stopped));
            return;
        }
        raft.runtime_config().tick(!is_alone(&now, id));
        let standing = standing(&now, id, served_term);
        if standing == Standing::Elected
            && timeout(SILENCE_LIMIT, raft.ensure_linearizable())
                .await
                .is_ok_and(|caught_up| caught_up.is_ok())
        {
            served_term = Some(now.current_term);
            continue;
        }
        if standing != Standing::Lost {
            lost_since = None;
        } else if lost_since.get_or_insert(seen_at).elapsed() > STALEMATE {
            lost_since = None;
            stand_for_election(&raft, id, &metrics).await;
        }
        publish(&leader, standing.leader());
        let changed = timeout(SILENCE_LIMIT, metrics.changed()).await;
        match changed {
            Ok(Err(_)) => {
                leader.send_replace(Leader::None);
                return;
            }
            Ok(Ok(())) => {}
            Err(_) => tracing::trace!(silent_ms = seen_at.elapsed().as_millis(), "raft is quiet"),
        }
    }
}

/// Asks for votes at a moment of its own. Openraft throws the dice for an election's time once in a member's life and looks at the
/// clock every tenth of a second: members that fall into the same tick would stand against each other for ever.
async fn stand_for_election(raft: &Raft<Types>, id: RaftId, metrics: &watch::Receiver<Metrics>) {
    tokio::time::sleep(Duration::from_millis(Dice.next_u64() % LONGEST_DELAY_MS)).await;
    let is_wanted = {
        let now = metrics.borrow();
        now.current_leader.is_none() && now.membership_config.voter_ids().any(|voter| voter == id)
    };
    if is_wanted && let Err(error) = raft.trigger().elect().await {
        tracing::debug!(%error, "the raft core has ended");
    }
}

/// Where a member stands by its own metrics.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    /// Elected in this term, not yet known to have applied all that was agreed before.
    Elected,
    Leads,
    /// Elected, but the quorum is silent.
    Alone,
    Follows(String),
    Lost,
}

impl Standing {
    fn leader(self) -> Leader {
        match self {
            Self::Leads => Leader::Here,
            Self::Follows(address) => Leader::At(address),
            Self::Elected | Self::Alone | Self::Lost => Leader::None,
        }
    }
}

fn standing(metrics: &Metrics, id: RaftId, served_term: Option<u64>) -> Standing {
    match metrics.current_leader {
        Some(leader) if leader == id && metrics.state == ServerState::Leader => {
            let silent = metrics.millis_since_quorum_ack.map(Duration::from_millis);
            if !is_alone(metrics, id) && silent.is_some_and(|silent| silent > SILENCE_LIMIT) {
                Standing::Alone
            } else if served_term == Some(metrics.current_term) {
                Standing::Leads
            } else {
                Standing::Elected
            }
        }
        Some(leader) if leader != id => match metrics.membership_config.membership().get_node(&leader) {
            Some(manager) => Standing::Follows(manager.address.clone()),
            None => Standing::Lost,
        },
        _ => Standing::Lost,
    }
}

/// Whether the member is its whole cluster and leads it: then there is nobody to send heartbeats to.
fn is_alone(metrics: &Metrics, id: RaftId) -> bool {
    metrics.state == ServerState::Leader && metrics.membership_config.nodes().all(|(member, _)| *member == id)
}

fn publish(sender: &watch::Sender<Leader>, leader: Leader) {
    sender.send_if_modified(|current| {
        let is_new = *current != leader;
        *current = leader;
        is_new
    });
}
