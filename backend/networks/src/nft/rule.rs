//! What a rule can say. Each method appends a few expressions of nf_tables' register machine; a
//! rule is left at the first that does not match.
//!
//! Registers are four bytes each here, `R0` upwards (`NFT_REG32_00…`), so that a key of several
//! fields is loaded side by side.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::Family;
use super::set::{NAME_LENGTH, padded_name};
use crate::netlink::message::Message;

const R0: u32 = 8;
const VERDICT_REGISTER: u32 = 0;

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes this chain's hook.
    Accept,
    /// It is gone.
    Drop,
    /// On with the chain of this name, then back here.
    Jump(String),
    /// Back to the chain that jumped here.
    Return,
}

impl Verdict {
    pub(super) fn describe(&self, data: &mut Message) {
        let code: i32 = match self {
            Self::Drop => 0,
            Self::Accept => 1,
            Self::Jump(_) => -3,
            Self::Return => -5,
        };
        data.nest(2, |verdict| {
            verdict.attr(1, &code.to_be_bytes());
            if let Self::Jump(chain) = self {
                verdict.attr_str(2, chain);
            }
        });
    }
}

/// One of the packet's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// Where it comes from.
    Source,
    /// Where it goes.
    Destination,
}

impl Address {
    /// Offset in the IPv4 header.
    fn offset(self) -> u32 {
        match self {
            Self::Source => 12,
            Self::Destination => 16,
        }
    }
}

/// One of the packet's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// The sender's.
    Source,
    /// The receiver's.
    Destination,
}

impl Port {
    /// Offset in the TCP and the UDP header.
    fn offset(self) -> u32 {
        match self {
            Self::Source => 0,
            Self::Destination => 2,
        }
    }
}

/// `NFT_META_*`.
mod meta {
    pub const IN_NAME: u32 = 6;
    pub const OUT_NAME: u32 = 7;
    pub const PROTOCOL: u32 = 16;
}

/// `NFT_PAYLOAD_*`: which header an offset counts from.
mod base {
    pub const NETWORK: u32 = 1;
    pub const TRANSPORT: u32 = 2;
}

/// A rule being written.
#[derive(Clone, Debug)]
#[must_use]
pub struct Rule {
    expressions: Message,
}

impl Default for Rule {
    fn default() -> Self {
        Self::new()
    }
}

impl Rule {
    /// A rule that matches everything and does nothing.
    pub fn new() -> Self {
        Self { expressions: Message::fragment() }
    }

    pub(super) fn expressions(&self) -> &[u8] {
        self.expressions.written()
    }

    pub(super) fn expression(mut self, name: &str, inside: impl FnOnce(&mut Message)) -> Self {
        self.expressions.nest(1, |element| {
            element.attr_str(1, name).nest(2, inside);
        });
        self
    }

    fn load_meta(self, key: u32, register: u32) -> Self {
        self.expression("meta", |meta| {
            meta.attr_be32(2, key).attr_be32(1, register);
        })
    }

    fn load_payload(self, base: u32, offset: u32, length: u32, register: u32) -> Self {
        self.expression("payload", |payload| {
            payload.attr_be32(1, register).attr_be32(2, base).attr_be32(3, offset).attr_be32(4, length);
        })
    }

    fn compare(self, register: u32, equal: bool, value: &[u8]) -> Self {
        self.expression("cmp", |cmp| {
            cmp.attr_be32(1, register).attr_be32(2, u32::from(!equal)).nest(3, |data| {
                data.attr(1, value);
            });
        })
    }

    fn mask(self, register: u32, mask: &[u8]) -> Self {
        self.expression("bitwise", |bitwise| {
            bitwise.attr_be32(1, register).attr_be32(2, register).attr_be32(3, mask.len() as u32);
            bitwise.nest(4, |data| {
                data.attr(1, mask);
            });
            bitwise.nest(5, |data| {
                data.attr(1, &vec![0; mask.len()]);
            });
        })
    }

    fn lookup(self, set: &str, inverted: bool, found: Option<u32>) -> Self {
        self.expression("lookup", |lookup| {
            lookup.attr_str(1, set).attr_be32(2, R0);
            if let Some(register) = found {
                lookup.attr_be32(3, register);
            }
            if inverted {
                lookup.attr_be32(5, 1);
            }
        })
    }

    /// Arrived on this link.
    pub fn arrives_on(self, link: &str) -> Self {
        self.load_meta(meta::IN_NAME, R0).compare(R0, true, &padded_name(link))
    }

    /// Arrived on another link than this.
    pub fn arrives_on_other_than(self, link: &str) -> Self {
        self.load_meta(meta::IN_NAME, R0).compare(R0, false, &padded_name(link))
    }

    /// Arrived on a link of this set.
    pub fn arrives_on_any(self, set: &str) -> Self {
        self.load_meta(meta::IN_NAME, R0).lookup(set, false, None)
    }

    /// Arrived on a link that is not in this set.
    pub fn arrives_on_none_of(self, set: &str) -> Self {
        self.load_meta(meta::IN_NAME, R0).lookup(set, true, None)
    }

    /// Leaves by a link of this set.
    pub fn leaves_by_any(self, set: &str) -> Self {
        self.load_meta(meta::OUT_NAME, R0).lookup(set, false, None)
    }

    /// Leaves by this link.
    pub fn leaves_by(self, link: &str) -> Self {
        self.load_meta(meta::OUT_NAME, R0).compare(R0, true, &padded_name(link))
    }

    /// Leaves by another link than this.
    pub fn leaves_by_other_than(self, link: &str) -> Self {
        self.load_meta(meta::OUT_NAME, R0).compare(R0, false, &padded_name(link))
    }

    /// Leaves by a link that is not in this set.
    pub fn leaves_by_none_of(self, set: &str) -> Self {
        self.load_meta(meta::OUT_NAME, R0).lookup(set, true, None)
    }

    /// The pair of links it arrived on and leaves by is in this set.
    pub fn passes(self, set: &str) -> Self {
        self.load_pair().lookup(set, false, None)
    }

    /// Does what the map of link pairs says.
    pub fn decided_by_passage(self, map: &str) -> Self {
        self.load_pair().lookup(map, false, Some(VERDICT_REGISTER))
    }

    fn load_pair(self) -> Self {
        let second = R0 + (NAME_LENGTH / 4) as u32;
        self.load_meta(meta::IN_NAME, R0).load_meta(meta::OUT_NAME, second)
    }

    /// Carries this transport protocol (6 TCP, 17 UDP).
    pub fn protocol(self, number: u8) -> Self {
        self.load_meta(meta::PROTOCOL, R0).compare(R0, true, &[number])
    }

    /// One of its addresses lies in `network`/`prefix`.
    pub fn address_in(self, which: Address, network: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        let network = network.to_bits() & mask;
        self.load_payload(base::NETWORK, which.offset(), 4, R0).mask(R0, &mask.to_be_bytes()).compare(
            R0,
            true,
            &network.to_be_bytes(),
        )
    }

    /// One of its addresses lies outside `network`/`prefix`.
    pub fn address_not_in(self, which: Address, network: Ipv4Addr, prefix: u8) -> Self {
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
        let network = network.to_bits() & mask;
        self.load_payload(base::NETWORK, which.offset(), 4, R0).mask(R0, &mask.to_be_bytes()).compare(
            R0,
            false,
            &network.to_be_bytes(),
        )
    }

    /// Goes to an IPv6 address in `network`/`prefix`.
    pub fn goes_to_v6(self, network: Ipv6Addr, prefix: u8) -> Self {
        const DESTINATION: u32 = 24;
        let mask = u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0);
        let network = network.to_bits() & mask;
        self.load_payload(base::NETWORK, DESTINATION, 16, R0).mask(R0, &mask.to_be_bytes()).compare(
            R0,
            true,
            &network.to_be_bytes(),
        )
    }

    /// The pair of its source and destination addresses is in this set.
    pub fn addresses_in(self, set: &str) -> Self {
        self.load_payload(base::NETWORK, Address::Source.offset(), 4, R0)
            .load_payload(base::NETWORK, Address::Destination.offset(), 4, R0 + 1)
            .lookup(set, false, None)
    }

    /// Its destination address, protocol and port are in this set.
    pub fn goes_to_any(self, family: Family, set: &str) -> Self {
        let (offset, length) = match family {
            Family::Ip6 => (24, 16),
            Family::Ip | Family::Bridge => (Address::Destination.offset(), 4),
        };
        let next = R0 + length / 4;
        self.load_payload(base::NETWORK, offset, length, R0)
            .load_meta(meta::PROTOCOL, next)
            .load_payload(base::TRANSPORT, Port::Destination.offset(), 2, next + 1)
            .lookup(set, false, None)
    }

    /// One of its ports is `port`; only after [`Rule::protocol`].
    pub fn port(self, which: Port, port: u16) -> Self {
        self.load_payload(base::TRANSPORT, which.offset(), 2, R0).compare(R0, true, &port.to_be_bytes())
    }

    /// Goes to an address of this host.
    pub fn is_for_this_host(self) -> Self {
        const ADDRESS_TYPE: u32 = 3;
        const DESTINATION: u32 = 2;
        const LOCAL: u32 = 2;
        self.expression("fib", |fib| {
            fib.attr_be32(1, R0).attr_be32(2, ADDRESS_TYPE).attr_be32(3, DESTINATION);
        })
        .compare(R0, true, &LOCAL.to_ne_bytes())
    }

    /// Belongs to a connection that was let through before.
    pub fn is_established(self) -> Self {
        const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
        self.connection(0, ESTABLISHED_OR_RELATED)
    }

    /// Belongs to a connection whose destination was translated.
    pub fn is_translated(self) -> Self {
        const DESTINATION_TRANSLATED: u32 = 1 << 5;
        self.connection(2, DESTINATION_TRANSLATED)
    }

    fn connection(self, key: u32, any_of: u32) -> Self {
        self.expression("ct", |ct| {
            ct.attr_be32(2, key).attr_be32(1, R0);
        })
        .mask(R0, &any_of.to_ne_bytes())
        .compare(R0, false, &[0; 4])
    }

    /// Matches `percent` of a hundred packets, by a draw for each.
    pub fn by_chance(self, percent: u8) -> Self {
        const RANDOM: u32 = 1;
        const TO_NETWORK_ORDER: u32 = 1;
        const LESS: u32 = 2;
        self.expression("numgen", |numgen| {
            numgen.attr_be32(1, R0).attr_be32(2, 100).attr_be32(3, RANDOM);
        })
        // Compared as bytes: the most significant must come first.
        .expression("byteorder", |order| {
            order.attr_be32(1, R0).attr_be32(2, R0).attr_be32(3, TO_NETWORK_ORDER);
            order.attr_be32(4, 4).attr_be32(5, 4);
        })
        .expression("cmp", |cmp| {
            cmp.attr_be32(1, R0).attr_be32(2, LESS).nest(3, |data| {
                data.attr(1, &u32::from(percent).to_be_bytes());
            });
        })
    }

    /// Counts what gets here.
    pub fn counter(self) -> Self {
        self.expression("counter", |_| {})
    }

    /// Ends with a verdict.
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.expression("immediate", |immediate| {
            immediate.attr_be32(1, VERDICT_REGISTER).nest(2, |data| verdict.describe(data));
        })
    }

    /// Sends it on under the address of the link it leaves by.
    pub fn masquerade(self) -> Self {
        self.expression("masq", |_| {})
    }

    /// Sends it to the address and port that `map` has for its protocol and port.
    pub fn redirect_by_port(self, map: &str) -> Self {
        self.load_meta(meta::PROTOCOL, R0)
            .load_payload(base::TRANSPORT, Port::Destination.offset(), 2, R0 + 1)
            .lookup(map, false, Some(R0))
            .translate_to_registers()
    }

    /// Sends it to the address and port that `map` has for its address, protocol and port.
    pub fn redirect_by_address(self, map: &str) -> Self {
        self.load_payload(base::NETWORK, Address::Destination.offset(), 4, R0)
            .load_meta(meta::PROTOCOL, R0 + 1)
            .load_payload(base::TRANSPORT, Port::Destination.offset(), 2, R0 + 2)
            .lookup(map, false, Some(R0))
            .translate_to_registers()
    }

    /// Sends it to one of `count` addresses and ports in turn: `map` has them by number from 0.
    pub fn redirect_in_turn(self, map: &str, count: u32) -> Self {
        self.in_turn(map, count).translate_to_registers()
    }

    /// Sends it to one of `count` addresses in turn, its port left as it is: `map` has them by number from 0.
    pub fn readdress_in_turn(self, map: &str, count: u32) -> Self {
        const TO_DESTINATION: u32 = 1;
        self.in_turn(map, count).expression("nat", |nat| {
            nat.attr_be32(1, TO_DESTINATION).attr_be32(2, u32::from(super::IPV4)).attr_be32(3, R0);
        })
    }

    fn in_turn(self, map: &str, count: u32) -> Self {
        self.expression("numgen", |numgen| {
            numgen.attr_be32(1, R0).attr_be32(2, count).attr_be32(3, 0);
        })
        .lookup(map, false, Some(R0))
    }

    fn translate_to_registers(self) -> Self {
        const TO_DESTINATION: u32 = 1;
        self.expression("nat", |nat| {
            nat.attr_be32(1, TO_DESTINATION)
                .attr_be32(2, u32::from(super::IPV4))
                .attr_be32(3, R0)
                .attr_be32(5, R0 + 1);
        })
    }

    /// Writes another port into the packet itself, without connection tracking.
    pub fn set_port(self, which: Port, port: u16, protocol_checksum_at: u32) -> Self {
        const INTERNET_CHECKSUM: u32 = 1;
        self.expression("immediate", |immediate| {
            immediate.attr_be32(1, R0).nest(2, |data| {
                data.attr(1, &port.to_be_bytes());
            });
        })
        .expression("payload", |payload| {
            payload
                .attr_be32(5, R0)
                .attr_be32(2, base::TRANSPORT)
                .attr_be32(3, which.offset())
                .attr_be32(4, 2)
                .attr_be32(6, INTERNET_CHECKSUM)
                .attr_be32(7, protocol_checksum_at);
        })
    }
}
