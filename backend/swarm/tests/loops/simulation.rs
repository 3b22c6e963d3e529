//! Thousands of seeded schedules of everything that can happen to a swarm, and what holds through
//! all of them. A seed that fails is printed; `replay` runs one alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bollard_stubs::models::{
    EndpointPortConfig, EndpointSpec, NetworkAttachmentConfig, ServiceSpecMode, ServiceSpecModeReplicatedJob,
    ServiceSpecUpdateConfig as UpdateConfig, ServiceSpecUpdateConfigFailureActionEnum as Action,
    ServiceSpecUpdateConfigOrderEnum as Order, TaskSpecRestartPolicy,
};
use drydock_swarm::allocator::Subnet;
use drydock_swarm::objects::{
    Availability, Duration, JobStatus, Mode, Node, NodeState, Service, ServiceId, ServiceSpec, Task, TaskId,
    TaskState, UpdateState, Version,
};
use drydock_swarm::orchestrator::is_outdated;
use drydock_swarm::scheduler::constraint;
use drydock_swarm::{Random, Store, control};

use crate::swarm::{Agent, Swarm, constrain, global, image, scale, spec, template};

const HISTORY: usize = 5;

#[test]
fn schedules_0_to_999() {
    run(0..1000);
}

#[test]
fn schedules_1000_to_1999() {
    run(1000..2000);
}

#[test]
fn schedules_2000_to_2999() {
    run(2000..3000);
}

#[test]
fn schedules_3000_to_3999() {
    run(3000..4000);
}

fn run(seeds: std::ops::Range<u64>) {
    for seed in seeds {
        replay(seed);
    }
}

fn replay(seed: u64) {
    let _named = NamesSeed(seed);
    let mut world = World::new(seed);
    world.check();
    for _ in 0..40 {
        world.something_happens();
        world.check();
    }
    world.faults_end();
    world.check();
    world.check_converged();
}

/// Says which seed it was when a check fails.
struct NamesSeed(u64);

impl Drop for NamesSeed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the schedule of seed {} failed", self.0);
        }
    }
}

struct World {
    swarm: Swarm,
    dice: Random,
    services: Vec<ServiceId>,
    made: u64,
    /// Tasks that were cut off while they may have run: of them nobody can say when they stop.
    excused: BTreeSet<TaskId>,
    /// Tasks whose assignment was checked.
    placed: BTreeSet<TaskId>,
    log: Vec<String>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Random::seeded(seed);
        let nodes = 2 + dice.below(4) as usize;
        let mut swarm = Swarm::new(nodes, seed ^ 0xdead_beef);
        swarm.add_network("back", false);
        swarm.look();
        let mut world = Self {
            swarm,
            dice,
            services: Vec::new(),
            made: 0,
            excused: BTreeSet::new(),
            placed: BTreeSet::new(),
            log: Vec::new(),
        };
        for _ in 0..=world.dice.below(2) {
            world.create();
        }
        world
    }

    fn something_happens(&mut self) {
        match self.dice.below(100) {
            0..45 => self.an_agent_works(),
            45..55 => self.time_passes(),
            55..60 => self.scale(),
            60..65 => self.update(),
            65..68 => self.create(),
            68..70 => self.remove(),
            70..76 => self.a_node_goes_down(),
            76..82 => self.a_node_comes_back(),
            82..87 => self.availability(),
            87..91 => self.an_agent_changes(),
            91..94 => self.a_label_changes(),
            94..97 => self.another_leader(),
            _ => self.a_batch_is_lost(),
        }
        self.swarm.look();
    }

    fn note(&mut self, what: String) {
        self.log.push(what);
    }

    fn a_node(&mut self) -> String {
        let ids: Vec<String> = self.swarm.store.nodes().iter().map(|node| node.id.to_string()).collect();
        ids[self.dice.below(ids.len() as u64) as usize].clone()
    }

    fn a_service(&mut self) -> Option<ServiceId> {
        let count = self.services.len() as u64;
        (count > 0).then(|| self.services[self.dice.below(count) as usize].clone())
    }

    fn an_agent_works(&mut self) {
        let node = self.a_node();
        let agent = self.swarm.agents[node.as_str()];
        self.note(format!("agent of {node} steps, {agent:?}"));
        for _ in 0..=self.dice.below(4) {
            self.swarm.agent_step(&node.as_str().into(), agent);
            self.swarm.look();
        }
    }

    fn time_passes(&mut self) {
        let milliseconds = [1, 500, 2_000, 6_000][self.dice.below(4) as usize];
        self.note(format!("{milliseconds} ms pass"));
        self.swarm.pass(Duration::milliseconds(milliseconds));
    }

    fn scale(&mut self) {
        let Some(id) = self.a_service() else { return };
        let replicas = self.dice.below(7) as i64;
        if matches!(self.swarm.service(&id).mode(), Mode::Replicated { .. }) {
            self.note(format!("{id} scales to {replicas}"));
            self.swarm.update(&id, |spec| scale(spec, replicas));
        }
    }

    fn update(&mut self) {
        let Some(id) = self.a_service() else { return };
        self.made += 1;
        let tag = format!("busybox:{}", self.made);
        self.note(format!("{id} is updated to {tag}"));
        self.swarm.update(&id, |spec| image(spec, &tag));
    }

    fn create(&mut self) {
        self.made += 1;
        let name = format!("s{}", self.made);
        let mut spec = match self.dice.below(10) {
            0..6 => spec(&name, self.dice.below(6) as i64),
            6..8 => global(&name),
            8 => ServiceSpec { mode: Some(self.a_job()), ..spec(&name, 0) },
            _ => ServiceSpec {
                mode: Some(ServiceSpecMode {
                    global_job: Some(Default::default()),
                    ..ServiceSpecMode::default()
                }),
                ..spec(&name, 0)
            },
        };
        self.decorate(&mut spec);
        let job = Mode::of(&spec).is_job();
        self.note(format!("create {name} {:?}", Mode::of(&spec)));
        let id = ServiceId::from(name);
        let service = Service {
            id: id.clone(),
            spec,
            spec_version: Some(Version::default()),
            job_status: job.then(JobStatus::default),
            ..Service::default()
        };
        self.swarm.write(|tx| tx.create(service).unwrap());
        self.swarm.look();
        self.services.push(id);
    }

    fn a_job(&mut self) -> ServiceSpecMode {
        let total = 1 + self.dice.below(5) as i64;
        let job = ServiceSpecModeReplicatedJob {
            max_concurrent: Some(1 + self.dice.below(3) as i64),
            total_completions: Some(total),
        };
        ServiceSpecMode { replicated_job: Some(job), ..ServiceSpecMode::default() }
    }

    fn decorate(&mut self, spec: &mut ServiceSpec) {
        let delay = [0, 1, 5][self.dice.below(3) as usize];
        template(spec).restart_policy =
            Some(TaskSpecRestartPolicy { delay: Some(Duration::seconds(delay).0), ..Default::default() });
        if !Mode::of(spec).is_job() {
            let pick = self.dice.below(3);
            spec.update_config = Some(UpdateConfig {
                parallelism: Some(self.dice.below(3) as i64),
                delay: Some(Duration::seconds(self.dice.below(2) as i64).0),
                failure_action: Some([Action::PAUSE, Action::CONTINUE, Action::ROLLBACK][pick as usize]),
                max_failure_ratio: Some([0.0, 0.5][self.dice.below(2) as usize]),
                order: Some(if self.dice.below(4) == 0 { Order::START_FIRST } else { Order::STOP_FIRST }),
                ..UpdateConfig::default()
            });
        }
        if self.dice.below(2) == 0 {
            let back = NetworkAttachmentConfig { target: Some("back".into()), ..Default::default() };
            template(spec).networks = Some(vec![back]);
        }
        if self.dice.below(3) == 0 {
            let port = EndpointPortConfig { target_port: Some(80), ..EndpointPortConfig::default() };
            spec.endpoint_spec = Some(EndpointSpec { ports: Some(vec![port]), mode: None });
        }
        if self.dice.below(5) == 0 {
            constrain(spec, "node.labels.kind != bad");
        }
    }

    fn remove(&mut self) {
        let Some(id) = self.a_service() else { return };
        self.note(format!("remove {id}"));
        self.services.retain(|other| *other != id);
        self.swarm.remove(&id);
    }

    fn a_node_goes_down(&mut self) {
        let node = self.a_node();
        self.note(format!("{node} goes down"));
        self.swarm.agent(&node, Agent::Silent);
        let cut_off: Vec<TaskId> = self
            .swarm
            .store
            .node_tasks(&node.as_str().into())
            .filter(|task| task.is_alive())
            .map(|task| task.id.clone())
            .collect();
        self.excused.extend(cut_off);
        self.swarm.node_is(&node, NodeState::DOWN);
    }

    fn a_node_comes_back(&mut self) {
        let node = self.a_node();
        self.note(format!("{node} comes back"));
        self.swarm.agent(&node, Agent::Works);
        self.swarm.node_is(&node, NodeState::READY);
    }

    fn availability(&mut self) {
        let node = self.a_node();
        let availability =
            [Availability::ACTIVE, Availability::PAUSE, Availability::DRAIN][self.dice.below(3) as usize];
        self.note(format!("{node} is {availability}"));
        self.swarm.node_has(&node, availability);
    }

    fn an_agent_changes(&mut self) {
        let node = self.a_node();
        if self.swarm.store.nodes().get(&node).unwrap().is_ready() {
            let agent = [Agent::Works, Agent::Fails, Agent::Silent][self.dice.below(3) as usize];
            self.note(format!("agent of {node} is {agent:?}"));
            self.swarm.agent(&node, agent);
        }
    }

    fn a_label_changes(&mut self) {
        let node = self.a_node();
        let kind = if self.dice.below(2) == 0 { "bad" } else { "good" };
        self.note(format!("{node} is {kind}"));
        self.swarm.write(|tx| {
            tx.change::<Node>(&node.as_str().into(), |node| {
                node.spec.labels.get_or_insert_default().insert("kind".into(), kind.into());
            })
            .unwrap()
        });
        // What the enforcer rejects counts as ended while its container is still to be stopped.
        let alive: BTreeSet<TaskId> = self.swarm.containers.keys().cloned().collect();
        self.swarm.look();
        let rejected = |id: &&TaskId| {
            self.swarm
                .store
                .tasks()
                .get(id.as_str())
                .is_none_or(|task| task.status.state == TaskState::REJECTED)
        };
        let rejected: Vec<TaskId> = alive.iter().filter(rejected).cloned().collect();
        self.excused.extend(rejected);
    }

    fn another_leader(&mut self) {
        self.note("another leader".into());
        let json = serde_json::to_string(&self.swarm.store.save()).unwrap();
        let mut store = Store::new();
        store.restore(serde_json::from_str(&json).unwrap());
        self.swarm.store = store;
    }

    /// The leader decided, and the log did not take it.
    fn a_batch_is_lost(&mut self) {
        self.note("a batch is lost".into());
        self.swarm.now = self.swarm.now + Duration::seconds(1);
        let (now, random) = (self.swarm.now, &mut self.swarm.random);
        self.swarm.store.propose(|tx| control::look(tx, now, random));
    }

    fn faults_end(&mut self) {
        self.note("faults end".into());
        let nodes: Vec<String> = self.swarm.store.nodes().iter().map(|node| node.id.to_string()).collect();
        for node in nodes {
            self.swarm.agent(&node, Agent::Works);
            self.swarm.node_is(&node, NodeState::READY);
            self.swarm.node_has(&node, Availability::ACTIVE);
            self.swarm.write(|tx| {
                tx.change::<Node>(&node.as_str().into(), |node| node.spec.labels = None).unwrap()
            });
        }
        self.swarm.look();
        self.swarm.settle();
    }

    fn fail(&self, what: &str) -> ! {
        panic!("{what}\n{:#?}\n{:#?}", self.log, self.swarm.story());
    }

    fn check(&mut self) {
        self.check_slots();
        self.check_placement();
        self.check_addresses();
        self.check_ports_and_networks();
        self.check_history();
    }

    /// Never two containers in a slot where one is wanted.
    fn check_slots(&self) {
        let mut slots = BTreeMap::<(ServiceId, u64, Option<String>), usize>::new();
        for (id, node) in &self.swarm.containers {
            let Some(task) = self.swarm.store.tasks().get(id.as_str()) else { continue };
            let Some(service) = task.service_id.clone() else { continue };
            if self.excused.contains(id) || self.starts_first(&service) {
                continue;
            }
            let global = self.mode(&service).is_some_and(Mode::is_global);
            *slots.entry((service, task.slot, global.then(|| node.to_string()))).or_default() += 1;
        }
        if let Some((slot, count)) = slots.iter().find(|(_, count)| **count > 1) {
            self.fail(&format!("{count} containers in {slot:?}"));
        }
    }

    fn mode(&self, service: &ServiceId) -> Option<Mode> {
        self.swarm.store.services().get(service.as_str()).map(|service| service.mode())
    }

    fn starts_first(&self, service: &ServiceId) -> bool {
        let Some(service) = self.swarm.store.services().get(service.as_str()) else { return true };
        let config = service.spec.update_config.as_ref();
        config.is_some_and(|config| config.order == Some(Order::START_FIRST))
    }

    /// A task that was just assigned is on a node that takes tasks and meets its constraints.
    fn check_placement(&mut self) {
        let new: Vec<Arc<Task>> = self
            .swarm
            .store
            .tasks_in_state(TaskState::ASSIGNED)
            .filter(|task| !self.placed.contains(&task.id))
            .cloned()
            .collect();
        for task in new {
            let node = self.swarm.store.nodes().get(task.node_id.as_ref().unwrap().as_str()).unwrap().clone();
            let constraints = constraint::parse(constraint::of(&task.spec)).unwrap();
            let active = node.is_ready() && node.availability() == Availability::ACTIVE;
            if task.is_wanted() && !(active && constraint::matches(&constraints, &node)) {
                self.fail(&format!("{} was assigned to {}", task.id, node.id));
            }
            self.placed.insert(task.id.clone());
        }
    }

    /// No address is given twice, and each is one of its network.
    fn check_addresses(&self) {
        let view = &self.swarm.store;
        let vips = view
            .services()
            .iter()
            .filter_map(|service| service.endpoint.as_ref())
            .flat_map(|endpoint| &endpoint.virtual_ips)
            .map(|vip| (vip.network_id.clone(), vip.addr.clone()));
        let attachments = view
            .tasks()
            .iter()
            .filter(|task| task.is_alive())
            .flat_map(|task| &task.networks)
            .chain(view.nodes().iter().flat_map(|node| &node.attachments))
            .flat_map(|it| it.addresses.iter().map(|address| (it.network_id.clone(), address.clone())));
        let mut seen = BTreeSet::new();
        for (network, address) in vips.chain(attachments) {
            if !seen.insert((network.clone(), address.clone())) {
                self.fail(&format!("{address} of {network} was given twice"));
            }
        }
    }

    fn check_ports_and_networks(&self) {
        let view = &self.swarm.store;
        let endpoints = view.services().iter().filter_map(|service| service.endpoint.as_ref());
        let mut ports = BTreeSet::new();
        for port in endpoints.flat_map(|endpoint| &endpoint.ports) {
            if !ports.insert((port.protocol, port.published_port)) {
                self.fail(&format!("port {port:?} was given twice"));
            }
        }
        let subnets: Vec<Subnet> = view
            .networks()
            .iter()
            .filter_map(|network| {
                Subnet::parse(network.ipam.as_ref()?.config.as_ref()?[0].subnet.as_deref()?)
            })
            .collect();
        for (index, subnet) in subnets.iter().enumerate() {
            if subnets[..index].iter().any(|other| other.overlaps(*subnet)) {
                self.fail("subnets overlap");
            }
        }
    }

    /// No slot keeps more ended tasks than the history says.
    fn check_history(&self) {
        let mut ended = BTreeMap::<(Option<ServiceId>, u64, Option<String>), usize>::new();
        for task in self.swarm.store.tasks().iter().filter(|task| task.has_ended()) {
            let service = task.service_id.clone();
            let global = service.as_ref().and_then(|id| self.mode(id)).is_some_and(Mode::is_global);
            let node = task.node_id.as_ref().filter(|_| global).map(|id| id.to_string());
            *ended.entry((service, task.slot, node)).or_default() += 1;
        }
        if let Some((slot, count)) = ended.iter().find(|(_, count)| **count > HISTORY) {
            self.fail(&format!("{count} ended tasks are kept in {slot:?}"));
        }
    }

    /// Without faults every service comes to what it wants, and nothing else runs.
    fn check_converged(&self) {
        for service in self.swarm.store.services().iter() {
            match service.mode() {
                Mode::Replicated { replicas } => self.check_runs(service, replicas as usize),
                Mode::Global => self.check_runs(service, self.swarm.store.nodes().len()),
                Mode::ReplicatedJob { total, .. } => self.check_completed(service, total as usize),
                Mode::GlobalJob => self.check_completed(service, self.swarm.store.nodes().len()),
            }
        }
        let wanted = |id: &TaskId| {
            self.swarm
                .store
                .tasks()
                .get(id.as_str())
                .is_some_and(|task| task.status.state == TaskState::RUNNING)
        };
        if self.swarm.containers.keys().any(|id| !wanted(id)) {
            self.fail("a container that nobody wants still runs");
        }
    }

    fn check_runs(&self, service: &Service, expected: usize) {
        let running = self.swarm.running(&service.id);
        let places: BTreeSet<_> = match service.mode() {
            Mode::Global => running.iter().map(|(_, node)| node.clone()).collect(),
            _ => running.iter().map(|(slot, _)| slot.to_string()).collect(),
        };
        let paused = service
            .update_status
            .as_ref()
            .is_some_and(|status| matches!(status.state, UpdateState::PAUSED | UpdateState::ROLLBACK_PAUSED));
        // An update that is paused on its way, start-first, has old and new tasks side by side.
        let beside = paused && self.starts_first(&service.id);
        if (running.len() != expected && !beside) || places.len() != expected {
            self.fail(&format!("{} runs {running:?}, wants {expected}", service.name()));
        }
        let view = &self.swarm.store;
        let old = view.service_tasks(&service.id).filter(|task| task.is_wanted()).any(|task| {
            let node = task.node_id.as_ref().and_then(|id| view.nodes().get(id.as_str()));
            is_outdated(service, task, node.map(Arc::as_ref))
        });
        if old && !paused {
            self.fail(&format!("{} has tasks of an older spec: {:?}", service.name(), service.update_status));
        }
        if service.update_status.as_ref().is_some_and(|status| status.is_running()) {
            self.fail(&format!("the update of {} does not end", service.name()));
        }
    }

    fn check_completed(&self, service: &Service, expected: usize) {
        let run = service.job_status.map(|status| status.iteration);
        let completed = self
            .swarm
            .store
            .service_tasks(&service.id)
            .filter(|task| task.job_iteration == run && task.status.state == TaskState::COMPLETE)
            .count();
        if completed != expected {
            self.fail(&format!("{} completed {completed} of {expected}", service.name()));
        }
    }
}
