//! The tasks of one slot, new ones, and whether one is of the current spec.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{create, is_out_of_reach};
use crate::objects::{
    Annotations, Cluster, Endpoint, EndpointSpec, Hold, Mode, Moment, Node, NodeId, Service, ServiceId, Task,
    TaskId, TaskSpec, TaskState, TaskStatus,
};
use crate::random::Random;
use crate::scheduler::constraint;
use crate::store::{Transaction, View};

/// Where a task of a service belongs: a number, or a node.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub slot: u64,
    /// Only for global services.
    pub node: Option<NodeId>,
}

impl Place {
    pub fn of(task: &Task, mode: Mode) -> Self {
        if mode.is_global() {
            Self { slot: 0, node: task.node_id.clone() }
        } else {
            Self { slot: task.slot, node: None }
        }
    }

    /// The tasks that were ever made for the place and are still on record.
    pub fn tasks(&self, view: &View, service: &ServiceId) -> Vec<Arc<Task>> {
        let here = |task: &&Arc<Task>| self.node.is_none() || task.node_id == self.node;
        view.slot_tasks(service, self.slot).filter(here).cloned().collect()
    }
}

/// The service's tasks by place, in the order of places.
pub(super) fn by_place(view: &View, service: &Service) -> BTreeMap<Place, Vec<Arc<Task>>> {
    let mut places = BTreeMap::<Place, Vec<Arc<Task>>>::new();
    for task in view.service_tasks(&service.id) {
        places.entry(Place::of(task, service.mode())).or_default().push(task.clone());
    }
    places
}

/// A new task of the service's current spec, wanted at once.
pub(super) fn new_task(
    view: &View,
    service: &Service,
    place: &Place,
    now: Moment,
    random: &mut Random,
) -> Task {
    let spec = service.spec.task_template.clone().unwrap_or_default();
    let log_driver =
        spec.log_driver.clone().or_else(|| view.cluster().and_then(|cluster| default_log(cluster)));
    Task {
        id: TaskId::from(random.id()),
        spec,
        spec_version: service.spec_version,
        service_id: Some(service.id.clone()),
        slot: place.slot,
        node_id: place.node.clone(),
        service_annotations: Annotations {
            name: service.name().to_owned(),
            labels: service.spec.labels.clone().unwrap_or_default(),
        },
        status: TaskStatus {
            timestamp: now.wall,
            applied_at: now.clock,
            state: TaskState::NEW,
            message: "created".into(),
            ..TaskStatus::default()
        },
        desired_state: wanted_state(service.mode()),
        made_at: now.clock,
        endpoint: Some(Endpoint { spec: endpoint_spec(service), ..Endpoint::default() }),
        log_driver,
        registry_auth: service.registry_auth.clone(),
        job_iteration: service.job_status.map(|status| status.iteration),
        ..Task::default()
    }
}

/// Puts a new task in the place; it is held as long as what was there before may still run.
pub(super) fn add_task(
    tx: &mut Transaction<'_>,
    service: &Service,
    place: &Place,
    now: Moment,
    random: &mut Random,
) {
    let mut task = new_task(tx, service, place, now, random);
    if !is_clear(tx, &service.id, place, service.mode()) {
        task.desired_state = TaskState::READY;
        task.hold = Some(Hold { until: now.clock, alone: true });
    }
    create(tx, task);
}

/// How far the tasks of the mode are wanted to go.
pub(super) fn wanted_state(mode: Mode) -> TaskState {
    if mode.is_job() { TaskState::COMPLETE } else { TaskState::RUNNING }
}

/// Whether nothing that was told to stop in the place may still be running.
pub(super) fn is_clear(view: &View, service: &ServiceId, place: &Place, mode: Mode) -> bool {
    place.tasks(view, service).iter().all(|task| {
        task.desired_state <= wanted_state(mode)
            || task.has_ended()
            || task.status.state < TaskState::ASSIGNED
            || is_out_of_reach(view, task.node_id.as_ref())
    })
}

fn default_log(cluster: &Cluster) -> Option<crate::objects::TaskSpecLogDriver> {
    let driver = cluster.spec.task_defaults.as_ref()?.log_driver.as_ref()?;
    Some(crate::objects::TaskSpecLogDriver { name: driver.name.clone(), options: driver.options.clone() })
}

pub(crate) fn endpoint_spec(service: &Service) -> EndpointSpec {
    service.spec.endpoint_spec.clone().unwrap_or_default()
}

/// Whether the task has to be replaced for the service's spec: not when only its placement changed
/// and its node suits the new one too.
pub fn is_outdated(service: &Service, task: &Task, node: Option<&Node>) -> bool {
    if task.spec_version.is_some() && task.spec_version == service.spec_version {
        return false;
    }
    let default = TaskSpec::default();
    let wanted = service.spec.task_template.as_ref().unwrap_or(&default);
    if only_placement_differs(wanted, &task.spec) && node.is_some_and(|node| suits(wanted, node)) {
        return false;
    }
    let other_endpoint =
        task.endpoint.as_ref().is_some_and(|endpoint| endpoint.spec != endpoint_spec(service));
    *wanted != task.spec || other_endpoint
}

fn only_placement_differs(wanted: &TaskSpec, has: &TaskSpec) -> bool {
    wanted.placement != has.placement
        && TaskSpec { placement: has.placement.clone(), ..wanted.clone() } == *has
}

/// Whether the node meets the spec's constraints. A spec with a constraint nobody can read suits none.
pub(super) fn suits(spec: &TaskSpec, node: &Node) -> bool {
    let constraints = constraint::of(spec);
    if constraints.is_empty() {
        return true;
    }
    constraint::parse(constraints).is_ok_and(|parsed| constraint::matches(&parsed, node))
}
