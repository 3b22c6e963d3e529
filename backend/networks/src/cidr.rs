//! An address with the length of its network prefix.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// `172.17.0.1/16`: an address in a network, or the network itself when no host bit is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    ip: IpAddr,
    prefix: u8,
}

/// Text that is no CIDR, in the words of Go's `net.ParseCIDR`, which clients know.
#[derive(Debug, thiserror::Error)]
#[error("invalid CIDR address: {0}")]
pub struct CidrError(pub String);

impl Cidr {
    /// `None` when the prefix is longer than the address.
    #[must_use]
    pub fn new(ip: impl Into<IpAddr>, prefix: u8) -> Option<Self> {
        let ip = ip.into();
        (prefix <= width(ip)).then_some(Self { ip, prefix })
    }

    /// The address as given, host bits and all.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        self.ip
    }

    /// Length of the network part in bits.
    #[must_use]
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// The same network with no host bit set.
    #[must_use]
    pub fn network(self) -> Self {
        self.nth(0)
    }

    /// The address `offset` places after the network's first, in this network.
    #[must_use]
    pub fn nth(self, offset: u128) -> Self {
        let bits = (to_bits(self.ip) & self.mask()).wrapping_add(offset);
        Self { ip: from_bits(bits, self.ip.is_ipv4()), prefix: self.prefix }
    }

    /// How far `ip` lies after the network's first address, if it lies in the network.
    #[must_use]
    pub fn offset_of(self, ip: IpAddr) -> Option<u128> {
        self.contains(ip).then(|| to_bits(ip) & !self.mask())
    }

    /// Number of addresses, saturating.
    #[must_use]
    pub fn size(self) -> u128 {
        1u128.checked_shl(u32::from(width(self.ip) - self.prefix)).unwrap_or(u128::MAX)
    }

    /// The last address: the broadcast address in IPv4.
    #[must_use]
    pub fn last(self) -> IpAddr {
        self.nth(self.size() - 1).ip
    }

    /// Whether `ip` lies in this network.
    #[must_use]
    pub fn contains(self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && (to_bits(ip) ^ to_bits(self.ip)) & self.mask() == 0
    }

    /// Whether the two networks share an address.
    #[must_use]
    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.network().ip) || other.contains(self.network().ip)
    }

    fn mask(self) -> u128 {
        let width = width(self.ip);
        let full = if width == 32 { u128::from(u32::MAX) } else { u128::MAX };
        let host = u32::from(width - self.prefix);
        full & full.checked_shl(host).unwrap_or(0)
    }
}

fn width(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

fn to_bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

fn from_bits(bits: u128, is_ipv4: bool) -> IpAddr {
    if is_ipv4 {
        // Only the low half is an IPv4 address; a carry out of it wraps as in the kernel.
        Ipv4Addr::from_bits(bits as u32).into()
    } else {
        Ipv6Addr::from_bits(bits).into()
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    fn from_str(text: &str) -> Result<Self, CidrError> {
        let parse = || {
            let (ip, prefix) = text.split_once('/')?;
            Self::new(ip.parse::<IpAddr>().ok()?, prefix.parse().ok()?)
        };
        parse().ok_or_else(|| CidrError(text.to_owned()))
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.ip, self.prefix)
    }
}

impl serde::Serialize for Cidr {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Cidr {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_and_their_edges() {
        for (text, network, last, size) in [
            ("172.17.0.1/16", "172.17.0.0/16", "172.17.255.255", 65_536),
            ("10.1.2.3/32", "10.1.2.3/32", "10.1.2.3", 1),
            ("10.1.2.3/0", "0.0.0.0/0", "255.255.255.255", 1 << 32),
            ("fd00::5/64", "fd00::/64", "fd00::ffff:ffff:ffff:ffff", 1 << 64),
        ] {
            let read = cidr(text);
            assert_eq!(read.network().to_string(), network);
            assert_eq!(read.last().to_string(), last);
            assert_eq!(read.size(), size);
        }
    }

    #[test]
    fn overlaps_are_seen_both_ways() {
        for (a, b, expected) in [
            ("10.0.0.0/8", "10.9.0.0/16", true),
            ("10.0.0.0/16", "10.1.0.0/16", false),
            ("0.0.0.0/0", "192.168.1.0/24", true),
            ("fd00::/8", "10.0.0.0/8", false),
        ] {
            assert_eq!(cidr(a).overlaps(cidr(b)), expected);
            assert_eq!(cidr(b).overlaps(cidr(a)), expected);
        }
    }

    #[test]
    fn refused_text_is_quoted() {
        for text in ["10.0.0.0", "10.0.0.0/33", "a/8", "fd00::/129", ""] {
            let error = text.parse::<Cidr>().unwrap_err();
            assert_eq!(error.to_string(), format!("invalid CIDR address: {text}"));
        }
    }
}
