//! Creating, updating and removing, with what else is in the swarm.

use drydock_swarm::objects::{
    Cluster, ConfigSpec, Duration, Network, NetworkCreateRequest, NetworkId, Node, NodeState, ObservedRole,
    Role, SecretId, SecretSpec, Service, ServiceId, ServiceSpec, Timestamp, UpdateState,
};
use drydock_swarm::verbs::{cluster, config, network, node, secret, service};
use drydock_swarm::{Random, Status, Store, control};
use serde_json::{Value, json};

pub const NOW: Timestamp = Timestamp(1_700_000_000_000_000_000);

pub struct Swarm {
    pub store: Store,
    pub random: Random,
}

impl Swarm {
    pub fn new() -> Self {
        let mut swarm = Self { store: Store::new(), random: Random::seeded(1) };
        let mut cluster = Cluster { id: "cluster".into(), ..Cluster::default() };
        cluster.spec.name = Some(Cluster::NAME.into());
        swarm.store.commit(NOW, |tx| tx.create(cluster).unwrap()).unwrap();
        swarm
    }

    pub fn ingress(&mut self) {
        let spec = NetworkCreateRequest { name: "ingress".into(), ingress: Some(true), ..Default::default() };
        let network = Network { id: "ingress".into(), spec, ..Network::default() };
        self.store.commit(NOW, |tx| tx.create(network).unwrap()).unwrap();
    }

    pub fn look(&mut self) {
        let random = &mut self.random;
        self.store.commit(NOW, |tx| control::look(tx, NOW, random)).unwrap();
    }

    pub fn service(&mut self, spec: Value) -> Result<ServiceId, Status> {
        let (random, spec) = (&mut self.random, serde_json::from_value(spec).unwrap());
        self.store.commit(NOW, |tx| service::create(tx, spec, None, NOW, random)).unwrap()
    }

    fn update(&mut self, id: &ServiceId, version: u64, spec: Value) -> Result<(), Status> {
        let to = service::To::Spec(Box::new(serde_json::from_value(spec).unwrap()));
        self.store.commit(NOW, |tx| service::update(tx, id, version, to, None, NOW)).unwrap()
    }

    pub fn secret(&mut self, name: &str) -> Result<SecretId, Status> {
        let spec = SecretSpec { name: Some(name.into()), data: Some("YQ==".into()), ..SecretSpec::default() };
        let random = &mut self.random;
        self.store.commit(NOW, |tx| secret::create(tx, spec, random)).unwrap()
    }

    fn network(&mut self, name: &str) -> Result<NetworkId, Status> {
        let spec = NetworkCreateRequest { name: name.into(), ..NetworkCreateRequest::default() };
        let random = &mut self.random;
        self.store.commit(NOW, |tx| network::create(tx, spec, random)).unwrap()
    }

    fn version(&self, id: &ServiceId) -> u64 {
        self.get(id).meta.version.index
    }

    fn get(&self, id: &ServiceId) -> &Service {
        self.store.services().get(id.as_str()).unwrap()
    }
}

pub fn web() -> Value {
    json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}})
}

fn publishing(name: &str, mode: &str) -> Value {
    let port = json!({"TargetPort": 80, "PublishedPort": 8080, "PublishMode": mode});
    json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}, "EndpointSpec": {"Ports": [port]}})
}

fn said<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    answer.unwrap_err().to_string()
}

#[test]
fn a_service_is_written_with_what_it_leaves_open_said() {
    let mut swarm = Swarm::new();
    let id = swarm.service(web()).unwrap();
    let spec = &swarm.get(&id).spec;
    assert_eq!(spec.mode.as_ref().unwrap().replicated.as_ref().unwrap().replicas, Some(1));
    assert_eq!(spec.task_template.as_ref().unwrap().runtime.as_deref(), Some("container"));
    assert_eq!(id.as_str().len(), 25);
}

#[test]
fn a_name_that_is_taken_is_a_conflict() {
    let mut swarm = Swarm::new();
    swarm.service(web()).unwrap();
    let status = swarm.service(web()).unwrap_err();
    assert_eq!(
        status.to_string(),
        "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists"
    );
    assert_eq!(status.code.http(), 409);
    swarm.secret("key").unwrap();
    assert_eq!(said(swarm.secret("key")), "rpc error: code = AlreadyExists desc = secret key already exists");
}

#[test]
fn an_update_is_for_the_version_the_user_saw() {
    let mut swarm = Swarm::new();
    let id = swarm.service(web()).unwrap();
    let seen = swarm.version(&id);
    swarm.update(&id, seen, web()).unwrap();
    assert_eq!(
        said(swarm.update(&id, seen, web())),
        "rpc error: code = Unknown desc = update out of sequence"
    );
}

#[test]
fn an_update_keeps_the_spec_before_and_a_rollback_swaps_them() {
    let mut swarm = Swarm::new();
    let id = swarm.service(web()).unwrap();
    let roll_back = |swarm: &mut Swarm| {
        let version = swarm.version(&id);
        swarm
            .store
            .commit(NOW, |tx| service::update(tx, &id, version, service::To::Previous, None, NOW))
            .unwrap()
    };
    assert_eq!(
        said(roll_back(&mut swarm)),
        format!("rpc error: code = FailedPrecondition desc = service {id} does not have a previous spec")
    );
    let mut newer = web();
    newer["TaskTemplate"]["ContainerSpec"]["Image"] = "busybox:2".into();
    let version = swarm.version(&id);
    swarm.update(&id, version, newer).unwrap();
    let image =
        |spec: &ServiceSpec| spec.task_template.clone().unwrap().container_spec.unwrap().image.unwrap();
    assert_eq!(image(&swarm.get(&id).spec), "busybox:2");
    assert_eq!(image(swarm.get(&id).previous_spec.as_ref().unwrap()), "busybox");
    roll_back(&mut swarm).unwrap();
    let service = swarm.get(&id);
    assert_eq!(image(&service.spec), "busybox");
    assert_eq!(image(service.previous_spec.as_ref().unwrap()), "busybox:2");
    let status = service.update_status.as_ref().unwrap();
    assert_eq!(
        (status.state, status.message.as_str()),
        (UpdateState::ROLLBACK_STARTED, "manually requested rollback")
    );
}

#[test]
fn a_service_keeps_its_name_and_its_mode() {
    let mut swarm = Swarm::new();
    let id = swarm.service(web()).unwrap();
    let version = swarm.version(&id);
    let mut other = web();
    other["Name"] = "other".into();
    let unimplemented = "rpc error: code = Unimplemented desc =";
    assert_eq!(
        said(swarm.update(&id, version, other)),
        format!("{unimplemented} renaming services is not supported")
    );
    let mut global = web();
    global["Mode"] = json!({"Global": {}});
    assert_eq!(
        said(swarm.update(&id, version, global)),
        format!("{unimplemented} service mode change is not allowed")
    );
}

#[test]
fn a_port_in_the_mesh_is_one_services_and_ports_on_nodes_are_shared() {
    let cases = [
        ("ingress", "ingress", Some("an ingress port")),
        ("ingress", "host", Some("an ingress port")),
        ("host", "ingress", Some("a host-published port")),
        ("host", "host", None),
    ];
    for (first, second, refused) in cases {
        let mut swarm = Swarm::new();
        swarm.ingress();
        let id = swarm.service(publishing("one", first)).unwrap();
        let answer = swarm.service(publishing("two", second));
        match refused {
            None => assert!(answer.is_ok()),
            Some(how) => assert_eq!(
                said(answer),
                format!(
                    "rpc error: code = InvalidArgument desc = port '8080' is already in use by service 'one' ({id}) as {how}"
                )
            ),
        }
    }
}

#[test]
fn a_published_service_needs_the_ingress_network_and_keeps_it() {
    let mut swarm = Swarm::new();
    assert_eq!(
        said(swarm.service(publishing("web", "ingress"))),
        "rpc error: code = FailedPrecondition desc = service needs ingress network, but no ingress network is present"
    );
    swarm.ingress();
    let id = swarm.service(publishing("web", "ingress")).unwrap();
    let removed = swarm.store.commit(NOW, |tx| network::remove(tx, &"ingress".into())).unwrap();
    assert_eq!(
        said(removed),
        format!(
            "rpc error: code = FailedPrecondition desc = ingress network cannot be removed because service {id} depends on it"
        )
    );
    let mut attached = web();
    attached["Name"] = "attached".into();
    attached["TaskTemplate"]["Networks"] = json!([{"Target": "ingress"}]);
    assert_eq!(
        said(swarm.service(attached)),
        "rpc error: code = InvalidArgument desc = Service cannot be explicitly attached to the ingress network \"ingress\""
    );
}

#[test]
fn secrets_have_to_exist_by_id_and_name_and_stay_while_they_are_used() {
    let mut swarm = Swarm::new();
    let id = swarm.secret("key").unwrap();
    let using = |name: &str, secret_id: &str, secret: &str| {
        let file = json!({"Name": "f", "UID": "0", "GID": "0", "Mode": 292});
        let reference = json!({"SecretID": secret_id, "SecretName": secret, "File": file});
        json!({"Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "busybox", "Secrets": [reference]}}})
    };
    let invalid = "rpc error: code = InvalidArgument desc =";
    assert_eq!(said(swarm.service(using("a", "none", "key"))), format!("{invalid} secret not found: key"));
    assert_eq!(said(swarm.service(using("a", id.as_str(), "no"))), format!("{invalid} secret not found: no"));
    swarm.service(using("a", id.as_str(), "key")).unwrap();
    let remove = |swarm: &mut Swarm| swarm.store.commit(NOW, |tx| secret::remove(tx, &id)).unwrap();
    assert_eq!(
        said(remove(&mut swarm)),
        format!("{invalid} secret 'key' is in use by the following service: a")
    );
    swarm.service(using("b", id.as_str(), "key")).unwrap();
    let status = said(remove(&mut swarm));
    assert!(status.contains("is in use by the following services: "), "{status}");
}

#[test]
fn only_labels_of_secrets_and_configs_change() {
    let mut swarm = Swarm::new();
    let id = swarm.secret("key").unwrap();
    let version = swarm.store.secrets().get(id.as_str()).unwrap().meta.version.index;
    let mut update = |data: Option<&str>| {
        let spec = SecretSpec {
            name: Some("key".into()),
            data: data.map(str::to_owned),
            labels: Some([("a".to_owned(), "b".to_owned())].into()),
            ..SecretSpec::default()
        };
        swarm.store.commit(NOW, |tx| secret::update(tx, &id, version, spec)).unwrap()
    };
    assert_eq!(
        said(update(Some("Yg=="))),
        "rpc error: code = InvalidArgument desc = only updates to Labels are allowed"
    );
    update(None).unwrap();
    let secret = swarm.store.secrets().get(id.as_str()).unwrap();
    assert_eq!(secret.spec.data.as_deref(), Some("YQ=="));
    assert_eq!(secret.spec.labels.as_ref().unwrap()["a"], "b");
    let missing = swarm.store.commit(NOW, |tx| config::remove(tx, &"none".into())).unwrap();
    assert_eq!(said(missing), "rpc error: code = NotFound desc = could not find config none");
    let spec = ConfigSpec { name: Some("c".into()), data: Some("YQ==".into()), ..ConfigSpec::default() };
    let random = &mut swarm.random;
    swarm.store.commit(NOW, |tx| config::create(tx, spec, random)).unwrap().unwrap();
}

#[test]
fn a_network_stays_while_a_service_is_on_it() {
    let mut swarm = Swarm::new();
    let id = swarm.network("back").unwrap();
    let mut spec = web();
    spec["TaskTemplate"]["Networks"] = json!([{"Target": id.as_str()}]);
    let service_id = swarm.service(spec).unwrap();
    let remove = |swarm: &mut Swarm| swarm.store.commit(NOW, |tx| network::remove(tx, &id)).unwrap();
    assert_eq!(
        said(remove(&mut swarm)),
        format!("rpc error: code = FailedPrecondition desc = network {id} is in use by service {service_id}")
    );
    swarm.store.commit(NOW, |tx| service::remove(tx, &service_id)).unwrap().unwrap();
    remove(&mut swarm).unwrap();
    assert_eq!(said(remove(&mut swarm)), format!("rpc error: code = NotFound desc = network {id} not found"));
}

#[test]
fn nodes_are_removed_when_they_are_down_and_the_last_manager_stays_one() {
    let mut swarm = Swarm::new();
    let mut manager = Node { id: "n1".into(), observed_role: ObservedRole::Manager, ..Node::default() };
    manager.spec.role = Some(Role::MANAGER);
    manager.status.state = NodeState::READY;
    swarm.store.commit(NOW, |tx| tx.create(manager).unwrap()).unwrap();
    let demoted = serde_json::from_value(json!({"Role": "worker", "Availability": "active"})).unwrap();
    let version = swarm.store.nodes().get("n1").unwrap().meta.version.index;
    let answer = swarm.store.commit(NOW, |tx| node::update(tx, &"n1".into(), version, demoted, &[])).unwrap();
    assert_eq!(
        said(answer),
        "rpc error: code = FailedPrecondition desc = attempting to demote the last manager of the swarm"
    );
    let mut remove = |force| {
        let expiry = NOW + Duration::seconds(60);
        swarm.store.commit(NOW, |tx| node::remove(tx, &"n1".into(), force, expiry, &[])).unwrap()
    };
    assert_eq!(
        said(remove(false)),
        "rpc error: code = FailedPrecondition desc = node n1 is not down and can't be removed"
    );
    remove(true).unwrap();
    assert!(swarm.store.cluster().unwrap().blocked_certificates.contains_key("n1"));
}

#[test]
fn settings_of_the_swarm_that_are_not_said_stay() {
    let mut swarm = Swarm::new();
    let mut update = |json: Value| {
        let version = swarm.store.cluster().unwrap().meta.version.index;
        let spec = serde_json::from_value(json).unwrap();
        swarm.store.commit(NOW, |tx| cluster::update(tx, &"cluster".into(), version, spec)).unwrap()
    };
    update(json!({"Orchestration": {"TaskHistoryRetentionLimit": 2}, "Dispatcher": {"HeartbeatPeriod": 7}}))
        .unwrap();
    update(json!({"EncryptionConfig": {"AutoLockManagers": true}, "Dispatcher": {"HeartbeatPeriod": 0}}))
        .unwrap();
    let cluster = swarm.store.cluster().unwrap();
    assert_eq!(cluster.task_history(), 2);
    assert_eq!(cluster.heartbeat(), Duration(7));
    assert!(cluster.is_autolocked());
}
