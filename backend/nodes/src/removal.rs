//! Taking away a node or a session, whole or half-made: whatever is found under its names.
//!
//! No step depends on another's success, and each is content to find nothing. Failures are collected.

use std::fmt::Display;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use drydock_networks::NetNs;

use crate::control_groups;
use crate::disk;
use crate::id::SessionId;
use crate::places::Places;
use crate::processes::{self, wait_until};
use crate::record::{self, NodeRecord, SessionRecord, Stage};
use crate::runtime::Runtime;
use crate::{session, uplink};

/// How long the kernel may take to end a node's processes, and after that to let its disk go.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that could not be removed; the rest was.
#[derive(Debug, thiserror::Error)]
#[error("{} steps to end {subject} failed: {}", failures.len(), failures.join("; "))]
pub struct EndError {
    pub subject: String,
    pub failures: Vec<String>,
}

/// What did not work, by step.
#[derive(Debug, Default)]
pub struct Failures(Vec<String>);

impl Failures {
    pub fn note<E: Display>(&mut self, step: &str, outcome: Result<(), E>) {
        if let Err(error) = outcome {
            self.0.push(format!("{step}: {error}"));
        }
    }

    pub fn join(&mut self, other: Result<(), EndError>) {
        if let Err(error) = other {
            self.0.extend(error.failures);
        }
    }

    pub fn into_result(self, subject: impl Display) -> Result<(), EndError> {
        match self.0.is_empty() {
            true => Ok(()),
            false => Err(EndError { subject: subject.to_string(), failures: self.0 }),
        }
    }
}

/// Removes a node. `switch` is its session's namespace, if that is still there.
pub fn node(
    places: &Places,
    runtime: &Runtime,
    record: &NodeRecord,
    switch: Option<&NetNs>,
) -> Result<(), EndError> {
    let id = &record.spec.id;
    let mut failures = Failures::default();
    failures.note("record its end", record_end(places, record));
    failures.note("kill its first process", kill(record));
    if let Some(switch) = switch {
        failures.note("unplug it", session::unplug(switch, record.address));
    }
    failures.note("delete it from the runtime", runtime.delete(id));
    failures.note("remove its cgroup", control_groups::remove(&places.control_group(id)));
    let folder = places.node(id);
    failures.note("release its disk", release(&folder.join("disk.ext4")));
    failures.note("remove its sockets", remove_folder(&places.sockets_of(id)));
    failures.note("remove its folder", remove_folder(&folder));
    failures.into_result(format_args!("node {id}"))
}

/// Who finds the node after us must not take it for one that runs.
fn record_end(places: &Places, record: &NodeRecord) -> io::Result<()> {
    let Stage::Running { pid, started } = record.stage else { return Ok(()) };
    let ending = NodeRecord { stage: Stage::Ending { pid, started }, ..record.clone() };
    match record::write(&places.node(&record.spec.id).join("node.json"), &ending) {
        // Its folder is gone already.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }
}

fn kill(record: &NodeRecord) -> io::Result<()> {
    let (Stage::Running { pid, started } | Stage::Ending { pid, started }) = record.stage else {
        return Ok(());
    };
    match processes::open(pid, started) {
        Ok(process) => processes::kill(&process, PATIENCE),
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Waits until the kernel has unmounted the disk, which it does after the last process is gone.
fn release(disk: &Path) -> io::Result<()> {
    let released = wait_until(PATIENCE, || !matches!(disk::is_attached(disk), Ok(true)));
    if released { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

pub fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a session's switch; its nodes must be gone.
pub fn session(places: &Places, record: &SessionRecord) -> Result<(), EndError> {
    let mut failures = Failures::default();
    failures.note("disconnect it from the host", uplink::disconnect(places, record.number));
    failures.join(session_folder(places, &record.id));
    failures.into_result(format_args!("session {}", record.id))
}

/// Unpins a session's namespace and removes its folder.
pub fn session_folder(places: &Places, id: &SessionId) -> Result<(), EndError> {
    let folder = places.session(id);
    let mut failures = Failures::default();
    failures.note("unpin its network namespace", NetNs::remove(&folder.join("netns")));
    failures.note("remove its folder", remove_folder(&folder));
    failures.into_result(format_args!("session {id}"))
}
