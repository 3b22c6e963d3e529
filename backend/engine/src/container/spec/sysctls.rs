//! `--sysctl`: settings of the container's own namespaces, and moby's defaults.

use std::collections::HashMap;

use super::Input;
use super::namespaces::Choice;

/// A setting of a namespace that the container does not have for itself would be the whole host's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SysctlError {
    #[error("sysctl \"{0}\" is not allowed in the hosts ipc namespace")]
    Ipc(String),
    #[error("sysctl \"{0}\" not allowed in host network namespace")]
    Network(String),
    #[error("sysctl \"kernel.hostname\" is not allowed as it conflicts with the OCI \"hostname\" field")]
    Hostname,
    #[error("sysctl \"{0}\" is not in a separate kernel namespace")]
    NotNamespaced(String),
}

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

pub fn sysctls(input: &Input<'_>) -> Result<HashMap<String, String>, SysctlError> {
    let mut sysctls = defaults(input);
    for (name, value) in input.record.host_config.sysctls.iter().flatten() {
        check(&name.replace('/', "."), &input.namespaces.network, &input.namespaces.ipc)?;
        sysctls.insert(name.clone(), value.clone());
    }
    Ok(sysctls)
}

fn defaults(input: &Input<'_>) -> HashMap<String, String> {
    let mut sysctls = HashMap::new();
    let anothers = matches!(input.namespaces.network, Choice::Join(_)) && input.record.sandbox.is_none();
    if input.namespaces.network == Choice::Host || anothers {
        return sysctls;
    }
    sysctls.insert("net.ipv4.ip_unprivileged_port_start".into(), "0".into());
    // Refused when the range holds groups the user namespace does not map.
    if !input.host.in_user_namespace {
        sysctls.insert("net.ipv4.ping_group_range".into(), "0 2147483647".into());
    }
    sysctls
}

fn check(name: &str, network: &Choice, ipc: &Choice) -> Result<(), SysctlError> {
    if name.starts_with("net.") {
        return if *network == Choice::Host { Err(SysctlError::Network(name.to_owned())) } else { Ok(()) };
    }
    if name.starts_with("fs.mqueue.") || IPC.contains(&name) {
        return if *ipc == Choice::Host { Err(SysctlError::Ipc(name.to_owned())) } else { Ok(()) };
    }
    match name {
        "kernel.domainname" => Ok(()),
        "kernel.hostname" => Err(SysctlError::Hostname),
        name => Err(SysctlError::NotNamespaced(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_hosts_is_set() {
        let cases = [
            ("net.ipv4.ip_forward", Choice::Own, true),
            ("net.ipv4.ip_forward", Choice::Host, false),
            ("kernel.msgmax", Choice::Own, true),
            ("kernel.msgmax", Choice::Host, false),
            ("vm.swappiness", Choice::Own, false),
            ("kernel.hostname", Choice::Own, false),
        ];
        for (name, choice, allowed) in cases {
            assert_eq!(check(name, &choice, &choice).is_ok(), allowed, "{name} {choice:?}");
        }
    }
}
