//! Address management: which subnet a network gets, and which address an endpoint gets.
//!
//! Pure: nothing is read or written; the caller keeps the record and rebuilds an
//! [`AddressBook`] from it. Error texts are moby's.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::cidr::Cidr;

/// A block from which networks without a subnet of their own get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The whole block.
    pub base: Cidr,
    /// Prefix length of each subnet cut from it.
    pub size: u8,
}

/// No subnet for a network.
#[derive(Debug, thiserror::Error)]
pub enum SubnetError {
    /// Somebody else has it, or part of it.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    Overlap,
    /// Nothing is left to choose from.
    #[error("all predefined address pools have been fully subnetted")]
    Exhausted,
}

/// No address for an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// Somebody else has it.
    #[error("Address already in use")]
    InUse,
    /// It lies in no subnet of the network.
    #[error("no configured subnet contains IP address {0}")]
    Outside(IpAddr),
    /// All are given out.
    #[error("no available IPv4 addresses on this network's address pools")]
    Exhausted,
}

/// moby's own pools: 172.17 to 172.31 by /16, then 192.168 by /20.
#[must_use]
pub fn default_pools() -> Vec<Pool> {
    let pool = |text: &str, size| text.parse().ok().map(|base| Pool { base, size });
    (17..32)
        .filter_map(|second| pool(&format!("172.{second}.0.0/16"), 16))
        .chain(pool("192.168.0.0/16", 20))
        .collect()
}

/// The first subnet of the pools that overlaps none of `taken`.
pub fn choose_subnet(pools: &[Pool], taken: &[Cidr]) -> Result<Cidr, SubnetError> {
    pools
        .iter()
        .flat_map(|pool| subnets(*pool))
        .find(|subnet| !taken.iter().any(|other| other.overlaps(*subnet)))
        .ok_or(SubnetError::Exhausted)
}

fn subnets(pool: Pool) -> impl Iterator<Item = Cidr> {
    let size = pool.size.max(pool.base.prefix());
    let network = pool.base.network();
    let count = 1u128.checked_shl(u32::from(size - network.prefix())).unwrap_or(u128::MAX);
    let step = Cidr::new(network.ip(), size).map_or(0, Cidr::size);
    (0..count).map_while(move |at| Cidr::new(network.nth(at.checked_mul(step)?).ip(), size))
}

/// Takes a subnet that somebody asked for.
pub fn claim_subnet(subnet: Cidr, taken: &[Cidr]) -> Result<Cidr, SubnetError> {
    let overlaps = taken.iter().any(|other| other.overlaps(subnet));
    if overlaps { Err(SubnetError::Overlap) } else { Ok(subnet.network()) }
}

/// The addresses of one subnet: which are given out.
#[derive(Clone, Debug)]
pub struct AddressBook {
    subnet: Cidr,
    range: Cidr,
    taken: BTreeSet<IpAddr>,
}

impl AddressBook {
    /// A book in which only the addresses that are nobody's are taken. Addresses nobody asked
    /// for come from `range`.
    #[must_use]
    pub fn new(subnet: Cidr, range: Option<Cidr>) -> Self {
        let mut taken = BTreeSet::new();
        // In /31 and /32 every address is a host's (RFC 3021).
        if subnet.size() > 2 {
            taken.insert(subnet.network().ip());
            if subnet.ip().is_ipv4() {
                taken.insert(subnet.last());
            }
        }
        Self { subnet, range: range.unwrap_or(subnet), taken }
    }

    /// The subnet.
    #[must_use]
    pub fn subnet(&self) -> Cidr {
        self.subnet
    }

    /// Gives out the lowest free address.
    pub fn allocate(&mut self) -> Result<IpAddr, AddressError> {
        let free = (0..self.range.size())
            .map(|offset| self.range.nth(offset).ip())
            .find(|ip| !self.taken.contains(ip))
            .ok_or(AddressError::Exhausted)?;
        self.taken.insert(free);
        Ok(free)
    }

    /// Gives out one certain address.
    pub fn claim(&mut self, ip: IpAddr) -> Result<(), AddressError> {
        if !self.subnet.contains(ip) {
            return Err(AddressError::Outside(ip));
        }
        if self.taken.insert(ip) { Ok(()) } else { Err(AddressError::InUse) }
    }

    /// Takes an address back.
    pub fn release(&mut self, ip: IpAddr) {
        self.taken.remove(&ip);
    }
}

/// One subnet of a network as a person asked for it, unread.
#[derive(Clone, Debug, Default)]
pub struct Wish<'a> {
    /// `--subnet`
    pub subnet: &'a str,
    /// `--ip-range`
    pub range: &'a str,
    /// `--gateway`
    pub gateway: &'a str,
    /// `--aux-address`, by name.
    pub auxiliary: Vec<(&'a str, &'a str)>,
}

/// One subnet of a network, read and found sound in itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The subnet; `None`: one is chosen from the pools.
    pub subnet: Option<Cidr>,
    /// Where addresses come from.
    pub range: Option<Cidr>,
    /// The gateway; `None`: one is given out.
    pub gateway: Option<IpAddr>,
    /// Addresses nobody may have.
    pub auxiliary: Vec<(String, IpAddr)>,
}

impl Plan {
    /// IPv4 where nothing was asked for.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.subnet.is_none_or(|subnet| subnet.ip().is_ipv4())
    }
}

/// What is wrong with the wishes, each on a line.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("invalid network config:\n{}", .0.join("\n"))]
pub struct WishError(pub Vec<String>);

/// Reads the wishes; all that is wrong is told at once, in moby's words.
pub fn read_wishes(wishes: &[Wish<'_>]) -> Result<Vec<Plan>, WishError> {
    let mut faults = Vec::new();
    let plans = wishes.iter().filter_map(|wish| read_wish(wish, &mut faults)).collect();
    if faults.is_empty() { Ok(plans) } else { Err(WishError(faults)) }
}

fn read_wish(wish: &Wish<'_>, faults: &mut Vec<String>) -> Option<Plan> {
    if wish.subnet.is_empty() {
        return read_wish_without_subnet(wish, faults);
    }
    let Ok(subnet) = wish.subnet.parse::<Cidr>() else {
        faults.push(format!("invalid subnet {}: invalid CIDR block notation", wish.subnet));
        return None;
    };
    if subnet != subnet.network() {
        faults.push(format!("invalid subnet {subnet}: it should be {}", subnet.network()));
    }
    let range = read_range(wish.range, subnet, faults);
    let mut address = |what: &str, text: &str| match read_address(text, subnet) {
        Ok(address) => address,
        Err(fault) => {
            faults.push(format!("invalid {what}: {fault}"));
            None
        }
    };
    let gateway = address(&format!("gateway {}", wish.gateway), wish.gateway);
    let auxiliary = wish
        .auxiliary
        .iter()
        .filter_map(|(name, text)| {
            Some(((*name).to_owned(), address(&format!("auxiliary address {name}"), text)?))
        })
        .collect();
    Some(Plan { subnet: Some(subnet.network()), range, gateway, auxiliary })
}

fn read_wish_without_subnet(wish: &Wish<'_>, faults: &mut Vec<String>) -> Option<Plan> {
    if !wish.range.is_empty() || !wish.gateway.is_empty() || !wish.auxiliary.is_empty() {
        faults.push("invalid subnet : invalid CIDR block notation".to_owned());
        return None;
    }
    Some(Plan { subnet: None, range: None, gateway: None, auxiliary: Vec::new() })
}

fn read_range(text: &str, subnet: Cidr, faults: &mut Vec<String>) -> Option<Cidr> {
    if text.is_empty() {
        return None;
    }
    let Ok(range) = text.parse::<Cidr>() else {
        faults.push(format!("invalid ip-range {text}: invalid CIDR block notation"));
        return None;
    };
    if range.ip().is_ipv4() != subnet.ip().is_ipv4() {
        faults.push(format!("invalid ip-range {text}: parent subnet is an {} block", family(subnet)));
        return None;
    }
    if range.prefix() < subnet.prefix() {
        faults.push(format!("invalid ip-range {text}: CIDR block is bigger than its parent subnet {subnet}"));
    }
    if range != range.network() {
        faults.push(format!("invalid ip-range {range}: it should be {}", range.network()));
    }
    if !subnet.overlaps(range) {
        faults.push(format!("invalid ip-range {text}: parent subnet {subnet} doesn't contain ip-range"));
    }
    Some(range)
}

fn read_address(text: &str, subnet: Cidr) -> Result<Option<IpAddr>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let ip: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    if ip.is_ipv4() != subnet.ip().is_ipv4() {
        return Err(format!("parent subnet is an {} block", family(subnet)));
    }
    if !subnet.contains(ip) {
        return Err(format!("parent subnet {subnet} doesn't contain this address"));
    }
    Ok(Some(ip))
}

fn family(subnet: Cidr) -> &'static str {
    if subnet.ip().is_ipv4() { "IPv4" } else { "IPv6" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_come_from_the_pools_in_order() {
        let pools = default_pools();
        let mut taken = Vec::new();
        let mut given = Vec::new();
        while let Ok(subnet) = choose_subnet(&pools, &taken) {
            taken.push(subnet);
            given.push(subnet.to_string());
        }
        assert_eq!(given.len(), 15 + 16);
        assert_eq!(given[0], "172.17.0.0/16");
        assert_eq!(given[14], "172.31.0.0/16");
        assert_eq!(given[15], "192.168.0.0/20");
        assert_eq!(given[30], "192.168.240.0/20");
        taken.clear();
        taken.push(cidr("172.17.3.0/24"));
        assert_eq!(choose_subnet(&pools, &taken).unwrap(), cidr("172.18.0.0/16"));
    }

    #[test]
    fn an_overlap_is_refused_in_mobys_words() {
        let error = claim_subnet(cidr("10.0.1.0/24"), &[cidr("10.0.0.0/8")]).unwrap_err();
        assert!(error.to_string().ends_with("Pool overlaps with other one on this address space"));
        assert!(claim_subnet(cidr("10.0.1.0/24"), &[cidr("10.0.2.0/24")]).is_ok());
    }

    #[test]
    fn the_lowest_free_address_is_given_out() {
        let mut book = AddressBook::new(cidr("172.17.0.0/29"), None);
        let given: Vec<_> = std::iter::from_fn(|| book.allocate().ok()).map(|ip| ip.to_string()).collect();
        assert_eq!(given, (1..7).map(|last| format!("172.17.0.{last}")).collect::<Vec<_>>());
        assert!(matches!(book.allocate(), Err(AddressError::Exhausted)));
        book.release("172.17.0.3".parse().unwrap());
        assert_eq!(book.allocate().unwrap().to_string(), "172.17.0.3");
    }

    #[test]
    fn a_certain_address_is_given_once_and_only_from_the_subnet() {
        let mut book = AddressBook::new(cidr("10.0.0.0/24"), Some(cidr("10.0.0.128/25")));
        assert_eq!(book.allocate().unwrap().to_string(), "10.0.0.128");
        let low = "10.0.0.7".parse().unwrap();
        assert!(book.claim(low).is_ok());
        assert_eq!(book.claim(low).unwrap_err().to_string(), "Address already in use");
        assert!(matches!(book.claim("10.0.1.7".parse().unwrap()), Err(AddressError::Outside(_))));
        assert!(book.claim("10.0.0.255".parse().unwrap()).is_err(), "the broadcast address");
    }

    #[test]
    fn wishes_are_refused_with_everything_that_is_wrong() {
        let cases: [(Wish<'_>, &[&str]); 6] = [
            (
                Wish { subnet: "10.0.0.0/33", ..Wish::default() },
                &["invalid subnet 10.0.0.0/33: invalid CIDR block notation"],
            ),
            (
                Wish { subnet: "10.0.0.5/24", ..Wish::default() },
                &["invalid subnet 10.0.0.5/24: it should be 10.0.0.0/24"],
            ),
            (
                Wish { subnet: "10.0.0.0/24", range: "10.0.0.0/16", gateway: "10.1.0.1", ..Wish::default() },
                &[
                    "invalid ip-range 10.0.0.0/16: CIDR block is bigger than its parent subnet 10.0.0.0/24",
                    "invalid gateway 10.1.0.1: parent subnet 10.0.0.0/24 doesn't contain this address",
                ],
            ),
            (
                Wish { subnet: "10.0.0.0/24", range: "10.2.0.0/25", ..Wish::default() },
                &["invalid ip-range 10.2.0.0/25: parent subnet 10.0.0.0/24 doesn't contain ip-range"],
            ),
            (
                Wish { subnet: "10.0.0.0/24", gateway: "x", ..Wish::default() },
                &["invalid gateway x: invalid address"],
            ),
            (
                Wish { subnet: "10.0.0.0/24", auxiliary: vec![("dns", "fd00::1")], ..Wish::default() },
                &["invalid auxiliary address dns: parent subnet is an IPv4 block"],
            ),
        ];
        for (wish, expected) in cases {
            let faults = read_wishes(std::slice::from_ref(&wish)).unwrap_err();
            assert_eq!(faults.0, expected, "{wish:?}");
            assert!(faults.to_string().starts_with("invalid network config:\n"));
        }
        let sound = Wish { subnet: "10.0.0.0/24", gateway: "10.0.0.9", ..Wish::default() };
        assert_eq!(read_wishes(&[sound]).unwrap()[0].gateway, "10.0.0.9".parse().ok());
    }
}
