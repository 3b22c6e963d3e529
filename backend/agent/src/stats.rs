//! What the node uses, from its own cgroup and file system.

use std::fs;

use drydock_agent::protocol::{EngineState, Stats};

/// A v1 limit above this means "none" (PAGE_COUNTER_MAX in bytes, rounded).
const NO_LIMIT: u64 = 1 << 62;

/// Zero for whatever cannot be read: a node's cgroup may lack a controller.
pub fn read(engine: EngineState) -> Stats {
    let disk = rustix::fs::statvfs("/var/lib/docker").or_else(|_| rustix::fs::statvfs("/")).ok();
    Stats {
        cpu_ns: cpu_ns(),
        memory_bytes: number(&["memory/memory.usage_in_bytes", "memory.current"]),
        memory_limit_bytes: Some(number(&["memory/memory.limit_in_bytes", "memory.max"]))
            .filter(|limit| *limit < NO_LIMIT)
            .unwrap_or(0),
        disk_bytes: disk.as_ref().map_or(0, |disk| (disk.f_blocks - disk.f_bfree) * disk.f_frsize),
        disk_limit_bytes: disk.as_ref().map_or(0, |disk| disk.f_blocks * disk.f_frsize),
        pids: number(&["pids/pids.current", "pids.current"]),
        engine,
    }
}

fn cpu_ns() -> u64 {
    match number(&["cpuacct/cpuacct.usage"]) {
        0 => file("cpu.stat").and_then(|text| usage_ns(&text)).unwrap_or(0),
        nanoseconds => nanoseconds,
    }
}

/// `usage_usec` of cgroup v2's `cpu.stat`.
fn usage_ns(text: &str) -> Option<u64> {
    let microseconds: u64 = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()?;
    Some(microseconds * 1000)
}

/// The first of the files that holds a number: v1's, then v2's.
fn number(names: &[&str]) -> u64 {
    names.iter().find_map(|name| file(name)?.trim().parse().ok()).unwrap_or(0)
}

fn file(name: &str) -> Option<String> {
    fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()
}
