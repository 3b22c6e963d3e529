//! Namespaces shared with the host or another container, and what cannot be set in them any more.

use std::net::IpAddr;

use bollard_stubs::models::{HostConfig, HostConfigCgroupnsModeEnum};

use super::Refused;
use crate::config::Live;
use crate::host::Host;
use crate::wire::ContainerConfig;

fn given<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}

/// What contradicts the network and UTS modes.
pub fn combinations(config: &ContainerConfig, wanted: &HostConfig) -> Result<(), Refused> {
    let conflict = |what: &str| Err(Refused(format!("conflicting options: {what}")));
    let mode = wanted.network_mode.as_deref().unwrap_or_default();
    if mode == "container" || mode.starts_with("container:") {
        in_anothers_network(config, wanted, mode)?;
    }
    if wanted.uts_mode.as_deref() == Some("host") && !config.hostname.is_empty() {
        return conflict("hostname and the UTS mode");
    }
    if mode == "host" && given(&wanted.links) {
        return conflict(
            "host type networking can't be used with links. This would result in undefined behavior",
        );
    }
    Ok(())
}

fn in_anothers_network(config: &ContainerConfig, wanted: &HostConfig, mode: &str) -> Result<(), Refused> {
    if mode.strip_prefix("container:").is_none_or(str::is_empty) {
        return Err(Refused::because("invalid network mode: invalid container format container:<name|id>"));
    }
    let published = wanted.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty())
        || wanted.publish_all_ports.unwrap_or(false);
    let conflicts = [
        (!config.hostname.is_empty(), "hostname and the network mode"),
        (
            given(&wanted.links),
            "container type network can't be used with links. This would result in undefined behavior",
        ),
        (given(&wanted.dns), "dns and the network mode"),
        (given(&wanted.extra_hosts), "custom host-to-IP mapping and the network mode"),
        (published, "port publishing and the container type network mode"),
        (!config.exposed_ports.is_empty(), "port exposing and the container type network mode"),
    ];
    match conflicts.into_iter().find(|(conflict, _)| *conflict) {
        Some((_, what)) => Err(Refused(format!("conflicting options: {what}"))),
        None => Ok(()),
    }
}

/// `--ipc`, `--pid`, `--uts`, `--shm-size` and `--oom-score-adj`.
pub fn namespaces(wanted: &HostConfig) -> Result<(), Refused> {
    let of_container = |mode: &str| mode.strip_prefix("container:").is_some_and(|name| !name.is_empty());
    let ipc = wanted.ipc_mode.as_deref().unwrap_or_default();
    if !matches!(ipc, "" | "none" | "private" | "host" | "shareable") && !of_container(ipc) {
        return Err(Refused(format!("invalid IPC mode: {ipc}")));
    }
    let pid = wanted.pid_mode.as_deref().unwrap_or_default();
    if !matches!(pid, "" | "host") && !of_container(pid) {
        return Err(Refused(format!("invalid PID mode: {pid}")));
    }
    if wanted.shm_size.unwrap_or(0) < 0 {
        return Err(Refused::because("SHM size can not be less than 0"));
    }
    let uts = wanted.uts_mode.as_deref().unwrap_or_default();
    if !matches!(uts, "" | "host") {
        return Err(Refused(format!("invalid UTS mode: {uts}")));
    }
    let score = wanted.oom_score_adj.unwrap_or(0);
    if !(-1000..=1000).contains(&score) {
        return Err(Refused(format!("Invalid value {score}, range for oom score adj is [-1000, 1000]")));
    }
    Ok(())
}

pub fn extra_hosts(wanted: &HostConfig) -> Result<(), Refused> {
    for entry in wanted.extra_hosts.iter().flatten() {
        let Some((_, address)) = entry.split_once(':').filter(|(name, _)| !name.is_empty()) else {
            return Err(Refused(format!("bad format for add-host: \"{entry}\"")));
        };
        let address = address.trim_start_matches('[').trim_end_matches(']');
        if address != "host-gateway" && address.parse::<IpAddr>().is_err() {
            return Err(Refused(format!("invalid IP address in add-host: \"{address}\"")));
        }
    }
    Ok(())
}

pub fn ports(wanted: &HostConfig) -> Result<(), Refused> {
    let bad = |text: &str| Err(Refused(format!("invalid port specification: \"{text}\"")));
    for (port, bindings) in wanted.port_bindings.iter().flatten() {
        let number = port.split('/').next().unwrap_or_default();
        if !number.is_empty() && number.parse::<u16>().is_err() {
            return bad(number);
        }
        for binding in bindings.iter().flatten() {
            let public = binding.host_port.as_deref().unwrap_or_default();
            if !is_port_or_range(public) {
                return bad(public);
            }
        }
    }
    Ok(())
}

/// ``, `80`, `80/tcp` or `8000-8010`.
fn is_port_or_range(text: &str) -> bool {
    let numbers = text.split('/').next().unwrap_or_default();
    if numbers.is_empty() {
        return true;
    }
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if first <= last)
}

/// A cgroup namespace of its own is the default of cgroup2 alone.
pub fn fill_in(wanted: &mut HostConfig, engine: &Live, host: &Host) {
    // Where controllers lie apart, a privileged container sees all of them.
    let sees_all = wanted.privileged.unwrap_or(false) && !host.cgroup_v2;
    let mode = wanted.cgroupns_mode.get_or_insert(HostConfigCgroupnsModeEnum::EMPTY);
    if *mode == HostConfigCgroupnsModeEnum::EMPTY {
        *mode = if sees_all || engine.default_cgroupns_mode == "host" {
            HostConfigCgroupnsModeEnum::HOST
        } else {
            HostConfigCgroupnsModeEnum::PRIVATE
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_containers_network_leaves_nothing_to_set() {
        let wanted = |mode: &str| HostConfig { network_mode: Some(mode.to_owned()), ..HostConfig::default() };
        let named = ContainerConfig { hostname: "x".into(), ..ContainerConfig::default() };
        let error = combinations(&named, &wanted("container:a")).expect_err("a host name");
        assert_eq!(error.to_string(), "conflicting options: hostname and the network mode");
        assert!(combinations(&ContainerConfig::default(), &wanted("container:a")).is_ok());
        assert!(combinations(&ContainerConfig::default(), &wanted("container:")).is_err());
    }

    #[test]
    fn host_ports_are_numbers_or_ranges() {
        for (text, good) in
            [("", true), ("80", true), ("80/tcp", true), ("80-90", true), ("90-80", false), ("99999", false)]
        {
            assert_eq!(is_port_or_range(text), good, "{text}");
        }
    }
}
