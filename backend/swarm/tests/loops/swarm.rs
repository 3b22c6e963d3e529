//! A swarm without engines: a store, the leader's look at it, and agents that do what a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bollard_stubs::models::{
    EngineDescription, EngineDescriptionPlugins, Platform, ResourceObject, ServiceSpecMode,
    ServiceSpecModeReplicated, TaskSpecContainerSpec,
};
use drydock_swarm::objects::{
    Availability, Cluster, Duration, Moment, Network, NetworkCreateRequest, Node, NodeDescription, NodeId,
    NodeSpec, NodeState, Service, ServiceId, ServiceSpec, Task, TaskId, TaskSpec, TaskState, TaskStatus,
    Timestamp, Version,
};
use drydock_swarm::store::Batch;
use drydock_swarm::{Random, Store, control};

/// What an agent makes of its tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// Goes one state further each time.
    Works,
    /// Every task fails as it starts.
    Fails,
    /// Hears nothing and says nothing; its containers run on.
    Silent,
}

pub struct Swarm {
    pub store: Store,
    pub now: Timestamp,
    pub random: Random,
    pub agents: BTreeMap<NodeId, Agent>,
    /// Containers that really run, whatever the store says.
    pub containers: BTreeMap<TaskId, NodeId>,
    /// When the leader wants to look again.
    pub wake: Option<Timestamp>,
    /// How far wall clocks are away from the swarm's time, in turn with each look and report.
    pub steps: Vec<Duration>,
    looks: usize,
}

impl Swarm {
    pub fn new(nodes: usize, seed: u64) -> Self {
        let mut swarm = Self {
            store: Store::new(),
            now: Timestamp(1_000_000_000_000),
            random: Random::seeded(seed),
            agents: BTreeMap::new(),
            containers: BTreeMap::new(),
            wake: None,
            steps: vec![Duration::ZERO],
            looks: 0,
        };
        let mut cluster = Cluster { id: "cluster".into(), ..Cluster::default() };
        cluster.spec.name = Some(Cluster::NAME.into());
        swarm.write(|tx| tx.create(cluster).unwrap());
        swarm.add_network("ingress", true);
        for number in 1..=nodes {
            swarm.add_node(&format!("n{number}"));
        }
        swarm.settle();
        swarm
    }

    pub fn write<R>(&mut self, write: impl FnOnce(&mut drydock_swarm::store::Transaction<'_>) -> R) -> R {
        self.store.commit(self.now, write).expect("nobody else writes")
    }

    pub fn add_node(&mut self, id: &str) {
        self.agents.insert(id.into(), Agent::Works);
        self.write(|tx| tx.create(node(id)).unwrap());
    }

    pub fn add_network(&mut self, id: &str, ingress: bool) {
        let spec = NetworkCreateRequest {
            name: id.into(),
            driver: Some("overlay".into()),
            ingress: Some(ingress),
            ..NetworkCreateRequest::default()
        };
        self.write(|tx| tx.create(Network { id: id.into(), spec, ..Network::default() }).unwrap());
    }

    pub fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        let id = ServiceId::from(self.random.id());
        let service =
            Service { id: id.clone(), spec, spec_version: Some(Version::default()), ..Service::default() };
        self.write(|tx| tx.create(service).unwrap());
        self.look();
        id
    }

    /// What `docker service update` does.
    pub fn update(&mut self, id: &ServiceId, change: impl FnOnce(&mut ServiceSpec)) {
        self.write(|tx| {
            tx.change::<Service>(id, |service| {
                service.previous_spec = Some(Box::new(service.spec.clone()));
                service.previous_spec_version = service.spec_version;
                change(&mut service.spec);
                service.spec_version = Some(service.meta.version);
                service.update_status = None;
                if let Some(job) = &mut service.job_status {
                    job.iteration.index += 1;
                }
            })
            .unwrap()
        });
        self.look();
    }

    pub fn remove(&mut self, id: &ServiceId) {
        self.write(|tx| tx.delete::<Service>(id).unwrap());
        self.look();
    }

    pub fn node_is(&mut self, id: &str, state: NodeState) {
        let now = self.now;
        self.write(|tx| {
            tx.change::<Node>(&id.into(), |node| {
                node.observe(state, "", now);
            })
            .unwrap()
        });
        self.look();
    }

    pub fn node_has(&mut self, id: &str, availability: Availability) {
        self.write(|tx| {
            tx.change::<Node>(&id.into(), |node| node.spec.availability = Some(availability)).unwrap()
        });
        self.look();
    }

    pub fn agent(&mut self, id: &str, agent: Agent) {
        self.agents.insert(id.into(), agent);
    }

    /// Now, by the swarm's time and by whoever's wall clock it is.
    fn moment(&mut self) -> Moment {
        self.looks += 1;
        let step = self.steps[self.looks % self.steps.len()];
        Moment { clock: self.now, wall: self.now + step }
    }

    /// The leader looks until there is nothing left to change now.
    pub fn look(&mut self) {
        for _ in 0..100 {
            let (now, random) = (self.moment(), &mut self.random);
            let (wake, changes) = self.store.propose(|tx| control::look(tx, now, random));
            self.wake = wake;
            if changes.is_empty() {
                return;
            }
            let index = self.store.index() + 1;
            self.store
                .apply(index, &Batch { at: now.wall, clock: now.clock, changes })
                .expect("nobody else writes");
        }
        panic!("the leader goes on changing things without end");
    }

    /// Every agent takes each of its tasks one step. `false` when none had anything to do.
    pub fn agents_step(&mut self) -> bool {
        let agents = self.agents.clone();
        let mut moved = false;
        for (node, agent) in agents {
            moved |= self.agent_step(&node, agent);
        }
        self.look();
        moved
    }

    pub fn agent_step(&mut self, node: &NodeId, agent: Agent) -> bool {
        if agent == Agent::Silent {
            return false;
        }
        let mut moved = self.end_unknown_containers(node);
        let tasks: Vec<Arc<Task>> = self.store.node_tasks(node).cloned().collect();
        for task in tasks {
            if let Some(state) = next_state(&task, agent) {
                self.report(&task.id, state);
                moved = true;
            }
        }
        moved
    }

    /// A container whose task was taken off the store, or ended there, is no more.
    fn end_unknown_containers(&mut self, node: &NodeId) -> bool {
        let known = |id: &TaskId| self.store.tasks().get(id.as_str()).is_some_and(|task| task.is_alive());
        let before = self.containers.len();
        let unknown: BTreeSet<TaskId> = self
            .containers
            .iter()
            .filter(|(id, on)| *on == node && !known(id))
            .map(|(id, _)| id.clone())
            .collect();
        self.containers.retain(|id, _| !unknown.contains(id));
        before != self.containers.len()
    }

    /// The agent says the task has come to the state.
    pub fn report(&mut self, id: &TaskId, state: TaskState) {
        let Moment { clock: now, wall } = self.moment();
        let Some(task) = self.store.tasks().get(id.as_str()).cloned() else { return };
        if state == TaskState::RUNNING {
            self.containers.insert(id.clone(), task.node_id.clone().unwrap());
        } else if state > TaskState::RUNNING {
            self.containers.remove(id);
        }
        let report =
            TaskStatus { state, timestamp: wall, message: state.to_string(), ..TaskStatus::default() };
        self.write(|tx| {
            tx.change::<Task>(id, |task| {
                task.observe(report, None, now);
            })
            .unwrap()
        });
    }

    /// Time passes without agents, and the leader looks as often as it wanted to.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(wake) = self.wake.filter(|wake| *wake <= end) {
            self.now = wake.max(self.now);
            self.look();
        }
        self.now = end;
        self.look();
    }

    /// Agents and leader go on, and time with them, until nothing moves and nothing is waited for.
    pub fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.agents_step() {
                continue;
            }
            match self.wake {
                // A day is only ever waited for nodes that are down.
                Some(wake) if wake - self.now < Duration::seconds(3600) => {
                    self.now = wake;
                    self.look();
                }
                _ => return,
            }
        }
        panic!("the swarm does not settle: {:#?}", self.story());
    }

    /// Agents and leader go on, but time stands still.
    pub fn settle_now(&mut self) {
        for _ in 0..10_000 {
            if !self.agents_step() {
                return;
            }
        }
        panic!("the swarm does not settle: {:#?}", self.story());
    }

    /// Agents, leader and time go on for so many steps at most.
    pub fn settle_bounded(&mut self, steps: usize) {
        for _ in 0..steps {
            if !self.agents_step()
                && let Some(wake) = self.wake
            {
                self.now = wake;
                self.look();
            }
        }
    }

    pub fn service(&self, id: &ServiceId) -> &Arc<Service> {
        self.store.services().get(id.as_str()).unwrap()
    }

    pub fn tasks(&self, id: &ServiceId) -> Vec<Arc<Task>> {
        self.store.service_tasks(id).cloned().collect()
    }

    /// Tasks that run as wanted, by slot and node.
    pub fn running(&self, id: &ServiceId) -> Vec<(u64, String)> {
        let mut running: Vec<_> = self
            .store
            .service_tasks(id)
            .filter(|task| {
                task.status.state == TaskState::RUNNING && task.desired_state == TaskState::RUNNING
            })
            .map(|task| (task.slot, task.node_id.clone().unwrap().to_string()))
            .collect();
        running.sort();
        running
    }

    pub fn running_on(&self, id: &ServiceId) -> BTreeMap<String, usize> {
        let mut nodes = BTreeMap::new();
        for (_, node) in self.running(id) {
            *nodes.entry(node).or_default() += 1;
        }
        nodes
    }

    /// The reasons that pending tasks give.
    pub fn reasons(&self, id: &ServiceId) -> Vec<String> {
        let mut reasons: Vec<_> = self
            .store
            .service_tasks(id)
            .filter(|task| task.status.state == TaskState::PENDING)
            .map(|task| task.status.err.clone())
            .collect();
        reasons.sort();
        reasons
    }

    pub fn update_state(&self, id: &ServiceId) -> String {
        let status = self.service(id).update_status.clone();
        status.map_or("none".into(), |status| status.state.to_string())
    }

    pub fn story(&self) -> Vec<String> {
        self.store
            .tasks()
            .iter()
            .map(|task| {
                format!(
                    "{} slot {} on {:?}: {} wanted {} hold {:?} {}",
                    task.service_annotations.name,
                    task.slot,
                    task.node_id,
                    task.status.state,
                    task.desired_state,
                    task.hold,
                    task.status.err
                )
            })
            .collect()
    }
}

/// What the agent does next with the task.
fn next_state(task: &Task, agent: Agent) -> Option<TaskState> {
    let state = task.status.state;
    if state < TaskState::ASSIGNED || state > TaskState::RUNNING {
        return None;
    }
    if task.desired_state > TaskState::COMPLETE {
        return Some(TaskState::SHUTDOWN);
    }
    if task.desired_state == TaskState::COMPLETE && state == TaskState::RUNNING {
        return Some(TaskState::COMPLETE);
    }
    let next = match state {
        TaskState::ASSIGNED => TaskState::ACCEPTED,
        TaskState::ACCEPTED => TaskState::PREPARING,
        TaskState::PREPARING => TaskState::READY,
        TaskState::READY => TaskState::STARTING,
        TaskState::STARTING if agent == Agent::Fails => TaskState::FAILED,
        TaskState::STARTING => TaskState::RUNNING,
        _ => return None,
    };
    (next <= task.desired_state || next == TaskState::FAILED).then_some(next)
}

pub fn node(id: &str) -> Node {
    let plugin =
        |typ: &str, name: &str| EngineDescriptionPlugins { typ: Some(typ.into()), name: Some(name.into()) };
    let description = NodeDescription {
        hostname: Some(format!("host-{id}")),
        platform: Some(Platform { os: Some("linux".into()), architecture: Some("x86_64".into()) }),
        resources: Some(ResourceObject {
            nano_cpus: Some(2_000_000_000),
            memory_bytes: Some(1 << 30),
            generic_resources: None,
        }),
        engine: Some(EngineDescription {
            plugins: Some(vec![
                plugin("Network", "overlay"),
                plugin("Volume", "local"),
                plugin("Log", "json-file"),
            ]),
            ..EngineDescription::default()
        }),
        tls_info: None,
    };
    let spec = NodeSpec { availability: Some(Availability::ACTIVE), ..NodeSpec::default() };
    let mut node = Node { id: id.into(), spec, description: Some(description), ..Node::default() };
    node.status.state = NodeState::READY;
    node
}

/// A service of one image. The rest is for the test to say.
pub fn spec(name: &str, replicas: i64) -> ServiceSpec {
    let container =
        TaskSpecContainerSpec { image: Some("busybox".into()), ..TaskSpecContainerSpec::default() };
    ServiceSpec {
        name: Some(name.into()),
        task_template: Some(TaskSpec { container_spec: Some(container), ..TaskSpec::default() }),
        mode: Some(ServiceSpecMode {
            replicated: Some(ServiceSpecModeReplicated { replicas: Some(replicas) }),
            ..ServiceSpecMode::default()
        }),
        ..ServiceSpec::default()
    }
}

pub fn global(name: &str) -> ServiceSpec {
    let mode = ServiceSpecMode { global: Some(Default::default()), ..ServiceSpecMode::default() };
    ServiceSpec { mode: Some(mode), ..spec(name, 0) }
}

pub fn template(spec: &mut ServiceSpec) -> &mut TaskSpec {
    spec.task_template.get_or_insert_default()
}

pub fn scale(spec: &mut ServiceSpec, replicas: i64) {
    let replicated = ServiceSpecModeReplicated { replicas: Some(replicas) };
    spec.mode = Some(ServiceSpecMode { replicated: Some(replicated), ..ServiceSpecMode::default() });
}

/// Another image: every task is out of date.
pub fn image(spec: &mut ServiceSpec, image: &str) {
    template(spec).container_spec.get_or_insert_default().image = Some(image.into());
}

pub fn constrain(spec: &mut ServiceSpec, constraint: &str) {
    let placement = template(spec).placement.get_or_insert_default();
    placement.constraints.get_or_insert_default().push(constraint.into());
}
