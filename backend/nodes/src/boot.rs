//! The making of a node, stage by stage.
//!
//! ```text
//! record ─▶ folder, sockets, disk ─▶ file system ─▶ runtime create ─▶ plug ─▶ give cgroup ─▶ runtime start ─▶ Running
//!    ╰──────────────┴────────────────────┴──── any failure ───┴──────────┴──────────┴───────────────┴──▶ removal::node
//! ```
//!
//! All of it runs on a thread of its own, which ends in a mount namespace of its own (see `root`).

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use drydock_networks::netlink::NetlinkError;
use drydock_sys::namespaces::{IdRange, user_namespace};

use crate::bundle::Bundle;
use crate::capacity::Full;
use crate::control_groups;
use crate::disk::{self, DiskError};
use crate::id::{NodeId, SessionId};
use crate::places::Places;
use crate::processes;
use crate::record::{self, NodeRecord, Stage};
use crate::root::{self, OwnFile, RootError, Staged};
use crate::runtime::{Runtime, RuntimeError};
use crate::session::{self, Session};

#[derive(Debug, thiserror::Error)]
pub enum BootError {
    #[error("there is no session {0}")]
    NoSession(SessionId),
    #[error("there is a node {0} already")]
    Exists(NodeId),
    #[error("{0} is no host name")]
    Hostname(String),
    #[error("{0} is not free in the session's network")]
    Address(std::net::Ipv4Addr),
    #[error("the session's network has no free address")]
    NoAddress,
    #[error("there are no free user ids")]
    NoIds,
    #[error(transparent)]
    Full(#[from] Full),
    #[error("cannot read how much room the host has")]
    Inventory { source: io::Error },
    #[error("cannot record the node in {path}")]
    Record { path: PathBuf, source: io::Error },
    #[error("cannot listen on {path}")]
    Listen { path: PathBuf, source: io::Error },
    #[error("cannot make the node's disk")]
    Disk { source: DiskError },
    #[error("cannot make a user namespace for the node's ids")]
    Users { source: io::Error },
    #[error("cannot put the node's file system together")]
    Root { source: RootError },
    #[error("cannot create the node")]
    Create { source: RuntimeError },
    #[error("cannot plug the node into its session's switch")]
    Plug { source: NetlinkError },
    #[error("cannot give the node its cgroup")]
    ControlGroup { source: io::Error },
    #[error("cannot start the node")]
    Start { source: RuntimeError },
    #[error("the node ended as soon as it was started: {log}")]
    Ended { log: String },
    #[error("cannot start a thread")]
    Thread { source: io::Error },
}

/// What every boot on this host needs.
#[derive(Debug)]
pub struct Yard {
    pub places: Places,
    pub runtime: Runtime,
    pub bin_dir: PathBuf,
    pub image: Image,
    pub store: Option<PathBuf>,
    /// First id of the first block.
    pub first_id: u32,
}

/// What a node begins with.
#[derive(Debug, Default)]
pub struct Image {
    /// Unpacked, topmost first.
    pub layers: Vec<PathBuf>,
    /// `NAME=value`, as the image's configuration has them.
    pub env: Vec<String>,
}

/// Makes the node of `record`, whose names are reserved, and returns its record as running.
pub fn make(yard: &Yard, session: &Session, mut record: NodeRecord) -> Result<NodeRecord, BootError> {
    let id = record.spec.id.clone();
    let folder = yard.places.node(&id);
    let path = folder.join("node.json");
    let failed = |source| BootError::Record { path: path.clone(), source };
    fs::create_dir_all(&folder).and_then(|()| record::write(&path, &record)).map_err(failed)?;
    let sockets = listen_for(&yard.places.sockets_of(&id))?;
    let disk = folder.join("disk.ext4");
    disk::make(&yard.places.templates(), record.spec.limits.disk, &disk)
        .map_err(|source| BootError::Disk { source })?;
    let owner = owner(yard, &record)?;
    let ids = [IdRange { inside: 0, outside: owner, size: 65_536 }];
    let users = user_namespace(&ids, &ids).map_err(|source| BootError::Users { source })?;
    let files = files(&record, session);
    let plan = root::Plan {
        disk: &disk,
        layers: &yard.image.layers,
        bin_dir: &yard.bin_dir,
        store: yard.store.as_deref(),
        users: users.as_fd(),
        owner,
        files: &files,
    };
    let staged = plan.stage().map_err(|source| BootError::Root { source })?;
    write_bundle(yard, &record, owner, &staged, &folder).map_err(failed)?;
    let created = yard.runtime.create(&id, &folder, &sockets, &staged.log);
    let pid = created.map_err(|source| BootError::Create { source })?;
    session::plug(session, pid, record.address).map_err(|source| BootError::Plug { source })?;
    control_groups::delegate(&yard.places.control_group(&id), owner)
        .map_err(|source| BootError::ControlGroup { source })?;
    yard.runtime.start(&id).map_err(|source| BootError::Start { source })?;
    let ended = || BootError::Ended { log: staged.read_log() };
    let started = processes::started(pid).ok_or_else(ended)?;
    record.stage = Stage::Running { pid, started };
    record::write(&path, &record).map_err(failed)?;
    Ok(record)
}

fn owner(yard: &Yard, record: &NodeRecord) -> Result<u32, BootError> {
    crate::table::first_id(yard.first_id, record.block).ok_or(BootError::NoIds)
}

/// The node's sockets, in the order that its bundle names them.
fn listen_for(folder: &Path) -> Result<[OwnedFd; 2], BootError> {
    fs::create_dir_all(folder).map_err(|source| BootError::Listen { path: folder.to_owned(), source })?;
    Ok([listen(&folder.join("agent.sock"))?, listen(&folder.join("docker.sock"))?])
}

/// Binds a socket that the node inherits; only the host's root may connect to it.
fn listen(path: &Path) -> Result<OwnedFd, BootError> {
    let bind = || {
        let listener = UnixListener::bind(path)?;
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(listener.into())
    };
    bind().map_err(|source| BootError::Listen { path: path.to_owned(), source })
}

fn files(record: &NodeRecord, session: &Session) -> [OwnFile; 5] {
    let (hostname, address, gateway) = (&record.spec.hostname, record.address, session.gateway());
    let hosts = format!(
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{address}\t{hostname}\n{gateway}\tgateway\n"
    );
    let registry = format!("{gateway}:5000");
    let daemon = serde_json::json!({
        "registry-mirrors": [format!("http://{registry}")],
        "insecure-registries": [registry],
        // For `docker build --squash`.
        "experimental": true,
    });
    let plain = |path, contents| OwnFile { path, mode: 0o644, contents };
    [
        plain("etc/hostname", format!("{hostname}\n")),
        plain("etc/hosts", hosts),
        plain("etc/resolv.conf", format!("nameserver {gateway}\noptions timeout:2 attempts:2\n")),
        plain("etc/docker/daemon.json", format!("{daemon:#}\n")),
        OwnFile { path: "etc/init.d/docker", mode: 0o755, contents: SERVICE.to_owned() },
    ]
}

/// For `service docker restart`, as the book has it. The agent starts the engine again.
const SERVICE: &str = r#"#!/bin/sh
pid=$(cat /var/run/docker.pid 2>/dev/null)
case "$1" in
restart | force-reload)
    kill -TERM "$pid" && echo "Restarting Docker: docker."
    ;;
status)
    if kill -0 "$pid" 2>/dev/null; then
        echo "Docker is running."
    else
        echo "Docker is not running." && exit 3
    fi
    ;;
start)
    echo "Docker is started by this node itself, and again whenever it ends."
    ;;
*)
    echo "Usage: service docker {restart|force-reload|status|start}" && exit 1
    ;;
esac
"#;

fn write_bundle(
    yard: &Yard,
    record: &NodeRecord,
    owner: u32,
    staged: &Staged,
    folder: &Path,
) -> io::Result<()> {
    let control_group = yard.places.control_group(&record.spec.id);
    let arguments = arguments();
    let bundle = Bundle {
        root: &staged.root,
        stage: &staged.stage,
        hostname: &record.spec.hostname,
        first_id: owner,
        limits: record.spec.limits,
        control_group: &control_group,
        image_env: &yard.image.env,
        env: &record.spec.env,
        arguments: &arguments,
    };
    fs::write(folder.join("config.json"), serde_json::to_vec(&bundle.config())?)
}

/// The agent, and how it starts the engine.
fn arguments() -> Vec<String> {
    let agent = ["/usr/local/bin/drydock-agent", "--engine", "/usr/local/bin/drydock-engine"];
    let engine = ["-H", "fd://", "-H", "unix:///var/run/docker.sock", "--pidfile", "/var/run/docker.pid"];
    agent.iter().chain(&engine).map(|word| (*word).to_owned()).collect()
}
