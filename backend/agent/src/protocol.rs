//! Requests and replies: serde shapes, carried in frames as `lib.rs` says.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of output the agent sends to a viewer beyond its last acknowledged offset.
pub const WINDOW: u64 = 512 * 1024;

/// Bytes of output a terminal remembers.
pub const SCROLLBACK: usize = 1024 * 1024;

/// Terminals of one node, at most.
pub const MAX_TERMINALS: usize = 32;

/// A terminal of a node; numbers are not used again while the node lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TerminalId(pub u32);

impl fmt::Display for TerminalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A terminal's size in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub cols: u16,
    pub rows: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self { cols: 80, rows: 24 }
    }
}

/// What a viewer may do to the terminal it watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    ReadWrite,
    ReadOnly,
}

/// Whether the viewer says what it has drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pacing {
    /// At most [`WINDOW`] bytes beyond the last acknowledgement.
    Acknowledged,
    /// As fast as the socket takes them.
    Socket,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    Terminals,
    OpenTerminal { size: Size },
    CloseTerminal { id: TerminalId },
    Attach { id: TerminalId, from: u64, mode: Mode, pacing: Pacing },
    Exec(ExecRequest),
    Write(WriteRequest),
    Read { path: String },
    Tree { path: String, depth: u32 },
    Stats,
    RestartEngine,
    Shutdown,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalInfo {
    pub id: TerminalId,
    pub size: Size,
    /// Offset of the oldest byte still in the scrollback.
    pub start: u64,
    /// Offset after the newest byte.
    pub end: u64,
    pub viewers: u32,
}

/// The reply to `Attach`: where the stream now ends, and the terminal's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub end: u64,
    pub size: Size,
}

/// A command to run in the node, without a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// Program and arguments; the program is looked up in PATH.
    pub command: Vec<String>,
    /// A name of the node's /etc/passwd, or a numeric id; root when absent.
    #[serde(default)]
    pub user: Option<String>,
    /// Added to the node's own environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The user's home when absent.
    #[serde(default)]
    pub cwd: Option<String>,
    /// Killed, with its whole process group, after so many milliseconds.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
}

impl ExecRequest {
    pub fn new<S: Into<String>>(command: impl IntoIterator<Item = S>) -> Self {
        Self { command: command.into_iter().map(Into::into).collect(), ..Self::default() }
    }

    /// The words as `bash` would read them.
    pub fn shell(script: impl Into<String>) -> Self {
        Self::new(["bash".to_owned(), "-c".to_owned(), script.into()])
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Its exit status, 128 + signal when a signal ended it.
    Code(i32),
    /// It ran longer than `timeout_ms` and was killed.
    TimedOut,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WriteRequest {
    /// Absolute, or relative to /root.
    pub path: String,
    /// Permission bits, 0o644 for instance.
    pub mode: u32,
    /// Whether missing parent directories are made.
    pub parents: Parents,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parents {
    Create,
    MustExist,
}

/// A file or directory of [`Request::Tree`], parents before their children.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeEntry {
    /// Relative to the directory asked for.
    pub path: String,
    pub kind: EntryKind,
    /// Bytes.
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    File,
    Directory,
    Link,
    Other,
}

/// What a node uses. Zero stands for "not known" in limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Processor time used since boot, nanoseconds.
    pub cpu_ns: u64,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub disk_bytes: u64,
    pub disk_limit_bytes: u64,
    pub pids: u64,
    pub engine: EngineState,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EngineState {
    /// This agent was told to supervise none.
    #[default]
    None,
    Running,
    /// It died and is about to be started again.
    Restarting,
}

/// Why the agent refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    pub kind: RefusalKind,
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalKind {
    NotFound,
    Invalid,
    Limit,
    Failed,
}
