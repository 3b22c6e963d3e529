//! What a client asks of a new container, or of one it updates, held against moby's rules and this kernel's abilities.
//! Nothing is made here; what moby fills in is filled in.

mod cpus;
mod health;
mod modes;
mod policy;
pub mod resources;

use bollard_stubs::models::HostConfig;

use crate::config::Live;
use crate::container::mounts;
use crate::container::signal;
use crate::container::spec::{self, capabilities};
use crate::host::Host;
use crate::wire::ContainerConfig;

pub use policy::restart_policy;

/// Why it cannot be, in moby's words. Clients see it as 400.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);

impl Refused {
    fn because(why: &str) -> Self {
        Self(why.to_owned())
    }
}

/// Checks everything that needs no other container, image or volume; answers what to warn of.
pub fn settings(
    config: &mut ContainerConfig,
    wanted: &mut HostConfig,
    engine: &Live,
    host: &Host,
) -> Result<Vec<String>, Refused> {
    modes::combinations(config, wanted)?;
    realtime(wanted, host)?;
    process(config)?;
    if wanted.auto_remove.unwrap_or(false) && policy::restarts(wanted) {
        return Err(Refused::because("can't create 'AutoRemove' container with restart policy"));
    }
    let mut warnings = mounts::warnings(wanted);
    mounts::check(wanted).map_err(|error| Refused(error.to_string()))?;
    modes::extra_hosts(wanted)?;
    modes::ports(wanted)?;
    restart_policy(wanted.restart_policy.as_ref())?;
    capability_names(wanted)?;
    if wanted.annotations.iter().flatten().any(|(key, _)| key.is_empty()) {
        return Err(Refused::because(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
    warnings.extend(resources::check(wanted, host, resources::When::Create)?);
    modes::namespaces(wanted)?;
    if wanted.network_mode.as_deref() == Some("host")
        && wanted.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty())
    {
        warnings.push("Published ports are discarded when using host network mode".into());
    }
    runtime(wanted, engine)?;
    for destination in wanted.tmpfs.iter().flatten().map(|(destination, _)| destination) {
        mounts::tmpfs_destination(destination).map_err(|error| Refused(error.to_string()))?;
    }
    storage(wanted)?;
    devices(wanted)?;
    spec::security(wanted).map_err(|error| Refused(crate::error::chain(&error)))?;
    fill_in(wanted, engine, host);
    Ok(warnings)
}

fn process(config: &mut ContainerConfig) -> Result<(), Refused> {
    if !config.working_dir.is_empty() {
        if !config.working_dir.starts_with('/') {
            return Err(Refused(format!(
                "the working directory '{}' is invalid, it needs to be an absolute path",
                config.working_dir
            )));
        }
        config.working_dir = mounts::clean(&config.working_dir);
    }
    if let Some(name) = config.stop_signal.as_deref().filter(|name| !name.is_empty()) {
        signal::parse(name).map_err(|error| Refused(error.to_string()))?;
    }
    if let Some(bad) = config.env.iter().find(|variable| variable.is_empty() || variable.starts_with('=')) {
        return Err(Refused(format!("invalid environment variable: {bad}")));
    }
    health::check(config.healthcheck.as_ref())
}

fn realtime(wanted: &HostConfig, host: &Host) -> Result<(), Refused> {
    let (period, runtime) =
        (wanted.cpu_realtime_period.unwrap_or(0), wanted.cpu_realtime_runtime.unwrap_or(0));
    if (period != 0 || runtime != 0) && !host.controls.cpu_realtime {
        return Err(Refused::because("kernel does not support CPU real-time scheduler"));
    }
    if period != 0 && runtime > period {
        return Err(Refused::because("cpu real-time runtime cannot be higher than cpu real-time period"));
    }
    match wanted.cpu_shares {
        Some(shares) if shares < 0 && host.controls.cpu_shares => {
            Err(Refused(format!("invalid CPU shares ({shares}): value must be a positive integer")))
        }
        _ => Ok(()),
    }
}

/// Names are kept as moby keeps them: `CAP_` and capitals, in order, each once.
fn capability_names(wanted: &mut HostConfig) -> Result<(), Refused> {
    for (what, list) in [("CapAdd", &mut wanted.cap_add), ("CapDrop", &mut wanted.cap_drop)] {
        let words = list.clone().unwrap_or_default();
        let names =
            capabilities::normalize(&words).map_err(|error| Refused(format!("invalid {what}: {error}")))?;
        if !words.is_empty() {
            *list = Some(names);
        }
    }
    Ok(())
}

/// One runtime serves all the names by which moby knows its own; others can be registered, not used.
fn runtime(wanted: &HostConfig, engine: &Live) -> Result<(), Refused> {
    let own = wanted.runtime.as_deref().unwrap_or_default();
    let name = if own.is_empty() { &engine.default_runtime } else { own };
    if engine.runtimes.contains_key(name) {
        return Err(Refused(format!(
            "runtime {name} is registered but cannot be used: this engine starts containers with its own"
        )));
    }
    if engine.knows_runtime(name) {
        Ok(())
    } else {
        Err(Refused(format!("unknown or invalid runtime name: {name}")))
    }
}

fn storage(wanted: &HostConfig) -> Result<(), Refused> {
    let mut keys: Vec<&String> = wanted.storage_opt.iter().flatten().map(|(key, _)| key).collect();
    keys.sort();
    match keys.first().map(|key| key.as_str()) {
        None => Ok(()),
        Some("size") => Err(Refused::because(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        )),
        Some(other) => Err(Refused(format!("Unknown option {other}"))),
    }
}

/// Nobody here makes other devices than the kernel's own.
fn devices(wanted: &HostConfig) -> Result<(), Refused> {
    let Some(request) = wanted.device_requests.iter().flatten().next() else { return Ok(()) };
    let driver = request.driver.clone().unwrap_or_default();
    let list = |words: &[String]| format!("[{}]", words.join(" "));
    if driver == "cdi" {
        let ids = request.device_ids.clone().unwrap_or_default();
        return Err(Refused(format!(
            "CDI device injection failed: unresolvable CDI devices {}",
            ids.join(", ")
        )));
    }
    let sets: Vec<String> = request.capabilities.iter().flatten().map(|set| list(set)).collect();
    Err(Refused(format!("could not select device driver \"{driver}\" with capabilities: {}", list(&sets))))
}

fn fill_in(wanted: &mut HostConfig, engine: &Live, host: &Host) {
    // Both `0` and `-1` are words for "no limit".
    wanted.pids_limit = wanted.pids_limit.filter(|limit| *limit > 0);
    let host_wide = |mode: &Option<String>| mode.as_deref() == Some("host");
    if wanted.privileged.unwrap_or(false) || host_wide(&wanted.pid_mode) || host_wide(&wanted.ipc_mode) {
        wanted.security_opt.get_or_insert_default().push("label=disable".into());
    }
    if wanted.shm_size.unwrap_or(0) == 0 {
        wanted.shm_size = Some(engine.default_shm_size);
    }
    if wanted.memory.unwrap_or(0) > 0 && wanted.memory_swap.unwrap_or(0) == 0 {
        wanted.memory_swap = wanted.memory.map(|memory| memory * 2);
    }
    if wanted.ipc_mode.as_deref().unwrap_or_default().is_empty() {
        wanted.ipc_mode = Some(engine.default_ipc_mode.clone());
    }
    policy::name(wanted);
    if wanted.runtime.as_deref().unwrap_or_default().is_empty() {
        wanted.runtime = Some(engine.default_runtime.clone());
    }
    if host.controls.oom_kill_disable {
        wanted.oom_kill_disable.get_or_insert(false);
    }
    modes::fill_in(wanted, engine, host);
}
