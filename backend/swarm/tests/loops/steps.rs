//! Wall clocks step, and the swarm's own time goes on.

use bollard_stubs::models::{
    ServiceSpecUpdateConfig as UpdateConfig, TaskSpecRestartPolicy as Policy,
    TaskSpecRestartPolicyConditionEnum as Condition,
};
use drydock_swarm::objects::{Duration, ServiceId, TaskState, UpdateState};

use crate::swarm::{Agent, Swarm, spec, template};

const DAY: Duration = Duration::seconds(86_400);

/// Clocks that agree, one that is a day ahead or behind, and leaders and agents that each have another.
fn clocks() -> [Vec<Duration>; 4] {
    let back = Duration(-DAY.0);
    let hour = Duration::seconds(3600);
    [vec![Duration::ZERO], vec![DAY], vec![back], vec![DAY, Duration::ZERO, back, hour, DAY]]
}

/// All that was decided, by the swarm's own time.
fn story(swarm: &Swarm, service: &ServiceId) -> String {
    let task = |task: &std::sync::Arc<drydock_swarm::objects::Task>| {
        format!(
            "{} {} {}/{} {:?} {:?} {:?} {:?}\n",
            task.id,
            task.slot,
            task.status.state,
            task.desired_state,
            task.made_at,
            task.running_since,
            task.changed_at(),
            task.hold
        )
    };
    let update = swarm.service(service).update_status.as_ref();
    let update = update.map(|status| (status.state, status.phase_started_at, status.slots));
    let tasks: String = swarm.tasks(service).iter().map(task).collect();
    format!("{:?} {update:?}\n{tasks}", swarm.now)
}

#[test]
fn restarts_and_their_windows_are_the_same_whatever_wall_clocks_say() {
    let tell = |steps: Vec<Duration>| {
        let mut swarm = Swarm::new(2, 3);
        swarm.steps = steps;
        let mut spec = spec("web", 1);
        template(&mut spec).restart_policy = Some(Policy {
            condition: Some(Condition::ANY),
            delay: Some(Duration::seconds(5).0),
            max_attempts: Some(2),
            window: Some(Duration::seconds(60).0),
        });
        let web = swarm.create(spec);
        let mut told = String::new();
        for pause in [1, 1, 70, 1, 1, 1] {
            swarm.settle();
            let running = swarm.tasks(&web).into_iter().find(|task| task.status.state == TaskState::RUNNING);
            if let Some(task) = running {
                swarm.report(&task.id, TaskState::FAILED);
                swarm.look();
            }
            told += &story(&swarm, &web);
            swarm.pass(Duration::seconds(pause));
        }
        assert!(swarm.running(&web).is_empty(), "two attempts within a minute were made, and no third");
        told
    };
    let [right, wrong @ ..] = clocks().map(tell);
    wrong.iter().for_each(|wrong| assert_eq!(*wrong, right));
}

#[test]
fn an_update_takes_its_delays_and_watches_whatever_wall_clocks_say() {
    let tell = |steps: Vec<Duration>| {
        let mut swarm = Swarm::new(3, 4);
        swarm.steps = steps;
        let mut spec = spec("web", 3);
        spec.update_config = Some(UpdateConfig {
            parallelism: Some(1),
            delay: Some(Duration::seconds(10).0),
            monitor: Some(Duration::seconds(30).0),
            ..UpdateConfig::default()
        });
        let web = swarm.create(spec);
        swarm.settle();
        let began = swarm.now;
        swarm.update(&web, |spec| template(spec).force_update = Some(1));
        let mut told = String::new();
        for _ in 0..60 {
            swarm.settle_now();
            told += &story(&swarm, &web);
            swarm.pass(Duration::seconds(1));
        }
        swarm.settle();
        assert_eq!(swarm.service(&web).update_status.as_ref().unwrap().state, UpdateState::COMPLETED);
        assert!(swarm.now - began >= Duration::seconds(10 + 10 + 40));
        told
    };
    let [right, wrong @ ..] = clocks().map(tell);
    wrong.iter().for_each(|wrong| assert_eq!(*wrong, right));
}

#[test]
fn nodes_on_which_a_task_failed_are_avoided_as_long_whatever_wall_clocks_say() {
    let tell = |steps: Vec<Duration>| {
        let mut swarm = Swarm::new(2, 5);
        swarm.steps = steps;
        swarm.agent("n1", Agent::Fails);
        let web = swarm.create(spec("web", 2));
        let mut told = String::new();
        for _ in 0..60 {
            swarm.settle_bounded(3);
            told += &story(&swarm, &web);
        }
        told
    };
    let [right, wrong @ ..] = clocks().map(tell);
    wrong.iter().for_each(|wrong| assert_eq!(*wrong, right));
}
