//! What is remembered of a container between two commands: `ROOT/ID/state.json` and a copy of `config.json`.
//!
//! ```text
//!               create                     start                    the first process ends
//!   (nothing) ─────────▶ created ─────────────────────▶ running ───────────────────▶ stopped
//!                           │  start.sock exists           │ ▲ pause / resume           │
//!                           │                              ▼ │                          │ delete
//!                           │                             paused                        ▼
//!                           └────────────── the process ends before start ───────▶ (nothing)
//! ```
//!
//! Before created, and instead of it where only the creator can start the container, the status is creating.
//!
//! The status is never stored: it is read off the process and the cgroup, so it cannot be stale. `create` is the
//! only writer of `state.json`; it writes by rename and without `fsync`: the folder does not survive a reboot.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, BundleError, ContainerId};
use crate::cgroup::Cgroup;

/// Where `runc` would use `/run/runc`.
pub const DEFAULT_ROOT: &str = "/run/drydock-runtime";
pub const OCI_VERSION: &str = "1.2.0";

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    pub oci_version: String,
    pub id: ContainerId,
    pub pid: i32,
    /// Field 22 of `/proc/PID/stat`: tells the process from a later one with its number.
    pub pid_start_time: u64,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    /// RFC 3339, UTC.
    pub created: String,
    pub owner: String,
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub annotations: HashMap<String, String>,
    pub cgroup: Cgroup,
}

/// See the drawing above.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Creating,
    Created,
    Running,
    Paused,
    Stopped,
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Status::Creating => "creating",
            Status::Created => "created",
            Status::Running => "running",
            Status::Paused => "paused",
            Status::Stopped => "stopped",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("container does not exist")]
    NotFound,
    #[error("container with given ID already exists")]
    Exists,
    #[error("make {path}")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("parse {path}")]
    Parse {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("write {path}")]
    Write {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("remove {path}")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("read the copy of config.json")]
    Config(#[source] BundleError),
}

/// One container's folder below the state root.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// Names the folder; it may not exist.
    pub fn at(root: &Path, id: &ContainerId) -> Self {
        Self { path: root.join(id.as_str()) }
    }

    /// Makes the folder, which reserves the id.
    pub fn create(root: &Path, id: &ContainerId) -> Result<Self, StateError> {
        let dir = Self::at(root, id);
        let make = |path: &Path| rustix::fs::mkdir(path, rustix::fs::Mode::from_raw_mode(0o711));
        let mut made = make(&dir.path);
        if made == Err(rustix::io::Errno::NOENT) {
            std::fs::create_dir_all(root)
                .map_err(|source| StateError::Make { path: root.to_owned(), source })?;
            made = make(&dir.path);
        }
        match made {
            Ok(()) => Ok(dir),
            Err(rustix::io::Errno::EXIST) => Err(StateError::Exists),
            Err(error) => Err(StateError::Make { path: dir.path, source: error.into() }),
        }
    }

    /// The folder of a container that exists.
    pub fn open(root: &Path, id: &ContainerId) -> Result<(Self, State), StateError> {
        let dir = Self::at(root, id);
        let state = dir.load()?;
        Ok((dir, state))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket a created container waits on.
    pub fn start_socket(&self) -> PathBuf {
        self.path.join("start.sock")
    }

    pub fn load(&self) -> Result<State, StateError> {
        let path = self.path.join("state.json");
        let text = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(StateError::NotFound),
            other => other.map_err(|source| StateError::Read { path: path.clone(), source })?,
        };
        serde_json::from_slice(&text).map_err(|source| StateError::Parse { path, source })
    }

    /// Writes `state.json` so that a reader sees all of it or none.
    pub fn store(&self, state: &State) -> Result<(), StateError> {
        let (draft, path) = (self.path.join("state.new"), self.path.join("state.json"));
        let text =
            serde_json::to_vec(state).map_err(|source| StateError::Parse { path: path.clone(), source })?;
        std::fs::write(&draft, text)
            .and_then(|()| std::fs::rename(&draft, &path))
            .map_err(|source| StateError::Write { path, source })
    }

    pub fn store_config(&self, text: &[u8]) -> Result<(), StateError> {
        let path = self.path.join("config.json");
        std::fs::write(&path, text).map_err(|source| StateError::Write { path, source })
    }

    /// The configuration the container was made from.
    pub fn config(&self, state: &State) -> Result<Bundle, StateError> {
        let path = self.path.join("config.json");
        let text = std::fs::read(&path).map_err(|source| StateError::Read { path, source })?;
        Bundle::parse(state.bundle.clone(), text).map_err(StateError::Config)
    }

    pub fn remove(&self) -> Result<(), StateError> {
        match std::fs::remove_dir_all(&self.path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(StateError::Remove { path: self.path.clone(), source })
            }
            _ => Ok(()),
        }
    }

    pub fn status(&self, state: &State) -> Status {
        let process = state.process();
        if process.is_none() {
            Status::Stopped
        } else if self.start_socket().exists() {
            Status::Created
        } else if process.is_some_and(|process| process.name.as_bytes() == INIT_NAME.to_bytes()) {
            Status::Creating
        } else if state.cgroup.frozen() {
            Status::Paused
        } else {
            Status::Running
        }
    }
}

/// All containers below a state root, in the order of their ids. Folders still being made are left out.
pub fn list(root: &Path) -> Result<Vec<(StateDir, State)>, StateError> {
    let entries = match std::fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| StateError::Read { path: root.to_owned(), source })?,
    };
    let mut ids: Vec<ContainerId> =
        entries.flatten().filter_map(|entry| ContainerId::parse(entry.file_name().to_str()?).ok()).collect();
    ids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    Ok(ids.iter().filter_map(|id| StateDir::open(root, id).ok()).collect())
}

impl State {
    /// Whether the first process still runs: neither gone, nor a zombie, nor another with its number.
    pub fn alive(&self) -> bool {
        self.process().is_some()
    }

    fn process(&self) -> Option<ProcessStat> {
        let stat = process_stat(self.pid).ok()?;
        let same = stat.start_time == self.pid_start_time && !matches!(stat.state, 'Z' | 'X');
        same.then_some(stat)
    }
}

/// What a container's first process calls itself until it executes its program.
pub const INIT_NAME: &std::ffi::CStr = c"drydock:init";

/// Three fields of `/proc/PID/stat`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStat {
    pub name: String,
    pub state: char,
    pub start_time: u64,
}

pub fn process_stat(pid: i32) -> io::Result<ProcessStat> {
    parse_stat(&std::fs::read_to_string(format!("/proc/{pid}/stat"))?)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn parse_stat(text: &str) -> Option<ProcessStat> {
    // The name in parentheses may hold anything, parentheses and spaces included.
    let (before, after) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_time = fields.nth(18)?.parse().ok()?;
    Some(ProcessStat { name, state, start_time })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_cannot_confuse_the_stat_parser() {
        let text = "7 (a) Z 1) S 1 7 7 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2 3";
        assert_eq!(
            parse_stat(text),
            Some(ProcessStat { name: "a) Z 1".to_owned(), state: 'S', start_time: 4242 })
        );
        assert_eq!(parse_stat("7 (a"), None);
    }
}
