//! `shim.json`: what the shim must know beside the OCI bundle in the same folder; and its first words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// File names inside a container's folder.
pub const CONFIG_FILE: &str = "shim.json";
pub const SOCKET_FILE: &str = "shim.sock";
pub const EXIT_FILE: &str = "exit.json";
pub const LOG_FILE: &str = "shim.log";

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
    /// Docker's `json-file`: one JSON object per line, rotated to `path.1`, `path.2`, …
    JsonFile {
        path: PathBuf,
        /// Bytes after which a new file is begun; none: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_size: Option<u64>,
        /// How many files to keep, the current one included; at least 1.
        #[serde(default = "one")]
        max_file: u32,
        /// Labels and environment chosen by `--log-opt labels=…,env=…`, repeated on every line.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        attrs: BTreeMap<String, String>,
    },
}

fn one() -> u32 {
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
