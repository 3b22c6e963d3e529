//! Tasks whose service or node is gone, or whose node was silent for too long.

use super::change;
use super::restart::stop;
use crate::control::Clock;
use crate::objects::{Duration, NodeId, ServiceId, Task, TaskId, TaskState};
use crate::store::Transaction;

/// How long the tasks of a node that is down are still thought to run there.
const ORPHANED_AFTER: Duration = Duration::seconds(24 * 3600);

pub(super) fn settle(tx: &mut Transaction<'_>, clock: &mut Clock) {
    remove_tasks_without_service(tx);
    let nodes: Vec<NodeId> = tx.nodes_with_tasks().cloned().collect();
    for id in nodes {
        match tx.nodes().get(id.as_str()) {
            None => orphan(tx, clock, &id, Some("Task belonged to a node that has been deleted")),
            Some(node) if node.is_down() && clock.has_reached(node.status.since + ORPHANED_AFTER) => {
                orphan(tx, clock, &id, None);
            }
            Some(_) => {}
        }
    }
}

fn remove_tasks_without_service(tx: &mut Transaction<'_>) {
    let gone: Vec<ServiceId> =
        tx.services_with_tasks().filter(|id| !tx.services().contains(id.as_str())).cloned().collect();
    for id in gone {
        let tasks: Vec<_> = tx.service_tasks(&id).cloned().collect();
        for task in tasks {
            stop(tx, &task, TaskState::REMOVE);
        }
    }
}

/// Without a message the last one stays.
fn orphan(tx: &mut Transaction<'_>, clock: &Clock, node: &NodeId, message: Option<&str>) {
    let alive: Vec<TaskId> =
        tx.node_tasks(node).filter(|task| task.is_alive()).map(|task| task.id.clone()).collect();
    for id in alive {
        change::<Task>(tx, &id, |task| {
            let message = message.map_or_else(|| task.status.message.clone(), str::to_owned);
            task.decide(TaskState::ORPHANED, &message, clock.now);
        });
    }
}
