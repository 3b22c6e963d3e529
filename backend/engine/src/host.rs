//! What this kernel, and the namespaces we were started in, let the engine do. Read once.

mod controls;

use std::fs;
use std::path::Path;

pub use controls::Controls;

/// Facts about where the engine runs.
#[derive(Clone, Debug)]
pub struct Host {
    /// Our bounding set: bit n is capability number n.
    capabilities: u64,
    /// We are root of a user namespace only: no device nodes, no device rules.
    pub in_user_namespace: bool,
    /// `/sys/fs/cgroup` is cgroup2 alone.
    pub cgroup_v2: bool,
    pub controls: Controls,
    pub kernel: String,
    pub os: String,
    pub os_version: String,
    pub cpus: usize,
    pub memory: i64,
    pub name: String,
}

impl Host {
    pub fn detect() -> Self {
        let uname = rustix::system::uname();
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        let cgroup_v2 = has_cgroup_v2();
        Self {
            capabilities: bounding_set(),
            in_user_namespace: in_user_namespace(),
            cgroup_v2,
            controls: Controls::detect(cgroup_v2),
            kernel: uname.release().to_string_lossy().into_owned(),
            os: os_release(&release, "PRETTY_NAME").unwrap_or_else(|| "Linux".into()),
            os_version: os_release(&release, "VERSION_ID").unwrap_or_default(),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory: total_memory(),
            name: uname.nodename().to_string_lossy().into_owned(),
        }
    }

    pub const fn may_give_capability(&self, number: usize) -> bool {
        number < 64 && self.capabilities & (1 << number) != 0
    }

    #[cfg(test)]
    pub fn with_capabilities(capabilities: u64) -> Self {
        Self { capabilities, ..Self::detect() }
    }
}

/// One hierarchy with all controllers.
pub fn has_cgroup_v2() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn bounding_set() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    line.and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok()).unwrap_or(0)
}

/// The initial namespace alone maps all 2³² − 1 ids to themselves.
fn in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

fn os_release(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(line.trim_matches('"').to_owned())
}

fn total_memory() -> i64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).unwrap_or_default();
    let kib: i64 = line.trim().trim_end_matches(" kB").trim().parse().unwrap_or(0);
    kib * 1024
}
