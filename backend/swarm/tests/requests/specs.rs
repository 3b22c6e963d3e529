//! Specs that make no sense are refused in swarmkit's words.

use drydock_swarm::Status;
use drydock_swarm::objects::{ConfigSpec, NetworkCreateRequest, SecretSpec, ServiceSpec, SwarmSpec};
use drydock_swarm::validate::{
    validate_cluster, validate_config, validate_network, validate_secret, validate_service,
};
use serde_json::{Value, json};

/// A good spec with what the case changes laid over it.
fn spec(over: Value) -> ServiceSpec {
    let mut spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}});
    merge(&mut spec, over);
    serde_json::from_value(spec).unwrap()
}

fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (Value::Object(into), Value::Object(over)) => {
            for (key, value) in over {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, over) => *into = over,
    }
}

fn container(over: Value) -> ServiceSpec {
    spec(json!({"TaskTemplate": {"ContainerSpec": over}}))
}

fn text(verdict: Result<(), Status>) -> String {
    verdict.map_or_else(|status| status.to_string(), |()| "good".into())
}

fn invalid(message: &str) -> String {
    format!("rpc error: code = InvalidArgument desc = {message}")
}

#[test]
fn a_plain_service_is_good() {
    assert_eq!(text(validate_service(&spec(json!({})))), "good");
    let full = json!({
        "Mode": {"Global": {}},
        "UpdateConfig": {"Parallelism": 2, "Delay": 1, "Monitor": 5, "MaxFailureRatio": 0.5},
        "EndpointSpec": {"Ports": [{"PublishedPort": 80, "TargetPort": 80},
            {"PublishedPort": 80, "TargetPort": 80, "Protocol": "udp"}, {"TargetPort": 1}, {"TargetPort": 2}]},
    });
    assert_eq!(text(validate_service(&spec(full))), "good");
}

#[test]
fn bad_services_are_refused_as_swarmkit_refuses_them() {
    let long = "a".repeat(64);
    let file = |name: &str| json!({"Name": name, "UID": "0", "GID": "0", "Mode": 292});
    let cases = [
        (spec(json!({"Name": ""})), "meta: name must be provided"),
        (spec(json!({"Name": "a.b"})), "name must be valid as a DNS name component"),
        (spec(json!({"Name": "-a"})), "name must be valid as a DNS name component"),
        (spec(json!({"Name": long})), "name must be 63 characters or fewer"),
        (container(json!({"Image": ""})), "ContainerSpec: image reference must be provided"),
        (container(json!({"Image": "Bad"})), "ContainerSpec: \"Bad\" is not a valid repository/tag"),
        (
            container(json!({"Mounts": [{"Target": "/a"}, {"Target": "/a"}]})),
            "ContainerSpec: duplicate mount point: /a",
        ),
        (
            container(json!({"HealthCheck": {"Interval": 10}})),
            "ContainerSpec: Interval in HealthConfig cannot be less than 1ms",
        ),
        (
            container(json!({"HealthCheck": {"Retries": -1}})),
            "ContainerSpec: Retries in HealthConfig cannot be negative",
        ),
        (container(json!({"Secrets": [{"SecretID": "x"}]})), "malformed secret reference"),
        (
            container(json!({"Secrets": [{"SecretID": "x", "SecretName": "x"}]})),
            "malformed secret reference, no target provided",
        ),
        (
            container(json!({"Secrets": [{"SecretID": "x", "SecretName": "x", "File": file("")}]})),
            "malformed file secret reference, invalid target file name provided",
        ),
        (
            container(json!({"Secrets": [{"SecretID": "x", "SecretName": "one", "File": file("f")},
                {"SecretID": "y", "SecretName": "two", "File": file("f")}]})),
            "secret references 'one' and 'two' have a conflicting target: 'f'",
        ),
        (
            container(json!({"Configs": [{"ConfigID": "x", "ConfigName": "x"}]})),
            "malformed config reference, no target provided",
        ),
        (
            container(json!({"Configs": [{"ConfigID": "x", "ConfigName": "one", "File": file("f")},
                {"ConfigID": "y", "ConfigName": "two", "File": file("f")}]})),
            "config references 'one' and 'two' have a conflicting target: 'f'",
        ),
        (
            spec(json!({"TaskTemplate": {"Resources": {"Limits": {"NanoCPUs": 1000}}}})),
            "invalid cpu value 1e-06: Must be at least 0.001",
        ),
        (
            spec(json!({"TaskTemplate": {"Resources": {"Reservations": {"NanoCPUs": 500_000}}}})),
            "invalid cpu value 0.0005: Must be at least 0.001",
        ),
        (
            spec(json!({"TaskTemplate": {"Resources": {"Limits": {"MemoryBytes": 1024}}}})),
            "invalid memory value 1024: Must be at least 4MiB",
        ),
        (
            spec(json!({"TaskTemplate": {"RestartPolicy": {"Delay": -1}}})),
            "TaskSpec: restart-delay cannot be negative",
        ),
        (
            spec(json!({"TaskTemplate": {"RestartPolicy": {"Window": -1}}})),
            "TaskSpec: restart-window cannot be negative",
        ),
        (spec(json!({"UpdateConfig": {"Delay": -1}})), "TaskSpec: update-delay cannot be negative"),
        (spec(json!({"UpdateConfig": {"Monitor": -1}})), "TaskSpec: update-monitor cannot be negative"),
        (
            spec(json!({"UpdateConfig": {"MaxFailureRatio": 1.5}})),
            "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1",
        ),
        (spec(json!({"Mode": {"Replicated": {"Replicas": -1}}})), "Number of replicas must be non-negative"),
        (
            spec(json!({"Mode": {"ReplicatedJob": {"MaxConcurrent": -1}}})),
            "Maximum concurrent jobs must not be negative",
        ),
        (
            spec(json!({"Mode": {"ReplicatedJob": {}}, "UpdateConfig": {}})),
            "Jobs may not have an update config",
        ),
        (
            spec(json!({"EndpointSpec": {"Mode": "dnsrr", "Ports": [{"TargetPort": 80}]}})),
            "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
        ),
        (
            spec(json!({"EndpointSpec": {"Ports": [{"PublishedPort": 80}, {"PublishedPort": 80}]}})),
            "EndpointSpec: duplicate published ports provided",
        ),
    ];
    for (spec, message) in cases {
        assert_eq!(text(validate_service(&spec)), invalid(message));
    }
}

#[test]
fn what_the_engine_itself_refuses_has_no_code_before_it() {
    let two = spec(json!({"Mode": {"Global": {}, "Replicated": {"Replicas": 1}}}));
    assert_eq!(text(validate_service(&two)), "must specify only one service mode");
    let none = ServiceSpec { task_template: None, ..spec(json!({})) };
    assert_eq!(text(validate_service(&none)), "mismatched Runtime and *Spec fields");
    let other = spec(json!({"TaskTemplate": {"Runtime": "wasm"}}));
    assert_eq!(text(validate_service(&other)), "unsupported runtime");
    assert_eq!(validate_service(&other).unwrap_err().code.http(), 400);
}

#[test]
fn a_bad_constraint_is_an_unknown_error_as_in_swarmkit() {
    let spec = spec(json!({"TaskTemplate": {"Placement": {"Constraints": ["node.role manager"]}}}));
    let status = validate_service(&spec).unwrap_err();
    assert_eq!(
        status.to_string(),
        "rpc error: code = Unknown desc = constraint expected one operator from ==, !="
    );
    assert_eq!(status.code.http(), 500);
}

#[test]
fn secrets_and_configs_have_names_like_files_and_data_within_limits() {
    let secret = |name: &str, data: &str| {
        let spec = SecretSpec { name: Some(name.into()), data: Some(data.into()), ..SecretSpec::default() };
        text(validate_secret(&spec))
    };
    let bad_name = "invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]";
    let size = "secret data must be larger than 0 and less than 512000 bytes";
    assert_eq!(secret("my.secret-1_a", "YQ=="), "good");
    assert_eq!(secret("", "YQ=="), invalid("name must be provided"));
    assert_eq!(secret("a/b", "YQ=="), invalid(bad_name));
    assert_eq!(secret(".a", "YQ=="), invalid(bad_name));
    assert_eq!(secret("a", ""), invalid(size));
    assert_eq!(secret("a", &"A".repeat(512_000 / 3 * 4 + 8)), invalid(size));
    let config = ConfigSpec { name: Some("a".into()), data: None, ..ConfigSpec::default() };
    let message = "config data must be larger than 0 and less than 1024000 bytes";
    assert_eq!(text(validate_config(&config)), invalid(message));
}

#[test]
fn networks_are_looked_through() {
    let network = |over: Value| {
        let mut spec = json!({"Name": "back"});
        merge(&mut spec, over);
        text(validate_network(&serde_json::from_value::<NetworkCreateRequest>(spec).unwrap()))
    };
    let ipam = |config: Value| network(json!({"IPAM": {"Config": [config]}}));
    assert_eq!(network(json!({})), "good");
    assert_eq!(
        ipam(json!({"Subnet": "10.1.0.0/16", "IPRange": "10.1.2.0/24", "Gateway": "10.1.0.1"})),
        "good"
    );
    assert_eq!(
        network(json!({"Attachable": true, "Ingress": true})),
        invalid("ingress network cannot be attachable")
    );
    assert_eq!(ipam(json!({"Subnet": "x"})), invalid("ipam configuration: invalid subnet x"));
    assert_eq!(
        ipam(json!({"Subnet": "10.1.0.0/16", "Gateway": "10.2.0.1"})),
        invalid("ipam configuration: subnet 10.1.0.0/16 does not contain gateway 10.2.0.1")
    );
    assert_eq!(
        ipam(json!({"Subnet": "10.1.0.0/16", "IPRange": "10.2.0.0/24"})),
        invalid("ipam configuration: subnet 10.1.0.0/16 does not contain range 10.2.0.0/24")
    );
    let label = network(json!({"Labels": {"com.docker.swarm.predefined": "true"}}));
    assert!(label.starts_with("rpc error: code = PermissionDenied"), "{label}");
}

#[test]
fn a_swarm_keeps_its_name_and_its_certificates_an_hour() {
    let cluster = |json: Value| text(validate_cluster(&serde_json::from_value::<SwarmSpec>(json).unwrap()));
    assert_eq!(cluster(json!({"Name": "default"})), "good");
    assert_eq!(cluster(json!({"Name": "x"})), invalid("modification of cluster name is not allowed"));
    assert_eq!(
        cluster(json!({"Name": "default", "CAConfig": {"NodeCertExpiry": 1000}})),
        invalid("minimum certificate expiry time is: 1h0m0s")
    );
    assert_eq!(
        cluster(json!({"Name": "default", "Dispatcher": {"HeartbeatPeriod": -1}})),
        invalid("heartbeat time period cannot be a negative duration")
    );
}
