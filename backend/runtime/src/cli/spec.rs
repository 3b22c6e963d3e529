//! `spec`: an example to begin a bundle with, the same as runc's.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use drydock_runtime::state::OCI_VERSION;
use serde_json::{Value, json};

use super::Outcome;
use super::options::{UsageError, Word, Words};

#[derive(Debug, thiserror::Error)]
enum SpecError {
    #[error("File {} exists. Remove it first", .0.display())]
    Exists(PathBuf),
    #[error("write {}", .0.display())]
    Write(PathBuf, #[source] std::io::Error),
}

pub fn spec(words: &mut Words) -> Outcome {
    let (mut dir, mut rootless) = (PathBuf::new(), false);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "b" || name == "bundle" => dir = words.path()?,
            Word::Option(name) if name == "rootless" => rootless = words.switch(),
            Word::Option(name) => return Err(words.unexpected(&name).into()),
            Word::Value(_) => return Err(UsageError::Exactly { command: "spec", wanted: 0 }.into()),
        }
    }
    let mut config = example();
    if rootless {
        give_up_rights(&mut config);
    }
    let file = dir.join("config.json");
    let text = serde_json::to_string_pretty(&config)?;
    let written = std::fs::File::create_new(&file).and_then(|mut open| open.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => SpecError::Exists(file),
        _ => SpecError::Write(file, error),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn example() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |destination: &str, kind: &str, source: &str, options: &[&str]| {
        let mut mount = json!({"destination": destination, "type": kind, "source": source});
        if !options.is_empty() {
            mount["options"] = json!(options);
        }
        mount
    };
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": OCI_VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "drydock",
        "mounts": [
            mount("/proc", "proc", "proc", &[]),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts",
                &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// What a user without rights can have: its own id as root, the host's network and sysfs, no limits.
fn give_up_rights(config: &mut Value) {
    let own = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    let linux = &mut config["linux"];
    linux["uidMappings"] = own(rustix::process::geteuid().as_raw());
    linux["gidMappings"] = own(rustix::process::getegid().as_raw());
    linux.as_object_mut().map(|linux| linux.remove("resources"));
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["destination"] == "/sys" {
            let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
            *mount = json!({"destination": "/sys", "type": "none", "source": "/sys", "options": options});
        }
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|word| !word.as_str().is_some_and(|word| word.starts_with("gid=")));
        }
    }
}
