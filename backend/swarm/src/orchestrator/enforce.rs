//! Tasks on nodes that no longer suit them: a label was taken away, or the node has less than it had.

use std::sync::Arc;

use super::change;
use super::slot::suits;
use crate::objects::{Availability, Moment, Node, Task, TaskId, TaskState};
use crate::scheduler::resources::Available;
use crate::store::{Transaction, View};

/// Says that they were rejected, and leaves it to the orchestrators what follows from that. Drained
/// nodes are the orchestrators' own matter, and paused ones keep what they have.
pub(super) fn reject_misplaced(tx: &mut Transaction<'_>, now: Moment) {
    let active =
        |node: &&Arc<Node>| node.availability() == Availability::ACTIVE && node.description.is_some();
    let misplaced: Vec<TaskId> =
        tx.nodes().iter().filter(active).flat_map(|node| misplaced_on(tx, node)).collect();
    for id in misplaced {
        change::<Task>(tx, &id, |task| {
            task.decide(TaskState::REJECTED, "task rejected by constraint enforcer", now);
            task.status.err = "assigned node no longer meets constraints".into();
        });
    }
}

fn misplaced_on(view: &View, node: &Node) -> Vec<TaskId> {
    let mut available = Available::of(node);
    let placed = |task: &&Arc<Task>| {
        task.desired_state >= TaskState::ASSIGNED
            && task.desired_state <= TaskState::COMPLETE
            && task.status.state >= TaskState::ASSIGNED
            && task.status.state < TaskState::COMPLETE
    };
    let is_misplaced = |task: &&Arc<Task>| {
        let fits = meets_constraints(view, task, node) && available.still_has(task);
        if fits {
            available.take(task);
        }
        !fits
    };
    view.node_tasks(&node.id).filter(placed).filter(is_misplaced).map(|task| task.id.clone()).collect()
}

/// By the service's present constraints: a change of them alone leaves its tasks as they are.
fn meets_constraints(view: &View, task: &Task, node: &Node) -> bool {
    let service = task.service_id.as_ref().and_then(|id| view.services().get(id.as_str()));
    let template = service.and_then(|service| service.spec.task_template.as_ref());
    suits(template.unwrap_or(&task.spec), node)
}
