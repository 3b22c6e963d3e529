//! The routing mesh on this host: a sandbox of its own on the ingress network, to which published ports of services
//! lead, whether a task of theirs runs here or not.
//!
//! ```text
//!  to the host's :8080 ─▶ docker_gwbridge ─▶ ingress-sbox ─▶ ingress network ─▶ a task, here or elsewhere, :80
//!                        (as any port)      (in turn, under the node's own address)
//! ```
//!
//! The sandbox is made with the first port.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};

use bollard_stubs::models::{EndpointIpamConfig, EndpointSettings, PortBinding};
use drydock_networks::Cidr;
use drydock_networks::balance::{Balancer, Entry};
use drydock_networks::bridge::Protocol;

use super::gateway;
use super::join::JoinError;
use super::ports::Published;
use super::service::Inner;
use super::{Join, PortMap};
use crate::id::Id;

/// What the mesh is to be on this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mesh {
    /// The ingress network.
    pub network: Id,
    /// The node's own address in it.
    pub address: Cidr,
    pub entries: Vec<Entry>,
}

/// What it is.
#[derive(Debug, Default)]
pub struct Present {
    /// The network and the address of the sandbox, when there is one.
    at: Option<(Id, Cidr)>,
    balancer: Option<Balancer>,
    entries: Vec<Entry>,
    open: BTreeMap<(&'static str, u16), Published>,
}

#[derive(Debug, thiserror::Error)]
enum MeshError {
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error(transparent)]
    Balance(#[from] drydock_networks::balance::BalanceError),
    #[error("the sandbox of the routing mesh has no way out")]
    NoGateway,
}

impl Inner {
    fn mesh(&self) -> MutexGuard<'_, Present> {
        self.mesh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the mesh what it is to be; `None` takes it away. Blocks for the kernel.
    pub(super) fn set_mesh(&self, wanted: Option<&Mesh>) {
        let mut present = self.mesh();
        let place = wanted.map(|mesh| (mesh.network.clone(), mesh.address));
        if present.at.is_some() && present.at != place {
            self.close_mesh(&mut present);
        }
        let Some(mesh) = wanted else { return };
        if mesh.entries.is_empty() && present.at.is_none() {
            return;
        }
        if let Err(error) = self.follow(&mut present, mesh) {
            tracing::warn!(%error, "the routing mesh does not reach all services");
        }
    }

    fn follow(&self, present: &mut Present, mesh: &Mesh) -> Result<(), MeshError> {
        if present.at.is_none() {
            self.open_mesh(present, mesh)?;
        }
        if present.entries != mesh.entries {
            if let Some(balancer) = &mut present.balancer {
                balancer.pass_on(&mesh.entries)?;
            }
            present.entries.clone_from(&mesh.entries);
        }
        self.close_ports(present, |key| !mesh.entries.iter().any(|entry| entry_key(entry) == *key));
        for entry in &mesh.entries {
            if !present.open.contains_key(&entry_key(entry)) {
                self.open_port(present, entry)?;
            }
        }
        self.show_mesh(present);
        Ok(())
    }

    fn open_mesh(&self, present: &mut Present, mesh: &Mesh) -> Result<(), MeshError> {
        let join = sandbox(mesh);
        self.join(&join)?;
        let namespace = self.state().sandboxes.get(&join.container).map(|sandbox| sandbox.namespace.clone());
        let opened = namespace.ok_or_else(|| JoinError::NoSandbox(join.container.clone()).into());
        match opened.and_then(|namespace| Balancer::open(&namespace).map_err(MeshError::from)) {
            Ok(balancer) => present.balancer = Some(balancer),
            Err(error) => {
                let _ = self.leave(&join.container);
                return Err(error);
            }
        }
        present.at = Some((mesh.network.clone(), mesh.address));
        Ok(())
    }

    fn close_mesh(&self, present: &mut Present) {
        self.close_ports(present, |_| true);
        self.show_mesh(present);
        *present = Present::default();
        if let Err(error) = self.leave(&Id::of_mesh()) {
            tracing::warn!(%error, "cannot take the routing mesh's sandbox away");
        }
    }

    /// One port that somebody else has does not keep others from being opened.
    fn open_port(&self, present: &mut Present, entry: &Entry) -> Result<(), MeshError> {
        let (endpoint, record) = {
            let state = self.state();
            let sandbox = state.sandboxes.get(&Id::of_mesh()).ok_or(MeshError::NoGateway)?;
            let endpoint = sandbox.endpoints.get(gateway::NAME).ok_or(MeshError::NoGateway)?.clone();
            let network = state.networks.get(&endpoint.network).ok_or(MeshError::NoGateway)?;
            (endpoint, network.record.clone())
        };
        let Some(IpAddr::V4(ip)) = endpoint.address(true).map(Cidr::ip) else {
            return Err(MeshError::NoGateway);
        };
        let binding = PortBinding { host_ip: None, host_port: Some(entry.port.to_string()) };
        let (name, port) = entry_key(entry);
        let ports = PortMap::from([(format!("{port}/{name}"), Some(vec![binding]))]);
        let join = Join { ports, ..Join::of(Id::of_mesh()) };
        let opened = self.lease_at(&join, &endpoint, &record, ip).and_then(|published| {
            self.host.publish(&published.publications).map_err(JoinError::Rules)?;
            Ok(published)
        });
        match opened {
            Ok(published) => drop(present.open.insert((name, port), published)),
            Err(error) => tracing::warn!(port, protocol = name, %error, "a service's port is not open here"),
        }
        Ok(())
    }

    fn close_ports(&self, present: &mut Present, is_over: impl Fn(&(&'static str, u16)) -> bool) {
        let over: Vec<_> = present.open.keys().copied().filter(is_over).collect();
        for key in over {
            let Some(published) = present.open.remove(&key) else { continue };
            if let Err(error) = self.host.unpublish(&published.publications) {
                tracing::warn!(port = key.1, %error, "a service's port stays open here");
            }
        }
    }

    /// What `iptables` shows, and what the rules are written from anew.
    fn show_mesh(&self, present: &Present) {
        let publications = present.open.values().flat_map(|published| published.publications.clone());
        if let Some(sandbox) = self.state().sandboxes.get_mut(&Id::of_mesh()) {
            sandbox.publications = publications.collect();
        }
        self.shown.notify_one();
    }
}

fn entry_key(entry: &Entry) -> (&'static str, u16) {
    (entry.protocol.name(), entry.port)
}

/// The sandbox as a container that asks for its networks.
fn sandbox(mesh: &Mesh) -> Join {
    let ipam_config = EndpointIpamConfig {
        ipv4_address: Some(mesh.address.ip().to_string()),
        ..EndpointIpamConfig::default()
    };
    let settings = EndpointSettings { ipam_config: Some(ipam_config), ..EndpointSettings::default() };
    Join {
        name: "ingress-endpoint".to_owned(),
        networks: BTreeMap::from([(mesh.network.to_string(), settings)]),
        sysctls: BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())]),
        ..Join::of(Id::of_mesh())
    }
}

/// For who reads ports of the API.
pub fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "tcp" => Some(Protocol::Tcp),
        "udp" => Some(Protocol::Udp),
        _ => None,
    }
}
