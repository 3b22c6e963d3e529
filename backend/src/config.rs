//! What a gateway is told at its start. Built once by the command line; nothing else reads the environment.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use drydock_nodes::Limits;
use drydock_sessions::{capacity, life, rate};

/// Bytes of a request that is not an upload.
pub const BODY_LIMIT: usize = 1024 * 1024;
/// Bytes of an uploaded file; the node's disk quota is the limit that matters.
pub const UPLOAD_LIMIT: usize = 2 * 1024 * 1024 * 1024;
/// Bytes of a file that is read or written through `/file`.
pub const FILE_LIMIT: usize = 64 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct Config {
    pub listen: SocketAddr,
    /// Sessions, nodes and the host's images.
    pub data: PathBuf,
    /// What `cargo xtask dist` made.
    pub dist: PathBuf,
    /// The host name (and port) browsers use; any when absent.
    pub domain: Option<String>,
    pub life: life::Limits,
    pub capacity: capacity::Limits,
    /// Sessions a client address may make.
    pub creation: rate::Allowance,
    /// Of each node.
    pub node_limits: Limits,
    /// Node images that may be asked for by name; the first is the default.
    pub images: Vec<String>,
    /// The host's images; in `data` when absent. Several gateways may share one.
    pub image_store: Option<PathBuf>,
    /// Where images come from that the host lacks.
    pub upstream: UpstreamRegistry,
    /// Folder of labs; those of `dist` when absent.
    pub labs: Option<PathBuf>,
    /// Other origins whose pages may use the API and the sockets.
    pub allowed_origins: Vec<String>,
}

/// The registry behind the host's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamRegistry {
    /// Offline: only what the host has is served.
    None,
    DockerHub,
    /// Asked instead of Docker Hub.
    At(String),
}

impl Config {
    pub fn database(&self) -> PathBuf {
        self.data.join("drydock.db")
    }

    /// The host's images.
    pub fn store(&self) -> PathBuf {
        self.image_store.clone().unwrap_or_else(|| self.data.join("store"))
    }

    pub fn bin(&self) -> PathBuf {
        self.dist.join("bin")
    }

    pub fn web(&self) -> PathBuf {
        self.dist.join("web")
    }

    pub fn labs(&self) -> PathBuf {
        self.labs.clone().unwrap_or_else(|| self.dist.join("labs"))
    }
}

/// The `dist` folder around a running program: `dist/bin/drydock` → `dist`.
pub fn dist_of(executable: &Path) -> Option<PathBuf> {
    executable.parent()?.parent().map(Path::to_owned)
}

/// The node image of the offline library.
pub const NODE_IMAGE: &str = "drydock/node:latest";

impl Default for Config {
    fn default() -> Self {
        use time::Duration;
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("/var/lib/drydock-host"),
            dist: PathBuf::from("dist"),
            domain: None,
            life: life::Limits {
                duration: Duration::hours(4),
                longest: Duration::hours(24),
                orphan_after: Duration::minutes(30),
            },
            capacity: capacity::Limits { sessions: 50, instances_per_session: 5, instances: 100 },
            creation: rate::Allowance { burst: 60, every: Duration::seconds(2) },
            node_limits: Limits::default(),
            images: vec![NODE_IMAGE.to_owned()],
            image_store: None,
            upstream: UpstreamRegistry::DockerHub,
            labs: None,
            allowed_origins: Vec::new(),
        }
    }
}
