//! A subnet of IPv4.

use std::fmt;
use std::net::Ipv4Addr;

/// A network address and the length of its mask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subnet {
    base: u32,
    bits: u32,
}

impl Subnet {
    /// `None` when the text is no IPv4 subnet.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok()?);
        (bits <= 32).then(|| Self::around(address.to_bits(), bits))
    }

    /// The subnet of that size with the address in it.
    pub fn around(address: u32, bits: u32) -> Self {
        Self { base: address & mask(bits), bits }
    }

    pub fn first(self) -> u32 {
        self.base
    }

    pub fn last(self) -> u32 {
        self.base | !mask(self.bits)
    }

    pub fn bits(self) -> u32 {
        self.bits
    }

    pub fn contains(self, address: u32) -> bool {
        address & mask(self.bits) == self.base
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }

    /// `10.0.1.3/24` for an address in it.
    pub fn with_mask(self, address: u32) -> String {
        format!("{}/{}", Ipv4Addr::from_bits(address), self.bits)
    }

    /// The subnets of a smaller size in it.
    pub fn split(self, bits: u32) -> impl Iterator<Item = Self> {
        let count = if bits < self.bits || bits > 32 { 0 } else { 1u64 << (bits - self.bits) };
        let step = 1u64 << (32 - bits.min(32));
        let base = u64::from(self.base);
        (0..count).map(move |index| Self { base: (base + index * step) as u32, bits })
    }
}

fn mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from_bits(self.base), self.bits)
    }
}

/// The address in front of a mask, or by itself.
pub(super) fn address(text: &str) -> Option<u32> {
    let address = text.split_once('/').map_or(text, |(address, _)| address);
    address.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits)
}
