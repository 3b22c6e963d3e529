//! Networks as the engine uses them: records, sandboxes and endpoints of containers, published ports, name service.
//!
//! Links, addresses, rules and DNS are `drydock-networks`'. The rest of the engine uses only what is public here.
//! Modes `host` and `container:…` never reach this room: the container's own room handles them.
//!
//! Begin with [`service`]; one verb per file: `create`, `remove`, `join`, `leave`, `connect`, `restore`. A swarm's networks are in
//! `overlay`, what encrypts them in `encryption`, its routing mesh in `mesh`.

mod connect;
mod create;
mod default_bridge;
mod encryption;
mod gateway;
mod guests;
mod inspect;
mod join;
mod leave;
mod mesh;
mod names;
mod options;
mod overlay;
mod plan;
mod ports;
mod record;
mod remove;
mod republish;
mod restore;
mod service;
mod spares;
mod state;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard_stubs::models::{EndpointSettings, PortBinding};

use crate::id::Id;

pub use connect::{Connected, DisconnectError};
pub use create::{CreateError, read_plans};
pub use encryption::Sealing;
pub use inspect::{FilterError, Filters, Inspected, filters};
pub use join::JoinError;
pub use leave::LeaveError;
pub use mesh::{Mesh, protocol};
pub use names::{LinkError, link};
pub use overlay::{Scene, Underlay};
pub use record::is_predefined;
pub use record::option::ENCRYPTED;
pub use remove::RemoveError;
pub use service::{NetworkService, OpenError};

/// `80/tcp` → where it is published; `None` or an empty list: exposed only. The API's own shape.
pub type PortMap = HashMap<String, Option<Vec<PortBinding>>>;

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
    /// `--link` on the default bridge.
    pub links: Vec<Linked>,
    /// `--sysctl net.*`, set inside the sandbox.
    pub sysctls: BTreeMap<String, String>,
}

impl Join {
    /// One that asks for nothing.
    pub fn of(container: Id) -> Self {
        Self {
            container,
            name: String::new(),
            hostname: String::new(),
            networks: BTreeMap::new(),
            ports: PortMap::new(),
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            links: Vec::new(),
            sysctls: BTreeMap::new(),
        }
    }
}

/// Another container on the default bridge, and what this one calls it.
#[derive(Clone, Debug)]
pub struct Linked {
    pub container: Id,
    pub names: Vec<String>,
}

impl Joined {
    /// Every endpoint with its network's name, the way out that is not shown among them.
    fn all(&self) -> impl Iterator<Item = (&str, &EndpointSettings)> {
        let gateway = self.gateway.iter().map(|shown| (gateway::NAME, shown));
        self.endpoints.iter().map(|(name, shown)| (name.as_str(), shown)).chain(gateway)
    }
}

/// A sandbox that is ready for the container's first process.
#[derive(Clone, Debug, Default)]
pub struct Joined {
    /// The pinned network namespace, named in the container's `config.json`.
    pub sandbox: PathBuf,
    pub sandbox_id: String,
    /// Filled in: addresses, gateway, MAC, endpoint and network ids, DNS names. Keys are network names.
    pub endpoints: BTreeMap<String, EndpointSettings>,
    /// The way out of a container whose own networks have none; not shown among them.
    pub gateway: Option<EndpointSettings>,
    /// What was really bound. Exposed but unpublished ports keep `None`.
    pub ports: PortMap,
    /// The whole text of the container's `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Lines of `/etc/hosts` after the fixed ones: address and names.
    pub hosts: Vec<(String, Vec<String>)>,
}
