//! A container in memory: its record, its waiters, and the streams that wait for its start.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drydock_shim::protocol::Streams;
use tokio::net::UnixStream;
use tokio::sync::{oneshot, watch};

use crate::container::record::{Record, Status};
use crate::id::Id;
use crate::log::files::LogFiles;
use crate::log::setup::Places;

/// What `wait` looks at. Changes only forward.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    pub running: bool,
    /// How many runs have ended since the engine knows the container.
    pub exits: u64,
    pub exit_code: i32,
    pub error: Option<String>,
    pub removed: bool,
}

/// A client that attached before the start, and is handed the shim's stream then.
#[derive(Debug)]
pub struct WaitingAttach {
    pub streams: Streams,
    pub ready: oneshot::Sender<(UnixStream, Vec<u8>)>,
}

/// How long the end of a process waits for clients that do not read; moby's time.
const HEARING: Duration = Duration::from_secs(2);

/// An attached client.
#[derive(Debug)]
pub struct Listener(watch::Sender<usize>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// One container. Its record is behind a lock that is never held across an await; verbs that take several
/// steps hold [`Container::verbs`].
#[derive(Debug)]
pub struct Container {
    pub id: Id,
    /// `DATA_ROOT/containers/<id>`: the record, the log, the files of `/etc`.
    pub dir: PathBuf,
    /// `EXEC_ROOT/containers/<id>`: the bundle and the shim's socket.
    pub run_dir: PathBuf,
    /// Held by start, stop, restart, remove, …: one at a time.
    pub verbs: tokio::sync::Mutex<()>,
    /// Held from a start until what the run needed is given back.
    pub run: Arc<tokio::sync::Mutex<()>>,
    /// Held while the last run's root file system, unmounted already, is flushed and freed.
    pub freeing: Arc<tokio::sync::Mutex<()>>,
    record: Mutex<Record>,
    /// Digest of what `container.json` holds; 0 before it was written.
    written: std::sync::atomic::AtomicU64,
    phase: watch::Sender<Phase>,
    waiting: Mutex<Vec<WaitingAttach>>,
    /// How many clients are attached and have not heard the end yet.
    listeners: watch::Sender<usize>,
    /// Wakes the restart delay and stops health checks when the user interferes.
    pub interrupt: tokio::sync::Notify,
}

#[derive(Debug, thiserror::Error)]
pub enum SaveError {
    #[error("write {path}")]
    Write { path: PathBuf, source: std::io::Error },
    #[error("encode the record of container {id}")]
    Encode { id: Id, source: serde_json::Error },
}

impl Container {
    pub fn new(record: Record, data_root: &Path, exec_root: &Path) -> Self {
        let id = record.id.clone();
        let running = record.state.status.is_live();
        let phase = Phase { running, exit_code: record.state.exit_code, ..Phase::default() };
        Self {
            dir: data_root.join("containers").join(id.as_str()),
            run_dir: exec_root.join("containers").join(id.as_str()),
            id,
            verbs: tokio::sync::Mutex::default(),
            run: Arc::default(),
            freeing: Arc::default(),
            record: Mutex::new(record),
            written: Default::default(),
            phase: watch::Sender::new(phase),
            waiting: Mutex::default(),
            listeners: watch::Sender::new(0),
            interrupt: tokio::sync::Notify::new(),
        }
    }

    /// The record, to read or to change. Do not hold it across an await.
    pub fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder of a record panics")
    }

    pub fn status(&self) -> Status {
        self.record().state.status
    }

    /// Changes the record and writes it, unless it stayed the same. By rename and without flushing: after a power failure
    /// the container is found as it was a moment before, never half.
    pub fn update<R>(&self, change: impl FnOnce(&mut Record) -> R) -> Result<R, SaveError> {
        let mut record = self.record();
        let answer = change(&mut record);
        let bytes = serde_json::to_vec(&*record)
            .map_err(|source| SaveError::Encode { id: self.id.clone(), source })?;
        // Under the record's lock, so that two changes cannot reach the disk in the wrong order.
        let digest = digest(&bytes);
        if self.written.load(Ordering::Relaxed) != digest {
            write_by_rename(&self.dir.join("container.json"), &bytes)?;
            self.written.store(digest, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// Like [`update`](Self::update) where the change has happened to the world already: a disk that cannot
    /// take it is reported, and the change still holds in memory.
    pub fn note<R>(&self, change: impl FnOnce(&mut Record) -> R) -> Option<R> {
        match self.update(change) {
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::error!(container.id = %self.id, "{}", crate::error::chain(&error));
                None
            }
        }
    }

    pub fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub fn advance(&self, change: impl FnOnce(&mut Phase)) {
        self.phase.send_modify(change);
    }

    /// Queues a client for the start that is to come.
    pub fn attach_at_start(&self, streams: Streams) -> oneshot::Receiver<(UnixStream, Vec<u8>)> {
        let (ready, receiver) = oneshot::channel();
        self.waiting.lock().expect("no holder of the queue panics").push(WaitingAttach { streams, ready });
        receiver
    }

    pub fn take_waiting(&self) -> Vec<WaitingAttach> {
        std::mem::take(&mut *self.waiting.lock().expect("no holder of the queue panics"))
    }

    /// Counts a client that is to hear everything, until the answer is dropped.
    pub fn listen(&self) -> Listener {
        self.listeners.send_modify(|count| *count += 1);
        Listener(self.listeners.clone())
    }

    /// Returns when every attached client has what the process said, or has had its time: an end that is known
    /// before its last words are heard takes them from programs that wait for it (dockerode's tests do).
    pub async fn heard(&self) {
        let mut listeners = self.listeners.subscribe();
        let _ = tokio::time::timeout(HEARING, listeners.wait_for(|count| *count == 0)).await;
    }

    pub fn log_path(&self) -> PathBuf {
        self.dir.join(format!("{}-json.log", self.id))
    }

    /// What is kept of its output on this machine.
    pub fn log_files(&self) -> Option<LogFiles> {
        // Reading asks no remote driver.
        let places = Places { dir: &self.dir, json_file: self.log_path(), logger: Path::new("") };
        LogFiles::of(&self.record(), &places)
    }
}

fn digest(bytes: &[u8]) -> u64 {
    use std::hash::Hasher;
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish().max(1)
}

/// Replaces `path` in one step.
pub fn write_by_rename(path: &Path, bytes: &[u8]) -> Result<(), SaveError> {
    let at = |source| SaveError::Write { path: path.to_owned(), source };
    let fresh = path.with_extension("tmp");
    std::fs::write(&fresh, bytes).map_err(at)?;
    std::fs::rename(&fresh, path).map_err(at)
}
