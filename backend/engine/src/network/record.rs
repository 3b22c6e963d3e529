//! A network's record: what is written to `DATA_ROOT/network/<id>.json`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use drydock_networks::Cidr;
use drydock_networks::bridge::{Bridge, GatewayMode, Reach};
use drydock_networks::sublink::Parent;
use serde::{Deserialize, Serialize};

use crate::id::Id;

/// The options that steer the bridge driver.
pub mod option {
    pub const NAME: &str = "com.docker.network.bridge.name";
    pub const ICC: &str = "com.docker.network.bridge.enable_icc";
    pub const MASQUERADE: &str = "com.docker.network.bridge.enable_ip_masquerade";
    pub const HOST_ADDRESS: &str = "com.docker.network.bridge.host_binding_ipv4";
    pub const DEFAULT: &str = "com.docker.network.bridge.default_bridge";
    pub const MTU: &str = "com.docker.network.driver.mtu";
    pub const INHIBIT_IPV4: &str = "com.docker.network.bridge.inhibit_ipv4";
    pub const GATEWAY_MODE_IPV4: &str = "com.docker.network.bridge.gateway_mode_ipv4";
    pub const GATEWAY_MODE_IPV6: &str = "com.docker.network.bridge.gateway_mode_ipv6";
    /// `eth` of `eth0`.
    pub const LINK_PREFIX: &str = "com.docker.network.container_iface_prefix";
    /// The numbers of an overlay network, one per subnet.
    pub const VXLAN_IDS: &str = "com.docker.network.driver.overlay.vxlanid_list";
    /// An overlay network that nobody between the nodes reads.
    pub const ENCRYPTED: &str = "encrypted";
    /// The host's link below a macvlan or ipvlan network.
    pub const PARENT: &str = "parent";
    pub const MACVLAN_MODE: &str = "macvlan_mode";
    pub const IPVLAN_MODE: &str = "ipvlan_mode";
    pub const IPVLAN_FLAG: &str = "ipvlan_flag";
}

/// What makes packets move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    Bridge,
    Host,
    Null,
    Macvlan,
    Ipvlan,
    /// Made by a swarm's managers; see [`super::overlay`].
    Overlay,
}

impl Driver {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::Null => "null",
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
            Self::Overlay => "overlay",
        }
    }

    /// Whether its containers get links and addresses of their own.
    pub const fn has_endpoints(self) -> bool {
        matches!(self, Self::Bridge | Self::Macvlan | Self::Ipvlan | Self::Overlay)
    }
}

/// One subnet of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    pub cidr: Cidr,
    pub range: Option<Cidr>,
    pub gateway: Option<IpAddr>,
    #[serde(default)]
    pub auxiliary: BTreeMap<String, IpAddr>,
}

/// Everything about a network that outlives the engine's process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    pub id: Id,
    pub name: String,
    pub created: String,
    pub driver: Driver,
    #[serde(default = "yes")]
    pub enable_ipv4: bool,
    pub enable_ipv6: bool,
    pub internal: bool,
    pub attachable: bool,
    /// Carries the routing mesh of a swarm.
    #[serde(default)]
    pub ingress: bool,
    pub subnets: Vec<Subnet>,
    /// What somebody asked for, which is what is shown: without a gateway that nobody named.
    #[serde(default)]
    pub asked: Vec<Subnet>,
    /// Settings for other networks (`--config-only`): no network itself.
    #[serde(default)]
    pub config_only: bool,
    /// The network whose settings these are (`--config-from`).
    #[serde(default)]
    pub config_from: String,
    pub ipam_driver: String,
    pub ipam_options: Option<BTreeMap<String, String>>,
    pub options: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
}

const fn yes() -> bool {
    true
}

impl Record {
    /// One of the three every engine has, which cannot be removed.
    pub fn is_predefined(&self) -> bool {
        is_predefined(&self.name)
    }

    /// The network whose containers do not know each other's names.
    pub fn is_default_bridge(&self) -> bool {
        self.name == "bridge"
    }

    /// Whom it is for: this host alone, or every node of a swarm.
    pub fn scope(&self) -> &'static str {
        if self.driver == Driver::Overlay { "swarm" } else { "local" }
    }

    /// Whether its containers find each other by name.
    pub fn has_names(&self) -> bool {
        self.driver.has_endpoints() && !self.is_default_bridge()
    }

    /// The name of the bridge's link on the host.
    pub fn link(&self) -> String {
        match self.options.get(option::NAME) {
            Some(name) => name.clone(),
            None => format!("br-{}", self.id.short()),
        }
    }

    fn flag(&self, option: &str, otherwise: bool) -> bool {
        self.options.get(option).map_or(otherwise, |value| go_bool(value).unwrap_or(otherwise))
    }

    /// How the world reaches its containers; `isolated` is `nat` where there is no world.
    fn gateway_mode(&self, is_ipv4: bool) -> GatewayMode {
        let name = if is_ipv4 { option::GATEWAY_MODE_IPV4 } else { option::GATEWAY_MODE_IPV6 };
        match self.options.get(name).map(String::as_str) {
            Some("routed") => GatewayMode::Routed,
            Some("nat-unprotected") => GatewayMode::Unprotected,
            _ => GatewayMode::Nat,
        }
    }

    /// Whether its published ports are reached at the container's own address.
    pub fn is_routed(&self, is_ipv4: bool) -> bool {
        self.gateway_mode(is_ipv4) == GatewayMode::Routed
    }

    /// What its links are called in a container, before their number.
    pub fn link_prefix(&self) -> &str {
        self.options
            .get(option::LINK_PREFIX)
            .filter(|prefix| !prefix.is_empty())
            .map_or("eth", String::as_str)
    }

    /// The subnet of one family.
    pub fn subnet(&self, is_ipv4: bool) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.cidr.ip().is_ipv4() == is_ipv4)
    }

    /// The gateway's address with its prefix.
    fn gateway(&self, is_ipv4: bool) -> Option<Cidr> {
        let subnet = self.subnet(is_ipv4)?;
        Cidr::new(subnet.gateway?, subnet.cidr.prefix())
    }

    /// What the bridge driver is to make; `None` where there is nothing to make.
    pub fn bridge(&self) -> Option<Bridge> {
        (self.driver == Driver::Bridge).then(|| Bridge {
            name: self.link(),
            gateway: self.gateway(true).filter(|_| !self.flag(option::INHIBIT_IPV4, false)),
            gateway_v6: self.gateway(false),
            reach: Reach {
                neighbours: self.flag(option::ICC, true),
                outside: !self.internal,
                masquerade: self.flag(option::MASQUERADE, true),
                mode: self.gateway_mode(true),
                mode_v6: self.gateway_mode(false),
            },
            mtu: self.mtu(),
        })
    }

    /// The kernel's own where nobody chose one.
    pub fn mtu(&self) -> Option<u32> {
        self.options.get(option::MTU).and_then(|mtu| mtu.parse().ok()).filter(|mtu| *mtu > 0)
    }

    /// The link of the host that a macvlan or ipvlan network sits on.
    pub fn parent(&self) -> Parent {
        match self.options.get(option::PARENT).filter(|name| !name.is_empty()) {
            Some(name) => Parent::Named(name.clone()),
            None => Parent::Own(format!("dm-{}", self.id.short())),
        }
    }

    /// Where its ports are published unless a container says so.
    pub fn host_address(&self) -> IpAddr {
        let asked = self.options.get(option::HOST_ADDRESS).and_then(|ip| ip.parse().ok());
        asked.unwrap_or(IpAddr::from([0, 0, 0, 0]))
    }
}

/// Go's `strconv.ParseBool`, which reads these options in moby.
pub fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

pub fn is_predefined(name: &str) -> bool {
    matches!(name, "bridge" | "host" | "none")
}

/// The folder of all records.
#[derive(Clone, Debug)]
pub struct Shelf {
    folder: PathBuf,
}

impl Shelf {
    pub fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Every record. One that cannot be read is reported and left where it is.
    pub fn load(&self) -> std::io::Result<Vec<Record>> {
        self.read("json")
    }

    fn read(&self, wanted: &str) -> std::io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != wanted) {
                continue;
            }
            match serde_json::from_slice(&std::fs::read(&path)?) {
                Ok(record) => records.push(record),
                Err(error) => tracing::error!(path = %path.display(), %error, "network record"),
            }
        }
        Ok(records)
    }

    /// Writes a record by rename: a reader sees the old one or the new one.
    pub fn save(&self, record: &Record) -> std::io::Result<()> {
        let path = self.folder.join(format!("{}.json", record.id));
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(record)?)?;
        std::fs::rename(&fresh, &path)
    }

    /// The network is gone but for its bridge: an engine that starts now finishes the work.
    pub fn retire(&self, id: &Id) -> std::io::Result<()> {
        std::fs::rename(self.folder.join(format!("{id}.json")), self.folder.join(format!("{id}.retired")))
    }

    /// Records of networks whose bridges may still be there.
    pub fn retired(&self) -> std::io::Result<Vec<Record>> {
        self.read("retired")
    }

    /// Deletes a record, retired or not.
    pub fn forget(&self, id: &Id) -> std::io::Result<()> {
        for extension in ["json", "retired"] {
            match std::fs::remove_file(self.folder.join(format!("{id}.{extension}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}
