//! The replicated state machine keeps its promises.

use std::sync::Arc;

use drydock_swarm::objects::{
    Duration, Kind, Node, Object, Secret, Service, ServiceSpec, Task, TaskState, Timestamp, Version,
};
use drydock_swarm::store::{Batch, Change, Refusal, Snapshot, Store};
use drydock_swarm::{Code, Status};

const NOW: Timestamp = Timestamp(1_000);

fn service(id: &str, name: &str) -> Service {
    let spec = ServiceSpec { name: Some(name.into()), ..ServiceSpec::default() };
    Service { id: id.into(), spec, ..Service::default() }
}

fn task(id: &str, service: &str, slot: u64) -> Task {
    Task { id: id.into(), service_id: Some(service.into()), slot, ..Task::default() }
}

fn create(object: Object) -> Change {
    Change::Create(object)
}

fn batch(changes: Vec<Change>) -> Batch {
    Batch { at: NOW, clock: NOW, changes }
}

fn with(services: &[(&str, &str)]) -> Store {
    let mut store = Store::new();
    for (id, name) in services {
        store.commit(NOW, |tx| tx.create(service(id, name)).unwrap()).unwrap();
    }
    store
}

#[test]
fn an_object_carries_the_index_and_time_of_the_batch_that_wrote_it() {
    let mut store = Store::new();
    store.apply(7, &batch(vec![create(Object::Service(Arc::new(service("s1", "web"))))])).unwrap();
    let written = store.services().get("s1").unwrap();
    assert_eq!(written.meta.version, Version { index: 7 });
    assert_eq!((written.meta.created_at, written.meta.updated_at), (NOW, NOW));

    let mut changed = Service::clone(written);
    changed.spec_version = Some(Version { index: 1 });
    let later = Batch {
        at: NOW + Duration(5),
        clock: NOW + Duration(5),
        changes: vec![Change::Update(Object::Service(changed.into()))],
    };
    store.apply(9, &later).unwrap();
    let written = store.services().get("s1").unwrap();
    assert_eq!(written.meta.version.index, 9);
    assert_eq!((written.meta.created_at, written.meta.updated_at), (NOW, NOW + Duration(5)));
}

#[test]
fn an_update_of_what_another_has_written_since_is_out_of_sequence() {
    let mut store = with(&[("s1", "web")]);
    let read = Service::clone(store.services().get("s1").unwrap());
    store.commit(NOW, |tx| tx.update(read.clone()).unwrap()).unwrap();

    let refusal = store.apply(9, &batch(vec![Change::Update(Object::Service(read.into()))])).unwrap_err();
    assert_eq!(refusal.to_string(), "update out of sequence");
    assert_eq!(Status::from(refusal).to_string(), "rpc error: code = Unknown desc = update out of sequence");
}

#[test]
fn refusals_say_what_swarmkit_says() {
    let mut store = with(&[("s1", "web")]);
    let refused = |store: &mut Store, change| store.apply(9, &batch(vec![change])).unwrap_err();
    let cases = [
        (create(Object::Service(service("s2", "Web").into())), "name conflicts with an existing object", 409),
        (create(Object::Service(service("s1", "other").into())), "object already exists", 409),
        (Change::Update(Object::Service(service("s9", "x").into())), "object does not exist", 404),
        (Change::Delete { kind: Kind::Service, id: "s9".into() }, "object does not exist", 404),
    ];
    for (change, text, status) in cases {
        let refusal = refused(&mut store, change);
        assert_eq!(refusal.to_string(), text);
        assert_eq!(Status::from(refusal).code.http(), status);
    }
    assert_eq!(Code::FailedPrecondition.http(), 400);
}

#[test]
fn a_batch_with_one_refused_change_changes_nothing_and_uses_up_its_index() {
    let mut store = with(&[("s1", "web"), ("s2", "db")]);
    let before = store.save();
    let changes = vec![
        create(Object::Service(service("s3", "cache").into())),
        Change::Delete { kind: Kind::Service, id: "s2".into() },
        Change::Update(Object::Service(service("s1", "web").into())),
    ];
    let refusal = store.apply(10, &batch(changes)).unwrap_err();
    assert_eq!(refusal, Refusal::OutOfSequence { kind: Kind::Service, id: "s1".into() });
    assert_eq!(store.save().objects, before.objects);
    assert_eq!(store.index(), 10);
    assert!(store.services().named("cache").is_none());
    assert!(store.services().named("db").is_some());
}

#[test]
fn a_name_is_free_again_once_its_holder_is_renamed_or_gone() {
    let mut store = with(&[("s1", "web")]);
    store
        .commit(NOW, |tx| {
            let mut renamed = Service::clone(tx.services().get("s1").unwrap());
            renamed.spec.name = Some("old".into());
            tx.update(renamed).unwrap();
            tx.create(service("s2", "web")).unwrap();
        })
        .unwrap();
    assert_eq!(store.services().named("web").unwrap().id.as_str(), "s2");
    store
        .commit(NOW, |tx| {
            tx.delete::<Service>(&"s2".into()).unwrap();
            tx.create(service("s3", "WEB")).unwrap();
        })
        .unwrap();
    assert_eq!(store.services().named("web").unwrap().id.as_str(), "s3");
}

#[test]
fn nodes_may_share_a_host_name() {
    let mut store = Store::new();
    for id in ["n1", "n2"] {
        store.commit(NOW, |tx| tx.create(Node { id: id.into(), ..Node::default() }).unwrap()).unwrap();
    }
    assert_eq!(store.nodes().len(), 2);
}

#[test]
fn a_proposal_sees_itself_and_leaves_no_trace() {
    let mut store = with(&[("s1", "web")]);
    let before = store.save();
    let (seen, changes) = store.propose(|tx| {
        tx.create(task("t1", "s1", 1)).unwrap();
        tx.create(task("t2", "s1", 2)).unwrap();
        tx.delete::<Service>(&"s1".into()).unwrap();
        (tx.service_tasks(&"s1".into()).count(), tx.services().len(), tx.len())
    });
    assert_eq!(seen, (2, 0, 3));
    assert_eq!(changes.len(), 3);
    assert_eq!(store.save(), before);
    assert_eq!(store.service_tasks(&"s1".into()).count(), 0);
}

#[test]
fn a_proposal_holds_one_change_of_an_object() {
    let mut store = with(&[("s1", "web")]);
    let (_, changes) = store.propose(|tx| {
        tx.create(task("t1", "s1", 1)).unwrap();
        let mut changed = Task::clone(tx.tasks().get("t1").unwrap());
        changed.desired_state = TaskState::RUNNING;
        tx.update(changed).unwrap();
        tx.create(task("t2", "s1", 2)).unwrap();
        tx.delete::<Task>(&"t2".into()).unwrap();
        for index in 1..3 {
            let mut web = Service::clone(tx.services().get("s1").unwrap());
            web.spec_version = Some(Version { index });
            tx.update(web).unwrap();
        }
    });
    assert_eq!(changes.len(), 2, "{changes:?}");
    assert!(matches!(&changes[0], Change::Create(Object::Task(t)) if t.desired_state == TaskState::RUNNING));
    store.apply(5, &batch(changes)).unwrap();
    assert_eq!(store.services().get("s1").unwrap().spec_version.unwrap().index, 2);
}

#[test]
fn tasks_are_found_by_service_slot_node_and_state_as_they_change() {
    let mut store = with(&[("s1", "web"), ("s2", "db")]);
    store
        .commit(NOW, |tx| {
            tx.create(task("t1", "s1", 1)).unwrap();
            tx.create(task("t2", "s1", 2)).unwrap();
            tx.create(task("t3", "s2", 1)).unwrap();
        })
        .unwrap();
    let ids = |found: Vec<&Arc<Task>>| found.iter().map(|task| task.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(store.service_tasks(&"s1".into()).collect()), ["t1", "t2"]);
    assert_eq!(ids(store.slot_tasks(&"s1".into(), 2).collect()), ["t2"]);
    assert_eq!(ids(store.tasks_in_state(TaskState::NEW).collect()), ["t1", "t2", "t3"]);

    store
        .commit(NOW, |tx| {
            let mut moved = Task::clone(tx.tasks().get("t2").unwrap());
            moved.node_id = Some("n1".into());
            moved.status.state = TaskState::RUNNING;
            moved.desired_state = TaskState::SHUTDOWN;
            tx.update(moved).unwrap();
        })
        .unwrap();
    assert_eq!(ids(store.tasks_in_state(TaskState::NEW).collect()), ["t1", "t3"]);
    assert_eq!(ids(store.tasks_in_state(TaskState::RUNNING).collect()), ["t2"]);
    assert_eq!(ids(store.tasks_desired(TaskState::SHUTDOWN).collect()), ["t2"]);
    assert_eq!(ids(store.node_tasks(&"n1".into()).collect()), ["t2"]);
    store.commit(NOW, |tx| tx.delete::<Task>(&"t2".into()).unwrap()).unwrap();
    assert_eq!(store.node_tasks(&"n1".into()).count(), 0);
}

#[test]
fn a_user_means_an_id_a_name_or_the_only_id_that_begins_so() {
    let store = with(&[("abc1", "web"), ("abc2", "abc"), ("xyz", "db")]);
    let found = |text| store.resolve(store.services(), text).map(|found| found.map(|it| it.id.to_string()));
    assert_eq!(found("abc1"), Ok(Some("abc1".into())));
    assert_eq!(found("abc"), Ok(Some("abc2".into())), "a name goes before the beginning of an id");
    assert_eq!(found("x"), Ok(Some("xyz".into())));
    assert_eq!(found("ab").unwrap_err().matches, 2);
    assert_eq!(found("nothing"), Ok(None));
    assert_eq!(store.services().by_id_prefix("abc").count(), 2);
}

#[test]
fn watchers_hear_of_each_object_once_with_what_it_was_and_became() {
    let mut store = with(&[("s1", "web")]);
    let mut watch = store.watch();
    store
        .commit(NOW, |tx| {
            tx.create(task("t1", "s1", 1)).unwrap();
            tx.delete::<Service>(&"s1".into()).unwrap();
        })
        .unwrap();
    let event = watch.try_recv().unwrap();
    assert_eq!(event.index, store.index());
    assert_eq!(event.changes.len(), 2);
    assert!(event.changes[0].before.is_none() && event.changes[0].after.is_some());
    assert!(event.changes[1].before.is_some() && event.changes[1].after.is_none());

    store.apply(20, &batch(vec![Change::Delete { kind: Kind::Service, id: "s1".into() }])).unwrap_err();
    assert!(watch.try_recv().is_err(), "a refused batch is no event");
    store.restore(Snapshot::default());
    assert!(watch.try_recv().unwrap().restored);
}

#[test]
fn a_snapshot_restores_the_same_store_through_json() {
    let mut store = with(&[("s1", "web"), ("s2", "db")]);
    store.commit(NOW, |tx| tx.create(task("t1", "s1", 1)).unwrap()).unwrap();
    store.commit(NOW, |tx| tx.create(Secret { id: "x".into(), ..Secret::default() }).unwrap()).unwrap();
    let json = serde_json::to_vec(&store.save()).unwrap();
    let mut other = Store::new();
    other.restore(serde_json::from_slice(&json).unwrap());
    assert_eq!(other.save(), store.save());
    assert_eq!(other.index(), store.index());
    assert_eq!(other.service_tasks(&"s1".into()).count(), 1);
    assert!(other.services().named("db").is_some());
}

#[test]
fn managers_that_apply_the_same_batches_hold_the_same_objects() {
    let mut leader = Store::new();
    let mut follower = Store::new();
    let batches = [
        batch(vec![create(Object::Service(service("s1", "web").into()))]),
        batch(vec![create(Object::Task(task("t1", "s1", 1).into()))]),
        batch(vec![create(Object::Service(service("s2", "web").into()))]),
        batch(vec![Change::Delete { kind: Kind::Task, id: "t1".into() }]),
    ];
    for (index, batch) in (1..).zip(&batches) {
        let json = serde_json::to_string(batch).unwrap();
        let answer = leader.apply(index, batch);
        assert_eq!(follower.apply(index, &serde_json::from_str(&json).unwrap()), answer);
    }
    assert_eq!(leader.save(), follower.save());
}

#[test]
fn fields_from_a_newer_manager_are_passed_over_and_missing_ones_have_defaults() {
    let json = r#"{"create": {"task": {"id": "t1", "fancy": {"new": [1]}, "spec": {"Runtime": "container",
        "Shiny": true}, "status": {"state": "running", "mood": "good"}, "desired_state": "shutdown"}}}"#;
    let Change::Create(Object::Task(task)) = serde_json::from_str(json).unwrap() else { panic!("a task") };
    assert_eq!(task.status.state, TaskState::RUNNING);
    assert_eq!(task.desired_state, TaskState::SHUTDOWN);
    assert_eq!(task.spec.runtime.as_deref(), Some("container"));
    assert_eq!(task.slot, 0);
}

#[test]
fn the_specs_are_the_apis_own_json() {
    let spec = serde_json::json!({
        "Name": "web", "Labels": {"a": "b"},
        "TaskTemplate": {"ContainerSpec": {"Image": "nginx", "Secrets": [{"File": {"Name": "s", "UID": "0",
            "GID": "0", "Mode": 292}, "SecretID": "x", "SecretName": "s"}]}, "ForceUpdate": 0},
        "Mode": {"Global": {}},
        "EndpointSpec": {"Mode": "vip", "Ports": [{"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080,
            "PublishMode": "ingress"}]}
    });
    let service = Service { spec: serde_json::from_value(spec.clone()).unwrap(), ..service("s1", "web") };
    let json = serde_json::to_value(Object::Service(service.into())).unwrap();
    assert_eq!(json["service"]["spec"], spec);
}
