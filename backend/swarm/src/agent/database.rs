//! What the agent must remember over a restart of the engine: its tasks, and how far each had come.
//!
//! One file for each task below `<data-root>/swarm/worker/tasks`, replaced by rename. Secrets are never among them. Losing a file to a
//! power cut loses nothing: the leader tells all tasks anew, and their containers are found again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::objects::{Task, TaskStatus};

/// The folder of tasks.
#[derive(Debug, Clone)]
pub struct Database {
    folder: PathBuf,
}

/// A task as it was when the engine ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Remembered {
    pub task: Task,
    pub status: TaskStatus,
}

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} {path}")]
pub struct DatabaseError {
    step: &'static str,
    path: PathBuf,
    #[source]
    cause: io::Error,
}

impl Database {
    /// Below an engine's data root.
    pub fn open(data_root: &Path) -> Result<Self, DatabaseError> {
        let folder = data_root.join("swarm/worker/tasks");
        fs::create_dir_all(&folder).map_err(|cause| DatabaseError {
            step: "create",
            path: folder.clone(),
            cause,
        })?;
        Ok(Self { folder })
    }

    /// All tasks. A file that cannot be read is passed over, and said so.
    pub fn load(&self) -> Result<Vec<Remembered>, DatabaseError> {
        let failed = |cause| DatabaseError { step: "list", path: self.folder.clone(), cause };
        let mut tasks = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match fs::read(&path)
                .map_err(io::Error::other)
                .and_then(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other))
            {
                Ok(task) => tasks.push(task),
                Err(error) => tracing::warn!(%error, path = %path.display(), "a task is not remembered"),
            }
        }
        Ok(tasks)
    }

    pub fn save(&self, task: &Task, status: &TaskStatus) -> Result<(), DatabaseError> {
        let path = self.path(task.id.as_str());
        let failed = |cause| DatabaseError { step: "write", path: path.clone(), cause };
        // A password of a registry does not belong on a disk; the leader tells it again.
        let task = Task { registry_auth: None, ..task.clone() };
        let remembered = Remembered { task, status: status.clone() };
        let bytes = serde_json::to_vec(&remembered).map_err(|error| failed(io::Error::other(error)))?;
        let draft = path.with_extension("draft");
        fs::write(&draft, bytes).and_then(|()| fs::rename(&draft, &path)).map_err(failed)
    }

    pub fn remove(&self, task_id: &str) -> Result<(), DatabaseError> {
        let path = self.path(task_id);
        match fs::remove_file(&path) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                Err(DatabaseError { step: "remove", path, cause })
            }
            _ => Ok(()),
        }
    }

    fn path(&self, task_id: &str) -> PathBuf {
        self.folder.join(format!("{task_id}.json"))
    }
}
