//! Where on the host everything lies, and how it is called.
//!
//! ```text
//! DATA/
//!   lock                     held by the one process that uses this folder
//!   runtime/                 drydock-runtime's state of every node
//!   templates/BYTES.ext4     an empty, formatted, sparse disk of that size
//!   sessions/ID/             session.json, netns (a pinned network namespace), faults.json (what its cables lose)
//!   nodes/ID/                node.json, disk.ext4, config.json
//! /run/drydock-KEY/ID/       agent.sock, docker.sock: unix(7) holds paths of 107 bytes only, DATA may be longer
//! ```

use std::io;
use std::path::{Path, PathBuf};

use crate::id::{NodeId, SessionId};

#[derive(Debug, Clone)]
pub struct Places {
    data: PathBuf,
    /// Tells the links, cgroups and tables of this data directory from those of others on the same host.
    key: String,
}

impl Places {
    /// `data` must exist.
    pub fn new(data: &Path) -> io::Result<Self> {
        let data = data.canonicalize()?;
        let key = format!("{:06x}", fnv1a(data.as_os_str().as_encoded_bytes()) & 0xff_ffff);
        Ok(Self { data, key })
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    pub fn runtime(&self) -> PathBuf {
        self.data.join("runtime")
    }

    pub fn templates(&self) -> PathBuf {
        self.data.join("templates")
    }

    pub fn sessions(&self) -> PathBuf {
        self.data.join("sessions")
    }

    pub fn session(&self, id: &SessionId) -> PathBuf {
        self.sessions().join(id.as_str())
    }

    pub fn faults(&self, id: &SessionId) -> PathBuf {
        self.session(id).join("faults.json")
    }

    pub fn nodes(&self) -> PathBuf {
        self.data.join("nodes")
    }

    pub fn node(&self, id: &NodeId) -> PathBuf {
        self.nodes().join(id.as_str())
    }

    /// All nodes' sockets.
    pub fn sockets(&self) -> PathBuf {
        PathBuf::from(format!("/run/drydock-{}", self.key))
    }

    /// A node's sockets; never mounted into the node.
    pub fn sockets_of(&self, id: &NodeId) -> PathBuf {
        self.sockets().join(id.as_str())
    }

    /// All cgroups of this data directory lie below this one, in every hierarchy.
    pub fn control_groups(&self) -> String {
        format!("/drydock-{}", self.key)
    }

    /// A node's cgroup, in every hierarchy.
    pub fn control_group(&self, id: &NodeId) -> String {
        format!("{}/{id}", self.control_groups())
    }

    /// What the names of all links begin with that this data directory has on the host.
    pub fn link_prefix(&self) -> String {
        format!("dd{}-", self.key)
    }

    /// The host's nf_tables table.
    pub fn table(&self) -> String {
        format!("drydock-{}", self.key)
    }
}

/// FNV-1a, 32 bits: short, stable names; nothing depends on its strength.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
