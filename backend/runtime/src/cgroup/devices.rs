//! Which device nodes a container may open.

use std::io;
use std::path::Path;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::{Cgroup, CgroupError, write};

/// Applies the rules in order; the last that matches decides.
pub(super) fn restrict(cgroup: &Cgroup, rules: &[LinuxDeviceCgroup]) -> Result<(), CgroupError> {
    if rules.is_empty() {
        return Ok(());
    }
    if cgroup.unified {
        return Ok(());
    }
    let Some(folder) = cgroup.v1.get("devices") else { return Ok(()) };
    rules.iter().try_for_each(|rule| write_rule(folder, rule))
}

fn write_rule(folder: &Path, rule: &LinuxDeviceCgroup) -> Result<(), CgroupError> {
    let file = folder.join(if rule.allow() { "devices.allow" } else { "devices.deny" });
    let value = v1_rule(rule);
    match write(&file, &value) {
        // In a user namespace other than the first nobody may change these rules, and nobody can make a
        // device node either: what can be opened was bound in on purpose.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        other => other.map_err(|source| CgroupError::Set { file, value, source }),
    }
}

fn v1_rule(rule: &LinuxDeviceCgroup) -> String {
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => "b",
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => "c",
        _ => "a",
    };
    let number = |number: Option<i64>| match number {
        Some(number) if number >= 0 => number.to_string(),
        _ => "*".to_owned(),
    };
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    format!("{kind} {}:{} {access}", number(rule.major()), number(rule.minor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_written_as_the_kernel_reads_them() {
        for (json, rule) in [
            (r#"{"allow":false,"access":"rwm"}"#, "a *:* rwm"),
            (r#"{"allow":true,"type":"c","major":1,"minor":3,"access":"rw"}"#, "c 1:3 rw"),
            (r#"{"allow":true,"type":"b","major":8,"minor":-1}"#, "b 8:* rwm"),
        ] {
            let parsed: LinuxDeviceCgroup = serde_json::from_str(json).unwrap();
            assert_eq!(v1_rule(&parsed), rule);
        }
    }
}
