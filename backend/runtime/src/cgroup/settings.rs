//! From the specification's resources to the files of each cgroup version. Pure: nothing is written here.

use oci_spec::runtime::{LinuxResources, LinuxThrottleDevice};

use super::CgroupError;

/// One value for one control file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The v1 controller whose folder has the file; the word before the dot under v2.
    pub controller: &'static str,
    pub file: String,
    pub value: String,
}

struct Settings(Vec<Setting>);

impl Settings {
    fn add(&mut self, controller: &'static str, file: &str, value: impl ToString) {
        self.0.push(Setting { controller, file: file.to_owned(), value: value.to_string() });
    }

    fn add_some(&mut self, controller: &'static str, file: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.add(controller, file, value);
        }
    }
}

/// What to write under cgroup v1, in an order the kernel accepts for a new group.
pub fn v1_settings(resources: &LinuxResources) -> Vec<Setting> {
    let mut set = Settings(Vec::new());
    if let Some(memory) = resources.memory() {
        let limit = memory.limit().filter(|limit| *limit != 0);
        set.add_some("memory", "memory.limit_in_bytes", limit);
        let swap = memory.swap().filter(|swap| *swap != 0);
        set.add_some("memory", "memory.memsw.limit_in_bytes", swap);
        let reservation = memory.reservation().filter(|reservation| *reservation != 0);
        set.add_some("memory", "memory.soft_limit_in_bytes", reservation);
        let kernel_tcp = memory.kernel_tcp().filter(|limit| *limit != 0);
        set.add_some("memory", "memory.kmem.tcp.limit_in_bytes", kernel_tcp);
        // Docker writes 2^64-1 for "leave it".
        let swappiness = memory.swappiness().filter(|swappiness| *swappiness <= 100);
        set.add_some("memory", "memory.swappiness", swappiness);
        if memory.disable_oom_killer() == Some(true) {
            set.add("memory", "memory.oom_control", 1);
        }
    }
    if let Some(cpu) = resources.cpu() {
        set.add_some("cpu", "cpu.shares", cpu.shares().filter(|shares| *shares != 0));
        set.add_some("cpu", "cpu.cfs_period_us", cpu.period().filter(|period| *period != 0));
        set.add_some("cpu", "cpu.cfs_quota_us", cpu.quota().filter(|quota| *quota != 0));
        set.add_some("cpu", "cpu.cfs_burst_us", cpu.burst());
        set.add_some("cpu", "cpu.idle", cpu.idle());
        set.add_some("cpu", "cpu.rt_period_us", cpu.realtime_period().filter(|period| *period != 0));
        set.add_some("cpu", "cpu.rt_runtime_us", cpu.realtime_runtime().filter(|runtime| *runtime != 0));
        set.add_some("cpuset", "cpuset.cpus", cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()));
        set.add_some("cpuset", "cpuset.mems", cpu.mems().as_ref().filter(|mems| !mems.is_empty()));
    }
    if let Some(pids) = resources.pids() {
        set.add_some("pids", "pids.max", pids_max(pids.limit()));
    }
    v1_block_io(resources, &mut set);
    for huge in resources.hugepage_limits().iter().flatten() {
        set.add("hugetlb", &format!("hugetlb.{}.limit_in_bytes", huge.page_size()), huge.limit());
    }
    if let Some(network) = resources.network() {
        set.add_some("net_cls", "net_cls.classid", network.class_id());
        for priority in network.priorities().iter().flatten() {
            let value = format!("{} {}", priority.name(), priority.priority());
            set.add("net_prio", "net_prio.ifpriomap", value);
        }
    }
    set.0
}

fn v1_block_io(resources: &LinuxResources, set: &mut Settings) {
    let Some(io) = resources.block_io() else { return };
    set.add_some("blkio", "blkio.bfq.weight", io.weight().filter(|weight| *weight != 0));
    let throttles: [(&str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("blkio.throttle.read_bps_device", io.throttle_read_bps_device()),
        ("blkio.throttle.write_bps_device", io.throttle_write_bps_device()),
        ("blkio.throttle.read_iops_device", io.throttle_read_iops_device()),
        ("blkio.throttle.write_iops_device", io.throttle_write_iops_device()),
    ];
    for (file, devices) in throttles {
        for device in devices.iter().flatten() {
            set.add("blkio", file, format!("{}:{} {}", device.major(), device.minor(), device.rate()));
        }
    }
}

/// What to write under cgroup v2; v1 units are converted as `runc` and `crun` do.
pub fn v2_settings(resources: &LinuxResources) -> Result<Vec<Setting>, CgroupError> {
    let mut set = Settings(Vec::new());
    if let Some(memory) = resources.memory() {
        let limit = memory.limit().filter(|limit| *limit != 0);
        set.add_some("memory", "memory.max", limit.map(or_max));
        let swap = memory.swap().filter(|swap| *swap != 0);
        set.add_some("memory", "memory.swap.max", swap_alone(limit, swap)?.map(or_max));
        let reservation = memory.reservation().filter(|reservation| *reservation != 0);
        set.add_some("memory", "memory.low", reservation.map(or_max));
    }
    if let Some(cpu) = resources.cpu() {
        let shares = cpu.shares().filter(|shares| *shares != 0);
        set.add_some("cpu", "cpu.weight", shares.map(weight_of_shares));
        let (quota, period) = (cpu.quota().filter(|q| *q != 0), cpu.period().filter(|p| *p != 0));
        if quota.is_some() || period.is_some() {
            let quota = quota.map_or_else(|| "max".to_owned(), or_max);
            set.add("cpu", "cpu.max", format!("{quota} {}", period.unwrap_or(100_000)));
        }
        set.add_some("cpu", "cpu.max.burst", cpu.burst());
        set.add_some("cpu", "cpu.idle", cpu.idle());
        if cpu.realtime_runtime().is_some_and(|runtime| runtime != 0) {
            return Err(CgroupError::NotInV2("cpu.realtimeRuntime"));
        }
        set.add_some("cpuset", "cpuset.cpus", cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()));
        set.add_some("cpuset", "cpuset.mems", cpu.mems().as_ref().filter(|mems| !mems.is_empty()));
    }
    if let Some(pids) = resources.pids() {
        set.add_some("pids", "pids.max", pids_max(pids.limit()));
    }
    v2_block_io(resources, &mut set);
    for huge in resources.hugepage_limits().iter().flatten() {
        set.add("hugetlb", &format!("hugetlb.{}.max", huge.page_size()), huge.limit());
    }
    if resources.network().as_ref().is_some_and(|network| network.class_id().is_some()) {
        return Err(CgroupError::NotInV2("network.classID"));
    }
    let mut unified: Vec<_> = resources.unified().iter().flatten().collect();
    unified.sort();
    for (file, value) in unified {
        set.0.push(Setting { controller: "unified", file: file.clone(), value: value.clone() });
    }
    Ok(set.0)
}

fn v2_block_io(resources: &LinuxResources, set: &mut Settings) {
    let Some(io) = resources.block_io() else { return };
    set.add_some("io", "io.bfq.weight", io.weight().filter(|weight| *weight != 0));
    let throttles: [(&str, &Option<Vec<LinuxThrottleDevice>>); 4] = [
        ("rbps", io.throttle_read_bps_device()),
        ("wbps", io.throttle_write_bps_device()),
        ("riops", io.throttle_read_iops_device()),
        ("wiops", io.throttle_write_iops_device()),
    ];
    for (key, devices) in throttles {
        for device in devices.iter().flatten() {
            let value = format!("{}:{} {key}={}", device.major(), device.minor(), device.rate());
            set.add("io", "io.max", value);
        }
    }
}

/// The specification's swap is memory and swap together; v2 limits swap alone.
fn swap_alone(limit: Option<i64>, swap: Option<i64>) -> Result<Option<i64>, CgroupError> {
    match (limit, swap) {
        (_, None) => Ok(None),
        (_, Some(swap)) if swap < 0 => Ok(Some(-1)),
        (Some(limit), Some(swap)) if limit > 0 && swap >= limit => Ok(Some(swap - limit)),
        _ => Err(CgroupError::NotInV2("memory.swap without a smaller memory.limit")),
    }
}

fn or_max(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// 0 leaves the limit as it is, negative lifts it.
fn pids_max(limit: i64) -> Option<String> {
    (limit != 0).then(|| or_max(limit))
}

/// `[2, 262144]` shares onto `[1, 10000]` weight.
fn weight_of_shares(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resources(json: &str) -> LinuxResources {
        serde_json::from_str(json).unwrap()
    }

    fn lines(settings: &[Setting]) -> Vec<String> {
        settings.iter().map(|setting| format!("{}={}", setting.file, setting.value)).collect()
    }

    /// Resources, what v1 gets, what v2 gets.
    const TABLE: [(&str, &[&str], &[&str]); 7] = [
        ("{}", &[], &[]),
        (
            r#"{"memory":{"limit":1048576,"swap":2097152,"reservation":4096}}"#,
            &[
                "memory.limit_in_bytes=1048576",
                "memory.memsw.limit_in_bytes=2097152",
                "memory.soft_limit_in_bytes=4096",
            ],
            &["memory.max=1048576", "memory.swap.max=1048576", "memory.low=4096"],
        ),
        (
            r#"{"memory":{"limit":-1,"swap":-1}}"#,
            &["memory.limit_in_bytes=-1", "memory.memsw.limit_in_bytes=-1"],
            &["memory.max=max", "memory.swap.max=max"],
        ),
        (
            r#"{"cpu":{"shares":1024,"quota":50000,"period":100000,"cpus":"0-1"}}"#,
            &["cpu.shares=1024", "cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000", "cpuset.cpus=0-1"],
            &["cpu.weight=39", "cpu.max=50000 100000", "cpuset.cpus=0-1"],
        ),
        (r#"{"cpu":{"period":50000}}"#, &["cpu.cfs_period_us=50000"], &["cpu.max=max 50000"]),
        (r#"{"pids":{"limit":-1}}"#, &["pids.max=max"], &["pids.max=max"]),
        (
            r#"{"blockIO":{"throttleReadBpsDevice":[{"major":8,"minor":0,"rate":99}]}}"#,
            &["blkio.throttle.read_bps_device=8:0 99"],
            &["io.max=8:0 rbps=99"],
        ),
    ];

    #[test]
    fn resources_become_the_files_of_each_version() {
        for (json, v1, v2) in TABLE {
            let resources = resources(json);
            assert_eq!(lines(&v1_settings(&resources)), v1, "v1 of {json}");
            assert_eq!(lines(&v2_settings(&resources).unwrap()), v2, "v2 of {json}");
        }
    }

    #[test]
    fn what_v2_cannot_say_is_refused() {
        for json in [
            r#"{"memory":{"limit":4096,"swap":1024}}"#,
            r#"{"network":{"classID":1}}"#,
            r#"{"cpu":{"realtimeRuntime":5}}"#,
        ] {
            assert!(v2_settings(&resources(json)).is_err(), "{json}");
        }
    }

    #[test]
    fn the_ends_of_the_share_scale_are_the_ends_of_the_weight_scale() {
        assert_eq!([2, 1024, 262_144].map(weight_of_shares), [1, 39, 10_000]);
    }
}
