//! Nodes that are drained, paused, down, gone, or no longer suit what runs on them.

use std::collections::HashMap;

use bollard_stubs::models::{ResourceObject, TaskSpecResources};
use drydock_swarm::objects::{Availability, Duration, Node, NodeState, Task, TaskState};

use crate::swarm::{Agent, Swarm, constrain, global, spec, template};

#[test]
fn draining_a_node_moves_its_tasks_without_a_delay() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 4));
    let everywhere = swarm.create(global("agent"));
    swarm.settle();
    let before = swarm.now;
    swarm.node_has("n1", Availability::DRAIN);
    swarm.settle_now();
    assert_eq!(swarm.now, before);
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 4)].into());
    assert_eq!(swarm.running_on(&everywhere), [("n2".to_owned(), 1)].into());
    assert!(!swarm.containers.values().any(|node| node.as_str() == "n1"));
    swarm.node_has("n1", Availability::ACTIVE);
    swarm.settle();
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 4)].into(), "nothing moves back");
    assert_eq!(swarm.running_on(&everywhere).len(), 2, "but a global service comes back");
}

#[test]
fn a_paused_node_keeps_its_tasks_and_gets_no_new_ones() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 2));
    swarm.settle();
    swarm.node_has("n1", Availability::PAUSE);
    swarm.update(&web, |spec| crate::swarm::scale(spec, 6));
    let everywhere = swarm.create(global("agent"));
    swarm.settle();
    assert_eq!(swarm.running_on(&web), [("n1".to_owned(), 1), ("n2".to_owned(), 5)].into());
    assert_eq!(swarm.running_on(&everywhere), [("n2".to_owned(), 1)].into());
}

#[test]
fn tasks_of_a_node_that_is_down_are_replaced_at_once_and_end_when_it_is_back() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 4));
    swarm.settle();
    swarm.agent("n1", Agent::Silent);
    swarm.node_is("n1", NodeState::DOWN);
    swarm.settle_now();
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 4)].into());
    let left: Vec<_> =
        swarm.tasks(&web).into_iter().filter(|task| task.node_id == Some("n1".into())).collect();
    assert!(left.iter().all(|task| task.status.state == TaskState::RUNNING), "nobody knows better");
    swarm.agent("n1", Agent::Works);
    swarm.node_is("n1", NodeState::READY);
    swarm.settle();
    assert_eq!(swarm.containers.len(), 4);
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 4)].into());
}

#[test]
fn after_a_day_the_tasks_of_a_node_that_is_down_are_orphaned() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 2));
    swarm.settle();
    swarm.agent("n1", Agent::Silent);
    swarm.node_is("n1", NodeState::DOWN);
    swarm.settle();
    let lost = |swarm: &Swarm| -> Vec<TaskState> {
        let tasks = swarm.tasks(&web);
        tasks.iter().filter(|task| task.node_id == Some("n1".into())).map(|task| task.status.state).collect()
    };
    swarm.pass(Duration::seconds(23 * 3600));
    assert_eq!(lost(&swarm), [TaskState::RUNNING]);
    swarm.pass(Duration::seconds(3600));
    assert_eq!(lost(&swarm), [TaskState::ORPHANED]);
}

#[test]
fn tasks_of_a_node_that_was_removed_are_orphaned_and_replaced() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(spec("web", 2));
    swarm.settle();
    swarm.node_is("n1", NodeState::DOWN);
    swarm.write(|tx| tx.delete::<Node>(&"n1".into()).unwrap());
    swarm.agent("n1", Agent::Silent);
    swarm.look();
    let orphaned =
        swarm.tasks(&web).into_iter().find(|task| task.status.state == TaskState::ORPHANED).unwrap();
    assert_eq!(orphaned.status.message, "Task belonged to a node that has been deleted");
    swarm.settle();
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 2)].into());
}

#[test]
fn a_node_that_lost_a_label_has_its_tasks_rejected_and_they_run_elsewhere() {
    let mut swarm = Swarm::new(2, 1);
    for id in ["n1", "n2"] {
        label(&mut swarm, id, "ssd");
    }
    let mut spec = spec("web", 2);
    constrain(&mut spec, "node.labels.disk==ssd");
    let web = swarm.create(spec);
    swarm.settle();
    label(&mut swarm, "n1", "hdd");
    swarm.look();
    let rejected =
        swarm.tasks(&web).into_iter().find(|task| task.status.state == TaskState::REJECTED).unwrap();
    assert_eq!(rejected.status.message, "task rejected by constraint enforcer");
    assert_eq!(rejected.status.err, "assigned node no longer meets constraints");
    swarm.settle();
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 2)].into());
}

#[test]
fn a_node_with_less_memory_than_it_had_gives_up_what_no_longer_fits() {
    let mut swarm = Swarm::new(2, 1);
    let mut spec = spec("web", 2);
    let reserved = ResourceObject { memory_bytes: Some(600 << 20), ..ResourceObject::default() };
    template(&mut spec).resources = Some(TaskSpecResources { reservations: Some(reserved), limits: None });
    let web = swarm.create(spec);
    swarm.settle();
    assert_eq!(swarm.running_on(&web).len(), 2);
    swarm.write(|tx| {
        tx.change::<Node>(&"n1".into(), |node| {
            let resources = node.description.as_mut().unwrap().resources.as_mut().unwrap();
            resources.memory_bytes = Some(100 << 20);
        })
        .unwrap()
    });
    swarm.settle();
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 1)].into());
    assert_eq!(swarm.reasons(&web), ["no suitable node (insufficient resources on 2 nodes)"]);
}

#[test]
fn a_global_service_follows_the_nodes_that_meet_its_constraint() {
    let mut swarm = Swarm::new(3, 1);
    label(&mut swarm, "n1", "ssd");
    let mut spec = global("agent");
    constrain(&mut spec, "node.labels.disk == ssd");
    let agent = swarm.create(spec);
    swarm.settle();
    assert_eq!(swarm.running_on(&agent), [("n1".to_owned(), 1)].into());
    label(&mut swarm, "n2", "ssd");
    swarm.look();
    swarm.settle();
    assert_eq!(swarm.running_on(&agent).len(), 2);
    swarm.add_node("n4");
    label(&mut swarm, "n4", "ssd");
    label(&mut swarm, "n1", "hdd");
    swarm.look();
    swarm.settle();
    assert_eq!(swarm.running_on(&agent), [("n2".to_owned(), 1), ("n4".to_owned(), 1)].into());
}

#[test]
fn a_report_never_takes_a_task_back() {
    let mut task = Task::default();
    let report = |state| drydock_swarm::objects::TaskStatus { state, ..Default::default() };
    let now = drydock_swarm::objects::Timestamp(5);
    assert!(task.observe(report(TaskState::RUNNING), None, now));
    assert!(!task.observe(report(TaskState::PREPARING), None, now));
    assert!(!task.observe(report(TaskState::RUNNING), None, now + Duration(1)), "no news");
    assert!(task.observe(report(TaskState::FAILED), None, now + Duration(2)));
    assert_eq!(task.running_since, Some(now));
    assert_eq!(task.status.applied_at, now + Duration(2));
}

fn label(swarm: &mut Swarm, id: &str, value: &str) {
    let labels = HashMap::from([("disk".to_owned(), value.to_owned())]);
    swarm.write(|tx| tx.change::<Node>(&id.into(), |node| node.spec.labels = Some(labels)).unwrap());
}
