//! Rolling updates and rollbacks.

use bollard_stubs::models::{
    ServiceSpecRollbackConfig as RollbackConfig, ServiceSpecUpdateConfig as UpdateConfig,
    ServiceSpecUpdateConfigFailureActionEnum as Action, ServiceSpecUpdateConfigOrderEnum as Order,
};
use drydock_swarm::objects::{Duration, ServiceId, ServiceSpec, TaskState, UpdateState};

use crate::swarm::{Agent, Swarm, constrain, global, image, scale, spec, template};

fn config() -> UpdateConfig {
    UpdateConfig {
        parallelism: Some(1),
        delay: Some(0),
        failure_action: Some(Action::PAUSE),
        monitor: Some(Duration::seconds(5).0),
        max_failure_ratio: Some(0.0),
        order: Some(Order::STOP_FIRST),
    }
}

fn with(config: UpdateConfig, replicas: i64) -> ServiceSpec {
    ServiceSpec { update_config: Some(config), ..spec("web", replicas) }
}

/// Running tasks of each image.
fn images(swarm: &Swarm, service: &ServiceId) -> (usize, usize) {
    let of = |image: &str| {
        let runs = |task: &&std::sync::Arc<drydock_swarm::objects::Task>| {
            task.status.state == TaskState::RUNNING
                && task.spec.container_spec.as_ref().unwrap().image.as_deref() == Some(image)
        };
        swarm.tasks(service).iter().filter(runs).count()
    };
    (of("busybox"), of("busybox:2"))
}

#[test]
fn slots_are_updated_one_after_the_other_and_then_watched() {
    let mut swarm = Swarm::new(3, 1);
    let web = swarm.create(with(config(), 3));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    assert_eq!(swarm.update_state(&web), "updating");
    assert_eq!(swarm.service(&web).update_status.as_ref().unwrap().message, "update in progress");
    for _ in 0..60 {
        let (old, new) = images(&swarm, &web);
        assert!(old + new >= 2, "no more than one slot is down");
        swarm.agents_step();
    }
    assert_eq!(images(&swarm, &web), (0, 3));
    assert_eq!(swarm.update_state(&web), "updating", "watched for five more seconds");
    swarm.pass(Duration::seconds(5));
    let status = swarm.service(&web).update_status.clone().unwrap();
    assert_eq!((status.state, status.message.as_str()), (UpdateState::COMPLETED, "update completed"));
    assert_eq!(status.completed_at, Some(swarm.now));
}

#[test]
fn as_many_slots_as_the_parallelism_says_are_down_at_a_time() {
    for (parallelism, down) in [(2, 2), (4, 4), (0, 6)] {
        let mut swarm = Swarm::new(2, 1);
        let web = swarm.create(with(UpdateConfig { parallelism: Some(parallelism), ..config() }, 6));
        swarm.settle();
        swarm.update(&web, |spec| image(spec, "busybox:2"));
        let mut most = 0;
        for _ in 0..80 {
            let (old, new) = images(&swarm, &web);
            most = most.max(6 - old - new);
            swarm.agents_step();
        }
        assert_eq!(most, down, "parallelism {parallelism}");
        assert_eq!(images(&swarm, &web), (0, 6));
    }
}

#[test]
fn the_delay_lies_between_slots() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with(UpdateConfig { delay: Some(Duration::seconds(10).0), ..config() }, 2));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.settle_now();
    assert_eq!(images(&swarm, &web), (1, 1));
    swarm.pass(Duration::milliseconds(9_999));
    assert_eq!(images(&swarm, &web), (1, 1));
    swarm.pass(Duration::milliseconds(1));
    swarm.settle_now();
    assert_eq!(images(&swarm, &web), (0, 2));
    swarm.settle();
    assert_eq!(swarm.update_state(&web), "completed");
}

#[test]
fn start_first_has_the_new_task_up_before_the_old_one_stops() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(with(UpdateConfig { order: Some(Order::START_FIRST), ..config() }, 2));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    for _ in 0..60 {
        let (old, new) = images(&swarm, &web);
        assert!(old + new >= 2);
        swarm.agents_step();
    }
    assert_eq!(images(&swarm, &web), (0, 2));
}

#[test]
fn stop_first_never_has_two_tasks_of_a_slot() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(with(UpdateConfig { parallelism: Some(2), ..config() }, 2));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    for _ in 0..60 {
        let mut slots: Vec<u64> = swarm
            .tasks(&web)
            .iter()
            .filter(|task| task.status.state == TaskState::RUNNING)
            .map(|task| task.slot)
            .collect();
        let all = slots.len();
        slots.sort_unstable();
        slots.dedup();
        assert_eq!(slots.len(), all);
        swarm.agents_step();
    }
}

#[test]
fn a_failure_pauses_the_update_and_names_the_task() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with(config(), 3));
    swarm.settle();
    swarm.agent("n1", Agent::Fails);
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.settle_now();
    let status = swarm.service(&web).update_status.clone().unwrap();
    assert_eq!(status.state, UpdateState::PAUSED);
    let failed = swarm.tasks(&web).into_iter().find(|task| task.status.state == TaskState::FAILED).unwrap();
    assert_eq!(
        status.message,
        format!("update paused due to failure or early termination of task {}", failed.id)
    );
    assert_eq!(images(&swarm, &web).0, 2, "the other slots keep the old spec");
}

#[test]
fn failures_below_the_ratio_are_borne() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with(UpdateConfig { max_failure_ratio: Some(0.34), ..config() }, 3));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.agent("n1", Agent::Fails);
    while !swarm.tasks(&web).iter().any(|task| task.status.state == TaskState::FAILED) {
        swarm.agents_step();
    }
    swarm.agent("n1", Agent::Works);
    swarm.settle();
    assert_eq!(swarm.update_state(&web), "completed");
    assert_eq!(images(&swarm, &web), (0, 3));
}

#[test]
fn a_failed_update_rolls_back_to_the_spec_before() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with(UpdateConfig { failure_action: Some(Action::ROLLBACK), ..config() }, 3));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.agent("n1", Agent::Fails);
    while swarm.update_state(&web) == "updating" {
        swarm.agents_step();
    }
    let status = swarm.service(&web).update_status.clone().unwrap();
    assert_eq!(status.state, UpdateState::ROLLBACK_STARTED);
    assert!(status.message.starts_with("update rolled back due to failure or early termination of task "));
    swarm.agent("n1", Agent::Works);
    swarm.settle();
    let status = swarm.service(&web).update_status.clone().unwrap();
    assert_eq!(
        (status.state, status.message.as_str()),
        (UpdateState::ROLLBACK_COMPLETED, "rollback completed")
    );
    assert_eq!(images(&swarm, &web), (3, 0));
    assert!(swarm.service(&web).previous_spec.is_none());
}

#[test]
fn a_rollback_that_fails_is_paused_and_not_rolled_back() {
    let mut swarm = Swarm::new(1, 1);
    let mut spec = with(UpdateConfig { failure_action: Some(Action::ROLLBACK), ..config() }, 1);
    spec.rollback_config = Some(RollbackConfig { parallelism: Some(1), ..RollbackConfig::default() });
    let web = swarm.create(spec);
    swarm.settle();
    swarm.agent("n1", Agent::Fails);
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.settle_now();
    for _ in 0..20 {
        swarm.pass(Duration::seconds(1));
        swarm.settle_now();
    }
    assert_eq!(swarm.update_state(&web), "rollback_paused");
}

#[test]
fn with_continue_failures_stop_nothing() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(with(UpdateConfig { failure_action: Some(Action::CONTINUE), ..config() }, 2));
    swarm.settle();
    swarm.agent("n1", Agent::Fails);
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    for _ in 0..40 {
        swarm.agents_step();
    }
    swarm.agent("n1", Agent::Works);
    swarm.settle();
    assert_eq!(swarm.update_state(&web), "completed");
    assert_eq!(images(&swarm, &web), (0, 2));
}

#[test]
fn a_task_that_fails_after_the_monitor_is_no_failure_of_the_update() {
    let mut swarm = Swarm::new(1, 1);
    let slow = UpdateConfig { delay: Some(Duration::seconds(30).0), ..config() };
    let web = swarm.create(with(slow, 2));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.settle_now();
    swarm.pass(Duration::seconds(6));
    let new = swarm.tasks(&web).into_iter().find(|task| task.made_by_update.is_some()).unwrap();
    swarm.report(&new.id, TaskState::FAILED);
    swarm.look();
    assert_eq!(swarm.update_state(&web), "updating");
}

#[test]
fn a_change_of_scale_or_labels_alone_replaces_nothing() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(with(config(), 2));
    swarm.settle();
    let before: Vec<_> = swarm.tasks(&web).iter().map(|task| task.id.clone()).collect();
    swarm.update(&web, |spec| {
        scale(spec, 3);
        spec.labels.get_or_insert_default().insert("a".into(), "b".into());
    });
    swarm.settle();
    let after: Vec<_> = swarm.tasks(&web).iter().map(|task| task.id.clone()).collect();
    assert_eq!(after.len(), 3);
    assert!(before.iter().all(|id| after.contains(id)));
    assert_eq!(swarm.update_state(&web), "none");
}

#[test]
fn a_constraint_that_the_node_meets_moves_no_task() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(with(config(), 1));
    swarm.settle();
    let node = swarm.running(&web)[0].1.clone();
    swarm.update(&web, |spec| constrain(spec, &format!("node.id=={node}")));
    swarm.settle();
    assert_eq!(swarm.tasks(&web).len(), 1);
    let other = if node == "n1" { "n2" } else { "n1" };
    swarm.update(&web, |spec| {
        template(spec).placement = None;
        constrain(spec, &format!("node.id=={other}"));
    });
    swarm.settle();
    assert_eq!(swarm.running(&web), [(1, other.to_owned())]);
}

#[test]
fn global_services_are_updated_node_by_node() {
    let mut swarm = Swarm::new(4, 1);
    let agent = swarm.create(ServiceSpec { update_config: Some(config()), ..global("agent") });
    swarm.settle();
    swarm.update(&agent, |spec| image(spec, "busybox:2"));
    for _ in 0..80 {
        let (old, new) = images(&swarm, &agent);
        assert!(old + new >= 3);
        swarm.agents_step();
    }
    assert_eq!(images(&swarm, &agent), (0, 4));
}

#[test]
fn another_update_on_the_way_takes_over() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(with(config(), 4));
    swarm.settle();
    swarm.update(&web, |spec| image(spec, "busybox:1"));
    for _ in 0..8 {
        swarm.agents_step();
    }
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    swarm.settle();
    assert_eq!(images(&swarm, &web), (0, 4));
    assert_eq!(swarm.update_state(&web), "completed");
}

#[test]
fn a_task_that_waited_for_another_is_followed_by_one_that_waits_too() {
    let mut swarm = Swarm::new(3, 1);
    let mut spec = with(config(), 1);
    template(&mut spec).restart_policy.get_or_insert_default().delay = Some(0);
    let web = swarm.create(spec);
    swarm.settle();
    let node = swarm.running(&web)[0].1.clone();
    swarm.agent(&node, Agent::Silent);
    swarm.update(&web, |spec| image(spec, "busybox:2"));
    let waiting = swarm.tasks(&web).into_iter().find(|task| task.hold.is_some()).unwrap();
    let next = waiting.node_id.clone().unwrap().to_string();
    assert_ne!(next, node, "the busiest node is the last choice");
    swarm.agent(&next, Agent::Silent);
    swarm.node_is(&next, drydock_swarm::objects::NodeState::DOWN);
    swarm.settle_now();
    assert_eq!(swarm.containers.len(), 1, "{:#?}", swarm.story());
    swarm.agent(&node, Agent::Works);
    swarm.settle();
    assert_eq!(images(&swarm, &web), (0, 1));
}
