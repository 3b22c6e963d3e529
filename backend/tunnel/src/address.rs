//! Addresses of nodes within the tunnel.

use std::net::Ipv6Addr;

use ring::digest::{SHA256, digest};

/// Unique local addresses (RFC 4193) of Drydock's tunnels; in letters `drydk`. They are the same in each swarm, so that packet rules know
/// them when nobody is there to say which swarm it is.
pub const PREFIX: Ipv6Addr = Ipv6Addr::new(0xfd64, 0x7279, 0x646b, 0, 0, 0, 0, 0);
/// Bits of [`PREFIX`].
pub const PREFIX_LENGTH: u8 = 48;

/// The address of a node: nothing is allotted, everybody who knows the node's id knows its address.
#[must_use]
pub fn address_of(node: &str) -> Ipv6Addr {
    let hash = digest(&SHA256, node.as_bytes());
    let mut octets = PREFIX.octets();
    let own = &mut octets[usize::from(PREFIX_LENGTH / 8)..];
    own.iter_mut().zip(hash.as_ref()).for_each(|(octet, byte)| *octet = *byte);
    octets.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_the_same_address_for_everybody_and_no_other_node_has_it() {
        let one = address_of("0vfimz5q8t4zk5k5sf2rjxq1h");
        assert_eq!(one, address_of("0vfimz5q8t4zk5k5sf2rjxq1h"));
        assert_ne!(one, address_of("0vfimz5q8t4zk5k5sf2rjxq1i"));
        assert_eq!(one.segments()[..3], [0xfd64, 0x7279, 0x646b]);
    }
}
