//! A rolling update: slots with tasks of an older spec get a task of the current one, a few at a
//! time, and what fails may pause it or send it back.
//!
//! ```text
//!  (none) ─ a slot is out of date ─▶ updating ─ all done and watched ─▶ completed
//!                                     │    └─ failures ─▶ paused
//!                                     └─ failures ─▶ rollback_started ─▶ rollback_completed
//!                                                          └─ failures ─▶ rollback_paused
//! ```
//!
//! Everything it needs stands in the store: the tasks it made carry the time its phase began.

use std::sync::Arc;

use super::policy::{FailureAction, Order, UpdatePolicy};
use super::restart::stop;
use super::slot::{Place, is_clear, is_outdated, new_task};
use super::{change, create};
use crate::control::Clock;
use crate::objects::{
    Duration, Hold, Moment, Service, Task, TaskState, Timestamp, UpdateState, UpdateStatus,
};
use crate::random::Random;
use crate::store::{Transaction, View};

/// Takes the update of a service a step further. `slots` are those that stay, with the tasks that count.
pub(super) fn advance(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    random: &mut Random,
    service: &Arc<Service>,
    slots: &[(Place, Vec<Arc<Task>>)],
) {
    let status = service.update_status.as_ref();
    if status.is_some_and(UpdateStatus::is_paused) {
        return;
    }
    let dirty: Vec<_> = slots.iter().filter(|(_, tasks)| is_dirty(tx, service, tasks)).collect();
    let running = status.is_some_and(UpdateStatus::is_running);
    if dirty.is_empty() && !running {
        return;
    }
    let phase = begin(tx, clock.now, service, dirty.len() as u64);
    let policy = policy(service);
    let made = made_in(tx, service, phase);
    if running && let Some(failed) = too_many_failed(service, &made, &policy) {
        return give_up(tx, clock.now, service, &failed, policy.action);
    }
    let busy = made.iter().filter(|task| is_busy(task, clock, &policy)).count() as u64;
    let room = if policy.parallelism == 0 { u64::MAX } else { policy.parallelism.saturating_sub(busy) };
    let mut updater = Updater { tx, clock, random, service, policy, phase, room };
    for (place, tasks) in &dirty {
        updater.bring_up_to_date(place, tasks);
    }
    if running && dirty.is_empty() && busy == 0 {
        complete(tx, clock, service, &made, &policy);
    }
}

fn policy(service: &Service) -> UpdatePolicy {
    match &service.update_status {
        Some(status) if status.state == UpdateState::ROLLBACK_STARTED => UpdatePolicy::back(&service.spec),
        _ => UpdatePolicy::forward(&service.spec),
    }
}

/// Marks an update that begins, and answers the time its phase began.
fn begin(tx: &mut Transaction<'_>, now: Moment, service: &Service, dirty: u64) -> Timestamp {
    let Some(status) = &service.update_status else {
        let phase = phase_from(tx, service, now.clock);
        let status = UpdateStatus {
            slots: dirty,
            phase_started_at: phase,
            ..UpdateStatus::begin(UpdateState::UPDATING, "update in progress", now)
        };
        change::<Service>(tx, &service.id, |service| service.update_status = Some(status));
        return phase;
    };
    if status.is_running() && status.slots == 0 && dirty > 0 {
        change::<Service>(tx, &service.id, |service| {
            if let Some(status) = &mut service.update_status {
                status.slots = dirty;
            }
        });
    }
    status.phase_started_at
}

/// Now, or just after the last phase where the clock has not gone on since.
fn phase_from(view: &View, service: &Service, now: Timestamp) -> Timestamp {
    let last = view.service_tasks(&service.id).filter_map(|task| task.made_by_update).max();
    last.map_or(now, |last| now.max(last + Duration(1)))
}

/// A slot with one task of the current spec needs nothing.
fn is_dirty(view: &View, service: &Service, tasks: &[Arc<Task>]) -> bool {
    tasks.len() > 1 || tasks.iter().any(|task| is_old(view, service, task))
}

fn is_old(view: &View, service: &Service, task: &Task) -> bool {
    let node = task.node_id.as_ref().and_then(|id| view.nodes().get(id.as_str()));
    is_outdated(service, task, node.map(Arc::as_ref))
}

/// The tasks that this phase of the update made, by the records.
fn made_in(view: &View, service: &Service, phase: Timestamp) -> Vec<Arc<Task>> {
    let made =
        |task: &&Arc<Task>| task.made_by_update == Some(phase) && task.desired_state < TaskState::REMOVE;
    view.service_tasks(&service.id).filter(made).cloned().collect()
}

/// When the task had come up, or ended without.
fn settled_at(task: &Task) -> Option<Timestamp> {
    task.running_since.or_else(|| task.has_ended().then(|| task.changed_at()))
}

/// Whether the task still takes one of the places of the parallelism: until it is up, and then for
/// the delay.
fn is_busy(task: &Task, clock: &mut Clock, policy: &UpdatePolicy) -> bool {
    match settled_at(task) {
        Some(settled) => !clock.has_reached(settled + policy.delay),
        None => task.desired_state <= TaskState::RUNNING,
    }
}

/// The last task to fail while it was watched, if with it more have failed than may.
fn too_many_failed(service: &Service, made: &[Arc<Task>], policy: &UpdatePolicy) -> Option<Arc<Task>> {
    if policy.action == FailureAction::Continue {
        return None;
    }
    let failed = made.iter().filter(|task| has_failed(task, policy));
    let count = failed.clone().count();
    let slots = service.update_status.as_ref().map_or(1, |status| status.slots.max(1));
    let last = failed.max_by_key(|task| task.changed_at())?;
    (count as f64 / slots as f64 > policy.max_failure_ratio).then(|| last.clone())
}

/// Ended by itself, without success or too early.
fn has_failed(task: &Task, policy: &UpdatePolicy) -> bool {
    let ended = matches!(task.status.state, TaskState::COMPLETE | TaskState::FAILED | TaskState::REJECTED);
    ended && task.running_since.is_none_or(|since| task.changed_at() - since <= policy.monitor)
}

fn give_up(tx: &mut Transaction<'_>, now: Moment, service: &Service, failed: &Task, action: FailureAction) {
    let Some(status) = &service.update_status else { return };
    let back = status.state == UpdateState::ROLLBACK_STARTED;
    let cause = format!("due to failure or early termination of task {}", failed.id);
    if action == FailureAction::Rollback && !back && service.previous_spec.is_some() {
        let phase = Moment { clock: phase_from(tx, service, now.clock), wall: now.wall };
        return change::<Service>(tx, &service.id, |service| {
            roll_back(service, &format!("update rolled back {cause}"), phase);
        });
    }
    change::<Service>(tx, &service.id, |service| {
        if let Some(status) = &mut service.update_status {
            status.state = if back { UpdateState::ROLLBACK_PAUSED } else { UpdateState::PAUSED };
            status.message = format!("update paused {cause}");
        }
    });
}

/// Goes back to the spec before, which is forgotten with that.
fn roll_back(service: &mut Service, message: &str, phase: Moment) {
    let started_at = service.update_status.as_ref().map_or(phase.wall, |status| status.started_at);
    if let Some(previous) = service.previous_spec.take() {
        service.spec = *previous;
        service.spec_version = service.previous_spec_version.take();
    }
    service.update_status = Some(UpdateStatus {
        started_at,
        ..UpdateStatus::begin(UpdateState::ROLLBACK_STARTED, message, phase)
    });
}

/// Closes an update that was watched for long enough after its last slot.
fn complete(
    tx: &mut Transaction<'_>,
    clock: &mut Clock,
    service: &Service,
    made: &[Arc<Task>],
    policy: &UpdatePolicy,
) {
    let last = made.iter().filter_map(|task| settled_at(task)).max();
    if last.is_some_and(|last| !clock.has_reached(last + policy.delay + policy.watch())) {
        return;
    }
    let now = clock.now;
    change::<Service>(tx, &service.id, |service| {
        if let Some(status) = &mut service.update_status {
            let back = status.state == UpdateState::ROLLBACK_STARTED;
            (status.state, status.message) = if back {
                (UpdateState::ROLLBACK_COMPLETED, "rollback completed".into())
            } else {
                (UpdateState::COMPLETED, "update completed".into())
            };
            status.completed_at = Some(now.wall);
        }
    });
}

struct Updater<'a, 'tx> {
    tx: &'a mut Transaction<'tx>,
    clock: &'a Clock,
    random: &'a mut Random,
    service: &'a Service,
    policy: UpdatePolicy,
    phase: Timestamp,
    /// How many more slots may be begun.
    room: u64,
}

impl Updater<'_, '_> {
    fn bring_up_to_date(&mut self, place: &Place, tasks: &[Arc<Task>]) {
        let current = tasks.iter().filter(|task| !is_old(self.tx, self.service, task));
        match current.max_by_key(|task| (task.desired_state == TaskState::RUNNING, task.status.state)) {
            Some(kept) => self.keep_only(kept, tasks),
            None if self.room > 0 => {
                self.room -= 1;
                self.replace(place, tasks);
            }
            None => {}
        }
    }

    /// The others stop: at once, or once the kept one is up where that comes first.
    fn keep_only(&mut self, kept: &Task, tasks: &[Arc<Task>]) {
        let is_up = kept.status.state == TaskState::RUNNING;
        if self.policy.order == Order::StartFirst && !is_up && !kept.has_ended() {
            return;
        }
        for task in tasks.iter().filter(|task| task.id != kept.id) {
            stop(self.tx, task, TaskState::SHUTDOWN);
        }
    }

    fn replace(&mut self, place: &Place, tasks: &[Arc<Task>]) {
        if self.policy.order == Order::StopFirst {
            for task in tasks {
                stop(self.tx, task, TaskState::SHUTDOWN);
            }
        }
        let mut task = new_task(self.tx, self.service, place, self.clock.now, self.random);
        task.made_by_update = Some(self.phase);
        if !is_clear(self.tx, &self.service.id, place, self.service.mode()) {
            task.desired_state = TaskState::READY;
            task.hold = Some(Hold { until: self.clock.now.clock, alone: true });
        }
        create(self.tx, task);
    }
}
