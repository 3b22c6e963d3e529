//! Limits a client asks for: refused where they make no sense, left out with a warning where the kernel has no such
//! limit.

use bollard_stubs::models::HostConfig;

use super::Refused;
use super::cpus::numbers;
use crate::host::{Controls, Host};

const LEAST_MEMORY: i64 = 6 << 20;

/// Whether the limits are a new container's or come on top of what one has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    Create,
    Update,
}

/// Checks all limits, takes out what cannot be set, and answers what to warn of.
pub fn check(wanted: &mut HostConfig, host: &Host, when: When) -> Result<Vec<String>, Refused> {
    let mut warnings = Vec::new();
    memory(wanted, &host.controls, when, &mut warnings)?;
    oom(wanted, &host.controls, &mut warnings);
    if wanted.pids_limit.is_some() && !host.controls.pids {
        if wanted.pids_limit > Some(0) {
            warnings.push(unsupported("PIDs limit", "PIDs limit"));
        }
        wanted.pids_limit = None;
    }
    cpu(wanted, host, &mut warnings)?;
    cpuset(wanted, &host.controls, &mut warnings)?;
    block(wanted, &host.controls, &mut warnings)?;
    Ok(warnings)
}

fn unsupported(what: &str, discarded: &str) -> String {
    format!(
        "Your kernel does not support {what} capabilities or the cgroup is not mounted. {discarded} discarded."
    )
}

fn memory(
    wanted: &mut HostConfig,
    controls: &Controls,
    when: When,
    warnings: &mut Vec<String>,
) -> Result<(), Refused> {
    // What the CLI sends when nobody said anything.
    wanted.memory_swappiness = wanted.memory_swappiness.filter(|value| *value != -1);
    let limit = wanted.memory.unwrap_or(0);
    if limit != 0 && limit < LEAST_MEMORY {
        return Err(Refused::because("Minimum memory limit allowed is 6MB"));
    }
    if limit > 0 && !controls.memory {
        warnings.push(unsupported("memory limit", "Limitation"));
        (wanted.memory, wanted.memory_swap) = (None, Some(-1));
    }
    let limit = wanted.memory.unwrap_or(0);
    let swap = wanted.memory_swap.unwrap_or(0);
    if limit > 0 && swap != -1 && !controls.swap {
        warnings.push(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited \
             without swap."
                .into(),
        );
        wanted.memory_swap = Some(-1);
    }
    if limit > 0 && swap > 0 && swap < limit {
        return Err(Refused::because(
            "Minimum memoryswap limit should be larger than memory limit, see usage",
        ));
    }
    if limit == 0 && swap > 0 && when == When::Create {
        return Err(Refused::because(
            "You should always set the Memory limit when using Memoryswap limit, see usage",
        ));
    }
    swappiness(wanted, controls, warnings)?;
    reservation(wanted, controls, warnings)
}

fn swappiness(
    wanted: &mut HostConfig,
    controls: &Controls,
    warnings: &mut Vec<String>,
) -> Result<(), Refused> {
    let Some(value) = wanted.memory_swappiness else { return Ok(()) };
    if !controls.swappiness {
        warnings.push(unsupported("memory swappiness", "Memory swappiness"));
        wanted.memory_swappiness = None;
    } else if !(0..=100).contains(&value) {
        return Err(Refused(format!("Invalid value: {value}, valid memory swappiness range is 0-100")));
    }
    Ok(())
}

fn reservation(
    wanted: &mut HostConfig,
    controls: &Controls,
    warnings: &mut Vec<String>,
) -> Result<(), Refused> {
    if wanted.memory_reservation > Some(0) && !controls.memory_reservation {
        warnings.push(unsupported("memory soft limit", "Limitation"));
        wanted.memory_reservation = None;
    }
    let (reserved, limit) = (wanted.memory_reservation.unwrap_or(0), wanted.memory.unwrap_or(0));
    if reserved > 0 && reserved < LEAST_MEMORY {
        return Err(Refused::because("Minimum memory reservation allowed is 6MB"));
    }
    if limit > 0 && reserved > 0 && limit < reserved {
        return Err(Refused::because(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    Ok(())
}

fn oom(wanted: &mut HostConfig, controls: &Controls, warnings: &mut Vec<String>) {
    let disabled = wanted.oom_kill_disable == Some(true);
    if !controls.oom_kill_disable {
        if disabled {
            warnings.push("Your kernel does not support OomKillDisable. OomKillDisable discarded.".into());
        }
        wanted.oom_kill_disable = None;
    } else if disabled && wanted.memory.unwrap_or(0) == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can result in the system \
             running out of resources."
                .into(),
        );
    }
}

fn cpu(wanted: &mut HostConfig, host: &Host, warnings: &mut Vec<String>) -> Result<(), Refused> {
    let (nano, period, quota) =
        (wanted.nano_cpus.unwrap_or(0), wanted.cpu_period.unwrap_or(0), wanted.cpu_quota.unwrap_or(0));
    if nano > 0 && period > 0 {
        return Err(Refused::because("Conflicting options: Nano CPUs and CPU Period cannot both be set"));
    }
    if nano > 0 && quota > 0 {
        return Err(Refused::because("Conflicting options: Nano CPUs and CPU Quota cannot both be set"));
    }
    if nano > 0 && !host.controls.cpu_quota {
        return Err(Refused::because(
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted",
        ));
    }
    let cpus = host.cpus;
    if nano < 0 || nano > cpus as i64 * 1_000_000_000 {
        return Err(Refused(format!(
            "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
        )));
    }
    if wanted.cpu_shares > Some(0) && !host.controls.cpu_shares {
        warnings.push(
            "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.".into(),
        );
        wanted.cpu_shares = None;
    }
    if (period != 0 || quota != 0) && !host.controls.cpu_quota {
        warnings.push("Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.".into());
        (wanted.cpu_period, wanted.cpu_quota) = (None, None);
        return Ok(());
    }
    if period != 0 && !(1000..=1_000_000).contains(&period) {
        return Err(Refused::because(
            "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
        ));
    }
    if quota > 0 && quota < 1000 {
        return Err(Refused::because("CPU cfs quota can not be less than 1ms (i.e. 1000)"));
    }
    if wanted.cpu_percent > Some(0) {
        warnings.push("linux does not support CPU percent. Percent discarded.".into());
        wanted.cpu_percent = None;
    }
    Ok(())
}

fn cpuset(wanted: &mut HostConfig, controls: &Controls, warnings: &mut Vec<String>) -> Result<(), Refused> {
    let text = |list: &Option<String>| list.clone().unwrap_or_default();
    let (cpus, nodes) = (text(&wanted.cpuset_cpus), text(&wanted.cpuset_mems));
    let asked = !cpus.is_empty() || !nodes.is_empty();
    if asked && !controls.cpuset {
        warnings.push(
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.".into(),
        );
        (wanted.cpuset_cpus, wanted.cpuset_mems) = (None, None);
        return Ok(());
    }
    within(&cpus, &controls.cpus, "cpus", "CPUs")?;
    within(&nodes, &controls.memory_nodes, "mems", "memory nodes")
}

fn within(wanted: &str, available: &str, kind: &str, plural: &str) -> Result<(), Refused> {
    let Some(numbers_wanted) = numbers(wanted) else {
        return Err(Refused(format!("Invalid value {wanted} for cpuset {kind}: invalid format: {wanted}")));
    };
    let there = numbers(available).unwrap_or_default();
    if !numbers_wanted.is_subset(&there) {
        return Err(Refused(format!(
            "Requested {plural} are not available - requested {wanted}, available: {available}"
        )));
    }
    Ok(())
}

fn block(wanted: &mut HostConfig, controls: &Controls, warnings: &mut Vec<String>) -> Result<(), Refused> {
    let weight = wanted.blkio_weight.unwrap_or(0);
    let missing = |what: &str, discarded: &str| {
        format!("Your kernel does not support {what} or the cgroup is not mounted. {discarded} discarded.")
    };
    if weight > 0 && !controls.block_weight {
        warnings.push(missing("Block I/O weight", "Weight"));
        wanted.blkio_weight = None;
    } else if weight > 0 && !(10..=1000).contains(&weight) {
        return Err(Refused::because("Range of blkio weight is from 10 to 1000"));
    }
    if !controls.block_weight_device && some(&wanted.blkio_weight_device) {
        warnings.push(missing("Block I/O weight_device", "Weight-device"));
        wanted.blkio_weight_device = Some(Vec::new());
    }
    if controls.block_throttle {
        return Ok(());
    }
    for (list, unit, direction) in [
        (&mut wanted.blkio_device_read_bps, "BPS", "read"),
        (&mut wanted.blkio_device_write_bps, "BPS", "write"),
        (&mut wanted.blkio_device_read_iops, "IOPS", "read"),
        (&mut wanted.blkio_device_write_iops, "IOPS", "write"),
    ] {
        if some(list) {
            let block = if unit == "BPS" { "BPS Block I/O" } else { "IOPS Block" };
            warnings.push(missing(
                &format!("{block} {direction} limit"),
                &format!("Block I/O {unit} {direction} limit"),
            ));
            *list = Some(Vec::new());
        }
    }
    Ok(())
}

fn some<T>(list: &Option<Vec<T>>) -> bool {
    list.as_ref().is_some_and(|list| !list.is_empty())
}
