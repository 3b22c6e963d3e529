//! The macvlan and ipvlan drivers: containers as machines of their own on a link of the host.
//!
//! No bridge, no rules, no gateway of ours: the kernel shows a second hardware address (macvlan) or a second
//! IP address (ipvlan) on the parent link. The host itself cannot reach what sits on its link that way.

use crate::bridge::Plug;
use crate::netlink::{Changes, LinkKind, NetlinkError, NewLink, Route};
use crate::netns::NetNs;

pub use crate::netlink::{IpvlanMode, MacvlanMode};

/// What a container gets on the parent link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sublink {
    /// A hardware address of its own.
    Macvlan(MacvlanMode),
    /// The parent's hardware address, an IP address of its own.
    Ipvlan(IpvlanMode),
}

impl Sublink {
    fn kind(self, parent: u32) -> LinkKind<'static> {
        match self {
            Self::Macvlan(mode) => LinkKind::Macvlan { parent, mode },
            Self::Ipvlan(mode) => LinkKind::Ipvlan { parent, mode },
        }
    }
}

/// The host's link below a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The link somebody named; `eth0.10`, where there is no link of that name, is VLAN 10 of `eth0`, made
    /// with the network and deleted with it.
    Named(String),
    /// A link of the network's own that leads nowhere: its containers reach each other alone.
    Own(String),
}

impl Parent {
    /// The link's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) | Self::Own(name) => name,
        }
    }
}

/// Why a macvlan or ipvlan network is not to be had; texts are moby's where moby has one.
#[derive(Debug, thiserror::Error)]
pub enum SublinkError {
    /// Neither a link nor a link's VLAN.
    #[error("invalid subinterface vlan name {0}, example formatting is eth0.10")]
    Name(String),
    /// `eth0.x`
    #[error("unable to parse a valid vlan id from: {0} (ex. eth0.10 for vlan 10)")]
    VlanText(String),
    /// `eth0.5000`
    #[error("vlan id must be between 1-4094, received: {0}")]
    Vlan(u32),
    /// The VLAN's own parent.
    #[error("-o parent interface was not found on the host: {0}")]
    NoParent(String),
    /// The VLAN's link.
    #[error("failed to create {link} vlan link: {source}")]
    VlanLink {
        /// Its name.
        link: String,
        /// The kernel's refusal.
        source: NetlinkError,
    },
    /// The kernel has no VLANs.
    #[error("failed to create {0} vlan link: operation not supported")]
    NoVlans(String),
    /// The kernel has no driver of this kind.
    #[error("this machine's kernel has no {0}: operation not supported")]
    Unsupported(&'static str),
    /// A link.
    #[error(transparent)]
    Link(NetlinkError),
}

/// Marks, beside its name, a VLAN link that was made here: the group of links it is in.
const OURS: u32 = 0x6472_766c;

/// Sees to it that the parent link is there. One that is there already is used as it is.
pub fn create_parent(host: &NetNs, parent: &Parent, kind: Sublink) -> Result<(), SublinkError> {
    let mut route = Route::open_in(host).map_err(SublinkError::Link)?;
    if let Sublink::Ipvlan(mode) = kind {
        probe(&mut route, mode)?;
    }
    match parent {
        Parent::Named(name) => match route.link(name) {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => create_vlan(&mut route, name),
            Err(error) => Err(SublinkError::Link(error)),
        },
        Parent::Own(name) => create_own(&mut route, name),
    }
}

/// A kernel that knows the kind refuses a link without a parent in other words.
fn probe(route: &mut Route, mode: IpvlanMode) -> Result<(), SublinkError> {
    let link = NewLink::new("ipvlan-probe", LinkKind::Ipvlan { parent: 0, mode });
    match route.apply(Changes::new().add_link(&link)) {
        Err(error) if error.is_unsupported() => Err(SublinkError::Unsupported("ipvlan")),
        _ => Ok(()),
    }
}

/// moby's is a dummy. Where the kernel has none, a bridge without ports is as good.
fn create_own(route: &mut Route, name: &str) -> Result<(), SublinkError> {
    let make = |kind| Changes::new().add_link(&NewLink::new(name, kind));
    let made = match route.apply(make(LinkKind::Dummy)) {
        Err(error) if error.is_unsupported() => route.apply(make(LinkKind::Bridge)),
        made => made,
    };
    match made {
        Err(error) if !error.is_existing() => Err(SublinkError::Link(error)),
        _ => Ok(()),
    }
}

fn create_vlan(route: &mut Route, name: &str) -> Result<(), SublinkError> {
    let (parent, id) = vlan(name)?;
    let below = route.link(parent).map_err(|_| SublinkError::NoParent(parent.to_owned()))?;
    let link = NewLink::new(name, LinkKind::Vlan { parent: below.index, id });
    route.apply(Changes::new().add_link(&link).set_group(name, OURS)).map_err(|source| {
        match source.is_unsupported() {
            true => SublinkError::NoVlans(name.to_owned()),
            false => SublinkError::VlanLink { link: name.to_owned(), source },
        }
    })
}

/// `eth0.10`: VLAN 10 of `eth0`.
fn vlan(name: &str) -> Result<(&str, u16), SublinkError> {
    let (parent, text) = name.split_once('.').ok_or_else(|| SublinkError::Name(name.to_owned()))?;
    let id: u32 = text.parse().map_err(|_| SublinkError::VlanText(text.to_owned()))?;
    match u16::try_from(id) {
        Ok(short @ 1..=4094) => Ok((parent, short)),
        _ => Err(SublinkError::Vlan(id)),
    }
}

/// Deletes the parent link if it was made for the network; no error when it is gone.
pub fn delete_parent(host: &NetNs, parent: &Parent) -> Result<(), SublinkError> {
    let mut route = Route::open_in(host).map_err(SublinkError::Link)?;
    let is_ours = match parent {
        Parent::Own(_) => true,
        Parent::Named(name) => route.link(name).is_ok_and(|link| link.kind == "vlan" && link.group == OURS),
    };
    if !is_ours {
        return Ok(());
    }
    match route.apply(Changes::new().delete_link_named(parent.name())) {
        Err(error) if !error.is_missing() => Err(SublinkError::Link(error)),
        _ => Ok(()),
    }
}

/// Gives a container its link. Nothing of it is left in the host's namespace.
pub fn attach(
    host: &NetNs,
    parent: &Parent,
    kind: Sublink,
    mtu: Option<u32>,
    container: &NetNs,
    plug: &Plug<'_>,
) -> Result<(), NetlinkError> {
    let mut route = Route::open_in(host)?;
    let below = route.link(parent.name())?;
    let mut link = NewLink::new(plug.name, kind.kind(below.index));
    link.namespace = Some(container);
    link.mtu = mtu.or(Some(below.mtu));
    link.up = false;
    if matches!(kind, Sublink::Macvlan(_)) {
        link.mac = Some(plug.mac);
    }
    route.apply(Changes::new().add_link(&link))?;
    let configured = crate::bridge::configure_plug(container, plug);
    if configured.is_err() {
        let _ = detach(container, plug.name);
    }
    configured
}

/// Takes a container's link away at once, so that its hardware address is free; no error when it is gone.
pub fn detach(container: &NetNs, link: &str) -> Result<(), NetlinkError> {
    match Route::open_in(container)?.apply(Changes::new().delete_link_named(link)) {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_vlans_are_read() {
        assert_eq!(vlan("eth0.10").unwrap(), ("eth0", 10));
        for (name, expected) in [
            ("eth9", "invalid subinterface vlan name eth9, example formatting is eth0.10"),
            ("eth0.x", "unable to parse a valid vlan id from: x (ex. eth0.10 for vlan 10)"),
            ("eth0.4095", "vlan id must be between 1-4094, received: 4095"),
            ("eth0.0", "vlan id must be between 1-4094, received: 0"),
        ] {
            assert_eq!(vlan(name).unwrap_err().to_string(), expected);
        }
    }
}
