//! Services with one task on every node that suits them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::replicated::restart_ended;
use super::restart::{occupants, stop};
use super::slot::{Place, add_task, by_place, suits};
use super::{is_unfit, update};
use crate::control::Clock;
use crate::objects::{Availability, Node, Service, Task, TaskSpec, TaskState};
use crate::random::Random;
use crate::store::Transaction;

pub(super) fn reconcile(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Arc<Service>,
) {
    let template = service.spec.task_template.clone().unwrap_or_default();
    stop_where_unwanted(tx, service, &template);
    restart_ended(tx, clock, random, service);
    let mut places: BTreeMap<Place, Vec<Arc<Task>>> = by_place(tx, service)
        .into_iter()
        .map(|(place, tasks)| (place, occupants(tx, service, &tasks)))
        .collect();
    let nodes: Vec<Arc<Node>> =
        tx.nodes().iter().filter(|node| takes_tasks(node, &template)).cloned().collect();
    let mut slots = Vec::new();
    for node in nodes {
        let place = Place { slot: 0, node: Some(node.id.clone()) };
        match places.remove(&place) {
            Some(tasks) if !tasks.is_empty() => slots.push((place, tasks)),
            _ => add_task(tx, service, &place, clock.now, random),
        }
    }
    update::advance(tx, clock, random, service, &slots);
}

/// A paused node keeps what it has and gets nothing new.
fn takes_tasks(node: &Arc<Node>, template: &TaskSpec) -> bool {
    !is_unfit(Some(node)) && node.availability() == Availability::ACTIVE && suits(template, node)
}

/// Tasks on nodes that are drained, down, gone or do not suit; on a paused node those that ended.
fn stop_where_unwanted(tx: &mut Transaction<'_>, service: &Service, template: &TaskSpec) {
    let unwanted = |task: &&Arc<Task>| {
        let node = task.node_id.as_ref().and_then(|id| tx.nodes().get(id.as_str()));
        task.desired_state <= TaskState::RUNNING
            && (is_unfit(node)
                || node.is_some_and(|node| {
                    !suits(template, node) || (task.has_ended() && node.availability() == Availability::PAUSE)
                }))
    };
    let unwanted: Vec<_> = tx.service_tasks(&service.id).filter(unwanted).cloned().collect();
    for task in unwanted {
        stop(tx, &task, TaskState::SHUTDOWN);
    }
}
