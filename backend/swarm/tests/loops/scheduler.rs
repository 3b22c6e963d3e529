//! Which node a task comes to, and why it comes to none.

use std::collections::{BTreeMap, HashMap};

use bollard_stubs::models::{
    EndpointPortConfig, EndpointSpec, Mount, MountTypeEnum, MountVolumeOptions,
    MountVolumeOptionsDriverConfig, Platform, ResourceObject, TaskSpecLogDriver,
    TaskSpecPlacementPreferences, TaskSpecPlacementSpread, TaskSpecResources,
};
use drydock_swarm::objects::{
    Availability, Node, NodeState, ObservedRole, PublishMode, ServiceId, ServiceSpec, TaskState,
};
use drydock_swarm::scheduler::{constraint, resources};

use crate::swarm::{Agent, Swarm, constrain, global, node, spec, template};

fn change(swarm: &mut Swarm, id: &str, change: impl FnOnce(&mut Node)) {
    swarm.write(|tx| tx.change::<Node>(&id.into(), change).unwrap());
}

fn label(swarm: &mut Swarm, id: &str, key: &str, value: &str) {
    change(swarm, id, |node| {
        node.spec.labels.get_or_insert_default().insert(key.into(), value.into());
    });
}

fn counts(swarm: &Swarm, service: &ServiceId) -> Vec<usize> {
    let mut counts: Vec<_> = swarm.running_on(service).into_values().collect();
    counts.sort_unstable();
    counts
}

fn reserve(spec: &mut ServiceSpec, reserved: ResourceObject) {
    template(spec).resources = Some(TaskSpecResources { reservations: Some(reserved), limits: None });
}

#[test]
fn constraints_match_what_swarmkit_matches() {
    let mut node = node("N1");
    node.status.addr = "10.9.8.7".into();
    node.observed_role = ObservedRole::Manager;
    node.spec.labels = Some(HashMap::from([("Disk".into(), "SSD".into())]));
    node.description.as_mut().unwrap().engine.as_mut().unwrap().labels =
        Some(HashMap::from([("zone".into(), "a".into())]));
    let cases = [
        ("node.id==N1", true),
        ("node.id == n1", true),
        ("node.id != n2", true),
        ("node.hostname==host-N1", true),
        ("node.hostname!=HOST-n1", false),
        ("node.role==manager", true),
        ("node.role == worker", false),
        ("node.platform.os==linux", true),
        ("node.platform.arch==x86_64", true),
        ("node.platform.arch==arm64", false),
        ("NODE.LABELS.Disk==ssd", true),
        ("node.labels.disk==ssd", false),
        ("node.labels.none!=ssd", true),
        ("engine.labels.zone==a", true),
        ("engine.labels.zone!=a", false),
        ("node.ip==10.9.8.7", true),
        ("node.ip==10.9.0.0/16", true),
        ("node.ip!=10.9.0.0/16", false),
        ("node.ip==somewhere", false),
        ("node.colour==red", false),
    ];
    for (text, expected) in cases {
        let parsed = constraint::parse(&[text.to_owned()]).unwrap();
        assert_eq!(constraint::matches(&parsed, &node), expected, "{text}");
    }
}

#[test]
fn bad_constraints_are_named_in_swarmkits_words() {
    let cases = [
        ("node.role", "constraint expected one operator from ==, !="),
        ("node.role=manager", "constraint expected one operator from ==, !="),
        ("1node==a", "key '1node' is invalid"),
        ("==a", "key '' is invalid"),
        ("node.role==", "value '' is invalid"),
        ("node.role==a<b", "value 'a<b' is invalid"),
    ];
    for (text, expected) in cases {
        assert_eq!(constraint::parse(&[text.to_owned()]).unwrap_err().to_string(), expected, "{text}");
    }
}

#[test]
fn tasks_are_spread_by_service_first_and_then_by_all_tasks() {
    let mut swarm = Swarm::new(3, 5);
    let web = swarm.create(spec("web", 4));
    swarm.settle();
    let db = swarm.create(spec("db", 2));
    swarm.settle();
    assert_eq!(counts(&swarm, &web), [1, 1, 2]);
    let full = swarm.running_on(&web).into_iter().find(|(_, count)| *count == 2).unwrap().0;
    assert!(!swarm.running_on(&db).contains_key(&full), "the node with most tasks is the last choice");
}

#[test]
fn preferences_even_out_the_labels_values_before_the_nodes() {
    let mut swarm = Swarm::new(4, 5);
    for (id, zone) in [("n1", "a"), ("n2", "b"), ("n3", "b"), ("n4", "b")] {
        label(&mut swarm, id, "zone", zone);
    }
    let mut spec = spec("web", 6);
    let spread = TaskSpecPlacementSpread { spread_descriptor: Some("node.labels.zone".into()) };
    template(&mut spec).placement.get_or_insert_default().preferences =
        Some(vec![TaskSpecPlacementPreferences { spread: Some(spread) }]);
    let web = swarm.create(spec);
    swarm.settle();
    let expected = BTreeMap::from([("n1", 3), ("n2", 1), ("n3", 1), ("n4", 1)]);
    assert_eq!(swarm.running_on(&web), expected.into_iter().map(|(id, n)| (id.to_owned(), n)).collect());
}

#[test]
fn a_second_preference_evens_out_below_the_first() {
    let mut swarm = Swarm::new(4, 5);
    for (id, zone, rack) in [("n1", "a", "1"), ("n2", "a", "2"), ("n3", "b", "1"), ("n4", "b", "1")] {
        label(&mut swarm, id, "zone", zone);
        label(&mut swarm, id, "rack", rack);
    }
    let spread = |key: &str| TaskSpecPlacementPreferences {
        spread: Some(TaskSpecPlacementSpread { spread_descriptor: Some(format!("node.labels.{key}")) }),
    };
    let mut spec = spec("web", 8);
    template(&mut spec).placement.get_or_insert_default().preferences =
        Some(vec![spread("zone"), spread("rack")]);
    let web = swarm.create(spec);
    swarm.settle();
    assert_eq!(counts(&swarm, &web), [2, 2, 2, 2]);
}

#[test]
fn no_suitable_node_says_why() {
    type Spoil = fn(&mut Swarm, &mut ServiceSpec);
    let cases: [(Spoil, &str); 8] = [
        (
            |_, spec| constrain(spec, "node.labels.disk==ssd"),
            "no suitable node (scheduling constraints not satisfied on 2 nodes)",
        ),
        (
            |swarm, _| {
                change(swarm, "n1", |node| node.spec.availability = Some(Availability::DRAIN));
                change(swarm, "n2", |node| node.spec.availability = Some(Availability::PAUSE));
            },
            "no suitable node (2 nodes not available for new tasks)",
        ),
        (
            |_, spec| {
                reserve(spec, ResourceObject { nano_cpus: Some(8_000_000_000), ..ResourceObject::default() })
            },
            "no suitable node (insufficient resources on 2 nodes)",
        ),
        (
            |_, spec| {
                let arm = Platform { architecture: Some("arm64".into()), os: Some("linux".into()) };
                template(spec).placement.get_or_insert_default().platforms = Some(vec![arm]);
            },
            "no suitable node (unsupported platform on 2 nodes)",
        ),
        (
            |_, spec| {
                let driver = MountVolumeOptionsDriverConfig { name: Some("rexray".into()), options: None };
                let mount = Mount {
                    typ: Some(MountTypeEnum::VOLUME),
                    volume_options: Some(MountVolumeOptions {
                        driver_config: Some(driver),
                        ..MountVolumeOptions::default()
                    }),
                    ..Mount::default()
                };
                template(spec).container_spec.get_or_insert_default().mounts = Some(vec![mount]);
            },
            "no suitable node (missing plugin on 2 nodes)",
        ),
        (
            |_, spec| {
                template(spec).log_driver =
                    Some(TaskSpecLogDriver { name: Some("splunk".into()), ..TaskSpecLogDriver::default() });
            },
            "no suitable node (missing plugin on 2 nodes)",
        ),
        (
            |swarm, spec| {
                change(swarm, "n1", |node| node.status.state = NodeState::DOWN);
                constrain(spec, "node.id==n1");
            },
            "no suitable node (scheduling constraints not satisfied on 1 node; 1 node not available for new tasks)",
        ),
        (
            |swarm, _| {
                for id in ["n1", "n2"] {
                    swarm.write(|tx| tx.delete::<Node>(&id.into()).unwrap());
                    swarm.agents.remove(id);
                }
            },
            "no suitable node",
        ),
    ];
    for (spoil, expected) in cases {
        let mut swarm = Swarm::new(2, 1);
        let mut spec = spec("web", 1);
        spoil(&mut swarm, &mut spec);
        let web = swarm.create(spec);
        let reasons = swarm.reasons(&web);
        // Filters that keep out equally many nodes are told in the filters' own order.
        let sorted = |text: &str| {
            let mut parts: Vec<_> = text.trim_end_matches(')').split(['(', ';']).map(str::trim).collect();
            parts.sort_unstable();
            parts.join("|")
        };
        assert_eq!(reasons.len(), 1);
        assert_eq!(sorted(&reasons[0]), sorted(expected));
    }
}

#[test]
fn a_pending_task_is_placed_once_a_node_suits_it() {
    let mut swarm = Swarm::new(2, 1);
    let mut spec = spec("web", 2);
    constrain(&mut spec, "node.labels.disk==ssd");
    let web = swarm.create(spec);
    let written = swarm.store.index();
    swarm.look();
    assert_eq!(swarm.store.index(), written, "a reason that stays is not written again");
    label(&mut swarm, "n2", "disk", "ssd");
    swarm.look();
    swarm.settle();
    assert_eq!(counts(&swarm, &web), [2]);
    assert!(swarm.tasks(&web).iter().all(|task| task.status.err.is_empty()));
}

#[test]
fn reservations_are_held_by_tasks_until_they_have_stopped() {
    let mut swarm = Swarm::new(1, 1);
    let mut first = spec("web", 2);
    reserve(&mut first, ResourceObject { memory_bytes: Some(512 << 20), ..ResourceObject::default() });
    let web = swarm.create(first);
    swarm.settle();
    let mut second = spec("db", 1);
    reserve(&mut second, ResourceObject { memory_bytes: Some(1 << 20), ..ResourceObject::default() });
    let db = swarm.create(second);
    assert_eq!(swarm.reasons(&db), ["no suitable node (insufficient resources on 1 node)"]);
    swarm.agent("n1", Agent::Silent);
    swarm.remove(&web);
    assert_eq!(swarm.reasons(&db).len(), 1);
    swarm.agent("n1", Agent::Works);
    swarm.settle();
    assert_eq!(counts(&swarm, &db), [1]);
}

#[test]
fn generic_resources_are_counted_or_given_by_name() {
    let mut swarm = Swarm::new(2, 1);
    change(&mut swarm, "n1", |node| {
        node.description.as_mut().unwrap().resources.as_mut().unwrap().generic_resources = Some(vec![
            resources::named("gpu", "one"),
            resources::named("gpu", "two"),
            resources::discrete("ssd", 3),
        ]);
    });
    let mut wants = spec("web", 3);
    let generic = vec![resources::discrete("gpu", 1), resources::discrete("ssd", 1)];
    reserve(&mut wants, ResourceObject { generic_resources: Some(generic), ..ResourceObject::default() });
    let web = swarm.create(wants);
    swarm.settle();
    assert_eq!(swarm.running_on(&web), [("n1".to_owned(), 2)].into());
    assert_eq!(swarm.reasons(&web), ["no suitable node (insufficient resources on 2 nodes)"]);
    let mut given: Vec<_> = swarm
        .tasks(&web)
        .iter()
        .flat_map(|task| task.assigned_generic_resources.clone())
        .filter_map(|resource| resource.named_resource_spec?.value)
        .collect();
    given.sort();
    assert_eq!(given, ["one", "two"]);
}

#[test]
fn no_node_runs_more_replicas_than_the_maximum() {
    let mut swarm = Swarm::new(3, 1);
    let mut spec = spec("web", 8);
    template(&mut spec).placement.get_or_insert_default().max_replicas = Some(2);
    let web = swarm.create(spec);
    swarm.settle();
    assert_eq!(counts(&swarm, &web), [2, 2, 2]);
    assert_eq!(swarm.reasons(&web), ["no suitable node (max replicas per node limit exceed)"; 2]);
}

#[test]
fn a_host_port_is_taken_once_on_a_node() {
    let mut swarm = Swarm::new(2, 1);
    let mut spec = spec("web", 3);
    let port = EndpointPortConfig {
        target_port: Some(80),
        published_port: Some(8080),
        publish_mode: Some(PublishMode::HOST),
        ..EndpointPortConfig::default()
    };
    spec.endpoint_spec = Some(EndpointSpec { ports: Some(vec![port]), mode: None });
    let web = swarm.create(spec);
    swarm.settle();
    assert_eq!(counts(&swarm, &web), [1, 1]);
    assert_eq!(swarm.reasons(&web), ["no suitable node (host-mode port already in use on 2 nodes)"]);
}

#[test]
fn a_node_where_the_service_keeps_failing_becomes_the_last_choice() {
    let mut swarm = Swarm::new(2, 1);
    swarm.agent("n1", Agent::Fails);
    let web = swarm.create(spec("web", 2));
    swarm.settle_bounded(400);
    assert_eq!(swarm.running_on(&web), [("n2".to_owned(), 2)].into(), "{:#?}", swarm.story());
}

#[test]
fn a_global_task_waits_for_room_on_its_own_node() {
    let mut swarm = Swarm::new(2, 1);
    change(&mut swarm, "n1", |node| {
        node.description.as_mut().unwrap().resources.as_mut().unwrap().memory_bytes = Some(0);
    });
    let mut spec = global("agent");
    reserve(&mut spec, ResourceObject { memory_bytes: Some(1 << 20), ..ResourceObject::default() });
    let agent = swarm.create(spec);
    swarm.settle();
    assert_eq!(swarm.running_on(&agent), [("n2".to_owned(), 1)].into());
    assert_eq!(swarm.reasons(&agent), ["insufficient resources on 1 node"]);
    let placed = swarm.tasks(&agent).into_iter().find(|task| task.node_id == Some("n2".into())).unwrap();
    assert_eq!(placed.status.state, TaskState::RUNNING);
}
