//! What is remembered of sessions and nodes across processes: small JSON files, replaced by rename.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::NodeSpec;
use crate::id::SessionId;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionRecord {
    pub id: SessionId,
    /// Which of the pool's /24s it has.
    pub number: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    pub spec: NodeSpec,
    pub address: Ipv4Addr,
    /// Which block of 65,536 ids it owns.
    pub block: u32,
    pub stage: Stage,
}

/// ```text
/// Making ──▶ Running ──▶ Ending      (no way back: what is not Running with a living PID 1 is removed)
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    Making,
    Running {
        pid: u32,
        /// Clock ticks after the host's boot: tells the process from a later one with the same id.
        started: u64,
    },
    /// Its first process is being killed, and may be seen a while longer.
    Ending {
        pid: u32,
        started: u64,
    },
}

pub fn write(path: &Path, record: &impl Serialize) -> io::Result<()> {
    let partial = path.with_extension("partial");
    fs::write(&partial, serde_json::to_vec(record)?)?;
    fs::rename(partial, path)
}

pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
