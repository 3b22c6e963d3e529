//! Services with a number of tasks: as many slots as replicas, each with one task.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::restart::{occupants, restart, stop};
use super::slot::{Place, add_task, by_place};
use super::{is_unfit, update};
use crate::control::Clock;
use crate::objects::{NodeId, Service, Task, TaskState};
use crate::random::Random;
use crate::store::Transaction;

/// Tasks made in one look: a batch stays small enough for one entry of the log.
const MOST_NEW_TASKS: u64 = 200;

type Slot = (Place, Vec<Arc<Task>>);

pub(super) fn reconcile(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Arc<Service>,
    replicas: u64,
) {
    restart_ended(tx, clock, random, service);
    let mut slots = Vec::<Slot>::new();
    for (place, tasks) in by_place(tx, service) {
        let occupants = occupants(tx, service, &tasks);
        if occupants.is_empty() {
            for task in tasks {
                stop(tx, &task, TaskState::REMOVE);
            }
        } else {
            slots.push((place, occupants));
        }
    }
    if slots.len() as u64 > replicas {
        slots = scale_down(tx, slots, replicas as usize);
    }
    update::advance(tx, clock, random, service, &slots);
    scale_up(tx, clock, random, service, &slots, replicas);
}

/// Ends of tasks, also of those whose node cannot keep them.
pub(super) fn restart_ended(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Service,
) {
    let limit = super::slot::wanted_state(service.mode());
    let ended = |task: &&Arc<Task>| {
        let misplaced = || task.node_id.as_ref().is_some_and(|id| is_unfit(tx.nodes().get(id.as_str())));
        let done = limit == TaskState::COMPLETE && task.status.state == TaskState::COMPLETE;
        task.desired_state <= limit && !done && (task.has_ended() || misplaced())
    };
    let ended: Vec<_> = tx.service_tasks(&service.id).filter(ended).cloned().collect();
    for task in ended {
        restart(tx, clock, random, service, &task);
    }
}

fn scale_up(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Service,
    slots: &[Slot],
    replicas: u64,
) {
    let taken: BTreeSet<u64> = slots.iter().map(|(place, _)| place.slot).collect();
    let missing = replicas.saturating_sub(slots.len() as u64);
    let free = (1..).filter(|slot| !taken.contains(slot));
    for slot in free.take(missing.min(MOST_NEW_TASKS) as usize) {
        add_task(tx, service, &Place { slot, node: None }, clock.now, random);
    }
    if missing > MOST_NEW_TASKS {
        clock.has_reached(clock.now.clock + crate::objects::Duration::milliseconds(1));
    }
}

/// Removes from the nodes with most tasks of the service first; where that is equal, tasks that do
/// not run, and then the higher slots.
fn scale_down(tx: &mut Transaction<'_>, mut slots: Vec<Slot>, replicas: usize) -> Vec<Slot> {
    slots.sort_by_key(|(place, tasks)| (!is_running(tasks), place.slot));
    let mut on_node = BTreeMap::<NodeId, usize>::new();
    let mut ranked: Vec<(usize, Slot)> =
        slots.into_iter().map(|slot| (rank(&slot.1, &mut on_node), slot)).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let surplus = ranked.split_off(replicas);
    for (_, (_, tasks)) in surplus {
        for task in tasks {
            stop(tx, &task, TaskState::REMOVE);
        }
    }
    let mut kept: Vec<Slot> = ranked.into_iter().map(|(_, slot)| slot).collect();
    kept.sort_by(|(a, _), (b, _)| a.cmp(b));
    kept
}

/// The how-manieth task of its node the slot has; a slot with several tasks, or none placed, goes first.
fn rank(tasks: &[Arc<Task>], on_node: &mut BTreeMap<NodeId, usize>) -> usize {
    match tasks {
        [task] if task.node_id.is_some() => {
            let count = on_node.entry(task.node_id.clone().unwrap_or_default()).or_default();
            *count += 1;
            *count
        }
        _ => usize::MAX,
    }
}

fn is_running(tasks: &[Arc<Task>]) -> bool {
    tasks.iter().any(|task| task.status.state == TaskState::RUNNING)
}
