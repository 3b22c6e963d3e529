//! `update`: new limits from options or from a file of resources.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use drydock_runtime::cgroup;
use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::Outcome;
use super::options::{Global, Ids, UsageError, Word, Words};

/// Option, section and field of the specification's resources, and whether the value is text.
const FIELDS: [(&str, &str, &str, bool); 16] = [
    ("memory", "memory", "limit", false),
    ("memory-reservation", "memory", "reservation", false),
    ("memory-swap", "memory", "swap", false),
    ("cpu-shares", "cpu", "shares", false),
    ("cpu-share", "cpu", "shares", false),
    ("cpu-period", "cpu", "period", false),
    ("cpu-quota", "cpu", "quota", false),
    ("cpu-rt-period", "cpu", "realtimePeriod", false),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime", false),
    ("kernel-memory-tcp", "memory", "kernelTCP", false),
    ("cpu-burst", "cpu", "burst", false),
    ("cpu-idle", "cpu", "idle", false),
    ("cpuset-cpus", "cpu", "cpus", true),
    ("cpuset-mems", "cpu", "mems", true),
    ("pids-limit", "pids", "limit", false),
    ("blkio-weight", "blockIO", "weight", false),
];

#[derive(Debug, thiserror::Error)]
#[error("--{0} is not supported: Intel RDT is not driven by this runtime")]
struct NoResourceControl(String);

pub fn update(global: &Global, words: &mut Words) -> Outcome {
    let (mut ids, mut file) = (Ids::new("update"), None::<PathBuf>);
    let mut resources = Map::new();
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) => ids.take(value),
            Word::Option(name) if name == "r" || name == "resources" => file = Some(words.path()?),
            Word::Option(name) if name == "l3-cache-schema" || name == "mem-bw-schema" => {
                return Err(NoResourceControl(name).into());
            }
            // The kernel counts it, and gave up limiting it on its own.
            Word::Option(name) if name == "kernel-memory" => drop(words.value()?),
            Word::Option(name) => {
                let known = FIELDS.iter().find(|(option, ..)| *option == name);
                let Some((option, section, field, text)) = known else {
                    return Err(words.unexpected(&name).into());
                };
                let value = words.text()?;
                let value = match text {
                    true => Value::from(value),
                    false => json!(bytes(&value).ok_or(UsageError::Number { flag: option, value })?),
                };
                resources.entry(*section).or_insert_with(|| json!({}))[*field] = value;
            }
        }
    }
    let (_, state) = global.open(&ids.only()?)?;
    let resources: LinuxResources = match file {
        Some(path) if path.as_os_str() == "-" => {
            let mut text = Vec::new();
            std::io::stdin().read_to_end(&mut text)?;
            serde_json::from_slice(&text)?
        }
        Some(path) => serde_json::from_slice(&std::fs::read(path)?)?,
        None => serde_json::from_slice(&serde_json::to_vec(&resources)?)?,
    };
    cgroup::update(&state.cgroup, &resources)?;
    Ok(ExitCode::SUCCESS)
}

/// A number with an optional binary suffix, as runc takes memory.
fn bytes(text: &str) -> Option<i64> {
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches(['b', 'i']);
    let (digits, factor) = match number.chars().last()? {
        'k' => (&number[..number.len() - 1], 1 << 10),
        'm' => (&number[..number.len() - 1], 1 << 20),
        'g' => (&number[..number.len() - 1], 1 << 30),
        _ => (number, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_suffixes() {
        for (text, value) in [("5", 5), ("-1", -1), ("2k", 2048), ("1M", 1 << 20), ("1GiB", 1 << 30)] {
            assert_eq!(bytes(text), Some(value), "{text}");
        }
        assert_eq!(bytes("x"), None);
    }
}
