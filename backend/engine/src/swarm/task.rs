//! A task's spec as the container it becomes: names, labels, limits, and where its files are.

use std::path::Path;

use drydock_swarm::agent::Assets;
use drydock_swarm::objects::{
    EndpointPortConfig, NetworkAttachment, PublishMode, Task, TaskSpecContainerSpec,
};
use serde_json::{Map, Value, json};

use super::assets::Placed;
use crate::container::create::Wanted;

/// The label by which a container is known as a task's; its value is the task's id.
pub const TASK_LABEL: &str = "com.docker.swarm.task.id";

/// Why a task cannot become a container.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    #[error("the task has no container spec")]
    NoContainer,
    #[error("network {0} not found")]
    NoNetwork(String),
    #[error("the task's container spec does not read as a container: {0}")]
    Shape(#[from] serde_json::Error),
}

/// Ports that the task publishes on its own node.
pub fn host_ports(task: &Task) -> Vec<EndpointPortConfig> {
    let ports = task.endpoint.as_ref().map(|endpoint| endpoint.ports.clone()).unwrap_or_default();
    ports.into_iter().filter(|port| port.publish_mode == Some(PublishMode::HOST)).collect()
}

/// What `docker create` would be asked for the task. `assets` has the networks that it is attached to.
pub fn container(task: &Task, files: &[Placed], assets: &Assets) -> Result<Wanted, SpecError> {
    let spec = task.spec.container_spec.as_ref().ok_or(SpecError::NoContainer)?;
    let places = places(task, assets)?;
    let mut host = host_config(task, spec, files);
    host["NetworkMode"] = json!(places.first().map(|(network, _)| network));
    let endpoints: Map<String, Value> = places.into_iter().collect();
    let body = json!({
        "Config": config(task, spec),
        "HostConfig": host,
        "NetworkingConfig": { "EndpointsConfig": endpoints },
    });
    Ok(Wanted {
        config: serde_json::from_value(body["Config"].clone())?,
        around: serde_json::from_value(body)?,
        platform: None,
        of_build: false,
    })
}

/// The networks of the task, in order, with its addresses in them. Those that every node has by itself go by their names.
fn places(task: &Task, assets: &Assets) -> Result<Vec<(String, Value)>, SpecError> {
    let place = |attachment: &NetworkAttachment| {
        let id = attachment.network_id.as_str();
        let network = assets.network(id).ok_or_else(|| SpecError::NoNetwork(id.to_owned()))?;
        if network.driver() != "overlay" {
            return Ok((network.name().to_owned(), json!({})));
        }
        let address = attachment.addresses.first().and_then(|address| address.split('/').next());
        let settings = json!({
            "IPAMConfig": { "IPv4Address": address }, "DriverOpts": attachment.driver_options,
        });
        Ok((id.to_owned(), settings))
    };
    task.networks.iter().map(place).collect()
}

fn config(task: &Task, spec: &TaskSpecContainerSpec) -> Value {
    let mut labels: Map<String, Value> =
        spec.labels.iter().flatten().map(|(key, value)| (key.clone(), json!(value))).collect();
    let own = [
        ("com.docker.swarm.node.id", task.node_id.as_ref().map(ToString::to_string)),
        ("com.docker.swarm.service.id", task.service_id.as_ref().map(ToString::to_string)),
        ("com.docker.swarm.service.name", Some(task.service_annotations.name.clone())),
        ("com.docker.swarm.task", Some(String::new())),
        (TASK_LABEL, Some(task.id.to_string())),
        ("com.docker.swarm.task.name", Some(task.full_name())),
    ];
    labels.extend(own.into_iter().map(|(key, value)| (key.to_owned(), json!(value.unwrap_or_default()))));
    let exposed: Map<String, Value> = host_ports(task).iter().map(|port| (key(port), json!({}))).collect();
    json!({
        "Image": spec.image.clone().unwrap_or_default(),
        "Hostname": spec.hostname, "Env": spec.env, "WorkingDir": spec.dir, "User": spec.user,
        "Entrypoint": spec.command, "Cmd": spec.args, "Labels": labels, "Tty": spec.tty, "OpenStdin": spec.open_stdin,
        "StopSignal": spec.stop_signal, "StopTimeout": spec.stop_grace_period.map(|nanos| nanos / 1_000_000_000),
        "Healthcheck": spec.health_check, "ExposedPorts": exposed,
    })
}

fn host_config(task: &Task, spec: &TaskSpecContainerSpec, files: &[Placed]) -> Value {
    let limits = task.spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let reserved = task.spec.resources.as_ref().and_then(|resources| resources.reservations.as_ref());
    let dns = spec.dns_config.clone().unwrap_or_default();
    let mut mounts: Vec<Value> = spec.mounts.iter().flatten().map(|mount| json!(mount)).collect();
    mounts.extend(files.iter().map(bind));
    let privileges = spec.privileges.as_ref();
    let mut security = Vec::new();
    if privileges.and_then(|privileges| privileges.no_new_privileges).unwrap_or(false) {
        security.push("no-new-privileges=true".to_owned());
    }
    let bindings: Map<String, Value> = host_ports(task)
        .iter()
        .map(|port| {
            let published = port.published_port.filter(|port| *port != 0).map(|port| port.to_string());
            (key(port), json!([{ "HostPort": published.unwrap_or_default() }]))
        })
        .collect();
    let log = task.log_driver.as_ref().or(task.spec.log_driver.as_ref());
    json!({
        "Mounts": mounts, "ReadonlyRootfs": spec.read_only, "Init": spec.init, "Sysctls": spec.sysctls,
        "CapAdd": spec.capability_add, "CapDrop": spec.capability_drop, "Ulimits": spec.ulimits,
        "GroupAdd": spec.groups, "OomScoreAdj": spec.oom_score_adj, "SecurityOpt": security,
        "Dns": dns.nameservers, "DnsSearch": dns.search, "DnsOptions": dns.options, "ExtraHosts": hosts(spec),
        "NanoCpus": limits.and_then(|limits| limits.nano_cpus), "Memory": limits.and_then(|limits| limits.memory_bytes),
        "PidsLimit": limits.and_then(|limits| limits.pids),
        "MemoryReservation": reserved.and_then(|reserved| reserved.memory_bytes),
        "PortBindings": bindings,
        "LogConfig": log.map(|log| json!({ "Type": log.name, "Config": log.options })),
    })
}

fn key(port: &EndpointPortConfig) -> String {
    let protocol = port.protocol.map_or_else(|| "tcp".to_owned(), |protocol| protocol.to_string());
    format!("{}/{protocol}", port.target_port.unwrap_or_default())
}

/// A swarm's `address name name` is a container's `name:address`, several of them.
fn hosts(spec: &TaskSpecContainerSpec) -> Vec<String> {
    let lines = spec.hosts.iter().flatten();
    lines
        .flat_map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next().unwrap_or_default().to_owned();
            words.map(|name| format!("{name}:{address}")).collect::<Vec<_>>()
        })
        .collect()
}

fn bind(placed: &Placed) -> Value {
    let source: &Path = &placed.source;
    json!({ "Type": "bind", "Source": source, "Target": placed.target, "ReadOnly": true })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_a_container_with_its_limits_labels_and_ports() {
        let task: Task = serde_json::from_value(json!({
            "id": "t1", "service_id": "s1", "slot": 2, "node_id": "n1",
            "service_annotations": {"name": "web"},
            "spec": {
                "ContainerSpec": {"Image": "busybox", "Command": ["sh"], "Args": ["-c", "true"], "Labels": {"own": "x"},
                    "Hosts": ["1.2.3.4 a b"], "StopGracePeriod": 3_000_000_000_i64, "Env": ["A=b"]},
                "Resources": {"Limits": {"NanoCPUs": 500_000_000, "MemoryBytes": 64_000_000, "Pids": 7}},
            },
            "endpoint": {"ports": [
                {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080, "PublishMode": "host"},
                {"Protocol": "tcp", "TargetPort": 81, "PublishedPort": 8081, "PublishMode": "ingress"}]},
        }))
        .expect("a task");
        let wanted = container(&task, &[], &Assets::default()).expect("a container");
        assert_eq!(wanted.config.image, "busybox");
        assert_eq!(wanted.config.labels["com.docker.swarm.task.name"], "web.2.t1");
        assert_eq!(wanted.config.labels["own"], "x");
        let host = wanted.around.host_config.expect("settings");
        assert_eq!(
            (host.nano_cpus, host.memory, host.pids_limit),
            (Some(500_000_000), Some(64_000_000), Some(7))
        );
        assert_eq!(host.extra_hosts, Some(vec!["a:1.2.3.4".to_owned(), "b:1.2.3.4".to_owned()]));
        let bindings = host.port_bindings.expect("bindings");
        assert_eq!(bindings.keys().collect::<Vec<_>>(), ["80/tcp"]);
    }
}
