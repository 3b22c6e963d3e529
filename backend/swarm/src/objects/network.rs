//! An overlay network, and an attachment to one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Ipam, Meta, NetworkCreateRequest, NetworkId};

/// Spec by the user; the rest by the allocator.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Network {
    pub id: NetworkId,
    pub meta: Meta,
    pub spec: NetworkCreateRequest,
    /// The subnets it really has.
    pub ipam: Option<Ipam>,
    /// The VXLAN network identifier of each subnet.
    pub vnis: Vec<u32>,
}

impl Network {
    /// The option in which moby's overlay driver keeps the identifiers.
    pub const VNI_OPTION: &'static str = "com.docker.network.driver.overlay.vxlanid_list";

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Whether it carries the routing mesh.
    pub fn is_ingress(&self) -> bool {
        self.spec.ingress.unwrap_or(false)
    }

    pub fn driver(&self) -> &str {
        self.spec.driver.as_deref().filter(|driver| !driver.is_empty()).unwrap_or("overlay")
    }

    pub fn is_allocated(&self) -> bool {
        self.ipam.is_some()
    }
}

/// A task's or a node's place in a network. The agent gets the network itself beside it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkAttachment {
    pub network_id: NetworkId,
    /// With the length of the network's mask: `10.0.1.3/24`.
    pub addresses: Vec<String>,
    pub aliases: Vec<String>,
    pub driver_options: HashMap<String, String>,
}
