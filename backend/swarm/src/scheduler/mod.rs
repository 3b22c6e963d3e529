//! Which node a task runs on.
//!
//! A task that the allocator has done with is `PENDING`. Filters say which nodes can take it; of
//! those the one is best that runs the fewest tasks of its service, then the fewest at all; a node
//! on which the service kept failing comes last. Placement preferences first split the nodes by a
//! label and even the branches out. Where no node will do, the task says why and stays.
//!
//! A decision is made once: an assigned task never moves.

pub mod constraint;
mod explain;
mod filter;
mod generic;
mod inventory;
pub mod resources;
mod spread;

use std::collections::BTreeMap;
use std::sync::Arc;

use explain::Pipeline;
use inventory::Inventory;
pub(crate) use inventory::{FAILURES_COUNT_FOR, MANY_FAILURES, protocol};
use spread::Branch;

use crate::objects::{Moment, NodeId, ServiceId, Task, TaskId, TaskState, Version};
use crate::random::Random;
use crate::store::{Transaction, View};

/// Gives every pending task a node, or a reason why it has none.
pub fn schedule(tx: &mut Transaction<'_>, now: Moment, random: &mut Random) {
    let pending: Vec<Arc<Task>> = tx
        .tasks_in_state(TaskState::PENDING)
        .filter(|task| task.desired_state <= TaskState::COMPLETE)
        .cloned()
        .collect();
    if pending.is_empty() {
        return;
    }
    let mut inventory = Inventory::of(tx, random);
    let mut groups = BTreeMap::<(Option<ServiceId>, Option<Version>, Option<TaskId>), Vec<Arc<Task>>>::new();
    for task in pending {
        if let Some(node) = task.node_id.clone() {
            confirm(tx, &mut inventory, &task, &node, now);
        } else {
            // Tasks of one spec are alike; one without a version is a group of its own.
            let alone = task.spec_version.is_none().then(|| task.id.clone());
            groups.entry((task.service_id.clone(), task.spec_version, alone)).or_default().push(task);
        }
    }
    for group in groups.into_values() {
        place(tx, &mut inventory, group, now);
    }
}

/// A global service's task has its node already; the node may have no room.
fn confirm(
    tx: &mut Transaction<'_>,
    inventory: &mut Inventory,
    task: &Arc<Task>,
    node: &NodeId,
    now: Moment,
) {
    let Some(place) = inventory.position(node) else { return };
    let mut pipeline = Pipeline::of(tx, task);
    if pipeline.passes(&inventory.nodes[place]) {
        assign(tx, inventory, place, task, "scheduler confirmed task can run on preassigned node", now);
    } else {
        explain(tx, task, pipeline.explain(), now);
    }
}

fn place(tx: &mut Transaction<'_>, inventory: &mut Inventory, group: Vec<Arc<Task>>, now: Moment) {
    let sample = group[0].clone();
    let mut pipeline = Pipeline::of(tx, &sample);
    inventory.note_failures(tx, &sample, now.clock);
    let mut root = Branch::grow(inventory, &sample, &mut pipeline);
    let mut waiting = group.into_iter().peekable();
    while let Some(task) = waiting.peek() {
        let mut to_node = |inventory: &mut Inventory, place: usize| {
            assign(tx, inventory, place, task, "scheduler assigned task to node", now);
        };
        if !root.place_one(inventory, &sample, &mut pipeline, &mut to_node) {
            break;
        }
        waiting.next();
    }
    let explanation = pipeline.explain();
    let reason = if explanation.is_empty() {
        "no suitable node".to_owned()
    } else {
        format!("no suitable node ({explanation})")
    };
    for task in waiting {
        if !is_of_older_spec(tx, &task) {
            explain(tx, &task, reason.clone(), now);
        }
    }
}

fn is_of_older_spec(view: &View, task: &Task) -> bool {
    let service = task.service_id.as_ref().and_then(|id| view.services().get(id.as_str()));
    service.is_some_and(|service| service.spec_version > task.spec_version && task.spec_version.is_some())
}

fn assign(
    tx: &mut Transaction<'_>,
    inventory: &mut Inventory,
    place: usize,
    task: &Arc<Task>,
    message: &str,
    now: Moment,
) {
    let node = inventory.nodes[place].node.id.clone();
    let mut assigned = Task::clone(task);
    assigned.node_id = Some(node);
    assigned.assigned_generic_resources = inventory.nodes[place].available.claim(&task.spec);
    assigned.decide(TaskState::ASSIGNED, message, now);
    inventory.nodes[place].add(&assigned);
    tx.update(assigned).expect("what was read in a transaction is not stale in it");
}

/// Writes the reason down, unless it stands there already.
fn explain(tx: &mut Transaction<'_>, task: &Task, reason: String, now: Moment) {
    if task.status.err == reason {
        return;
    }
    let noted = |task: &mut Task| {
        task.status.err = reason;
        task.status.timestamp = now.wall;
        task.status.applied_at = now.clock;
    };
    tx.change::<Task>(&task.id, noted).expect("what was read in a transaction is not stale in it");
}
