//! Records of tasks that nobody needs any more: those that were to be removed and have ended, and
//! in each slot those beyond the history that is kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::policy::RestartPolicy;
use super::slot::{by_place, wanted_state};
use crate::objects::{Cluster, Service, Task, TaskId, TaskState};
use crate::store::{Transaction, View};

pub(super) fn reap(tx: &mut Transaction<'_>) {
    let mut gone: BTreeSet<TaskId> = tx
        .tasks_desired(TaskState::REMOVE)
        .filter(|task| task.has_ended() || task.status.state < TaskState::ASSIGNED)
        .chain(tx.tasks_in_state(TaskState::ORPHANED).filter(|task| task.service_id.is_none()))
        // Places of plain containers: nobody asks what became of them.
        .chain(tx.tasks().iter().filter(|task| is_place(task) && task.has_ended()))
        .map(|task| task.id.clone())
        .collect();
    let limit = tx.cluster().map_or(Cluster::DEFAULT_TASK_HISTORY, |cluster| cluster.task_history());
    for service in tx.services().iter() {
        gone.extend(beyond_history(tx, service, limit));
    }
    for id in gone {
        tx.delete::<Task>(&id).expect("what was found in a transaction is there");
    }
}

fn is_place(task: &Task) -> bool {
    task.spec.network_attachment_spec.is_some()
}

/// The oldest ended tasks of each slot that are too many.
fn beyond_history(view: &View, service: &Service, limit: i64) -> Vec<TaskId> {
    let mut beyond = Vec::new();
    for mut tasks in by_place(view, service).into_values() {
        let Ok(kept) = usize::try_from(history(&tasks, limit)) else { continue };
        if tasks.len() <= kept {
            continue;
        }
        tasks.sort_by_key(|task| (task.changed_at(), task.begun_at()));
        let needed = tasks.iter().rev().find(|task| counts(task, service)).or(tasks.last()).cloned();
        let surplus = tasks.len() - kept;
        let over = tasks.iter().filter(|task| is_over(task) && Some(*task) != needed.as_ref());
        beyond.extend(over.take(surplus).map(|task| task.id.clone()));
    }
    beyond
}

/// A slot whose restarts are counted keeps one record more than the count may reach.
fn history(tasks: &[Arc<Task>], limit: i64) -> i64 {
    let attempts = tasks.iter().map(|task| RestartPolicy::of(task).max_attempts).max().unwrap_or(0);
    if attempts > 0 { i64::try_from(attempts).unwrap_or(i64::MAX).saturating_add(1) } else { limit }
}

/// The task that says what the slot is at: the one that is wanted, or has completed a job.
fn counts(task: &Task, service: &Service) -> bool {
    let run = service.job_status.map(|status| status.iteration);
    task.desired_state <= wanted_state(service.mode()) && task.job_iteration == run
}

/// Ended, or stopped before it came to a node.
fn is_over(task: &Task) -> bool {
    task.has_ended() || (task.status.state < TaskState::ASSIGNED && task.desired_state > TaskState::COMPLETE)
}
