//! Who has which subnet, address and id block. Pure.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use drydock_networks::Cidr;

/// A session's network.
pub const SESSION_PREFIX: u8 = 24;

/// The uplink of session n is the nth /30 from here (RFC 2544, never routed).
const UPLINKS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
pub const UPLINK_PREFIX: u8 = 30;
const UPLINK_COUNT: u32 = 1 << (30 - 15);

/// Last octets that nodes get, in order.
const NODES: std::ops::RangeInclusive<u8> = 2..=250;

/// Addresses of the pool's nth /24.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    base: Ipv4Addr,
    number: u32,
}

impl Subnet {
    pub fn nth(pool: (Ipv4Addr, u8), number: u32) -> Option<Self> {
        let (network, prefix) = pool;
        let count = 1_u32.checked_shl(u32::from(SESSION_PREFIX.checked_sub(prefix)?))?;
        let base = Ipv4Addr::from_bits(network.to_bits() + number * 256);
        (number < count.min(UPLINK_COUNT)).then_some(Self { base, number })
    }

    pub fn network(self) -> Ipv4Addr {
        self.base
    }

    pub fn gateway(self) -> Ipv4Addr {
        self.host(1)
    }

    fn host(self, last: u8) -> Ipv4Addr {
        let [a, b, c, _] = self.base.octets();
        Ipv4Addr::new(a, b, c, last)
    }

    pub fn may_have(self, address: Ipv4Addr) -> bool {
        NODES.contains(&address.octets()[3]) && self.host(address.octets()[3]) == address
    }

    /// The lowest address nobody has.
    pub fn free_address(self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        NODES.map(|last| self.host(last)).find(|address| !taken.contains(address))
    }

    /// The two ends of the session's uplink: the host's, then the session's.
    pub fn uplink(self) -> (Ipv4Addr, Ipv4Addr) {
        let base = UPLINKS.to_bits() + self.number * 4;
        (Ipv4Addr::from_bits(base + 1), Ipv4Addr::from_bits(base + 2))
    }
}

/// The first of the pool's /24s that no session has, such that no route of the host leads into it or into its uplink.
pub fn free_subnet(pool: (Ipv4Addr, u8), taken: &BTreeSet<u32>, routes: &[Cidr]) -> Option<u32> {
    (0..UPLINK_COUNT)
        .map_while(|number| Some((number, Subnet::nth(pool, number)?)))
        .filter(|(number, _)| !taken.contains(number))
        .find(|(_, subnet)| {
            let (uplink, _) = subnet.uplink();
            let wanted = [Cidr::new(subnet.network(), SESSION_PREFIX), Cidr::new(uplink, UPLINK_PREFIX)];
            let routes = routes.iter().filter(|route| route.prefix() > 0);
            !routes.into_iter().any(|route| wanted.iter().flatten().any(|network| route.overlaps(*network)))
        })
        .map(|(number, _)| number)
}

/// The lowest id block nobody has.
pub fn free_block(taken: &BTreeSet<u32>) -> Option<u32> {
    (0..=u32::MAX).find(|block| !taken.contains(block))
}

/// The first id of a block, if all of the block exists.
pub fn first_id(base: u32, block: u32) -> Option<u32> {
    let first = base.checked_add(block.checked_mul(65_536)?)?;
    first.checked_add(65_535).map(|_| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 64, 0, 0), 12);

    #[test]
    fn subnets_avoid_each_other_and_the_hosts_routes() {
        let routes: Vec<Cidr> = ["0.0.0.0/0", "10.64.0.0/23", "10.64.3.7/32", "192.168.0.0/16"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(free_subnet(POOL, &BTreeSet::new(), &[]), Some(0));
        assert_eq!(free_subnet(POOL, &BTreeSet::new(), &routes), Some(2));
        assert_eq!(free_subnet(POOL, &BTreeSet::from([2]), &routes), Some(4));
        let uplink: Vec<Cidr> = vec!["198.18.0.0/30".parse().unwrap()];
        assert_eq!(free_subnet(POOL, &BTreeSet::new(), &uplink), Some(1));
        let all: Vec<Cidr> = vec!["10.0.0.0/8".parse().unwrap()];
        assert_eq!(free_subnet(POOL, &BTreeSet::new(), &all), None);
        assert!(Subnet::nth(POOL, 4095).is_some() && Subnet::nth(POOL, 4096).is_none());
    }

    #[test]
    fn addresses_lie_in_their_subnet() {
        let subnet = Subnet::nth(POOL, 300).unwrap();
        assert_eq!(subnet.gateway(), Ipv4Addr::new(10, 65, 44, 1));
        let taken = BTreeSet::from([Ipv4Addr::new(10, 65, 44, 2)]);
        assert_eq!(subnet.free_address(&taken), Some(Ipv4Addr::new(10, 65, 44, 3)));
        assert!(subnet.may_have(Ipv4Addr::new(10, 65, 44, 9)));
        for bad in
            [Ipv4Addr::new(10, 65, 44, 1), Ipv4Addr::new(10, 65, 45, 2), Ipv4Addr::new(10, 65, 44, 255)]
        {
            assert!(!subnet.may_have(bad), "{bad}");
        }
        assert_eq!(subnet.uplink(), (Ipv4Addr::new(198, 18, 4, 177), Ipv4Addr::new(198, 18, 4, 178)));
    }

    #[test]
    fn id_blocks_do_not_overlap_and_end_before_the_last_id() {
        assert_eq!(free_block(&BTreeSet::from([0, 1, 3])), Some(2));
        assert_eq!(first_id(1_000_000, 2), Some(1_131_072));
        assert_eq!(first_id(1_000_000, 65_535), None);
    }
}
