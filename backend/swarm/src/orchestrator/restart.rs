//! The end of a task: it is told to stop, and where the policy says so a successor is made.
//!
//! How often a slot was restarted is counted from the records of its tasks; the reaper keeps
//! enough of them for that.

use std::sync::Arc;

use super::policy::RestartPolicy;
use super::slot::{Place, is_clear, new_task, wanted_state};
use super::{change, create};
use crate::control::Clock;
use crate::objects::{
    Duration, Failure, Hold, RestartCondition, Service, Task, TaskState, Timestamp, UpdateState,
};
use crate::random::Random;
use crate::scheduler::{FAILURES_COUNT_FOR, MANY_FAILURES};
use crate::store::{Transaction, View};

/// Tells the task to stop and makes a successor if there shall be one. A task that failed before
/// its own delay was over is left until then, so that what cannot start is not tried without end.
pub(super) fn restart(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Service,
    task: &Arc<Task>,
) {
    if task.desired_state == TaskState::READY && task.hold.is_some_and(|hold| !clock.has_reached(hold.until))
    {
        return;
    }
    stop(tx, task, TaskState::SHUTDOWN);
    if !should_restart(tx, service, task) {
        return;
    }
    let place = Place::of(task, service.mode());
    let mut successor = new_task(tx, service, &place, clock.now, random);
    successor.failures = failures_until(task, clock.now.clock);
    let delay = delay_after(tx, task);
    // Not only this task may still be stopping there: it may itself have waited for another.
    if delay > Duration::ZERO || !is_clear(tx, &service.id, &place, service.mode()) {
        successor.desired_state = TaskState::READY;
        successor.hold = Some(Hold { until: clock.now.clock + delay, alone: true });
    }
    create(tx, successor);
}

/// The failures of the slot that still count, with the task's own. No more are kept than make a node
/// the last choice twice over.
fn failures_until(task: &Task, now: Timestamp) -> Vec<Failure> {
    let own = matches!(task.status.state, TaskState::FAILED | TaskState::REJECTED)
        .then(|| Failure { node_id: task.node_id.clone().unwrap_or_default(), at: task.changed_at() });
    let recent = task.failures.iter().filter(|failure| now - failure.at < FAILURES_COUNT_FOR).cloned();
    let mut failures: Vec<Failure> = recent.chain(own).collect();
    let surplus = failures.len().saturating_sub(2 * MANY_FAILURES);
    failures.drain(..surplus);
    failures
}

/// Lowers no wish: a task that shall be removed is not only to be shut down.
pub(super) fn stop(tx: &mut Transaction<'_>, task: &Task, state: TaskState) {
    if task.desired_state < state {
        change::<Task>(tx, &task.id, |task| {
            task.desired_state = state;
            task.hold = None;
        });
    }
}

/// The tasks of a node that is drained, or down, move at once: the delay is for what fails by itself.
fn delay_after(view: &View, task: &Task) -> Duration {
    let node = task.node_id.as_ref().and_then(|id| view.nodes().get(id.as_str()));
    let moves = node.is_some_and(|node| node.is_drained() || node.is_down());
    if moves { Duration::ZERO } else { RestartPolicy::of(task).delay }
}

/// Whether the policy wants another task after this one.
pub(super) fn should_restart(view: &View, service: &Service, task: &Task) -> bool {
    let policy = RestartPolicy::of(task);
    let completed = task.status.state == TaskState::COMPLETE;
    let condition = match policy.condition {
        RestartCondition::NONE => false,
        RestartCondition::ON_FAILURE => !completed,
        _ => !(completed && service.mode().is_job()),
    };
    condition
        && (policy.max_attempts == 0 || attempts(view, service, task, policy.window) < policy.max_attempts)
}

/// How often the task's slot was started again with the task's spec, not counting its own end.
fn attempts(view: &View, service: &Service, task: &Task, window: Duration) -> u64 {
    let mut starts: Vec<_> = Place::of(task, service.mode())
        .tasks(view, &service.id)
        .into_iter()
        .filter(|other| other.spec_version == task.spec_version && other.job_iteration == task.job_iteration)
        .map(|other| (other.begun_at(), other.id.clone()))
        .collect();
    starts.sort();
    let end = task.changed_at();
    let counts = |start: Timestamp| window == Duration::ZERO || (start > end - window && start < end);
    starts.iter().skip(1).filter(|(start, _)| counts(*start)).count() as u64
}

/// The tasks of a place that count as being there: those that are wanted, or else the last one if
/// the policy wants none after it.
pub(super) fn occupants(view: &View, service: &Service, tasks: &[Arc<Task>]) -> Vec<Arc<Task>> {
    let limit = wanted_state(service.mode());
    let wanted: Vec<_> = tasks.iter().filter(|task| task.desired_state <= limit).cloned().collect();
    if !wanted.is_empty() {
        return wanted;
    }
    let rolling_back =
        service.update_status.as_ref().is_some_and(|status| status.state == UpdateState::ROLLBACK_STARTED);
    let kept = tasks.iter().filter(|task| task.desired_state < TaskState::REMOVE);
    match kept.max_by_key(|task| (task.changed_at(), task.begun_at())) {
        Some(last) if !rolling_back && !should_restart(view, service, last) => vec![last.clone()],
        _ => Vec::new(),
    }
}
