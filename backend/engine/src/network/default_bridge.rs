//! The default bridge, `docker0`: made as the daemon's options say, anew at every start.

use std::collections::BTreeMap;
use std::net::IpAddr;

use drydock_networks::Cidr;
use drydock_networks::bridge::{Bridge, Host};
use drydock_networks::ipam::{self, AddressBook, AddressError, SubnetError};

use super::options::MTUS;
use super::record::{Driver, Record, Subnet, option};
use super::restore::predefined;
use super::service::Inner;
use super::state::{Network, is_host_link};
use crate::config::Config;

/// moby's own name for the default bridge, and ours where another engine has that one.
const DOCKER0: &str = "docker0";
const BESIDE_DOCKER0: &str = "drydock0";

/// How the daemon was told to make the default bridge.
#[derive(Clone, Debug)]
pub struct DefaultBridge {
    /// The link; `None`: there is to be none (`--bridge none`).
    link: Option<String>,
    mtu: Option<u32>,
    icc: bool,
    masquerade: bool,
    /// `--ip`: where its containers' ports are published.
    host_address: IpAddr,
    v4: Wish,
    /// With `--ipv6`.
    v6: Option<Wish>,
}

/// What was said of one family.
#[derive(Clone, Debug, Default)]
struct Wish {
    /// `--bip`, `--bip6`: the bridge's own address.
    address: Option<Cidr>,
    /// `--fixed-cidr`, `--fixed-cidr-v6`: where containers' addresses come from.
    range: Option<Cidr>,
    /// `--default-gateway`, `--default-gateway-v6`: another way out than the bridge.
    way_out: Option<IpAddr>,
}

/// Options of the default bridge that make no sense, in moby's words.
#[derive(Debug, thiserror::Error)]
pub enum OptionsError {
    #[error("parse {option} failed: invalid CIDR address: {text}")]
    Cidr { option: &'static str, text: String },
    #[error("error creating default \"bridge\" network: failed to allocate gateway ({gateway}): {source}")]
    Gateway { gateway: IpAddr, source: AddressError },
    #[error("error creating default \"bridge\" network: range '{range}' is not in subnet '{subnet}'")]
    Range { range: Cidr, subnet: Cidr },
    #[error(
        "error creating default \"bridge\" network: auxiliary address: ({name}:{ip}) must belong to the master pool: {subnet}"
    )]
    WayOut { name: &'static str, ip: IpAddr, subnet: Cidr },
    #[error(
        "error creating default \"bridge\" network: bridge device with non default name {0} must be created manually"
    )]
    Manual(String),
    #[error(
        "error creating default \"bridge\" network: failed to allocate secondary ip address ({name}:{ip}): {source}"
    )]
    Secondary { name: &'static str, ip: IpAddr, source: AddressError },
    /// What the kernel says of it.
    #[error("error creating default \"bridge\" network: invalid argument")]
    Mtu(u32),
}

/// Why the default bridge has no subnet.
#[derive(Debug, thiserror::Error)]
enum ChooseError {
    #[error(transparent)]
    Options(#[from] OptionsError),
    #[error(transparent)]
    Subnet(#[from] SubnetError),
    #[error("failed to allocate gateway: {0}")]
    Gateway(#[source] AddressError),
}

impl DefaultBridge {
    /// Reads the daemon's options; what can be wrong without a look at the host is refused here.
    pub fn read(config: &Config) -> Result<Self, OptionsError> {
        let link = match config.bridge.as_deref() {
            Some("none") => None,
            Some("") | None => Some(DOCKER0.to_owned()),
            Some(link) => Some(link.to_owned()),
        };
        let way_out = |is_ipv4| config.default_gateways.iter().copied().find(|ip| ip.is_ipv4() == is_ipv4);
        let v4 = Wish {
            address: cidr("bip", config.bip.as_deref())?,
            range: cidr("fixed-cidr", config.fixed_cidr.as_deref())?,
            way_out: way_out(true),
        };
        let v6 = Wish {
            address: cidr("bip6", config.bip6.as_deref())?,
            range: cidr("fixed-cidr-v6", config.fixed_cidr_v6.as_deref())?,
            way_out: way_out(false),
        };
        let read = Self {
            link,
            mtu: config.mtu,
            icc: config.icc,
            masquerade: config.ip_masq,
            host_address: config.ip.unwrap_or(IpAddr::from([0, 0, 0, 0])),
            v4,
            v6: config.ipv6.then_some(v6),
        };
        if let Some(mtu) = read.mtu.filter(|mtu| read.link.is_some() && !MTUS.contains(mtu)) {
            return Err(OptionsError::Mtu(mtu));
        }
        for (is_ipv4, wish) in read.families().filter(|_| read.link.is_some()) {
            if let Some(address) = wish.address {
                wish.furnish(address.network(), Some(address.ip()), is_ipv4)?;
            }
        }
        Ok(read)
    }

    /// A bridge that was named must be there.
    pub fn look_for(&self, host: &Host) -> Result<(), OptionsError> {
        let Some(link) = self.link.as_ref().filter(|link| *link != DOCKER0) else { return Ok(()) };
        // A host that does not tell its links is found out later.
        let is_there = host.links().map_or(true, |links| links.iter().any(|found| found.name == *link));
        if is_there { Ok(()) } else { Err(OptionsError::Manual(link.clone())) }
    }

    /// Whether there is to be none.
    pub fn is_none(&self) -> bool {
        self.link.is_none()
    }

    fn families(&self) -> impl Iterator<Item = (bool, &Wish)> {
        [(true, Some(&self.v4)), (false, self.v6.as_ref())]
            .into_iter()
            .filter_map(|(is_ipv4, wish)| Some((is_ipv4, wish?)))
    }

    fn options(&self, link: String) -> BTreeMap<String, String> {
        let options = [
            (option::DEFAULT, "true".to_owned()),
            (option::ICC, self.icc.to_string()),
            (option::MASQUERADE, self.masquerade.to_string()),
            (option::HOST_ADDRESS, self.host_address.to_string()),
            (option::NAME, link),
            (option::MTU, self.mtu.unwrap_or(1500).to_string()),
        ];
        options.map(|(name, value)| (name.to_owned(), value)).into()
    }
}

fn cidr(option: &'static str, text: Option<&str>) -> Result<Option<Cidr>, OptionsError> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(None) };
    let wants_ipv6 = option.ends_with('6');
    let read = text.parse::<Cidr>().ok().filter(|cidr| cidr.ip().is_ipv6() == wants_ipv6);
    read.map(Some).ok_or_else(|| OptionsError::Cidr { option, text: text.to_owned() })
}

/// The auxiliary address that is a way out, by moby's name.
pub fn way_out_name(is_ipv4: bool) -> &'static str {
    if is_ipv4 { "DefaultGatewayIPv4" } else { "DefaultGatewayIPv6" }
}

impl Wish {
    fn is_empty(&self) -> bool {
        self.address.is_none() && self.range.is_none()
    }

    /// The subnet with its gateway and what is kept free in it.
    fn furnish(&self, subnet: Cidr, gateway: Option<IpAddr>, is_ipv4: bool) -> Result<Subnet, OptionsError> {
        if let Some(range) = self.range.filter(|range| !subnet.contains(range.ip())) {
            return Err(OptionsError::Range { range, subnet });
        }
        let mut book = AddressBook::new(subnet, self.range);
        if let Some(gateway) = gateway {
            book.claim(gateway).map_err(|source| OptionsError::Gateway { gateway, source })?;
        }
        let name = way_out_name(is_ipv4);
        if let Some(ip) = self.way_out.filter(|ip| !subnet.contains(*ip)) {
            return Err(OptionsError::WayOut { name, ip, subnet });
        }
        if let Some(ip) = self.way_out {
            book.claim(ip).map_err(|source| OptionsError::Secondary { name, ip, source })?;
        }
        Ok(Subnet {
            cidr: subnet,
            range: self.range.map(Cidr::network),
            gateway,
            auxiliary: self.way_out.map(|ip| (name.to_owned(), ip)).into_iter().collect(),
        })
    }

    fn with_first_gateway(&self, subnet: Cidr, is_ipv4: bool) -> Result<Subnet, ChooseError> {
        let gateway = AddressBook::new(subnet, None).allocate().map_err(ChooseError::Gateway)?;
        Ok(self.furnish(subnet, Some(gateway), is_ipv4)?)
    }
}

impl Inner {
    /// Whether what was said of the default bridge fits the subnet it will have, which may be one of the pools'.
    pub(super) fn check_default_bridge(&self) -> Result<(), OptionsError> {
        let old = self.state().find("bridge").map(|network| (*network.record).clone());
        let Some(link) = self.default_link() else { return Ok(()) };
        match self.default_record(link, old.as_ref()) {
            Err(ChooseError::Options(error)) => Err(error),
            // An engine without a default bridge is better than none.
            Err(ChooseError::Subnet(_) | ChooseError::Gateway(_)) | Ok(_) => Ok(()),
        }
    }

    /// Puts the default bridge's record in order, or takes it away. Goes on after a failure.
    pub(super) fn renew_default_bridge(&self) {
        let old = self.state().find("bridge").map(|network| (*network.record).clone());
        let Some(link) = self.default_link() else {
            if let Some(old) = old {
                self.forget_default_bridge(&old);
            }
            return;
        };
        if link == BESIDE_DOCKER0 {
            tracing::warn!("{DOCKER0} belongs to another engine: the default bridge is {BESIDE_DOCKER0}");
        }
        let record = match self.default_record(link, old.as_ref()) {
            Ok(record) => record,
            Err(error) => return tracing::error!(%error, "there is no default bridge"),
        };
        if let Some(old) = &old {
            self.let_go(old, &record);
        }
        if let Err(error) = self.shelf.save(&record) {
            tracing::warn!(%error, "cannot keep the default bridge's record");
        }
        self.state().networks.insert(record.id.clone(), Network::new(record));
    }

    /// The name of its link.
    fn default_link(&self) -> Option<String> {
        let link = self.default_bridge.link.clone()?;
        if link == DOCKER0 && self.is_somebodys(&link) {
            // Another engine's containers have addresses there that we know nothing of.
            return Some(BESIDE_DOCKER0.to_owned());
        }
        Some(link)
    }

    fn default_record(&self, link: String, old: Option<&Record>) -> Result<Record, ChooseError> {
        let (mut subnets, mut asked) = (Vec::new(), Vec::new());
        for (is_ipv4, wish) in self.default_bridge.families() {
            let subnet = self.default_subnet(is_ipv4, wish, &link, old)?;
            if !wish.is_empty() {
                let gateway = subnet.gateway.filter(|_| wish.address.is_some());
                asked.push(Subnet { gateway, ..subnet.clone() });
            }
            subnets.push(subnet);
        }
        let fresh = predefined("bridge", Driver::Bridge, subnets, self.default_bridge.options(link));
        let fresh = Record { asked, enable_ipv6: self.default_bridge.v6.is_some(), ..fresh };
        Ok(match old {
            Some(old) => Record { id: old.id.clone(), created: old.created.clone(), ..fresh },
            None => fresh,
        })
    }

    /// What was asked for, what the link has, what it had before, or the first of the pools that is free.
    fn default_subnet(
        &self,
        is_ipv4: bool,
        wish: &Wish,
        link: &str,
        old: Option<&Record>,
    ) -> Result<Subnet, ChooseError> {
        if let Some(address) = wish.address {
            return Ok(wish.furnish(address.network(), Some(address.ip()), is_ipv4)?);
        }
        if let Some(range) = wish.range {
            return wish.with_first_gateway(range.network(), is_ipv4);
        }
        if let Some(address) = self.address_of(link).filter(|_| is_ipv4) {
            return Ok(wish.furnish(address.network(), Some(address.ip()), is_ipv4)?);
        }
        let was_asked = old.is_some_and(|old| old.asked.iter().any(|it| it.cidr.ip().is_ipv4() == is_ipv4));
        match old.and_then(|old| old.subnet(is_ipv4)).filter(|_| !was_asked) {
            Some(before) => Ok(wish.furnish(before.cidr, before.gateway, is_ipv4)?),
            None => {
                let pools = self.pools.iter().copied().filter(|pool| pool.base.ip().is_ipv4() == is_ipv4);
                let subnet = ipam::choose_subnet(&pools.collect::<Vec<_>>(), &self.taken())?;
                wish.with_first_gateway(subnet, is_ipv4)
            }
        }
    }

    fn taken(&self) -> Vec<Cidr> {
        let mut taken = self.host.taken_subnets().unwrap_or_default();
        let state = self.state();
        let ours = state.networks.values().flat_map(|network| &network.record.subnets);
        taken.extend(ours.map(|subnet| subnet.cidr));
        taken
    }

    /// The addresses that the link had before are nobody's any more.
    fn let_go(&self, old: &Record, new: &Record) {
        let (Some(before), Some(now)) = (old.bridge(), new.bridge()) else { return };
        let is_same = before.gateway == now.gateway && before.gateway_v6 == now.gateway_v6;
        if !is_same && let Err(error) = self.host.retire_bridge(&before) {
            tracing::warn!(network.link = before.name, %error, "cannot take an address from the default bridge");
        }
    }

    fn forget_default_bridge(&self, old: &Record) {
        if let Err(error) = self.shelf.forget(&old.id) {
            tracing::warn!(%error, "cannot forget the default bridge");
        }
        self.state().networks.remove(&old.id);
        // A bridge that was named is its maker's.
        let is_ours = |bridge: &Bridge| [DOCKER0, BESIDE_DOCKER0].contains(&bridge.name.as_str());
        if let Some(bridge) = old.bridge().filter(is_ours)
            && let Err(error) = self.host.delete_bridge(&bridge)
        {
            tracing::warn!(%error, "cannot delete the default bridge");
        }
    }

    /// Whether a bridge has ports that are not ours.
    fn is_somebodys(&self, bridge: &str) -> bool {
        let links = self.host.links().unwrap_or_default();
        let index = links.iter().find(|link| link.name == bridge).map(|link| link.index);
        index.is_some() && links.iter().any(|link| link.master == index && !is_host_link(&link.name))
    }

    /// The IPv4 address of a link that is there already.
    fn address_of(&self, link: &str) -> Option<Cidr> {
        let index = self.host.links().ok()?.into_iter().find(|found| found.name == link)?.index;
        self.host.address_of(index).ok()?
    }
}
