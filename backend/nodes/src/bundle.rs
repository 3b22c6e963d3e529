//! A node's `config.json`, by the OCI runtime specification. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::config::Limits;
use crate::root::DEVICES;

/// Every capability, but in the node's own user namespace: none of them reaches the host.
const CAPABILITIES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// What a node's root may not even try. The kernel refuses most of it to a user namespace by itself; each line here
/// takes away code that past escapes went through. Containers need clone, unshare, mount, pivot_root and setns.
const DENIED: [&str; 22] = [
    "acct",
    "add_key",
    "bpf",
    "clock_settime",
    "delete_module",
    "finit_module",
    "init_module",
    "io_uring_enter",
    "io_uring_register",
    "io_uring_setup",
    "ioperm",
    "iopl",
    "kexec_file_load",
    "kexec_load",
    "keyctl",
    "open_by_handle_at",
    "perf_event_open",
    "request_key",
    "settimeofday",
    "swapoff",
    "swapon",
    "userfaultfd",
];

const NAMESPACES: [&str; 7] = ["user", "pid", "mount", "network", "uts", "ipc", "cgroup"];

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;
const EAFNOSUPPORT: u32 = 97;

/// Address families that lead past the network namespace: `AF_ALG` and `AF_VSOCK`.
const DENIED_FAMILIES: [u32; 2] = [38, 40];

/// What differs from node to node.
#[derive(Debug)]
pub struct Bundle<'a> {
    pub root: &'a Path,
    /// Where [`DEVICES`] are.
    pub stage: &'a Path,
    pub hostname: &'a str,
    pub first_id: u32,
    pub limits: Limits,
    pub control_group: &'a str,
    /// `NAME=value` of the node's image.
    pub image_env: &'a [String],
    /// The session's own, which win.
    pub env: &'a BTreeMap<String, String>,
    /// The agent's, from its program on.
    pub arguments: &'a [String],
}

impl Bundle<'_> {
    pub fn config(&self) -> Value {
        let map = json!([{ "containerID": 0, "hostID": self.first_id, "size": 65_536 }]);
        json!({
            "ociVersion": "1.1.0",
            "hostname": self.hostname,
            "root": { "path": self.root, "readonly": false },
            "process": self.process(),
            "mounts": self.mounts(),
            "linux": {
                "uidMappings": map,
                "gidMappings": map,
                "namespaces": NAMESPACES.map(|kind| json!({ "type": kind })),
                "cgroupsPath": self.control_group,
                "rootfsPropagation": "rshared",
                "resources": self.resources(),
                "seccomp": seccomp(),
                "maskedPaths": [],
                "readonlyPaths": [],
            },
        })
    }

    fn process(&self) -> Value {
        let mut env = vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            "LISTEN_PID=1".to_owned(),
            "LISTEN_FDS=2".to_owned(),
            "LISTEN_FDNAMES=agent:docker".to_owned(),
        ];
        let is_asked_for =
            |pair: &str| pair.split_once('=').is_some_and(|(name, _)| self.env.contains_key(name));
        env.extend(self.image_env.iter().filter(|pair| !is_asked_for(pair)).cloned());
        env.extend(self.env.iter().map(|(name, value)| format!("{name}={value}")));
        json!({
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": self.arguments,
            "env": env,
            "cwd": "/",
            "capabilities": {
                "bounding": &CAPABILITIES[..],
                "effective": &CAPABILITIES[..],
                "permitted": &CAPABILITIES[..],
            },
            "noNewPrivileges": false,
        })
    }

    fn mounts(&self) -> Vec<Value> {
        let devices = DEVICES.map(|(name, path, _)| {
            let options = ["bind", "nosuid", "noexec"];
            json!({ "destination": path, "type": "bind", "source": self.stage.join(name), "options": options })
        });
        mounts().into_iter().chain(devices).collect()
    }

    fn resources(&self) -> Value {
        let Limits { memory, cpu_millis, pids, disk: _ } = self.limits;
        json!({
            "devices": device_rules(),
            "memory": { "limit": memory },
            "cpu": { "period": 100_000, "quota": u64::from(cpu_millis) * 100 },
            "pids": { "limit": pids },
        })
    }
}

/// What may be opened: null, zero, full, random and terminals, and [`DEVICES`]. A node cannot make device nodes; this holds
/// even if one gets in by some other way.
fn device_rules() -> Vec<Value> {
    let allow = |major: u32, minor: Option<u32>| json!({ "allow": true, "type": "c", "major": major, "minor": minor.map_or(-1, i64::from), "access": "rw" });
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    rules.extend([3, 5, 7, 8, 9].map(|minor| allow(1, Some(minor))));
    rules.extend([0, 1, 2].map(|minor| allow(5, Some(minor))));
    rules.push(allow(136, None));
    rules.extend(DEVICES.map(|(_, _, minor)| allow(10, Some(minor))));
    rules
}

fn mounts() -> Vec<Value> {
    vec![
        json!({ "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
          "options": ["nosuid", "noexec", "nodev", "rw"] }),
        json!({ "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] }),
        json!({ "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] }),
        json!({ "destination": "/dev/shm", "type": "tmpfs", "source": "shm",
          "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] }),
        json!({ "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue",
          "options": ["nosuid", "noexec", "nodev"] }),
        json!({ "destination": "/run", "type": "tmpfs", "source": "tmpfs",
          "options": ["nosuid", "nodev", "mode=755", "size=262144k"] }),
    ]
}

fn seccomp() -> Value {
    let (uring, others): (Vec<&str>, Vec<&str>) =
        DENIED.iter().partition(|name| name.starts_with("io_uring"));
    let mut rules = vec![
        json!({ "names": others, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM }),
        // Programs take ENOSYS as "do without"; EPERM many of them do not expect.
        json!({ "names": uring, "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS }),
    ];
    rules.extend(DENIED_FAMILIES.map(|family| {
        let family = json!([{ "index": 0, "value": family, "op": "SCMP_CMP_EQ" }]);
        json!({ "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": EAFNOSUPPORT, "args": family })
    }));
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_maps_ids_and_carries_limits() {
        let env = BTreeMap::from([("SESSION".to_owned(), "s1".to_owned())]);
        let limits = Limits { memory: 1 << 30, cpu_millis: 1500, pids: 99, disk: 0 };
        let bundle = Bundle {
            root: Path::new("/mnt/root"),
            stage: Path::new("/mnt"),
            hostname: "node1",
            first_id: 1_065_536,
            limits,
            control_group: "/drydock-1/n",
            image_env: &["SESSION=none".to_owned(), "DOCKER_BUILDKIT=0".to_owned()],
            env: &env,
            arguments: &["/usr/local/bin/drydock-agent".to_owned()],
        };
        let config = bundle.config();
        assert_eq!(config["linux"]["uidMappings"][0]["hostID"], 1_065_536);
        assert_eq!(config["linux"]["resources"]["cpu"]["quota"], 150_000);
        assert_eq!(config["linux"]["resources"]["memory"]["limit"], 1 << 30);
        let env = config["process"]["env"].as_array().unwrap();
        assert!(env.contains(&json!("DOCKER_BUILDKIT=0")) && !env.contains(&json!("SESSION=none")));
        assert!(env.contains(&json!("SESSION=s1")) && env.contains(&json!("LISTEN_FDNAMES=agent:docker")));
    }
}
