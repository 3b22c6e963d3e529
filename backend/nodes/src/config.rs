//! What a host offers, and what is asked for one node.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, SessionId};

const MIB: u64 = 1024 * 1024;
const GIB: u64 = 1024 * MIB;

/// How this host makes nodes. One data directory belongs to one process at a time.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Sessions, nodes and disks; made when missing.
    pub data_dir: PathBuf,
    /// Holds `drydock-agent`, `-engine`, `-shim` and `-runtime`.
    pub bin_dir: PathBuf,
    pub image: NodeImage,
    /// The host's image store; its layers are every node's read-only second store.
    pub store: Option<PathBuf>,
    /// First id of the first block; node n owns `first_id + n * 65536` and the 65,535 that follow.
    pub first_id: u32,
    /// Sessions take /24s from here, leaving out what the host has routes to.
    pub subnets: (Ipv4Addr, u8),
    pub capacity: Capacity,
}

/// Where a node's root file system comes from.
#[derive(Debug, Clone)]
pub enum NodeImage {
    /// An image of [`HostConfig::store`], by reference.
    Reference(String),
    /// Unpacked layers, lowest first.
    Layers(Vec<PathBuf>),
}

/// What all nodes together may take. A node past it is refused with [`Full`](crate::Full).
#[derive(Debug, Clone, Copy)]
pub struct Capacity {
    pub nodes: usize,
    /// Memory that must stay available to the host after one more node booted, bytes.
    pub spare_memory: u64,
    /// Disk that must stay free, bytes.
    pub spare_disk: u64,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { nodes: 100, spare_memory: 512 * MIB, spare_disk: 2 * GIB }
    }
}

impl HostConfig {
    pub fn new(data_dir: impl Into<PathBuf>, bin_dir: impl Into<PathBuf>, image: NodeImage) -> Self {
        Self {
            data_dir: data_dir.into(),
            bin_dir: bin_dir.into(),
            image,
            store: None,
            first_id: 1_000_000,
            subnets: (Ipv4Addr::new(10, 64, 0, 0), 12),
            capacity: Capacity::default(),
        }
    }
}

/// One node, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    pub session: SessionId,
    pub id: NodeId,
    pub hostname: String,
    /// Within the session's subnet; the lowest free one when absent.
    pub address: Option<Ipv4Addr>,
    /// Seen by every shell of the node.
    pub env: BTreeMap<String, String>,
    pub limits: Limits,
}

impl NodeSpec {
    pub fn new(session: SessionId, id: NodeId, hostname: impl Into<String>) -> Self {
        Self {
            session,
            id,
            hostname: hostname.into(),
            address: None,
            env: BTreeMap::new(),
            limits: Limits::default(),
        }
    }
}

/// Hard limits of one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes.
    pub memory: u64,
    /// Thousandths of a processor.
    pub cpu_millis: u32,
    pub pids: u32,
    /// Bytes; writing more fails with ENOSPC.
    pub disk: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: 4 * GIB, cpu_millis: 2000, pids: 4096, disk: 10 * GIB }
    }
}

/// A label of RFC 1123.
pub fn is_hostname(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(plain)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
