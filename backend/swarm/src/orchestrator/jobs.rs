//! Jobs: tasks that end by themselves, a number of times or once on every node, and again each
//! time the service is updated.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::is_unfit;
use super::replicated::restart_ended;
use super::restart::{occupants, stop};
use super::slot::{Place, add_task, by_place, suits};
use crate::control::Clock;
use crate::objects::{Availability, Mode, Service, Task, TaskState, Version};
use crate::random::Random;
use crate::store::Transaction;

pub(super) fn reconcile_replicated(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Arc<Service>,
    concurrent: u64,
    total: u64,
) {
    remove_earlier_runs(tx, service);
    restart_ended(tx, clock, random, service);
    let mut taken = BTreeSet::new();
    let mut under_way = 0;
    for (place, tasks) in current_run(tx, service) {
        let occupants = occupants(tx, service, &tasks);
        if !occupants.is_empty() {
            taken.insert(place.slot);
            under_way += u64::from(occupants.iter().any(|task| is_under_way(task)));
        }
    }
    let missing = total.saturating_sub(taken.len() as u64).min(concurrent.saturating_sub(under_way));
    // swarmkit counts the slots of jobs from 0.
    for slot in (0..total).filter(|slot| !taken.contains(slot)).take(missing as usize) {
        add_task(tx, service, &Place { slot, node: None }, clock.now, random);
    }
}

pub(super) fn reconcile_global(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Arc<Service>,
) {
    remove_earlier_runs(tx, service);
    stop_on_unfit_nodes(tx, service);
    restart_ended(tx, clock, random, service);
    let run: BTreeSet<Place> = current_run(tx, service)
        .into_iter()
        .filter(|(_, tasks)| !occupants(tx, service, tasks).is_empty())
        .map(|(place, _)| place)
        .collect();
    let template = service.spec.task_template.clone().unwrap_or_default();
    let places: Vec<Place> = tx
        .nodes()
        .iter()
        .filter(|node| {
            node.is_ready() && node.availability() == Availability::ACTIVE && suits(&template, node)
        })
        .map(|node| Place { slot: 0, node: Some(node.id.clone()) })
        .filter(|place| !run.contains(place))
        .collect();
    for place in places {
        add_task(tx, service, &place, clock.now, random);
    }
}

fn run_of(service: &Service) -> Option<Version> {
    service.job_status.map(|status| status.iteration)
}

/// The tasks of the job's present start, by place.
fn current_run(tx: &Transaction<'_>, service: &Service) -> Vec<(Place, Vec<Arc<Task>>)> {
    let run = run_of(service);
    by_place(tx, service)
        .into_iter()
        .map(|(place, mut tasks)| {
            tasks.retain(|task| task.job_iteration == run);
            (place, tasks)
        })
        .filter(|(_, tasks)| !tasks.is_empty())
        .collect()
}

fn is_under_way(task: &Task) -> bool {
    task.desired_state <= TaskState::COMPLETE && task.status.state != TaskState::COMPLETE
}

/// What an earlier start left: those still running, and the records of those that were on nodes.
fn remove_earlier_runs(tx: &mut Transaction<'_>, service: &Service) {
    let run = run_of(service);
    let global = service.mode() == Mode::GlobalJob;
    let earlier = |task: &&Arc<Task>| task.job_iteration != run && (global || task.is_alive());
    let earlier: Vec<_> = tx.service_tasks(&service.id).filter(earlier).cloned().collect();
    for task in earlier {
        stop(tx, &task, TaskState::REMOVE);
    }
}

fn stop_on_unfit_nodes(tx: &mut Transaction<'_>, service: &Service) {
    let unfit = |task: &&Arc<Task>| {
        let node = task.node_id.as_ref().and_then(|id| tx.nodes().get(id.as_str()));
        task.status.state != TaskState::COMPLETE && is_unfit(node)
    };
    let unfit: Vec<_> = tx.service_tasks(&service.id).filter(unfit).cloned().collect();
    for task in unfit {
        stop(tx, &task, TaskState::SHUTDOWN);
    }
}
