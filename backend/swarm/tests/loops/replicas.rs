//! As many tasks as are wanted, and their records.

use drydock_swarm::objects::{Cluster, Task, TaskState};

use crate::swarm::{Agent, Swarm, global, image, scale, spec};

#[test]
fn one_look_makes_assigns_and_addresses_all_replicas() {
    let mut swarm = Swarm::new(3, 1);
    let before = swarm.store.index();
    let web = swarm.create(spec("web", 10));
    assert_eq!(swarm.store.index(), before + 2, "one batch for the service, one for its tasks");
    assert!(swarm.tasks(&web).iter().all(|task| task.status.state == TaskState::ASSIGNED));
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 10);
    let slots: Vec<u64> = swarm.running(&web).iter().map(|(slot, _)| *slot).collect();
    assert_eq!(slots, (1..=10).collect::<Vec<_>>());
}

#[test]
fn a_thousand_replicas_come_in_batches_that_fit_the_log() {
    let mut swarm = Swarm::new(5, 1);
    let web = swarm.create(spec("web", 1000));
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 1000);
    assert!(swarm.running_on(&web).values().all(|count| *count == 200));
}

#[test]
fn scaling_down_leaves_nodes_even_and_keeps_the_lower_slots() {
    let mut swarm = Swarm::new(3, 7);
    let web = swarm.create(spec("web", 9));
    swarm.settle();
    swarm.update(&web, |spec| scale(spec, 3));
    swarm.settle();
    assert!(swarm.running_on(&web).values().all(|count| *count == 1), "{:?}", swarm.running(&web));
    assert_eq!(swarm.tasks(&web).len(), 3, "tasks that were scaled away leave no history");
}

#[test]
fn scaling_down_prefers_tasks_that_do_not_run() {
    let mut swarm = Swarm::new(2, 3);
    let web = swarm.create(spec("web", 2));
    swarm.settle();
    swarm.agent("n1", Agent::Silent);
    swarm.agent("n2", Agent::Silent);
    swarm.update(&web, |spec| scale(spec, 4));
    swarm.update(&web, |spec| scale(spec, 2));
    swarm.agent("n1", Agent::Works);
    swarm.agent("n2", Agent::Works);
    swarm.settle();
    assert_eq!(swarm.running(&web).iter().map(|(slot, _)| *slot).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn a_slot_taken_again_waits_for_the_task_that_still_stops_in_it() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(spec("web", 2));
    swarm.settle();
    swarm.agent("n1", Agent::Silent);
    swarm.update(&web, |spec| scale(spec, 1));
    swarm.update(&web, |spec| scale(spec, 2));
    let waiting: Vec<_> =
        swarm.tasks(&web).into_iter().filter(|task| task.desired_state == TaskState::READY).collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].slot, 2);
    swarm.agent("n1", Agent::Works);
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 2);
}

#[test]
fn the_tasks_of_a_removed_service_stop_first_and_then_go() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 4));
    let everywhere = swarm.create(global("agent"));
    swarm.settle();
    swarm.remove(&web);
    swarm.remove(&everywhere);
    assert!(swarm.tasks(&web).iter().all(|task| task.desired_state == TaskState::REMOVE));
    swarm.settle();
    assert!(swarm.store.tasks().is_empty());
    assert!(swarm.containers.is_empty());
}

#[test]
fn a_slot_keeps_as_many_records_as_the_history_limit_says() {
    let mut swarm = Swarm::new(1, 1);
    swarm.write(|tx| {
        tx.change::<Cluster>(&"cluster".into(), |cluster| {
            cluster.spec.orchestration.get_or_insert_default().task_history_retention_limit = Some(3);
        })
        .unwrap()
    });
    let web = swarm.create(spec("web", 1));
    swarm.settle();
    for version in 0..6 {
        swarm.update(&web, |spec| image(spec, &format!("busybox:{version}")));
        swarm.settle();
    }
    assert_eq!(swarm.tasks(&web).len(), 3, "{:#?}", swarm.story());
    assert_eq!(swarm.running(&web).len(), 1);
}

#[test]
fn nothing_is_proposed_where_nothing_is_to_be_done() {
    let mut swarm = Swarm::new(3, 1);
    swarm.create(spec("web", 5));
    swarm.create(global("agent"));
    swarm.settle();
    let settled = swarm.store.index();
    swarm.look();
    assert_eq!(swarm.store.index(), settled);
    assert_eq!(swarm.wake, None);
}

#[test]
fn a_new_leader_goes_on_where_the_last_one_stopped() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 2));
    swarm.settle();
    let failed = swarm.tasks(&web)[0].id.clone();
    swarm.report(&failed, TaskState::FAILED);
    swarm.look();
    let held: Vec<Task> =
        swarm.tasks(&web).iter().filter(|task| task.hold.is_some()).map(|task| Task::clone(task)).collect();
    assert_eq!(held.len(), 1, "the delay of the restart stands in the store");
    let mut other = drydock_swarm::Store::new();
    other.restore(swarm.store.save());
    swarm.store = other;
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 2);
}
