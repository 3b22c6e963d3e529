//! Whose namespaces a container has: its own, the host's, or another container's.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;

use crate::container::spec::mounts::Shm;
use crate::container::spec::namespaces::{Choice, Namespaces, container_of};
use crate::container::{Container, FindError, Record};
use crate::engine::Engine;
use crate::error::ApiError;

/// Why another container's namespaces cannot be had; texts and statuses are moby's.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("joining network namespace of container: {0}")]
    NoNetworkOf(FindError),
    #[error("cannot join network namespace of a non running container: container {name} is {status}")]
    NetworkGone { name: String, status: &'static str },
    #[error("failed to join {kind} namespace: {source}")]
    NoContainer { kind: &'static str, source: FindError },
    #[error("failed to join {kind} namespace: container {id} is not running")]
    NotRunning { kind: &'static str, id: String },
    #[error(
        "failed to join IPC namespace: container {0}: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
    )]
    NotShareable(String),
    #[error("cannot make shared memory at {path}")]
    SharedMemory { path: PathBuf, source: io::Error },
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        let status = match &error {
            JoinError::NoNetworkOf(_) => StatusCode::NOT_FOUND,
            JoinError::NoContainer { .. } | JoinError::NotShareable(_) => StatusCode::BAD_REQUEST,
            JoinError::NetworkGone { .. } | JoinError::NotRunning { .. } => StatusCode::CONFLICT,
            JoinError::SharedMemory { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

/// All but the network's, which the network service answers for.
pub fn namespaces(engine: &Engine, record: &Record, network: Choice) -> Result<Namespaces, JoinError> {
    let host = &record.host_config;
    let host_cgroup = host.cgroupns_mode.is_some_and(|mode| mode.to_string() == "host");
    let uts_of_host = host.uts_mode.as_deref() == Some("host");
    Ok(Namespaces {
        network,
        pid: choose(engine, host.pid_mode.as_deref(), ("PID", "pid"))?,
        ipc: choose(engine, host.ipc_mode.as_deref(), ("IPC", "ipc"))?,
        uts: if uts_of_host { Choice::Host } else { Choice::Own },
        cgroup: if host_cgroup { Choice::Host } else { Choice::Own },
    })
}

/// `host`, `container:NAME`, or its own; `names` are moby's and the kernel's for the kind.
fn choose(
    engine: &Engine,
    mode: Option<&str>,
    names: (&'static str, &'static str),
) -> Result<Choice, JoinError> {
    let (kind, file) = names;
    match (mode, container_of(mode)) {
        (Some("host"), _) => Ok(Choice::Host),
        (_, Some(other)) => {
            let pid = running(engine, other, kind)?.record().state.pid;
            Ok(Choice::Join(format!("/proc/{pid}/ns/{file}").into()))
        }
        _ => Ok(Choice::Own),
    }
}

fn running(engine: &Engine, name: &str, kind: &'static str) -> Result<Arc<Container>, JoinError> {
    let found = engine.containers.find(name);
    let other = found.map_err(|source| JoinError::NoContainer { kind, source })?;
    if other.status().is_live() {
        Ok(other)
    } else {
        Err(JoinError::NotRunning { kind, id: other.id.to_string() })
    }
}

/// The process whose network a container with `--network container:NAME` shares.
pub fn network_of(engine: &Engine, name: &str) -> Result<i32, JoinError> {
    let other = engine.containers.find(name).map_err(JoinError::NoNetworkOf)?;
    let record = other.record();
    let status = record.state.status;
    if status.is_live() {
        Ok(record.state.pid)
    } else {
        Err(JoinError::NetworkGone { name: record.name.clone(), status: status.as_str() })
    }
}

/// `--ipc`: private memory is the container's own, shareable lies where others can bind it.
pub fn shm(engine: &Engine, container: &Container, record: &Record) -> Result<Shm, JoinError> {
    let size = record.host_config.shm_size.unwrap_or_else(|| engine.live().default_shm_size);
    match record.host_config.ipc_mode.as_deref() {
        Some("none") => Ok(Shm::None),
        Some("host") => Ok(Shm::Bind("/dev/shm".into())),
        Some("shareable") => Ok(Shm::Bind(mount_shm(&container.run_dir.join("shm"), size)?)),
        mode => match container_of(mode) {
            Some(other) => {
                let other = running(engine, other, "IPC")?;
                match other.record().host_config.ipc_mode.as_deref() {
                    Some("host") => Ok(Shm::Bind("/dev/shm".into())),
                    _ => of_donor(&other),
                }
            }
            None => Ok(Shm::Own { size }),
        },
    }
}

fn of_donor(other: &Container) -> Result<Shm, JoinError> {
    let place = other.run_dir.join("shm");
    if place.is_dir() { Ok(Shm::Bind(place)) } else { Err(JoinError::NotShareable(other.id.to_string())) }
}

fn mount_shm(path: &Path, size: i64) -> Result<PathBuf, JoinError> {
    use nix::mount::MsFlags;
    let at = |source| JoinError::SharedMemory { path: path.to_owned(), source };
    std::fs::create_dir_all(path).map_err(at)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let data = format!("mode=1777,size={size}");
    nix::mount::mount(Some("shm"), path, Some("tmpfs"), flags, Some(data.as_str()))
        .map_err(|errno| at(errno.into()))?;
    Ok(path.to_owned())
}
