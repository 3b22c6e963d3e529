//! Limits: `--memory`, `--cpus`, `--pids-limit`, `--cpuset-cpus`, device rules.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;

use bollard_stubs::models::{HostConfig, ThrottleDevice};
use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceCgroupBuilder, LinuxDeviceType, LinuxMemory,
    LinuxPids, LinuxResources, LinuxThrottleDevice, LinuxThrottleDeviceBuilder,
};

use crate::host::Host;

/// `NanoCpus` are spread over this period, in µs.
const PERIOD_US: u64 = 100_000;

/// The cgroup settings of a container.
pub fn resources(config: &HostConfig, host: &Host) -> Result<LinuxResources, BlockDeviceError> {
    let mut resources = LinuxResources::default();
    resources.set_memory(memory(config));
    resources.set_cpu(cpu(config));
    resources.set_pids(config.pids_limit.map(|limit| {
        let mut pids = LinuxPids::default();
        // What was limited once is set free by −1.
        pids.set_limit(if limit > 0 { limit } else { -1 });
        pids
    }));
    // The device controller is the initial user namespace's alone; without mknod there is nothing to guard.
    if !host.in_user_namespace {
        resources.set_devices(Some(device_rules(config)));
    }
    resources.set_block_io(block_io(config)?);
    resources.set_unified(None::<HashMap<String, String>>);
    Ok(resources)
}

#[derive(Debug, thiserror::Error)]
#[error("stat {path}")]
pub struct BlockDeviceError {
    path: String,
    source: std::io::Error,
}

/// `--device-read-bps` and its like, `--blkio-weight`.
fn block_io(config: &HostConfig) -> Result<Option<LinuxBlockIo>, BlockDeviceError> {
    let mut io = LinuxBlockIo::default();
    io.set_weight(config.blkio_weight.filter(|weight| *weight != 0));
    io.set_throttle_read_bps_device(throttled(&config.blkio_device_read_bps)?);
    io.set_throttle_write_bps_device(throttled(&config.blkio_device_write_bps)?);
    io.set_throttle_read_iops_device(throttled(&config.blkio_device_read_iops)?);
    io.set_throttle_write_iops_device(throttled(&config.blkio_device_write_iops)?);
    Ok((io != LinuxBlockIo::default()).then_some(io))
}

fn throttled(
    list: &Option<Vec<ThrottleDevice>>,
) -> Result<Option<Vec<LinuxThrottleDevice>>, BlockDeviceError> {
    let mut devices = Vec::new();
    for wanted in list.iter().flatten() {
        let path = wanted.path.clone().unwrap_or_default();
        let meta =
            std::fs::metadata(&path).map_err(|source| BlockDeviceError { path: path.clone(), source })?;
        let device = LinuxThrottleDeviceBuilder::default()
            .major(rustix::fs::major(meta.rdev()))
            .minor(rustix::fs::minor(meta.rdev()))
            .rate(wanted.rate.unwrap_or(0).unsigned_abs())
            .build();
        devices.push(device.expect("every required field is given"));
    }
    Ok((!devices.is_empty()).then_some(devices))
}

fn given(value: Option<i64>) -> Option<i64> {
    value.filter(|value| *value != 0)
}

fn memory(config: &HostConfig) -> Option<LinuxMemory> {
    let limit = given(config.memory);
    let reservation = given(config.memory_reservation);
    let swappiness = config.memory_swappiness.filter(|value| (0..=100).contains(value));
    let oom = config.oom_kill_disable.filter(|disable| *disable);
    if limit.is_none() && reservation.is_none() && swappiness.is_none() && oom.is_none() {
        return None;
    }
    let mut memory = LinuxMemory::default();
    memory.set_limit(limit);
    memory.set_reservation(reservation);
    memory.set_swap(given(config.memory_swap));
    memory.set_swappiness(swappiness.map(|value| value as u64));
    memory.set_disable_oom_killer(oom);
    Some(memory)
}

fn cpu(config: &HostConfig) -> Option<LinuxCpu> {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(given(config.cpu_shares).map(|shares| shares.max(2) as u64));
    if let Some(nano) = given(config.nano_cpus) {
        cpu.set_period(Some(PERIOD_US));
        cpu.set_quota(Some(nano * PERIOD_US as i64 / 1_000_000_000));
    } else {
        cpu.set_period(given(config.cpu_period).map(|period| period as u64));
        cpu.set_quota(given(config.cpu_quota));
    }
    cpu.set_cpus(config.cpuset_cpus.clone().filter(|cpus| !cpus.is_empty()));
    cpu.set_mems(config.cpuset_mems.clone().filter(|mems| !mems.is_empty()));
    cpu.set_realtime_period(given(config.cpu_realtime_period).map(|period| period as u64));
    cpu.set_realtime_runtime(given(config.cpu_realtime_runtime));
    (cpu != LinuxCpu::default()).then_some(cpu)
}

/// Nothing, but the nodes every container has; any node may be made (`m`), which alone opens nothing.
fn device_rules(config: &HostConfig) -> Vec<LinuxDeviceCgroup> {
    if config.privileged.unwrap_or(false) {
        return vec![rule(true, LinuxDeviceType::A, None, None, "rwm")];
    }
    let c = LinuxDeviceType::C;
    let mut rules = vec![
        rule(false, LinuxDeviceType::A, None, None, "rwm"),
        rule(true, c, None, None, "m"),
        rule(true, LinuxDeviceType::B, None, None, "m"),
        rule(true, c, Some(136), None, "rwm"),
    ];
    let standard = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)];
    rules.extend(standard.map(|(major, minor)| rule(true, c, Some(major), Some(minor), "rwm")));
    for mapping in config.devices.iter().flatten() {
        let path = mapping.path_on_host.as_deref().unwrap_or_default();
        let access =
            mapping.cgroup_permissions.as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
        if let Some((kind, major, minor)) = super::devices::number(path) {
            rules.push(rule(true, kind, Some(major), Some(minor), access));
        }
    }
    rules.extend(config.device_cgroup_rules.iter().flatten().filter_map(|text| parse_rule(text)));
    rules
}

/// `c 1:3 rwm`, with `*` for any.
fn parse_rule(text: &str) -> Option<LinuxDeviceCgroup> {
    let mut words = text.split_whitespace();
    let kind = match words.next()? {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        _ => return None,
    };
    let (major, minor) = words.next()?.split_once(':')?;
    let number = |word: &str| if word == "*" { Some(None) } else { word.parse().ok().map(Some) };
    Some(rule(true, kind, number(major)?, number(minor)?, words.next()?))
}

fn rule(
    allow: bool,
    kind: LinuxDeviceType,
    major: Option<i64>,
    minor: Option<i64>,
    access: &str,
) -> LinuxDeviceCgroup {
    let mut rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind).access(access);
    if let Some(major) = major {
        rule = rule.major(major);
    }
    if let Some(minor) = minor {
        rule = rule.minor(minor);
    }
    rule.build().expect("every required field is given")
}
