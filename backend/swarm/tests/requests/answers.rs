//! What clients are told is the Docker API's own JSON.

use drydock_swarm::api;
use drydock_swarm::objects::{
    Cluster, Node, NodeState, Secret, SecretSpec, Service, Task, TaskState, Timestamp, UpdateState,
    UpdateStatus,
};
use serde_json::{Value, json};

use crate::verbs::{NOW, Swarm, web};

#[test]
fn times_are_written_as_go_writes_them() {
    assert_eq!(api::date(Timestamp(1_700_000_000_000_000_000)), "2023-11-14T22:13:20Z");
    assert_eq!(api::date(Timestamp(1_700_000_000_120_000_000)), "2023-11-14T22:13:20.12Z");
    assert_eq!(api::date(Timestamp(1_700_000_000_000_000_001)), "2023-11-14T22:13:20.000000001Z");
    assert_eq!(api::date(Timestamp::default()), "0001-01-01T00:00:00Z");
}

#[test]
fn a_service_is_told_with_its_endpoint_its_update_and_the_spec_before() {
    let mut swarm = Swarm::new();
    swarm.ingress();
    let mut spec = web();
    spec["EndpointSpec"] = json!({"Mode": "vip", "Ports": [{"TargetPort": 80, "PublishedPort": 8080}]});
    let id = swarm.service(spec).unwrap();
    swarm.look();
    let mut service = Service::clone(swarm.store.services().get(id.as_str()).unwrap());
    service.previous_spec = Some(Box::new(service.spec.clone()));
    service.update_status = Some(UpdateStatus {
        completed_at: Some(NOW),
        ..UpdateStatus::begin(UpdateState::COMPLETED, "update completed", NOW.into())
    });
    let told = serde_json::to_value(api::service(&service)).unwrap();
    assert_eq!(told["ID"], id.as_str());
    assert_eq!(told["Version"]["Index"], service.meta.version.index);
    assert_eq!(told["CreatedAt"], "2023-11-14T22:13:20Z");
    assert_eq!(told["Spec"]["Name"], "web");
    assert_eq!(told["PreviousSpec"]["Name"], "web");
    let port = json!({"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "ingress"});
    assert_eq!(told["Endpoint"]["Ports"], json!([port]));
    assert_eq!(told["Endpoint"]["VirtualIPs"], json!([{"NetworkID": "ingress", "Addr": "10.0.0.2/24"}]));
    assert_eq!(
        told["UpdateStatus"],
        json!({"State": "completed", "StartedAt": "2023-11-14T22:13:20Z", "CompletedAt": "2023-11-14T22:13:20Z",
            "Message": "update completed"})
    );
    assert!(told.get("JobStatus").is_none());
}

#[test]
fn a_job_tells_its_iteration() {
    let mut swarm = Swarm::new();
    let mut spec = web();
    spec["Mode"] = json!({"ReplicatedJob": {}});
    let id = swarm.service(spec).unwrap();
    let told = serde_json::to_value(api::service(swarm.store.services().get(id.as_str()).unwrap())).unwrap();
    assert_eq!(
        told["JobStatus"],
        json!({"JobIteration": {"Index": 0}, "LastExecution": "2023-11-14T22:13:20Z"})
    );
    assert_eq!(told["Spec"]["Mode"], json!({"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}}));
}

#[test]
fn counts_of_tasks_are_of_those_that_run_and_those_that_are_wanted() {
    let mut swarm = Swarm::new();
    let mut spec = web();
    spec["Mode"] = json!({"Replicated": {"Replicas": 4}});
    let id = swarm.service(spec).unwrap();
    swarm.look();
    let first = swarm.store.service_tasks(&id).next().unwrap().id.clone();
    swarm
        .store
        .commit(NOW, |tx| tx.change::<Task>(&first, |task| task.status.state = TaskState::RUNNING).unwrap())
        .unwrap();
    let service = swarm.store.services().get(id.as_str()).unwrap();
    let told = serde_json::to_value(api::service_status(&swarm.store, service)).unwrap();
    assert_eq!(told, json!({"RunningTasks": 1, "DesiredTasks": 4, "CompletedTasks": 0}));

    let mut node = Node { id: "lost".into(), ..Node::default() };
    node.status.state = NodeState::DOWN;
    let on_it = |task: &mut Task| task.node_id = Some("lost".into());
    let lost = swarm.store.commit(NOW, |tx| tx.create(node).and_then(|()| tx.change::<Task>(&first, on_it)));
    lost.unwrap().unwrap();
    let service = swarm.store.services().get(id.as_str()).unwrap();
    let told = serde_json::to_value(api::service_status(&swarm.store, service)).unwrap();
    assert_eq!(told["RunningTasks"], 0, "nobody knows what runs on a node that is down");
}

#[test]
fn a_task_is_told_with_its_state_and_its_places_in_networks() {
    let mut swarm = Swarm::new();
    swarm.ingress();
    let mut spec = web();
    spec["EndpointSpec"] = json!({"Ports": [{"TargetPort": 80}]});
    let id = swarm.service(spec).unwrap();
    swarm.look();
    let task = swarm.store.service_tasks(&id).next().unwrap();
    let told = serde_json::to_value(api::task(&swarm.store, task)).unwrap();
    assert_eq!(told["ServiceID"], id.as_str());
    assert_eq!(told["Slot"], 1);
    assert_eq!(told["Status"]["State"], "pending");
    assert_eq!(told["Status"]["Message"], "pending task scheduling");
    assert_eq!(told["Status"]["Err"], "no suitable node");
    assert_eq!(told["DesiredState"], "running");
    let place = &told["NetworksAttachments"][0];
    assert_eq!(place["Addresses"], json!(["10.0.0.3/24"]));
    assert_eq!(place["Network"]["Spec"]["Name"], "ingress");
    assert_eq!(
        place["Network"]["DriverState"]["Options"]["com.docker.network.driver.overlay.vxlanid_list"],
        "4096"
    );
}

#[test]
fn a_node_is_told_with_role_and_availability_said() {
    let mut node = Node { id: "n1".into(), ..Node::default() };
    node.status.state = NodeState::READY;
    let told = serde_json::to_value(api::node(&node)).unwrap();
    assert_eq!(told["Spec"], json!({"Labels": {}, "Role": "worker", "Availability": "active"}));
    assert_eq!(told["Status"]["State"], "ready");
    assert!(told.get("ManagerStatus").is_none());
}

#[test]
fn no_secret_leaves_with_an_answer() {
    let spec =
        SecretSpec { name: Some("key".into()), data: Some("c2VjcmV0".into()), ..SecretSpec::default() };
    let told = serde_json::to_string(&api::secret(&Secret { spec, ..Secret::default() })).unwrap();
    assert!(!told.contains("c2VjcmV0"));
    let mut cluster = Cluster::default();
    cluster.root_ca.key = Some("KEY".into());
    cluster.spec.ca_config.get_or_insert_default().signing_ca_key = Some("KEY".into());
    cluster.root_ca.join_tokens.worker = Some("SWMTKN-1-w".into());
    let info = serde_json::to_string(&api::cluster(&cluster)).unwrap();
    assert!(!info.contains("KEY") && !info.contains("SWMTKN"));
    let swarm: Value = serde_json::to_value(api::swarm(&cluster)).unwrap();
    assert_eq!(swarm["JoinTokens"]["Worker"], "SWMTKN-1-w");
}

#[test]
fn defaults_are_written_out_where_a_spec_leaves_them_open() {
    let spec = api::with_defaults(&serde_json::from_value(web()).unwrap());
    let told = serde_json::to_value(spec).unwrap();
    assert_eq!(told["TaskTemplate"]["ContainerSpec"]["StopGracePeriod"], 10_000_000_000_i64);
    assert_eq!(
        told["TaskTemplate"]["RestartPolicy"],
        json!({"Condition": "any", "Delay": 5_000_000_000_i64, "MaxAttempts": 0})
    );
    assert_eq!(told["UpdateConfig"]["Monitor"], 5_000_000_000_i64);
    assert_eq!(told["RollbackConfig"]["Order"], "stop-first");
}
