//! Networks, and places in them.

use std::collections::HashMap;

use bollard_stubs::models as wire;
use serde::Serialize;

use super::{date, version};
use crate::objects::{Ipam, IpamConfig, Network, NetworkAttachment, Timestamp};
use crate::store::View;

/// A network as `GET /networks` tells it; containers and peers are the node's to add.
pub fn network(network: &Network) -> wire::Network {
    let spec = &network.spec;
    wire::Network {
        name: Some(spec.name.clone()),
        id: Some(network.id.to_string()),
        created: Some(date(network.meta.created_at)),
        scope: Some("swarm".into()),
        driver: Some(network.driver().to_owned()),
        enable_ipv4: Some(spec.enable_ipv4.unwrap_or(true)),
        enable_ipv6: Some(spec.enable_ipv6.unwrap_or(false)),
        ipam: Some(network.ipam.clone().unwrap_or_default()),
        internal: Some(spec.internal.unwrap_or(false)),
        attachable: Some(spec.attachable.unwrap_or(false)),
        ingress: Some(network.is_ingress()),
        config_from: Some(spec.config_from.clone().unwrap_or_default()),
        config_only: Some(false),
        containers: None,
        options: Some(driver_options(network)),
        labels: Some(spec.labels.clone().unwrap_or_default()),
        peers: None,
    }
}

/// The user's options, and the identifiers that the driver was given.
fn driver_options(network: &Network) -> HashMap<String, String> {
    let mut options = network.spec.options.clone().unwrap_or_default();
    if !network.vnis.is_empty() {
        let vnis: Vec<_> = network.vnis.iter().map(ToString::to_string).collect();
        options.insert(Network::VNI_OPTION.into(), vnis.join(","));
    }
    options
}

/// A task's place in a network, with the network as swarm's own API writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NetworkAttachmentAnswer {
    pub network: AttachedNetwork,
    pub addresses: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AttachedNetwork {
    #[serde(rename = "ID")]
    id: String,
    version: wire::ObjectVersion,
    created_at: String,
    updated_at: String,
    spec: AttachedSpec,
    driver_state: Driver,
    #[serde(rename = "IPAMOptions")]
    ipam: IpamOptions,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct AttachedSpec {
    name: String,
    labels: HashMap<String, String>,
    driver_configuration: Driver,
    ingress: bool,
    attachable: bool,
    internal: bool,
    scope: &'static str,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Driver {
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "HashMap::is_empty")]
    options: HashMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IpamOptions {
    driver: Driver,
    configs: Vec<Subnet>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Subnet {
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gateway: Option<String>,
}

impl NetworkAttachmentAnswer {
    /// A network that is gone meanwhile is told by its id alone.
    pub fn of(view: &View, attachment: &NetworkAttachment) -> Self {
        let id = attachment.network_id.as_str();
        let network = match view.networks().get(id) {
            Some(network) => AttachedNetwork::of(network),
            None => AttachedNetwork {
                id: id.to_owned(),
                created_at: date(Timestamp::default()),
                updated_at: date(Timestamp::default()),
                ..AttachedNetwork::default()
            },
        };
        Self { network, addresses: attachment.addresses.clone() }
    }
}

impl AttachedNetwork {
    fn of(network: &Network) -> Self {
        let spec = &network.spec;
        let driver = network.driver().to_owned();
        Self {
            id: network.id.to_string(),
            version: version(network.meta.version),
            created_at: date(network.meta.created_at),
            updated_at: date(network.meta.updated_at),
            spec: AttachedSpec {
                name: spec.name.clone(),
                labels: spec.labels.clone().unwrap_or_default(),
                driver_configuration: Driver {
                    name: driver.clone(),
                    options: spec.options.clone().unwrap_or_default(),
                },
                ingress: network.is_ingress(),
                attachable: spec.attachable.unwrap_or(false),
                internal: spec.internal.unwrap_or(false),
                scope: "swarm",
            },
            driver_state: Driver { name: driver, options: driver_options(network) },
            ipam: IpamOptions::of(network.ipam.clone().unwrap_or_default()),
        }
    }
}

impl IpamOptions {
    fn of(ipam: Ipam) -> Self {
        let subnet = |config: IpamConfig| Subnet { subnet: config.subnet, gateway: config.gateway };
        Self {
            driver: Driver {
                name: ipam.driver.unwrap_or_default(),
                options: ipam.options.unwrap_or_default(),
            },
            configs: ipam.config.unwrap_or_default().into_iter().map(subnet).collect(),
        }
    }
}
