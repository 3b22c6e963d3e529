//! `docker inspect` of a container: moby's whole answer.

use serde_json::{Map, Value, json};

use crate::container::mounts::Kind;
use crate::container::record::Status;
use crate::container::{Container, Record, spec};

/// What only the engine knows around the record.
#[derive(Clone, Debug, Default)]
pub struct Around {
    /// Where the layers of its root file system lie.
    pub root: Option<drydock_images::Snapshot>,
    pub exec_ids: Vec<String>,
    pub size_rw: Option<u64>,
    pub size_root: Option<u64>,
    /// As `HostConfig.Links` shows them.
    pub links: Option<Vec<String>>,
    /// The storage driver.
    pub driver: &'static str,
}

pub fn inspect(container: &Container, record: &Record, around: &Around) -> Value {
    let command = spec::command(record);
    let (path, args) = command.split_first().map_or(("", &[][..]), |(path, args)| (path.as_str(), args));
    // They are written at the first start.
    let file = |name: &str| {
        let path = container.dir.join(name);
        if path.exists() { json!(path) } else { json!("") }
    };
    let log = container.log_path();
    let mut answer = json!({
        "Id": record.id.as_str(),
        "Created": record.created,
        "Path": path,
        "Args": args,
        "State": state(record),
        "Image": record.image_id,
        "ResolvConfPath": file("resolv.conf"),
        "HostnamePath": file("hostname"),
        "HostsPath": file("hosts"),
        "LogPath": if log.exists() { json!(log) } else { json!("") },
        "Name": format!("/{}", record.name),
        "RestartCount": record.restart_count,
        "Driver": around.driver,
        "Platform": record.platform,
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": if around.exec_ids.is_empty() { Value::Null } else { json!(around.exec_ids) },
        "HostConfig": host_config(record),
        "GraphDriver": { "Data": layers(container, around), "Name": around.driver },
        "Mounts": mounts(record),
        "Config": record.config,
        "NetworkSettings": network_settings(record),
    });
    answer["HostConfig"]["Links"] = json!(around.links);
    // Go's "nothing" is not its "none".
    if record.config.env.is_empty() {
        answer["Config"]["Env"] = Value::Null;
    }
    if let Some(mac) = chosen_mac(record) {
        answer["Config"]["MacAddress"] = json!(mac);
    }
    for (key, size) in [("SizeRw", around.size_rw), ("SizeRootFs", around.size_root)] {
        if let Some(size) = size {
            answer[key] = json!(size);
        }
    }
    answer
}

/// Clients that know of one MAC address look for it in the container's own configuration.
fn chosen_mac(record: &Record) -> Option<&String> {
    let mode = record.network_mode();
    record.macs.get(if mode == "default" { "bridge" } else { mode })
}

fn layers(container: &Container, around: &Around) -> Value {
    around.root.as_ref().map_or(Value::Null, |root| {
        let lower: Vec<_> = root.lower.iter().map(|path| path.to_string_lossy()).collect();
        json!({
            "ID": container.id.as_str(),
            "LowerDir": lower.join(":"),
            "MergedDir": root.merged,
            "UpperDir": root.upper,
            "WorkDir": root.work,
        })
    })
}

fn state(record: &Record) -> Value {
    let state = &record.state;
    let mut answer = json!({
        "Status": state.status.as_str(),
        "Running": state.status.counts_as_running(),
        "Paused": state.status == Status::Paused,
        "Restarting": state.status == Status::Restarting,
        "OOMKilled": state.oom_killed,
        "Dead": state.status == Status::Dead,
        "Pid": state.pid,
        "ExitCode": state.exit_code,
        "Error": state.error,
        "StartedAt": state.started_at,
        "FinishedAt": state.finished_at,
    });
    if let Some(health) = &state.health {
        answer["Health"] = json!(health);
    }
    answer
}

/// The user's host configuration over the values moby writes for what nobody said.
fn host_config(record: &Record) -> Value {
    let mut answer: Value =
        serde_json::from_str(include_str!("host_config.json")).expect("the file beside this one is JSON");
    if record.host_config.privileged.unwrap_or(false) {
        answer["MaskedPaths"] = Value::Null;
        answer["ReadonlyPaths"] = Value::Null;
    }
    if let (Value::Object(all), Ok(Value::Object(said))) =
        (&mut answer, serde_json::to_value(&record.host_config))
    {
        all.extend(said);
    }
    answer
}

pub fn mounts(record: &Record) -> Vec<Value> {
    let shown = record.mounts.iter().map(|point| {
        let mut answer = Map::new();
        answer.insert("Type".into(), json!(point.kind.as_str()));
        if point.kind == Kind::Volume {
            answer.insert("Name".into(), json!(point.name));
        }
        answer.insert("Source".into(), json!(point.source));
        answer.insert("Destination".into(), json!(point.destination));
        if point.kind == Kind::Volume {
            answer.insert("Driver".into(), json!(point.driver));
        }
        answer.insert("Mode".into(), json!(point.mode));
        answer.insert("RW".into(), json!(point.writable));
        answer.insert("Propagation".into(), json!(point.propagation));
        Value::Object(answer)
    });
    // `--tmpfs` is the host configuration's alone.
    let by_tmpfs_flag = |destination: &Value| {
        let flags = record.host_config.tmpfs.iter().flatten();
        flags.into_iter().any(|(path, _)| Some(path.as_str()) == destination.as_str())
    };
    shown.filter(|mount| !by_tmpfs_flag(&mount["Destination"])).collect()
}

/// Every field of an endpoint, also those nobody has set.
pub fn networks(record: &Record) -> Value {
    let mut all = Map::new();
    for (name, endpoint) in &record.networks {
        let mut answer = json!({
            "IPAMConfig": null, "Links": null, "Aliases": null, "MacAddress": "", "DriverOpts": null, "GwPriority": 0,
            "NetworkID": "", "EndpointID": "", "Gateway": "", "IPAddress": "", "IPPrefixLen": 0, "IPv6Gateway": "",
            "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0, "DNSNames": null,
        });
        if let (Value::Object(all), Ok(Value::Object(known))) = (&mut answer, serde_json::to_value(endpoint))
        {
            all.extend(known);
        }
        all.insert(name.clone(), answer);
    }
    Value::Object(all)
}

fn network_settings(record: &Record) -> Value {
    let default = record.networks.get("bridge").cloned().unwrap_or_default();
    let sandbox = record.sandbox.clone().unwrap_or_default();
    json!({
        "Bridge": "",
        "SandboxID": sandbox.id,
        "SandboxKey": sandbox.path,
        "Ports": record.ports,
        "HairpinMode": false,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": null,
        "SecondaryIPv6Addresses": null,
        "EndpointID": default.endpoint_id.unwrap_or_default(),
        "Gateway": default.gateway.unwrap_or_default(),
        "GlobalIPv6Address": default.global_ipv6_address.unwrap_or_default(),
        "GlobalIPv6PrefixLen": default.global_ipv6_prefix_len.unwrap_or(0),
        "IPAddress": default.ip_address.unwrap_or_default(),
        "IPPrefixLen": default.ip_prefix_len.unwrap_or(0),
        "IPv6Gateway": default.ipv6_gateway.unwrap_or_default(),
        "MacAddress": default.mac_address.unwrap_or_default(),
        "Networks": networks(record),
    })
}
