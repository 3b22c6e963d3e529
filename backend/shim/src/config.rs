//! `shim.json`: what the shim must know beside the OCI bundle in the same folder; and its first words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// File names inside a container's folder.
pub const CONFIG_FILE: &str = "shim.json";
pub const SOCKET_FILE: &str = "shim.sock";
pub const EXIT_FILE: &str = "exit.json";
pub const LOG_FILE: &str = "shim.log";

/// The [`Failure::step`] of a log driver that could not be set up.
pub const LOG_STEP: &str = "log";

/// The whole of `shim.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShimConfig {
    /// The container's id; also its name in the runtime's state folder.
    pub id: String,
    /// Where the runtime keeps state (`drydock-runtime --root`).
    pub runtime_root: PathBuf,
    /// The container has a terminal; `config.json` must then say `process.terminal`.
    #[serde(default)]
    pub tty: bool,
    /// The terminal's size until the first resize.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Keep standard input open for clients that attach; otherwise it is `/dev/null`.
    #[serde(default)]
    pub open_stdin: bool,
    /// Close standard input for good when the first client that attached to it leaves.
    #[serde(default)]
    pub stdin_once: bool,
    #[serde(default)]
    pub log: Log,
    /// Create the container, then wait for a `Start` request, so that clients can attach before its first byte.
    #[serde(default)]
    pub hold: bool,
}

/// A terminal's size in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    pub cols: u16,
    pub rows: u16,
}

/// Where the container's output goes beside attached clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "driver", rename_all = "kebab-case")]
pub enum Log {
    #[default]
    None,
    /// Docker's `json-file`: one JSON object per line.
    JsonFile {
        file: LogFile,
        /// Labels and environment chosen by `--log-opt labels=…,env=…`, repeated on every line.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attrs: BTreeMap<String, String>,
    },
    /// Docker's `local`: framed protocol buffers ([`crate::entry`]).
    Local { file: LogFile },
    /// The journal of this host.
    Journald {
        /// Where it listens.
        socket: PathBuf,
        /// The same for every entry.
        fields: BTreeMap<String, String>,
        #[serde(default)]
        delivery: Delivery,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache: Option<LogFile>,
    },
    /// A driver that speaks to another machine, in a process of its own.
    Remote {
        helper: Helper,
        #[serde(default)]
        delivery: Delivery,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache: Option<LogFile>,
    },
}

/// A file, and when a new one is begun: `path` → `path.1` → `path.2` ….
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    pub path: PathBuf,
    /// Bytes after which a new file is begun; none: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_size: Option<u64>,
    /// How many files to keep, the current one included.
    #[serde(default = "one")]
    pub max_file: u32,
    /// Elders become `path.1.gz`, ….
    #[serde(default)]
    pub compress: bool,
}

/// What happens to output that the driver does not take now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// The container is held back until it does.
    #[default]
    Blocking,
    /// So many bytes of it are kept; the rest is dropped.
    NonBlocking { max_buffer: u64 },
}

/// A remote driver's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Helper {
    pub program: PathBuf,
    /// Passed on as it is. It may hold secrets.
    pub settings: serde_json::Value,
}

/// What a remote driver's process answers when it has reached its receiver; anything else says why it has not.
pub const READY: &str = "ready";

const fn one() -> u32 {
    1
}

/// The one line the shim writes on its standard output before it closes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Announcement {
    /// The container runs (or, with `hold`, waits for `Start`); its pid as the shim sees it.
    Started { pid: i32 },
    /// Nothing is left of the attempt.
    Failed(Failure),
}

/// Why a container or a process in it could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The step that failed, in a word or two (`mount`, `exec`).
    pub step: String,
    /// The whole chain of causes.
    pub message: String,
    pub kind: FailureKind,
}

/// What a failure means for the exit status `docker run` reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The program does not exist: 127.
    NotFound,
    /// The program may not be executed: 126.
    Permission,
    /// Anything else: 125 or 128.
    #[default]
    Other,
}

impl ShimConfig {
    /// Where clients connect, for the container in `dir`.
    pub fn socket(dir: &Path) -> PathBuf {
        dir.join(SOCKET_FILE)
    }
}
