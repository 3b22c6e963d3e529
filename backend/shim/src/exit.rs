//! `exit.json`: how the container ended. Written by rename, before anything is taken down.

use serde::{Deserialize, Serialize};

/// The end of a container or of a process executed in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// What a shell would report: the program's own status, or 128 plus the signal that killed it.
    pub code: i32,
    /// The signal, when one killed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// The kernel killed something in the container for lack of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// RFC 3339 with nanoseconds, UTC.
    pub finished_at: String,
    /// The process's id as the shim saw it.
    pub pid: i32,
}
