//! What a container used, in the shape of runc's `events`, from whichever cgroup version counts it.

use std::path::PathBuf;

use drydock_runtime::state::State;
use serde_json::{Map, Value, json};

/// One group's folder, if the container is in it. Files that are not there read as empty and count as 0.
struct Folder<'a>(Option<&'a PathBuf>);

impl Folder<'_> {
    fn text(&self, file: &str) -> String {
        self.0.and_then(|folder| std::fs::read_to_string(folder.join(file)).ok()).unwrap_or_default()
    }

    /// A lone number; `max` is the largest there is.
    fn number(&self, file: &str) -> u64 {
        match self.text(file).trim() {
            "max" => u64::MAX,
            text => text.parse().unwrap_or(0),
        }
    }

    /// Lines of a name and a number.
    fn table(&self, file: &str) -> Map<String, Value> {
        let text = self.text(file);
        let pairs = text.lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name.to_owned(), number.trim().parse::<u64>().ok()?.into()))
        });
        pairs.collect()
    }
}

fn of(table: &Map<String, Value>, name: &str) -> u64 {
    table.get(name).and_then(Value::as_u64).unwrap_or(0)
}

pub fn statistics(state: &State) -> Value {
    let cgroup = &state.cgroup;
    if cgroup.unified {
        return unified(&Folder(cgroup.v2.as_ref()));
    }
    let folder = |controller: &str| Folder(cgroup.v1.get(controller));
    let (cpuacct, pids) = (folder("cpuacct"), folder("pids"));
    let throttling = folder("cpu").table("cpu.stat");
    let percpu: Vec<u64> = cpuacct
        .text("cpuacct.usage_percpu")
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    json!({
        "cpu": {
            "usage": {
                "total": cpuacct.number("cpuacct.usage"),
                "percpu": percpu,
                "kernel": cpuacct.number("cpuacct.usage_sys"),
                "user": cpuacct.number("cpuacct.usage_user"),
            },
            "throttling": {
                "periods": of(&throttling, "nr_periods"),
                "throttledPeriods": of(&throttling, "nr_throttled"),
                "throttledTime": of(&throttling, "throttled_time"),
            },
        },
        "memory": v1_memory(&folder("memory")),
        "pids": {"current": pids.number("pids.current"), "limit": limit(pids.number("pids.max"))},
        "blkio": v1_block_io(&folder("blkio")),
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// runc tells of no limit by 0.
fn limit(number: u64) -> u64 {
    if number == u64::MAX { 0 } else { number }
}

fn v1_memory(folder: &Folder<'_>) -> Value {
    let raw = folder.table("memory.stat");
    let entry = |prefix: &str| {
        json!({
            "limit": folder.number(&format!("{prefix}.limit_in_bytes")),
            "usage": folder.number(&format!("{prefix}.usage_in_bytes")),
            "max": folder.number(&format!("{prefix}.max_usage_in_bytes")),
            "failcnt": folder.number(&format!("{prefix}.failcnt")),
        })
    };
    json!({
        "cache": of(&raw, "cache"),
        "usage": entry("memory"),
        "swap": entry("memory.memsw"),
        "kernel": entry("memory.kmem"),
        "kernelTCP": entry("memory.kmem.tcp"),
        "raw": raw,
    })
}

fn v1_block_io(folder: &Folder<'_>) -> Value {
    json!({
        "ioServiceBytesRecursive": entries(&folder.text("blkio.throttle.io_service_bytes_recursive")),
        "ioServicedRecursive": entries(&folder.text("blkio.throttle.io_serviced_recursive")),
    })
}

/// Lines like `8:0 Read 4096`; the total at the end has no device and is left out.
fn entries(text: &str) -> Vec<Value> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, op, value] = words[..] else { return None };
        let (major, minor) = device.split_once(':')?;
        let number = |word: &str| word.parse::<u64>().ok();
        Some(json!({"major": number(major)?, "minor": number(minor)?, "op": op, "value": number(value)?}))
    };
    text.lines().filter_map(entry).collect()
}

fn unified(folder: &Folder<'_>) -> Value {
    let (cpu, raw) = (folder.table("cpu.stat"), folder.table("memory.stat"));
    let nanoseconds = |name: &str| of(&cpu, name) * 1000;
    let events = folder.table("memory.events");
    json!({
        "cpu": {
            "usage": {
                "total": nanoseconds("usage_usec"),
                "kernel": nanoseconds("system_usec"),
                "user": nanoseconds("user_usec"),
            },
            "throttling": {
                "periods": of(&cpu, "nr_periods"),
                "throttledPeriods": of(&cpu, "nr_throttled"),
                "throttledTime": nanoseconds("throttled_usec"),
            },
        },
        "memory": {
            "cache": of(&raw, "file"),
            "usage": {
                "limit": folder.number("memory.max"),
                "usage": folder.number("memory.current"),
                "max": folder.number("memory.peak"),
                "failcnt": of(&events, "max"),
            },
            "swap": {
                "limit": folder.number("memory.swap.max"),
                "usage": folder.number("memory.swap.current"),
                "failcnt": 0,
            },
            "kernel": {"limit": 0, "failcnt": 0},
            "kernelTCP": {"limit": 0, "failcnt": 0},
            "raw": raw,
        },
        "pids": {"current": folder.number("pids.current"), "limit": limit(folder.number("pids.max"))},
        "blkio": {"ioServiceBytesRecursive": v2_entries(&folder.text("io.stat"))},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// Lines like `8:0 rbytes=1 wbytes=2 rios=3 …`.
fn v2_entries(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse::<u64>(), minor.parse::<u64>()) else { continue };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let op = match name {
                "rbytes" => "Read",
                "wbytes" => "Write",
                _ => continue,
            };
            if let Ok(value) = value.parse::<u64>() {
                found.push(json!({"major": major, "minor": minor, "op": op, "value": value}));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_runtime::cgroup::Cgroup;

    #[test]
    fn a_unified_groups_files_become_runcs_statistics() {
        let dir = std::env::temp_dir().join(format!("drydock-statistics-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        for (file, text) in [
            ("cpu.stat", "usage_usec 7\nuser_usec 5\nsystem_usec 2\nnr_periods 3\n"),
            ("memory.current", "4096\n"),
            ("memory.max", "max\n"),
            ("memory.stat", "anon 1\nfile 2048\n"),
            ("pids.current", "2\n"),
            ("pids.max", "max\n"),
            ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1\n"),
        ] {
            std::fs::write(dir.join(file), text).unwrap();
        }
        let cgroup = Cgroup { v2: Some(dir.clone()), unified: true, ..Cgroup::default() };
        let found = unified(&Folder(cgroup.v2.as_ref()));
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(found["cpu"]["usage"], json!({"total": 7000, "kernel": 2000, "user": 5000}));
        assert_eq!(found["memory"]["usage"]["usage"], 4096);
        assert_eq!(found["memory"]["usage"]["limit"], u64::MAX);
        assert_eq!(found["memory"]["cache"], 2048);
        assert_eq!(found["pids"], json!({"current": 2, "limit": 0}));
        assert_eq!(found["blkio"]["ioServiceBytesRecursive"][1]["value"], 20);
    }

    #[test]
    fn a_block_device_is_told_apart_from_the_total() {
        let found = entries("8:0 Read 512\n8:0 Write 0\nTotal 512\n");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], json!({"major": 8, "minor": 0, "op": "Read", "value": 512}));
    }
}
