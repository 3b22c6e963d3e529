//! The container's mount table: what every container has, then what the user asked for.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Mount, MountBuilder};

use crate::container::mounts::{Kind, MountPoint};

/// `/dev/shm`: its own of a size, somebody's directory, or none.
#[derive(Clone, Debug)]
pub enum Shm {
    Own { size: i64 },
    Bind(PathBuf),
    None,
}

#[derive(Clone, Debug)]
pub struct MountsInput<'a> {
    pub points: &'a [MountPoint],
    /// `/etc` files the engine writes: destination and host path.
    pub files: &'a [(&'static str, PathBuf)],
    pub shm: Shm,
    pub privileged: bool,
    pub host_pid: bool,
    pub host_network: bool,
    pub in_user_namespace: bool,
    pub read_only_root: bool,
}

pub fn mounts(input: &MountsInput<'_>) -> Vec<Mount> {
    let mut mounts = standard(input);
    let covered = |destination: &str| input.points.iter().any(|point| point.destination == destination);
    mounts.retain(|mount| !mount.destination().to_str().is_some_and(covered));
    for (destination, path) in input.files {
        if !covered(destination) {
            let access = if input.read_only_root { "ro" } else { "rw" };
            mounts.push(mount(destination, "bind", path, &["rbind", "rprivate", access]));
        }
    }
    mounts.extend(input.points.iter().map(user_mount));
    mounts
}

fn standard(input: &MountsInput<'_>) -> Vec<Mount> {
    let safe = ["nosuid", "noexec", "nodev"];
    let access = if input.privileged { "rw" } else { "ro" };
    let mut list = vec![
        mount("/proc", "proc", "proc", &safe),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        // Group 5 is tty; inside a user namespace it is mapped as well.
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        // sysfs shows the network namespace it is mounted in; the host's can only be bound.
        if input.host_network && input.in_user_namespace {
            mount("/sys", "bind", "/sys", &["rbind", "nosuid", "noexec", "nodev", access])
        } else {
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", access])
        },
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", access]),
        mount("/dev/mqueue", "mqueue", "mqueue", &safe),
    ];
    match &input.shm {
        Shm::Own { size } => {
            let size = format!("size={size}");
            list.push(mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", &size]));
        }
        Shm::Bind(path) => list.push(mount("/dev/shm", "bind", path, &["rbind", "rprivate"])),
        Shm::None => {}
    }
    list
}

fn user_mount(point: &MountPoint) -> Mount {
    // A place may be relative in the API; in a specification it is not.
    let destination = format!("/{}", point.destination.trim_start_matches('/'));
    if point.kind == Kind::Tmpfs {
        // What moby gives a tmpfs unless the user says otherwise.
        let mut options = vec!["noexec", "nosuid", "nodev"];
        for option in &point.options {
            options.retain(|own| option != &own[2..] && option != own);
            options.push(option);
        }
        return mount(&destination, "tmpfs", "tmpfs", &options);
    }
    let bind = if point.non_recursive { "bind" } else { "rbind" };
    let propagation = if point.propagation.is_empty() { "rprivate" } else { &point.propagation };
    // What is below a read-only mount is read-only as well, unless the user wants otherwise.
    let access = match (point.writable, point.read_only_non_recursive) {
        (true, _) => "rw",
        (false, true) => "ro",
        (false, false) => "rro",
    };
    mount(&destination, "bind", &point.source, &[bind, propagation, access])
}

fn mount(destination: &str, kind: &str, source: impl AsRef<Path>, options: &[&str]) -> Mount {
    let options: Vec<String> = options.iter().map(|option| (*option).to_owned()).collect();
    MountBuilder::default()
        .destination(destination)
        .typ(kind)
        .source(source.as_ref())
        .options(options)
        .build()
        .expect("every required field is given")
}
