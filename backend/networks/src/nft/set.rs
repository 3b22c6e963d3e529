//! Named sets and maps, and what is put in them.

use std::net::{IpAddr, Ipv4Addr};

use super::rule::Verdict;
use crate::netlink::message::Message;

/// `NFT_SET_MAP`.
const IS_MAP: u32 = 8;
/// `NFT_DATA_VERDICT`.
const VERDICT: u32 = 0xffff_ff00;
/// The length of an interface name in a packet rule.
pub(super) const NAME_LENGTH: usize = 16;

/// What a key or value is made of. Each field begins at a multiple of four bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A transport protocol number.
    Protocol,
    /// A port.
    Port,
    /// The name of a link.
    Link,
    /// A 32-bit number such as the outcome of `numgen`.
    Number,
}

impl Field {
    fn length(self) -> u32 {
        match self {
            Self::Link | Self::Ipv6 => 16,
            _ => 4,
        }
    }

    /// nft's number for the type. The kernel ignores it; `nft list` shows elements by it.
    fn number(self) -> u32 {
        match self {
            Self::Ipv4 => 7,
            Self::Ipv6 => 8,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::Link => 41,
            Self::Number => 4,
        }
    }
}

fn length(fields: &[Field]) -> u32 {
    fields.iter().map(|field| field.length()).sum()
}

fn type_number(fields: &[Field]) -> u32 {
    fields.iter().fold(0, |number, field| (number << 6) | field.number())
}

/// A named set, or a map when it has values.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Its name in the table.
    pub name: &'a str,
    /// What is looked up.
    pub key: &'a [Field],
    /// What is found.
    pub value: Value<'a>,
}

/// What a set maps its keys to.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    /// Nothing: a plain set.
    Nothing,
    /// Data for registers.
    Fields(&'a [Field]),
    /// What becomes of the packet.
    Verdict,
}

impl<'a> Set<'a> {
    /// A plain set.
    #[must_use]
    pub fn of(name: &'a str, key: &'a [Field]) -> Self {
        Self { name, key, value: Value::Nothing }
    }

    /// A map from keys to data.
    #[must_use]
    pub fn map(name: &'a str, key: &'a [Field], value: &'a [Field]) -> Self {
        Self { name, key, value: Value::Fields(value) }
    }

    /// A map from keys to verdicts.
    #[must_use]
    pub fn verdicts(name: &'a str, key: &'a [Field]) -> Self {
        Self { name, key, value: Value::Verdict }
    }

    pub(super) fn describe(&self, message: &mut Message, id: u32) {
        let flags = if matches!(self.value, Value::Nothing) { 0 } else { IS_MAP };
        message
            .attr_str(2, self.name)
            .attr_be32(3, flags)
            .attr_be32(4, type_number(self.key))
            .attr_be32(5, length(self.key))
            .attr_be32(10, id);
        if self.key == [Field::Link] {
            // For people alone: without the key's byte order `nft list` shows empty names.
            const KEY_BYTE_ORDER: u8 = 0;
            const HOST: u32 = 1;
            let [a, b, c, d] = HOST.to_ne_bytes();
            message.attr(13, &[KEY_BYTE_ORDER, 4, a, b, c, d]);
        }
        match self.value {
            Value::Nothing => {}
            Value::Fields(fields) => {
                message.attr_be32(6, type_number(fields)).attr_be32(7, length(fields));
            }
            // A verdict has no length: the kernel knows it.
            Value::Verdict => {
                message.attr_be32(6, VERDICT);
            }
        }
    }
}

/// A key, with its value in a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    key: Vec<u8>,
    value: Vec<u8>,
    verdict: Option<Verdict>,
    in_value: bool,
}

impl Element {
    /// An empty key to append fields to.
    #[must_use]
    pub fn key() -> Self {
        Self::default()
    }

    /// From here on fields belong to the value.
    #[must_use]
    pub fn value(mut self) -> Self {
        self.in_value = true;
        self
    }

    /// The verdict the key maps to.
    #[must_use]
    pub fn verdict(mut self, verdict: Verdict) -> Self {
        self.verdict = Some(verdict);
        self
    }

    /// Appends an address.
    #[must_use]
    pub fn ip(self, ip: Ipv4Addr) -> Self {
        self.field(&ip.octets())
    }

    /// Appends an address of either family.
    #[must_use]
    pub fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(ip) => self.ip(ip),
            IpAddr::V6(ip) => self.field(&ip.octets()),
        }
    }

    /// Appends a transport protocol number.
    #[must_use]
    pub fn protocol(self, number: u8) -> Self {
        self.field(&[number, 0, 0, 0])
    }

    /// Appends a port.
    #[must_use]
    pub fn port(self, port: u16) -> Self {
        let [high, low] = port.to_be_bytes();
        self.field(&[high, low, 0, 0])
    }

    /// Appends the name of a link.
    #[must_use]
    pub fn link(self, name: &str) -> Self {
        self.field(&padded_name(name))
    }

    /// Appends a number in the machine's order.
    #[must_use]
    pub fn number(self, number: u32) -> Self {
        self.field(&number.to_ne_bytes())
    }

    fn field(mut self, bytes: &[u8]) -> Self {
        if self.in_value { &mut self.value } else { &mut self.key }.extend_from_slice(bytes);
        self
    }

    pub(super) fn describe(&self, list: &mut Message) {
        list.nest(1, |element| {
            element.nest(1, |key| {
                key.attr(1, &self.key);
            });
            if let Some(verdict) = &self.verdict {
                element.nest(2, |data| verdict.describe(data));
            } else if !self.value.is_empty() {
                element.nest(2, |data| {
                    data.attr(1, &self.value);
                });
            }
        });
    }
}

pub(super) fn padded_name(name: &str) -> [u8; NAME_LENGTH] {
    let mut bytes = [0; NAME_LENGTH];
    let length = name.len().min(NAME_LENGTH - 1);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}
