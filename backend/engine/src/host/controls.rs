//! Which limits the cgroups here can set. What they cannot, moby leaves out with a warning.

use std::fs;
use std::path::Path;

/// Facts about the controllers, read once.
#[derive(Clone, Debug, Default)]
pub struct Controls {
    pub memory: bool,
    pub swap: bool,
    pub memory_reservation: bool,
    pub swappiness: bool,
    pub oom_kill_disable: bool,
    pub kernel_memory: bool,
    pub kernel_memory_tcp: bool,
    pub cpu_shares: bool,
    pub cpu_quota: bool,
    pub cpu_realtime: bool,
    pub cpuset: bool,
    pub pids: bool,
    pub block_weight: bool,
    pub block_weight_device: bool,
    pub block_throttle: bool,
    /// Processors and memory nodes a container may be bound to, as the kernel lists them: `0-3,7`.
    pub cpus: String,
    pub memory_nodes: String,
}

const ROOT: &str = "/sys/fs/cgroup";

impl Controls {
    pub fn detect(cgroup_v2: bool) -> Self {
        if cgroup_v2 { Self::unified(Path::new(ROOT)) } else { Self::separate(Path::new(ROOT)) }
    }

    fn unified(root: &Path) -> Self {
        let list = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        let has = |name: &str| list.split_whitespace().any(|word| word == name);
        Self {
            memory: has("memory"),
            swap: has("memory"),
            memory_reservation: has("memory"),
            cpu_shares: has("cpu"),
            cpu_quota: has("cpu"),
            cpuset: has("cpuset"),
            pids: has("pids"),
            block_weight: has("io"),
            block_weight_device: has("io"),
            block_throttle: has("io"),
            cpus: line(&root.join("cpuset.cpus.effective")),
            memory_nodes: line(&root.join("cpuset.mems.effective")),
            ..Self::default()
        }
    }

    fn separate(root: &Path) -> Self {
        let has = |file: &str| root.join(file).exists();
        Self {
            memory: has("memory"),
            swap: has("memory/memory.memsw.limit_in_bytes"),
            memory_reservation: has("memory/memory.soft_limit_in_bytes"),
            swappiness: has("memory/memory.swappiness"),
            oom_kill_disable: has("memory/memory.oom_control"),
            kernel_memory: has("memory/memory.kmem.limit_in_bytes"),
            kernel_memory_tcp: has("memory/memory.kmem.tcp.limit_in_bytes"),
            cpu_shares: has("cpu/cpu.shares"),
            cpu_quota: has("cpu/cpu.cfs_quota_us"),
            cpu_realtime: has("cpu/cpu.rt_period_us"),
            cpuset: has("cpuset"),
            pids: has("pids"),
            block_weight: has("blkio/blkio.weight"),
            block_weight_device: has("blkio/blkio.weight_device"),
            block_throttle: has("blkio/blkio.throttle.read_bps_device"),
            cpus: line(&root.join("cpuset/cpuset.cpus")),
            memory_nodes: line(&root.join("cpuset/cpuset.mems")),
        }
    }
}

fn line(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}
