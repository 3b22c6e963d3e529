//! Starting what was only made ready: when its delay is over, and it is alone in its slot.

use super::change;
use super::slot::{Place, is_clear};
use crate::control::Clock;
use crate::objects::{Hold, Task, TaskId, TaskState};
use crate::store::{Transaction, View};

pub(super) fn release(tx: &mut Transaction<'_>, clock: &mut Clock) {
    let ready: Vec<TaskId> = tx
        .tasks_desired(TaskState::READY)
        .filter(|task| !task.has_ended())
        .filter(|task| may_start(tx, clock, task))
        .map(|task| task.id.clone())
        .collect();
    for id in ready {
        change::<Task>(tx, &id, |task| {
            let job = task.job_iteration.is_some();
            task.desired_state = if job { TaskState::COMPLETE } else { TaskState::RUNNING };
            task.hold = None;
        });
    }
}

fn may_start(view: &View, clock: &mut Clock, task: &Task) -> bool {
    let Hold { until, alone } = task.hold.unwrap_or_default();
    clock.has_reached(until) && (!alone || is_alone(view, task))
}

fn is_alone(view: &View, task: &Task) -> bool {
    let Some(id) = &task.service_id else { return true };
    let Some(service) = view.services().get(id.as_str()) else { return true };
    let mode = service.mode();
    is_clear(view, id, &Place::of(task, mode), mode)
}
