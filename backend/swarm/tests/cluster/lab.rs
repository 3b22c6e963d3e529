//! Machines on loopback addresses of one network namespace, and the faults that befall them.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use drydock_swarm::ask::{Answer, Ask, RotateKeys, SwarmUpdate, Wish};
use drydock_swarm::manager::ClusterError;
use drydock_swarm::manager::{Cluster, InitRequest, JoinRequest, Manager};
use drydock_swarm::objects::{self, NodeState, Role};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use tokio::runtime::Runtime;

use crate::executor::Containers;

/// Far beyond what anything here takes: a test that waits longer has found something.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test in namespaces of its own.
pub fn lab<F: Future<Output = ()>>(machines: usize, test: impl FnOnce(Lab) -> F + Send + 'static) {
    // Seen when the test fails.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::INFO)
        .with_writer(std::io::stderr)
        .try_init();
    let body = move || {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).expect("root may have namespaces");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
            .expect("mounts stay here");
        run("ip", &["link", "set", "lo", "up"]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { test(Lab::new(machines)).await });
    };
    std::thread::spawn(body).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

pub fn run(program: &str, arguments: &[&str]) {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Waits for a state.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub struct Lab {
    pub machines: Vec<Machine>,
}

impl Lab {
    fn new(count: usize) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self { machines: (0..count).map(|number| Machine::new(number, folder.clone())).collect() }
    }

    /// The first machine makes a swarm, the next `managers - 1` join as managers and the rest as workers; returns when all are ready.
    pub async fn form(&mut self, managers: usize) {
        self.machines[0].init().await;
        let tokens = self.machines[0].inspect().await.root_ca.join_tokens.clone();
        let first = self.machines[0].address();
        for (number, machine) in self.machines.iter().enumerate().skip(1) {
            let token = if number < managers { &tokens.manager } else { &tokens.worker };
            match machine.join(&first, token.as_deref().unwrap()).await {
                // On a busy machine it goes on behind the answer, as the words say.
                Ok(_) | Err(ClusterError::JoinTimeout) => {}
                Err(error) => panic!("{error}"),
            }
        }
        let count = self.machines.len();
        let all = || async {
            let nodes = self.machines[0].nodes().await.ok()?;
            let ready = nodes.iter().filter(|node| node.status.state == NodeState::READY).count();
            (ready == count && nodes.iter().filter(|node| node.manager_status.is_some()).count() == managers)
                .then_some(())
        };
        until("all nodes are ready", all).await;
    }

    /// The number of the machine whose manager leads.
    pub async fn leader(&self) -> usize {
        let look = || async { (0..self.machines.len()).find(|number| self.machines[*number].leads()) };
        until("there is a leader", look).await
    }

    /// The number of a machine that leads and is not `lost`.
    pub async fn leader_without(&self, lost: &[usize]) -> usize {
        let look = || async {
            (0..self.machines.len()).find(|number| !lost.contains(number) && self.machines[*number].leads())
        };
        until("there is another leader", look).await
    }

    /// Packets between the two sides are lost from now on.
    pub fn cut(&self, left: &[usize], right: &[usize]) {
        run("nft", &["add", "table", "inet", "cut"]);
        run("nft", &["add chain inet cut out { type filter hook output priority 0; policy accept; }"]);
        for (from, to) in left.iter().flat_map(|left| right.iter().map(move |right| (*left, *right))) {
            for (from, to) in [(from, to), (to, from)] {
                run(
                    "nft",
                    &[&format!("add rule inet cut out ip saddr {} ip daddr {} drop", ip(from), ip(to))],
                );
            }
        }
    }

    pub fn heal(&self) {
        run("nft", &["delete", "table", "inet", "cut"]);
    }
}

fn ip(number: usize) -> String {
    format!("127.0.1.{}", number + 1)
}

pub struct Machine {
    number: usize,
    pub containers: Containers,
    running: Option<Running>,
    root: PathBuf,
    _folder: Arc<tempfile::TempDir>,
}

struct Running {
    runtime: Runtime,
    cluster: Arc<Cluster<Containers>>,
}

impl Machine {
    fn new(number: usize, folder: Arc<tempfile::TempDir>) -> Self {
        let root = folder.path().join(format!("machine{number}"));
        std::fs::create_dir_all(&root).unwrap();
        let containers = Containers::new(&format!("node{number}"));
        let mut machine = Self { number, containers, running: None, root, _folder: folder };
        machine.boot();
        machine
    }

    /// The engine starts, with whatever is on disk.
    pub fn boot(&mut self) {
        assert!(self.running.is_none(), "the machine runs");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let guard = runtime.enter();
        let cluster = Arc::new(Cluster::open(&self.root, Arc::new(self.containers.clone())).unwrap());
        drop(guard);
        self.running = Some(Running { runtime, cluster });
    }

    /// The engine is killed: nothing is said, nothing is finished.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
    }

    /// The engine ends in order.
    pub async fn shut_down(&mut self) {
        self.on(|cluster| async move { cluster.stop().await }).await;
        self.kill();
    }

    pub fn data_root(&self) -> &Path {
        &self.root
    }

    pub fn ip(&self) -> String {
        ip(self.number)
    }

    pub fn address(&self) -> String {
        format!("{}:2377", self.ip())
    }

    pub fn cluster(&self) -> &Arc<Cluster<Containers>> {
        &self.running.as_ref().expect("the machine runs").cluster
    }

    pub fn id(&self) -> String {
        self.cluster().node_id().expect("the machine is part of a swarm")
    }

    pub fn manager(&self) -> Arc<Manager> {
        self.cluster().manager().unwrap()
    }

    pub fn leads(&self) -> bool {
        let Some(running) = &self.running else { return false };
        running.cluster.manager().is_ok_and(|manager| manager.raft().is_leader())
    }

    /// Does something on the machine's own runtime.
    pub async fn on<R, F>(&self, work: impl FnOnce(Arc<Cluster<Containers>>) -> F) -> R
    where
        R: Send + 'static,
        F: Future<Output = R> + Send + 'static,
    {
        let running = self.running.as_ref().expect("the machine runs");
        running.runtime.spawn(work(running.cluster.clone())).await.unwrap()
    }

    pub async fn init(&self) {
        self.init_with(InitRequest::default()).await.unwrap();
    }

    pub async fn init_with(&self, request: InitRequest) -> Result<String, ClusterError> {
        let request = InitRequest { listen_addr: self.address(), advertise_addr: self.address(), ..request };
        self.on(|cluster| async move { cluster.init(request).await }).await
    }

    pub async fn join(&self, remote: &str, token: &str) -> Result<String, ClusterError> {
        let request = JoinRequest {
            listen_addr: self.address(),
            advertise_addr: self.address(),
            remote_addrs: vec![remote.to_owned()],
            token: token.to_owned(),
            ..JoinRequest::default()
        };
        self.on(|cluster| async move { cluster.join(request).await }).await
    }

    pub async fn leave(&self, is_forced: bool) -> Result<(), ClusterError> {
        self.on(move |cluster| async move { cluster.leave(is_forced).await }).await
    }

    pub async fn unlock(&self, key: &str) -> Result<(), ClusterError> {
        let key = key.to_owned();
        self.on(|cluster| async move { cluster.unlock(&key).await }).await
    }

    pub async fn ask(&self, ask: Ask) -> Result<Answer, ClusterError> {
        self.on(|cluster| async move { cluster.ask(ask).await }).await
    }

    pub async fn inspect(&self) -> Arc<objects::Cluster> {
        self.on(|cluster| async move { cluster.inspect().await }).await.unwrap()
    }

    pub async fn nodes(&self) -> Result<Vec<objects::Node>, ClusterError> {
        self.on(|cluster| async move { cluster.nodes().await }).await
    }

    pub async fn node(&self, id: &str) -> Option<objects::Node> {
        self.nodes().await.ok()?.into_iter().find(|node| node.id.as_str() == id)
    }

    /// Changes the swarm's settings, as `docker swarm update` does: reads, changes, writes.
    pub async fn update_swarm(&self, rotate: RotateKeys, change: impl Fn(&mut objects::SwarmSpec)) {
        let attempt = || async {
            let cluster = self.inspect().await;
            let mut update =
                SwarmUpdate { version: cluster.meta.version.index, spec: cluster.spec.clone(), rotate };
            change(&mut update.spec);
            self.ask(Ask::UpdateSwarm(Box::new(update))).await.ok()
        };
        until("the swarm's settings are changed", attempt).await;
    }

    /// Changes what is wished of a node.
    pub async fn update_node(&self, id: &str, change: impl Fn(&mut objects::NodeSpec)) {
        let attempt = || async {
            let node = self.node(id).await?;
            let mut spec = node.spec.clone();
            change(&mut spec);
            let ask = Ask::Wish(Box::new(Wish::UpdateNode {
                id: id.into(),
                version: node.meta.version.index,
                spec,
            }));
            self.ask(ask).await.ok()
        };
        until("the node is changed", attempt).await;
    }

    pub async fn set_role(&self, id: &str, role: Role) {
        self.update_node(id, |spec| spec.role = Some(role)).await;
    }

    /// Waits until the leader says so of a node.
    pub async fn sees(&self, what: &str, id: &str, is_so: impl Fn(&objects::Node) -> bool) {
        until(what, || async { self.node(id).await.filter(|node| is_so(node)).map(drop) }).await;
    }

    /// Writes a label on the swarm: something to lose. Tells whether it was acknowledged.
    pub async fn write(&self, label: &str) -> bool {
        let label = label.to_owned();
        let Ok(manager) = self.cluster().manager() else { return false };
        let write = move |_| async move {
            let cluster = manager.raft().update(|tx| {
                let mut cluster = tx.cluster().unwrap().as_ref().clone();
                cluster.spec.labels.get_or_insert_default().insert(label, String::new());
                tx.update(cluster).map_err(Into::into)
            });
            cluster.await.is_ok()
        };
        self.on(write).await
    }

    /// Whether this manager's own copy has the label.
    pub fn has(&self, label: &str) -> bool {
        let Ok(manager) = self.cluster().manager() else { return false };
        manager.raft().replica().view(|view| {
            let labels = view.cluster().and_then(|cluster| cluster.spec.labels.clone()).unwrap_or_default();
            labels.contains_key(label)
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.kill();
    }
}
