//! What follows the end of a task.

use bollard_stubs::models::{
    TaskSpecRestartPolicy as Policy, TaskSpecRestartPolicyConditionEnum as Condition,
};
use drydock_swarm::objects::{Duration, ServiceId, ServiceSpec, TaskId, TaskState};

use crate::swarm::{Agent, Swarm, spec, template};

fn with_policy(condition: Condition, delay: i64, attempts: i64, window: i64) -> ServiceSpec {
    let mut spec = spec("web", 1);
    template(&mut spec).restart_policy = Some(Policy {
        condition: Some(condition),
        delay: Some(Duration::seconds(delay).0),
        max_attempts: Some(attempts),
        window: Some(Duration::seconds(window).0),
    });
    spec
}

fn running_task(swarm: &Swarm, service: &ServiceId) -> TaskId {
    let tasks = swarm.tasks(service);
    let running = tasks
        .iter()
        .find(|task| task.status.state == TaskState::RUNNING && task.desired_state == TaskState::RUNNING);
    running.expect("a task runs").id.clone()
}

fn ends(swarm: &mut Swarm, service: &ServiceId, state: TaskState) {
    let id = running_task(swarm, service);
    swarm.report(&id, state);
    swarm.look();
}

#[test]
fn a_failed_task_is_followed_by_one_in_its_slot_after_five_seconds() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(spec("web", 1));
    swarm.settle_now();
    ends(&mut swarm, &web, TaskState::FAILED);
    let next = swarm.tasks(&web).into_iter().find(|task| task.desired_state == TaskState::READY).unwrap();
    assert_eq!(next.slot, 1);
    assert_eq!(swarm.wake, Some(swarm.now + Duration::seconds(5)));
    swarm.settle_now();
    swarm.pass(Duration::milliseconds(4_999));
    swarm.settle_now();
    assert!(swarm.running(&web).is_empty(), "made ready, and not started before its time");
    swarm.pass(Duration::milliseconds(1));
    swarm.settle_now();
    assert_eq!(swarm.running(&web).len(), 1);
}

#[test]
fn the_condition_says_which_ends_are_followed() {
    let cases = [
        (Condition::ANY, TaskState::COMPLETE, 1),
        (Condition::ANY, TaskState::FAILED, 1),
        (Condition::ON_FAILURE, TaskState::COMPLETE, 0),
        (Condition::ON_FAILURE, TaskState::FAILED, 1),
        (Condition::ON_FAILURE, TaskState::REJECTED, 1),
        (Condition::NONE, TaskState::FAILED, 0),
    ];
    for (condition, end, expected) in cases {
        let mut swarm = Swarm::new(1, 1);
        let web = swarm.create(with_policy(condition, 1, 0, 0));
        swarm.settle();
        ends(&mut swarm, &web, end);
        swarm.settle();
        assert_eq!(swarm.running(&web).len(), expected, "{condition} after {end}");
        assert_eq!(swarm.tasks(&web).len(), 1 + expected);
    }
}

#[test]
fn attempts_are_counted_and_then_there_are_no_more() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with_policy(Condition::ANY, 1, 2, 0));
    for _ in 0..2 {
        swarm.settle();
        ends(&mut swarm, &web, TaskState::FAILED);
    }
    swarm.settle();
    ends(&mut swarm, &web, TaskState::FAILED);
    swarm.settle();
    assert!(swarm.running(&web).is_empty());
    assert_eq!(swarm.tasks(&web).len(), 3);
}

#[test]
fn only_attempts_within_the_window_count() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with_policy(Condition::ANY, 1, 1, 60));
    for _ in 0..4 {
        swarm.settle();
        assert_eq!(swarm.running(&web).len(), 1);
        swarm.pass(Duration::seconds(61));
        ends(&mut swarm, &web, TaskState::FAILED);
    }
    swarm.settle();
    ends(&mut swarm, &web, TaskState::FAILED);
    swarm.settle();
    assert!(swarm.running(&web).is_empty(), "the second end within a minute is the last");
}

#[test]
fn a_new_spec_begins_the_count_anew() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with_policy(Condition::ANY, 1, 1, 0));
    swarm.settle();
    ends(&mut swarm, &web, TaskState::FAILED);
    swarm.settle();
    swarm.update(&web, |spec| crate::swarm::image(spec, "busybox:2"));
    swarm.settle();
    ends(&mut swarm, &web, TaskState::FAILED);
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 1);
}

#[test]
fn what_cannot_start_is_tried_once_in_a_delay() {
    let mut swarm = Swarm::new(1, 1);
    swarm.agent("n1", Agent::Fails);
    let web = swarm.create(with_policy(Condition::ANY, 10, 0, 0));
    let began = swarm.now;
    for _ in 0..200 {
        swarm.agents_step();
        if let Some(wake) = swarm.wake
            && wake <= began + Duration::seconds(100)
        {
            swarm.now = wake;
            swarm.look();
        }
    }
    let made = swarm.tasks(&web).len();
    assert!(made <= 6, "the history is bounded: {made}");
    assert!(swarm.now - began >= Duration::seconds(90), "each try took its delay");
}
