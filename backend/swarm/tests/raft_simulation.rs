//! Raft under more than a thousand seeded schedules: delays, lost messages, partitions and crashes, in time that stands still until all wait.
//!
//! Real are openraft, the log and snapshots on disk, the store and everything between; simulated are the network and the clock.
//! Whatever happens: no acknowledged write is lost, a term has one leader, and in the end all stores are equal. A schedule that fails
//! names its seed.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drydock_swarm::Random;
use drydock_swarm::identity::SealKey;
use drydock_swarm::objects::{Object, Secret};
use drydock_swarm::raft::node::Return;
use drydock_swarm::raft::{Io, Manager, RaftId, RaftNode, Reach, Settings, Types, seed_this_thread};
use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{OptionalSend, Snapshot, Vote};
use tokio::time::{sleep, timeout};

const MEMBERS: u64 = 3;
const STEPS: usize = 25;
/// Simulated time that no schedule takes: one that stands still has found something.
const WHOLE: Duration = Duration::from_secs(600);
/// For each of the four tests, which run beside each other.
const SCHEDULES: u64 = 300;

/// The members that run, and how the network treats them.
#[derive(Default)]
struct Sea {
    nodes: BTreeMap<RaftId, Arc<RaftNode>>,
    /// Members on one side of a partition.
    side: BTreeSet<RaftId>,
    lost_per_mille: u64,
    longest_delay_ms: u64,
    random: Option<Random>,
}

impl Sea {
    fn random(&mut self) -> &mut Random {
        self.random.as_mut().expect("the sea is seeded")
    }
}

type Shared = Arc<Mutex<Sea>>;

fn lock(sea: &Shared) -> MutexGuard<'_, Sea> {
    sea.lock().unwrap()
}

#[derive(Clone)]
struct Links {
    from: RaftId,
    sea: Shared,
}

struct Link {
    from: RaftId,
    to: RaftId,
    sea: Shared,
}

#[derive(Debug, thiserror::Error)]
#[error("lost at sea")]
struct Lost;

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: RaftId, _node: &Manager) -> Link {
        Link { from: self.from, to: target, sea: self.sea.clone() }
    }
}

impl Link {
    /// One message one way: late, or never. It takes time in any case: openraft asks again at once, and would for ever in no time.
    async fn cross(&self, from: RaftId, to: RaftId) -> Result<(), Lost> {
        let (delay, is_lost) = {
            let mut sea = lock(&self.sea);
            let (longest, lost) = (sea.longest_delay_ms, sea.lost_per_mille);
            (1 + sea.random().below(longest), sea.random().per_mille(lost))
        };
        sleep(Duration::from_millis(delay)).await;
        let sea = lock(&self.sea);
        let is_cut = sea.side.contains(&from) != sea.side.contains(&to);
        if is_lost || is_cut || !sea.nodes.contains_key(&from) { Err(Lost) } else { Ok(()) }
    }

    async fn ask<T, F: Future<Output = T>>(&self, ask: impl FnOnce(Arc<RaftNode>) -> F) -> Result<T, Lost> {
        self.cross(self.from, self.to).await?;
        let node = lock(&self.sea).nodes.get(&self.to).cloned().ok_or(Lost)?;
        let answer = ask(node).await;
        self.cross(self.to, self.from).await?;
        Ok(answer)
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        _option: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, RPCError<RaftId, Manager, RaftError<RaftId>>> {
        let answer = self.ask(|node| async move { node.take_append(rpc).await }).await;
        let answer = answer.map_err(|lost| RPCError::Network(NetworkError::new(&lost)))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to, error)))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<RaftId>,
        _option: RPCOption,
    ) -> Result<VoteResponse<RaftId>, RPCError<RaftId, Manager, RaftError<RaftId>>> {
        let answer = self.ask(|node| async move { node.take_vote(rpc).await }).await;
        let answer = answer.map_err(|lost| RPCError::Network(NetworkError::new(&lost)))?;
        answer.map_err(|error| RPCError::RemoteError(RemoteError::new(self.to, error)))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote<RaftId>,
        snapshot: Snapshot<Types>,
        _cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<RaftId>, StreamingError<Types, Fatal<RaftId>>> {
        let answer = self.ask(|node| async move { node.take_snapshot(vote, snapshot).await }).await;
        let answer = answer.map_err(|lost| StreamingError::Unreachable(Unreachable::new(&lost)))?;
        answer.map_err(|error| RemoteError::new(self.to, error).into())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(100)))
    }
}

/// One schedule.
struct Voyage {
    sea: Shared,
    folder: PathBuf,
    key: SealKey,
    random: Random,
    written: u64,
    acknowledged: Vec<String>,
    leaders: BTreeMap<u64, RaftId>,
}

impl Voyage {
    async fn begin(seed: u64, folder: &Path) -> Self {
        let mut random = Random::seeded(seed);
        let sea = Sea { longest_delay_ms: 5, random: Some(Random::seeded(random.draw())), ..Sea::default() };
        let mut voyage = Self {
            sea: Arc::new(Mutex::new(sea)),
            folder: folder.to_owned(),
            key: SealKey::generate(),
            random,
            written: 0,
            acknowledged: Vec::new(),
            leaders: BTreeMap::new(),
        };
        for id in 1..=MEMBERS {
            voyage.boot(id).await;
        }
        let first = voyage.node(1).unwrap();
        first.bootstrap(manager(1)).await.unwrap();
        voyage.settle().await;
        for id in 2..=MEMBERS {
            first.add_member(id, manager(id)).await.unwrap();
        }
        voyage
    }

    fn node(&self, id: RaftId) -> Option<Arc<RaftNode>> {
        lock(&self.sea).nodes.get(&id).cloned()
    }

    async fn boot(&mut self, id: RaftId) {
        let settings = Settings {
            folder: self.folder.join(id.to_string()),
            key: self.key.clone(),
            next_key: None,
            id,
            manager: manager(id),
            reach: Reach::default(),
            io: Io::Inline,
            force_new_cluster: false,
            return_from: Return::Away,
        };
        let node = RaftNode::start(settings, Links { from: id, sea: self.sea.clone() }).await.unwrap();
        lock(&self.sea).nodes.insert(id, node);
    }

    /// The member is gone in the middle of what it does; at times its last, unacknowledged write is half on disk.
    async fn crash(&mut self, id: RaftId) {
        let Some(node) = lock(&self.sea).nodes.remove(&id) else { return };
        node.stop().await;
        if self.random.per_mille(300) {
            let torn = [b"frm1".as_slice(), &[200, 0, 0, 0], &[7; 40]].concat();
            let path = self.folder.join(id.to_string()).join("log-v1-encrypted");
            std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(&torn).unwrap();
        }
    }

    /// Something happens.
    async fn step(&mut self) {
        let id = 1 + self.random.below(MEMBERS);
        match self.random.below(10) {
            0 | 1 => self.crash(id).await,
            2 | 3 if self.node(id).is_none() => self.boot(id).await,
            4 => lock(&self.sea).side = BTreeSet::from([id]),
            5 => lock(&self.sea).side.clear(),
            6 => {
                let (lost, delay) = (self.random.below(300), 1 + self.random.below(150));
                let mut sea = lock(&self.sea);
                (sea.lost_per_mille, sea.longest_delay_ms) = (lost, delay);
            }
            7 => {
                if let Some(node) = self.node(id) {
                    // A member that stops meanwhile builds none.
                    let _ = node.snapshot().await;
                }
            }
            _ => self.write_everywhere().await,
        }
        let pause = self.random.below(700);
        for _ in 0..=pause / 50 {
            sleep(Duration::from_millis(50)).await;
            self.watch_leaders();
        }
    }

    /// Each member that takes itself for the leader is asked to write; what it acknowledges must stay.
    async fn write_everywhere(&mut self) {
        let nodes: Vec<Arc<RaftNode>> = lock(&self.sea).nodes.values().cloned().collect();
        for node in nodes.into_iter().filter(|node| node.is_leader()) {
            self.written += 1;
            let name = format!("secret-{}", self.written);
            let write = node.update(|tx| {
                let mut secret = Secret { id: name.as_str().into(), ..Secret::default() };
                secret.spec.name = Some(name.clone());
                tx.create(secret).map_err(Into::into)
            });
            if let Ok(Ok(())) = timeout(Duration::from_secs(2), write).await {
                self.acknowledged.push(name);
            }
        }
    }

    fn watch_leaders(&mut self) {
        for (id, node) in &lock(&self.sea).nodes {
            if let Some(term) = node.leads_term() {
                let leader = *self.leaders.entry(term).or_insert(*id);
                assert_eq!(leader, *id, "two leaders in term {term}");
            }
        }
    }

    async fn settle(&mut self) {
        for _ in 0..400 {
            self.watch_leaders();
            if lock(&self.sea).nodes.values().any(|node| node.is_leader()) {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("no leader in twenty seconds of calm: {:#?}", lock(&self.sea).nodes);
    }

    /// Calm: everything that was promised is there, everywhere.
    async fn end(mut self) {
        {
            let mut sea = lock(&self.sea);
            sea.side.clear();
            (sea.lost_per_mille, sea.longest_delay_ms) = (0, 5);
        }
        for id in 1..=MEMBERS {
            if self.node(id).is_none() {
                self.boot(id).await;
            }
        }
        loop {
            self.settle().await;
            let before = self.acknowledged.len();
            self.write_everywhere().await;
            if self.acknowledged.len() > before {
                break;
            }
        }
        for _ in 0..400 {
            if self.is_converged() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
        }
        panic!("stores differ, or lack what was acknowledged, after twenty seconds of calm");
    }

    fn is_converged(&self) -> bool {
        let sea = lock(&self.sea);
        let stores: Vec<Vec<Object>> =
            sea.nodes.values().map(|node| node.replica().view(|view| view.objects().collect())).collect();
        let first = &stores[0];
        let holds = |name: &String| first.iter().any(|object| object.name() == name);
        stores.iter().all(|store| store == first) && self.acknowledged.iter().all(holds)
    }
}

fn manager(id: RaftId) -> Manager {
    Manager { node_id: format!("node{id}"), address: String::new() }
}

fn sail(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let sailed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            runtime.block_on(async {
                seed_this_thread(seed);
                let folder = tempfile::tempdir_in("/dev/shm").unwrap();
                let whole = timeout(WHOLE, async {
                    let mut voyage = Voyage::begin(seed, folder.path()).await;
                    for _ in 0..STEPS {
                        voyage.step().await;
                    }
                    voyage.end().await;
                });
                whole.await.expect("a schedule comes to its end");
            });
        }));
        assert!(sailed.is_ok(), "the schedule of seed {seed} failed");
    }
}

#[test]
fn nothing_acknowledged_is_lost_in_the_first_quarter_of_the_schedules() {
    sail(0..SCHEDULES);
}

#[test]
fn nothing_acknowledged_is_lost_in_the_second_quarter_of_the_schedules() {
    sail(SCHEDULES..2 * SCHEDULES);
}

#[test]
fn nothing_acknowledged_is_lost_in_the_third_quarter_of_the_schedules() {
    sail(2 * SCHEDULES..3 * SCHEDULES);
}

#[test]
fn nothing_acknowledged_is_lost_in_the_last_quarter_of_the_schedules() {
    sail(3 * SCHEDULES..4 * SCHEDULES);
}
