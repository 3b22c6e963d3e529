//! Filters of lists.

use std::collections::BTreeMap;

use bollard_stubs::models::{EngineDescription, NodeDescription};
use drydock_swarm::api::filter::{Filters, NodeFilter, SecretFilter, ServiceFilter, TaskFilter};
use drydock_swarm::objects::{Annotations, Node, ObservedRole, Secret, SecretSpec, Service, Task, TaskState};
use serde_json::json;

use crate::verbs::{Swarm, web};

fn filters(asked: &[(&str, &str)]) -> Filters {
    let mut filters = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in asked {
        filters.entry((*name).into()).or_default().push((*value).into());
    }
    Filters::new(filters)
}

fn service(name: &str, global: bool) -> Service {
    let mut spec = web();
    spec["Name"] = name.into();
    spec["Labels"] = json!({"tier": name});
    if global {
        spec["Mode"] = json!({"Global": {}});
    }
    Service {
        id: format!("id-{name}").into(),
        spec: serde_json::from_value(spec).unwrap(),
        ..Service::default()
    }
}

#[test]
fn a_filter_that_is_not_known_is_refused() {
    let view = Swarm::new().store;
    let odd = || filters(&[("colour", "red")]);
    let expected = "invalid filter 'colour'";
    assert_eq!(ServiceFilter::parse(odd()).unwrap_err().to_string(), expected);
    assert_eq!(NodeFilter::parse(odd()).unwrap_err().to_string(), expected);
    assert_eq!(TaskFilter::parse(&view, odd()).unwrap_err().to_string(), expected);
    assert_eq!(SecretFilter::for_secrets(odd()).unwrap_err().to_string(), expected);
    assert_eq!(SecretFilter::for_configs(odd()).unwrap_err().to_string(), expected);
    assert_eq!(
        SecretFilter::for_configs(filters(&[("names", "x")])).unwrap_err().to_string(),
        "invalid filter 'names'"
    );
    assert_eq!(ServiceFilter::parse(odd()).unwrap_err().code.http(), 400);
}

#[test]
fn services_are_found_by_beginnings_labels_and_mode() {
    let services = [service("web", false), service("webhook", true), service("db", false)];
    let found = |asked: &[(&str, &str)]| {
        let filter = ServiceFilter::parse(filters(asked)).unwrap();
        services
            .iter()
            .filter(|it| filter.matches(it))
            .map(|it| it.name().to_owned())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(found(&[]), "web webhook db");
    assert_eq!(found(&[("name", "web")]), "web webhook");
    assert_eq!(found(&[("name", "web"), ("name", "d")]), "web webhook db");
    assert_eq!(found(&[("name", "web"), ("mode", "global")]), "webhook");
    assert_eq!(found(&[("id", "id-d")]), "db");
    assert_eq!(found(&[("label", "tier")]), "web webhook db");
    assert_eq!(found(&[("label", "tier=db")]), "db");
    assert_eq!(found(&[("label", "none")]), "");
    assert_eq!(found(&[("runtime", "plugin")]), "");
}

#[test]
fn nodes_are_found_by_role_membership_and_both_kinds_of_label() {
    let mut node = Node { id: "n1".into(), observed_role: ObservedRole::Manager, ..Node::default() };
    node.spec.labels = Some([("disk".to_owned(), "ssd".to_owned())].into());
    let engine = EngineDescription {
        labels: Some([("zone".to_owned(), "a".to_owned())].into()),
        ..EngineDescription::default()
    };
    node.description = Some(NodeDescription {
        hostname: Some("alpha".into()),
        engine: Some(engine),
        ..NodeDescription::default()
    });
    let cases = [
        (("name", "al"), true),
        (("name", "be"), false),
        (("id", "n"), true),
        (("role", "Manager"), true),
        (("role", "worker"), false),
        (("role", ""), true),
        (("membership", "accepted"), true),
        (("membership", "pending"), false),
        (("label", "zone=a"), true),
        (("label", "disk=ssd"), false),
        (("node.label", "disk=ssd"), true),
        (("node.label", "zone"), false),
    ];
    for (asked, expected) in cases {
        let filter = NodeFilter::parse(filters(&[asked])).unwrap();
        assert_eq!(filter.matches(&node), expected, "{asked:?}");
    }
    let refused = |asked| NodeFilter::parse(filters(&[asked])).unwrap_err();
    assert_eq!(refused(("role", "king")).to_string(), "Invalid role filter: 'king'");
    assert_eq!(refused(("membership", "x")).to_string(), "Invalid membership filter: 'x'");
    assert_eq!(refused(("role", "king")).code.http(), 500);
}

#[test]
fn tasks_are_found_by_service_node_and_state_however_they_are_named() {
    let mut swarm = Swarm::new();
    let id = swarm.service(web()).unwrap();
    let task = Task {
        id: "t1".into(),
        service_id: Some(id.clone()),
        slot: 1,
        desired_state: TaskState::RUNNING,
        service_annotations: Annotations { name: "web".into(), ..Annotations::default() },
        ..Task::default()
    };
    let found = |asked: &[(&str, &str)]| {
        TaskFilter::parse(&swarm.store, filters(asked)).map(|filter| filter.matches(&swarm.store, &task))
    };
    assert_eq!(found(&[]), Ok(true));
    assert_eq!(found(&[("service", "web")]), Ok(true));
    assert_eq!(found(&[("service", &id.as_str()[..5])]), Ok(true));
    assert_eq!(found(&[("name", "web.1")]), Ok(true));
    assert_eq!(found(&[("name", "web.2")]), Ok(false));
    assert_eq!(found(&[("desired-state", "Running")]), Ok(true));
    assert_eq!(found(&[("desired-state", "shutdown")]), Ok(false));
    assert_eq!(
        found(&[("desired-state", "x")]).unwrap_err().to_string(),
        "Invalid desired-state filter: 'x'"
    );
    let none = found(&[("service", "none")]).unwrap_err();
    assert_eq!((none.to_string().as_str(), none.code.http()), ("service none not found", 404));
    assert_eq!(found(&[("node", "none")]).unwrap_err().to_string(), "node none not found");
}

#[test]
fn secrets_are_found_by_any_of_whole_names_and_beginnings() {
    let secret = |name: &str| Secret {
        id: format!("id-{name}").into(),
        spec: SecretSpec { name: Some(name.into()), ..SecretSpec::default() },
        ..Secret::default()
    };
    let found = |asked: &[(&str, &str)], name: &str| {
        SecretFilter::for_secrets(filters(asked)).unwrap().matches_secret(&secret(name))
    };
    assert!(found(&[], "key"));
    assert!(found(&[("names", "key")], "key"));
    assert!(!found(&[("names", "key")], "keys"));
    assert!(found(&[("name", "key")], "keys"));
    assert!(found(&[("names", "other"), ("id", "id-k")], "key"));
    assert!(!found(&[("label", "x")], "key"));
    let internal = Secret { internal: true, ..secret("key") };
    assert!(!SecretFilter::for_secrets(filters(&[])).unwrap().matches_secret(&internal));
}
