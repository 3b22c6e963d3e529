//! `GET /info`: what `docker info` shows, field for field as moby has them in each version of its API.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Extension, State};
use serde_json::{Map, Value, json};

use crate::config::{Config, Host as Address, Live, STOCK_RUNTIME, STOCK_RUNTIME_V2, masked};
use crate::container::record::Status;
use crate::engine::Engine;
use crate::host::Host;
use crate::http::version::ApiVersion;
use crate::image::driver;

use super::system::RELEASE;

/// The key that dockerd has the document of the runtime's features under.
const FEATURES: &str = "org.opencontainers.runtime-spec.features";

const OWN: &str = env!("CARGO_PKG_VERSION");

pub async fn info(
    State(engine): State<Arc<Engine>>,
    Extension(version): Extension<ApiVersion>,
) -> Json<Value> {
    let live = engine.live();
    let parts = [
        containers(&engine),
        storage(&engine),
        limits(&engine.host),
        process(&engine, &live),
        system(&engine),
        registries(&live),
        runtimes(&engine.config, &live),
    ];
    let mut all: Map<String, Value> = parts.into_iter().flatten().collect();
    all.insert("Swarm".into(), Value::Object(super::swarm::info(&engine).await));
    let security = security(&engine, &live);
    all.insert("SecurityOptions".into(), json!(security));
    all.insert("Warnings".into(), warnings(&engine, &all));
    speak(&mut all, version, &security, engine.host.controls.kernel_memory);
    Json(Value::Object(all))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn containers(engine: &Engine) -> Map<String, Value> {
    let statuses: Vec<Status> = engine.containers.all().iter().map(|container| container.status()).collect();
    let count = |wanted: fn(&Status) -> bool| statuses.iter().filter(|status| wanted(status)).count();
    object(json!({
        "ID": engine.id,
        "Containers": statuses.len(),
        "ContainersRunning": count(|status| matches!(status, Status::Running | Status::Restarting)),
        "ContainersPaused": count(|status| *status == Status::Paused),
        "ContainersStopped": count(|status| !status.counts_as_running()),
        "Images": engine.images.count(),
    }))
}

fn storage(engine: &Engine) -> Map<String, Value> {
    object(json!({
        "Driver": engine.images.driver_name(),
        "DriverStatus": driver::status(engine.images.store().driver(), engine.images.store().root(), &engine.host),
        "DockerRootDir": engine.config.data_root,
        "Plugins": {
            "Volume": ["local"], "Network": ["bridge", "host", "ipvlan", "macvlan", "null"], "Authorization": null,
            "Log": crate::log::options::DRIVERS,
        },
        "LoggingDriver": engine.config.log_driver,
        "CDISpecDirs": [],
    }))
}

fn limits(host: &Host) -> Map<String, Value> {
    let controls = &host.controls;
    object(json!({
        "MemoryLimit": controls.memory,
        "SwapLimit": controls.swap,
        "KernelMemoryTCP": controls.kernel_memory_tcp,
        "CpuCfsPeriod": controls.cpu_quota,
        "CpuCfsQuota": controls.cpu_quota,
        "CPUShares": controls.cpu_shares,
        "CPUSet": controls.cpuset,
        "PidsLimit": controls.pids,
        "OomKillDisable": controls.oom_kill_disable,
        "IPv4Forwarding": forwards_ipv4(),
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": if host.cgroup_v2 { "2" } else { "1" },
    }))
}

fn forwards_ipv4() -> bool {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

fn process(engine: &Engine, live: &Live) -> Map<String, Value> {
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let proxies = &engine.config.proxies;
    object(json!({
        "Debug": live.debug,
        "NFd": descriptors,
        // What comes nearest to Go's.
        "NGoroutines": tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        "NEventsListener": engine.events.listeners(),
        "SystemTime": crate::container::record::now(),
        "ServerVersion": RELEASE,
        "ExperimentalBuild": engine.config.experimental,
        "LiveRestoreEnabled": live.live_restore,
        "Labels": live.labels,
        "HttpProxy": masked(&proxies.http),
        "HttpsProxy": masked(&proxies.https),
        "NoProxy": proxies.none,
    }))
}

fn system(engine: &Engine) -> Map<String, Value> {
    let (host, config) = (&engine.host, &engine.config);
    let mut all = object(json!({
        "KernelVersion": host.kernel,
        "OperatingSystem": host.os,
        "OSVersion": host.os_version,
        "OSType": "linux",
        "Architecture": "x86_64",
        "NCPU": host.cpus,
        "MemTotal": host.memory,
        "Name": host.name,
        "Isolation": "",
        "GenericResources": null,
        "FirewallBackend": { "Driver": "nftables" },
    }));
    if !config.default_address_pools.is_empty() {
        let pools = config.default_address_pools.iter();
        let pools: Vec<Value> = pools.map(|pool| json!({ "Base": pool.base, "Size": pool.size })).collect();
        all.insert("DefaultAddressPools".into(), json!(pools));
    }
    all
}

fn registries(live: &Live) -> Map<String, Value> {
    let plain = |name: &String| name.split_once("://").map_or(name.clone(), |(_, rest)| rest.to_owned());
    let (ranges, names): (Vec<String>, Vec<String>) =
        live.insecure_registries.iter().map(plain).partition(|name| name.contains('/'));
    let ranges: Vec<String> =
        ranges.into_iter().chain(["::1/128", "127.0.0.0/8"].map(str::to_owned)).collect();
    let mirrors = &live.registry_mirrors;
    let mut indexes = json!({
        "docker.io": { "Name": "docker.io", "Mirrors": mirrors, "Secure": true, "Official": true },
    });
    for name in names {
        indexes[&name] = json!({ "Name": name, "Mirrors": [], "Secure": false, "Official": false });
    }
    object(json!({
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": {
            "InsecureRegistryCIDRs": ranges,
            "IndexConfigs": indexes,
            "Mirrors": if mirrors.is_empty() { Value::Null } else { json!(mirrors) },
        },
    }))
}

fn runtimes(config: &Config, live: &Live) -> Map<String, Value> {
    // Of a runtime that is registered nothing is known: it is not run.
    let own = json!({
        "path": config.shim,
        "status": { FEATURES: drydock_runtime::features::describe().to_string() },
    });
    let mut all = Map::new();
    for (name, runtime) in &live.runtimes {
        let mut shown = Map::new();
        if !runtime.path.is_empty() {
            shown.insert("path".into(), json!(runtime.path));
        }
        if !runtime.args.is_empty() {
            shown.insert("runtimeArgs".into(), json!(runtime.args));
        }
        all.insert(name.clone(), shown.into());
    }
    all.insert(STOCK_RUNTIME.into(), own.clone());
    all.insert(STOCK_RUNTIME_V2.into(), own);
    object(json!({
        "Runtimes": all,
        "DefaultRuntime": live.default_runtime,
        "InitBinary": "docker-init",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": OWN },
        "InitCommit": { "ID": "" },
    }))
}

fn security(engine: &Engine, live: &Live) -> Vec<String> {
    let seccomp = match engine.config.seccomp_profile.as_str() {
        "" => "builtin",
        profile => profile,
    };
    let mut all = vec![format!("name=seccomp,profile={seccomp}")];
    let more = [
        (engine.host.in_user_namespace, "name=rootless"),
        (live.default_cgroupns_mode == "private", "name=cgroupns"),
        (engine.config.no_new_privileges, "name=no-new-privileges"),
    ];
    all.extend(more.into_iter().filter(|(is_on, _)| *is_on).map(|(_, name)| name.to_owned()));
    all
}

/// What is dangerous about a way in, in dockerd's words; it says so in its log as well.
pub fn open_door(address: &Address, config: &Config) -> Option<String> {
    const REMOTE: &str = "
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/
In future versions this will be a hard failure preventing the daemon from starting! Learn more at: https://docs.docker.com/go/api-security/";
    let Address::Tcp(address) = address else { return None };
    let what = match &config.tls {
        None => format!("API is accessible on http://{address} without encryption."),
        Some(tls) if !tls.verify => {
            format!("API is accessible on https://{address} without TLS client verification.")
        }
        Some(_) => return None,
    };
    Some(format!("[DEPRECATION NOTICE]: {what}{REMOTE}"))
}

/// `null` rather than an empty list.
fn warnings(engine: &Engine, info: &Map<String, Value>) -> Value {
    let lacks = |field: &str| info.get(field) == Some(&Value::Bool(false));
    let v1 = !engine.host.cgroup_v2;
    let mut all: Vec<String> =
        engine.config.hosts.iter().filter_map(|host| open_door(host, &engine.config)).collect();
    let profile = engine.config.seccomp_profile.as_str();
    let kernel = [
        (!matches!(profile, "" | "builtin"), "daemon is not using the default seccomp profile"),
        (lacks("MemoryLimit"), "No memory limit support"),
        (lacks("SwapLimit"), "No swap limit support"),
        (v1 && lacks("KernelMemoryTCP"), "No kernel memory TCP limit support"),
        (v1 && lacks("OomKillDisable"), "No oom kill disable support"),
        (lacks("CpuCfsQuota"), "No cpu cfs quota support"),
        (lacks("CpuCfsPeriod"), "No cpu cfs period support"),
        (lacks("CPUShares"), "No cpu shares support"),
        (lacks("CPUSet"), "No cpuset support"),
        (lacks("IPv4Forwarding"), "IPv4 forwarding is disabled"),
    ];
    all.extend(kernel.into_iter().filter(|(is_so, _)| *is_so).map(|(_, text)| format!("WARNING: {text}")));
    if all.is_empty() { Value::Null } else { json!(all) }
}

/// Older versions of the API have other fields.
fn speak(all: &mut Map<String, Value>, version: ApiVersion, security: &[String], kernel_memory: bool) {
    if version.is_before(50) {
        all.insert("BridgeNfIptables".into(), json!(false));
        all.insert("BridgeNfIp6tables".into(), json!(false));
    }
    if version.is_before(49) {
        all.remove("FirewallBackend");
        for (part, id) in [("ContainerdCommit", ""), ("RuncCommit", OWN), ("InitCommit", "")] {
            let mut commit = json!({ "ID": id });
            if !id.is_empty() {
                commit["Expected"] = json!(id);
            }
            all.insert(part.into(), commit);
        }
    }
    if version.is_before(47)
        && let Some(registries) = all.get_mut("RegistryConfig")
    {
        registries["AllowNondistributableArtifactsCIDRs"] = Value::Null;
        registries["AllowNondistributableArtifactsHostnames"] = Value::Null;
    }
    if version.is_before(44)
        && let Some(Value::Object(runtimes)) = all.get_mut("Runtimes")
    {
        for runtime in runtimes.values_mut().filter_map(Value::as_object_mut) {
            runtime.remove("status");
        }
    }
    if version.is_before(42) && kernel_memory {
        all.insert("KernelMemory".into(), json!(true));
    }
    if version.is_before(25) {
        let names = security.iter().map(|option| option.split(',').next().unwrap_or_default());
        let names: Vec<&str> = names.map(|name| name.strip_prefix("name=").unwrap_or(name)).collect();
        all.insert("SecurityOptions".into(), json!(names));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_clients_get_the_fields_of_their_time() {
        let spoken = |minor| {
            let mut all = registries(&live());
            all.insert("FirewallBackend".into(), json!({}));
            all.insert("Runtimes".into(), json!({"runc": {"path": "x", "status": {}}}));
            speak(
                &mut all,
                ApiVersion { major: 1, minor },
                &["name=seccomp,profile=builtin".to_owned()],
                false,
            );
            all
        };
        let has = |minor, field: &str| spoken(minor).contains_key(field);
        assert!(has(51, "FirewallBackend") && !has(51, "BridgeNfIptables"));
        assert!(has(49, "FirewallBackend") && has(49, "BridgeNfIptables"));
        assert!(!has(48, "FirewallBackend"));
        assert!(spoken(44)["Runtimes"]["runc"].get("status").is_some());
        assert!(spoken(43)["Runtimes"]["runc"].get("status").is_none());
        assert_eq!(spoken(48)["RuncCommit"]["Expected"], OWN);
        assert!(spoken(47)["RegistryConfig"].get("AllowNondistributableArtifactsCIDRs").is_none());
        assert!(spoken(46)["RegistryConfig"].get("AllowNondistributableArtifactsCIDRs").is_some());
        assert_eq!(spoken(24)["SecurityOptions"], json!(["seccomp"]));
    }

    #[test]
    fn registries_are_listed_by_name_and_range() {
        let config = &registries(&live())["RegistryConfig"];
        assert_eq!(config["InsecureRegistryCIDRs"], json!(["10.1.0.0/16", "::1/128", "127.0.0.0/8"]));
        assert_eq!(config["IndexConfigs"]["foo:5000"]["Secure"], false);
        assert_eq!(config["IndexConfigs"]["docker.io"]["Mirrors"], json!(["http://m/"]));
        assert_eq!(config["Mirrors"], json!(["http://m/"]));
    }

    fn live() -> Live {
        let words = [
            "--config-file=",
            "--insecure-registry=foo:5000",
            "--insecure-registry=10.1.0.0/16",
            "--registry-mirror=http://m",
        ];
        let given = crate::config::Given::parse(words.map(str::to_owned)).expect("flags");
        let (config, _) = crate::config::load(given, &Default::default()).expect("a configuration");
        config.live
    }
}
