//! `docker stats`: one sample, in moby's shape.

use std::fs;

use serde_json::{Map, Value, json};

use crate::container::Record;
use crate::container::cgroup::{Cgroup, system_cpu};
use crate::container::record::{NEVER, now};
use crate::host::Host;

/// The sample of now. `before` is the last one: its processor part is repeated for the client to compare.
pub fn sample(record: &Record, host: &Host, before: Option<&Value>) -> Value {
    let cgroup = Cgroup::of(record.state.pid).filter(|_| record.state.status.is_live());
    let empty = json!({ "cpu_usage": { "total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0 },
        "throttling_data": { "periods": 0, "throttled_periods": 0, "throttled_time": 0 } });
    let before_cpu = before.map_or_else(|| empty.clone(), |sample| sample["cpu_stats"].clone());
    let before_read = before.map_or_else(|| json!("0001-01-01T00:00:00Z"), |sample| sample["read"].clone());
    let mut answer = json!({
        "name": format!("/{}", record.name),
        "id": record.id.as_str(),
        "read": if cgroup.is_some() { now() } else { NEVER.to_owned() },
        "preread": before_read,
        "num_procs": 0,
        "storage_stats": {},
        "pids_stats": cgroup.as_ref().map_or_else(|| json!({}), pids),
        "blkio_stats": blkio(cgroup.as_ref()),
        "cpu_stats": cgroup.as_ref().map_or(empty, |cgroup| cpu(cgroup, host)),
        "precpu_stats": before_cpu,
        "memory_stats": cgroup.as_ref().map_or_else(|| json!({}), |cgroup| memory(cgroup, host)),
    });
    if cgroup.is_some() {
        answer["networks"] = networks(record);
    }
    answer
}

fn pids(cgroup: &Cgroup) -> Value {
    let mut answer = json!({ "current": cgroup.number("pids", "pids.current", "pids.current").unwrap_or(0) });
    if let Some(limit) = cgroup.number("pids", "pids.max", "pids.max") {
        answer["limit"] = json!(limit);
    }
    answer
}

fn cpu(cgroup: &Cgroup, host: &Host) -> Value {
    let (total, user, kernel) = cgroup.cpu();
    let mut usage = json!({ "total_usage": total, "usage_in_kernelmode": kernel, "usage_in_usermode": user });
    if let Some(each) = cgroup.per_cpu() {
        usage["percpu_usage"] = json!(each);
    }
    let throttled = cgroup.table("cpu", "cpu.stat", "cpu.stat");
    let count = |key: &str| throttled.get(key).copied().unwrap_or(0);
    json!({
        "cpu_usage": usage,
        "system_cpu_usage": system_cpu(),
        "online_cpus": host.cpus,
        "throttling_data": {
            "periods": count("nr_periods"),
            "throttled_periods": count("nr_throttled"),
            "throttled_time": count("throttled_time") + count("throttled_usec") * 1000,
        },
    })
}

/// Of cgroup v1 moby tells these; of v2 everything.
const V1_MEMORY: [&str; 15] = [
    "cache",
    "rss",
    "rss_huge",
    "mapped_file",
    "dirty",
    "writeback",
    "pgpgin",
    "pgpgout",
    "pgfault",
    "pgmajfault",
    "inactive_anon",
    "active_anon",
    "inactive_file",
    "active_file",
    "unevictable",
];

fn memory_counts(cgroup: &Cgroup) -> std::collections::HashMap<String, u64> {
    let mut counts = cgroup.table("memory", "memory.stat", "memory.stat");
    if matches!(cgroup, Cgroup::V1(_)) {
        counts.retain(|key, _| {
            key.starts_with("hierarchical_") || V1_MEMORY.contains(&key.strip_prefix("total_").unwrap_or(key))
        });
    }
    counts
}

fn memory(cgroup: &Cgroup, host: &Host) -> Value {
    let usage = cgroup.number("memory", "memory.usage_in_bytes", "memory.current").unwrap_or(0);
    let limit = cgroup.number("memory", "memory.limit_in_bytes", "memory.max").unwrap_or(u64::MAX);
    let mut answer = json!({
        "usage": usage,
        "stats": memory_counts(cgroup),
        // "Unlimited" is what the machine has.
        "limit": limit.min(host.memory.unsigned_abs()),
    });
    if let Some(most) = cgroup.number("memory", "memory.max_usage_in_bytes", "memory.peak") {
        answer["max_usage"] = json!(most);
    }
    answer
}

/// v1 has lists where v2 has nothing.
fn blkio(cgroup: Option<&Cgroup>) -> Value {
    let (bytes, operations, others) = match cgroup {
        Some(Cgroup::V1(directories)) => {
            let list = |name: &str| {
                let file = directories.get("blkio").map(|path| path.join(name));
                json!(v1_blkio(&file.and_then(|file| fs::read_to_string(file).ok()).unwrap_or_default()))
            };
            let bytes = list("blkio.throttle.io_service_bytes_recursive");
            (bytes, list("blkio.throttle.io_serviced_recursive"), json!([]))
        }
        Some(Cgroup::V2(directory)) => {
            let text = fs::read_to_string(directory.join("io.stat")).unwrap_or_default();
            (json!(v2_io(&text)), Value::Null, Value::Null)
        }
        None => (Value::Null, Value::Null, Value::Null),
    };
    json!({
        "io_service_bytes_recursive": bytes, "io_serviced_recursive": operations, "io_queue_recursive": others,
        "io_service_time_recursive": others, "io_wait_time_recursive": others, "io_merged_recursive": others,
        "io_time_recursive": others, "sectors_recursive": others,
    })
}

/// `8:0 Read 1234`.
fn v1_blkio(text: &str) -> Vec<Value> {
    let entry = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let (operation, value) = (words.next()?, words.next()?);
        Some(json!({
            "major": major.parse::<u64>().ok()?, "minor": minor.parse::<u64>().ok()?,
            "op": operation.to_lowercase(), "value": value.parse::<u64>().ok()?,
        }))
    };
    text.lines().filter_map(entry).collect()
}

/// `8:0 rbytes=1 wbytes=2 …`.
fn v2_io(text: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let operation = match key {
                "rbytes" => "read",
                "wbytes" => "write",
                _ => continue,
            };
            entries.push(json!({
                "major": major.parse::<u64>().unwrap_or(0), "minor": minor.parse::<u64>().unwrap_or(0),
                "op": operation, "value": value.parse::<u64>().unwrap_or(0),
            }));
        }
    }
    entries
}

/// Every interface of the container but `lo`.
fn networks(record: &Record) -> Value {
    let text = fs::read_to_string(format!("/proc/{}/net/dev", record.state.pid)).unwrap_or_default();
    let mut all = Map::new();
    for line in text.lines().skip(2) {
        let Some((name, counts)) = line.split_once(':') else { continue };
        let counts: Vec<u64> = counts.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let (
            name,
            [
                rx_bytes,
                rx_packets,
                rx_errors,
                rx_dropped,
                _,
                _,
                _,
                _,
                tx_bytes,
                tx_packets,
                tx_errors,
                tx_dropped,
                ..,
            ],
        ) = (name.trim(), counts.as_slice())
        else {
            continue;
        };
        if name != "lo" {
            let counted = json!({
                "rx_bytes": rx_bytes, "rx_packets": rx_packets, "rx_errors": rx_errors, "rx_dropped": rx_dropped,
                "tx_bytes": tx_bytes, "tx_packets": tx_packets, "tx_errors": tx_errors, "tx_dropped": tx_dropped,
            });
            all.insert(name.to_owned(), counted);
        }
    }
    Value::Object(all)
}
