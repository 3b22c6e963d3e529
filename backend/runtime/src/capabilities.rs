//! Capabilities by name. One that this kernel or this runtime does not know is left out with a warning: the
//! specification wants no error (`config.md`, `process.capabilities`).

use std::str::FromStr;

use oci_spec::runtime::Capability;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// By their numbers in `linux/capability.h`, without `CAP_`.
pub const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Reads a configuration or a process, without the capabilities nobody knows; those are named beside it.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<(T, Vec<String>), serde_json::Error> {
    match serde_json::from_slice(text) {
        Ok(parsed) => Ok((parsed, Vec::new())),
        // A second, slower look, which nearly nobody pays for.
        Err(error) => {
            let mut whole: Value = serde_json::from_slice(text)?;
            let ignored = remove_unknown(&mut whole);
            match ignored.is_empty() {
                true => Err(error),
                // By way of text once more: reading from a tree would be a second copy of all that reading code.
                false => Ok((serde_json::from_slice(&serde_json::to_vec(&whole)?)?, ignored)),
            }
        }
    }
}

fn remove_unknown(whole: &mut Value) -> Vec<String> {
    let at = if whole.get("process").is_some() { "/process/capabilities" } else { "/capabilities" };
    let Some(Value::Object(sets)) = whole.pointer_mut(at) else { return Vec::new() };
    let mut unknown = Vec::new();
    for names in sets.values_mut().filter_map(Value::as_array_mut) {
        names.retain(|name| match name.as_str() {
            Some(name) if !is_known(name) => {
                unknown.push(name.to_owned());
                false
            }
            _ => true,
        });
    }
    unknown.sort();
    unknown.dedup();
    unknown
}

fn is_known(name: &str) -> bool {
    serde_json::from_value::<Capability>(name.into()).is_ok() || Capability::from_str(name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_spec::runtime::Process;

    #[test]
    fn a_capability_nobody_knows_is_named_and_left_out() {
        let text = br#"{"user":{"uid":0,"gid":0},"cwd":"/","capabilities":{"bounding":["CAP_TEST","CAP_KILL"],"effective":["CAP_TEST"]}}"#;
        let (process, ignored) = parse::<Process>(text).unwrap();
        assert_eq!(ignored, ["CAP_TEST"]);
        let bounding = process.capabilities().as_ref().unwrap().bounding().clone().unwrap();
        assert_eq!(bounding.into_iter().collect::<Vec<_>>(), [Capability::Kill]);
    }

    #[test]
    fn any_other_mistake_is_told_as_it_is() {
        let error = parse::<Process>(br#"{"user":{"uid":"a"},"cwd":"/"}"#).unwrap_err();
        assert!(error.to_string().contains("uid") || error.to_string().contains("invalid type"), "{error}");
    }
}
