//! The nodes as a decision sees them: what each has, what runs on it, and what failed on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::resources::Available;
use crate::objects::{Duration, Node, NodeId, Protocol, PublishMode, ServiceId, Task, TaskState, Timestamp};
use crate::random::Random;
use crate::store::View;

/// How far back failures count against a node.
pub const FAILURES_COUNT_FOR: Duration = Duration::seconds(5 * 60);
/// So many failures of a service make a node the last choice for it.
pub const MANY_FAILURES: usize = 5;

#[derive(Debug)]
pub struct Inventory {
    pub nodes: Vec<NodeInfo>,
}

#[derive(Debug)]
pub struct NodeInfo {
    pub node: Arc<Node>,
    pub available: Available,
    /// Tasks that run or are wanted to.
    pub active: usize,
    active_by_service: BTreeMap<ServiceId, usize>,
    host_ports: BTreeSet<(Protocol, i64)>,
    /// Of the service that is being placed.
    failures: usize,
    /// Decides between nodes that are alike.
    pub lot: u64,
}

impl Inventory {
    pub fn of(view: &View, random: &mut Random) -> Self {
        let nodes = view.nodes().iter().map(|node| NodeInfo::of(view, node, random.draw()));
        Self { nodes: nodes.collect() }
    }

    /// Counts where tasks of the same service and spec failed, as their successors remember.
    pub fn note_failures(&mut self, view: &View, sample: &Task, now: Timestamp) {
        self.nodes.iter_mut().for_each(|info| info.failures = 0);
        let Some(service) = &sample.service_id else { return };
        let alike = view
            .service_tasks(service)
            .filter(|task| task.is_wanted() && task.spec_version == sample.spec_version);
        let recent =
            alike.flat_map(|task| &task.failures).filter(|failure| now - failure.at < FAILURES_COUNT_FOR);
        for failure in recent {
            if let Some(place) = self.position(&failure.node_id) {
                self.nodes[place].failures += 1;
            }
        }
    }

    pub fn position(&self, id: &NodeId) -> Option<usize> {
        self.nodes.iter().position(|info| info.node.id == *id)
    }
}

impl NodeInfo {
    fn of(view: &View, node: &Arc<Node>, lot: u64) -> Self {
        let mut info = Self {
            node: node.clone(),
            available: Available::of(node),
            active: 0,
            active_by_service: BTreeMap::new(),
            host_ports: BTreeSet::new(),
            failures: 0,
            lot,
        };
        for task in view.node_tasks(&node.id) {
            if task.status.state > TaskState::PENDING && task.is_alive() {
                info.add(task);
            }
        }
        info
    }

    /// Takes the task in: a task that stops holds what it has until it has stopped.
    pub fn add(&mut self, task: &Task) {
        self.available.take(task);
        self.host_ports.extend(host_ports(task));
        if task.desired_state <= TaskState::COMPLETE {
            self.active += 1;
            if let Some(service) = &task.service_id {
                *self.active_by_service.entry(service.clone()).or_default() += 1;
            }
        }
    }

    /// Active tasks of the task's service.
    pub fn of_service(&self, task: &Task) -> usize {
        let service = task.service_id.as_ref();
        service.and_then(|service| self.active_by_service.get(service)).copied().unwrap_or(0)
    }

    /// How often tasks of the service failed here of late, if that is often.
    fn many_failures(&self) -> usize {
        if self.failures >= MANY_FAILURES { self.failures } else { 0 }
    }

    pub fn has_host_port(&self, port: (Protocol, i64)) -> bool {
        self.host_ports.contains(&port)
    }

    /// Smaller is better: failures, tasks of the service, tasks at all, and then the lot.
    pub fn rank(&self, task: &Task) -> (usize, usize, usize, u64) {
        (self.many_failures(), self.of_service(task), self.active, self.lot)
    }
}

/// The ports that a task publishes on its node itself.
pub fn host_ports(task: &Task) -> impl Iterator<Item = (Protocol, i64)> {
    let ports = task.endpoint.as_ref().map(|endpoint| endpoint.ports.as_slice()).unwrap_or_default();
    ports
        .iter()
        .filter(|port| port.publish_mode == Some(PublishMode::HOST))
        .filter_map(|port| Some((protocol(port.protocol), port.published_port.filter(|port| *port != 0)?)))
}

/// TCP unless something else is said.
pub fn protocol(protocol: Option<Protocol>) -> Protocol {
    protocol.filter(|protocol| *protocol != Protocol::EMPTY).unwrap_or(Protocol::TCP)
}
