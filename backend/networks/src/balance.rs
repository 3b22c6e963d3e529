//! One address or port for many: connections are spread over the tasks of a service by packet rules alone, no IPVS.
//!
//! ```text
//!  a container of the network                     a host's entry to the routing mesh
//!  to 10.0.1.2 ──▶ 10.0.1.3 │ 10.0.1.4 in turn    to :8080 ──▶ 10.0.0.7:80 │ 10.0.0.8:80 in turn
//!  (virtual address, [`Virtual`])                 (published port, [`Entry`])
//! ```
//!
//! The kernel chooses once per connection and remembers. All rules of a namespace are written anew with every
//! change, as one transaction: connections that pass go on.

use std::io;
use std::net::Ipv4Addr;

use crate::bridge::Protocol;
use crate::netlink::NetlinkError;
use crate::netns::NetNs;
use crate::nft::{Address, Batch, ChainType, Element, Field, Hook, HookPoint, Nft, Port, Rule, Set};

/// Our table in a container's or in the mesh's namespace.
const TABLE: &str = "drydock_balance";
const DESTINATION: i32 = -100;
const SOURCE: i32 = 100;

/// An address that stands for several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// Nobody's own.
    pub address: Ipv4Addr,
    /// Those behind it; nobody answers while there are none.
    pub backends: Vec<Ipv4Addr>,
}

/// A port of every host that leads to several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// As it is published.
    pub port: u16,
    /// As the backends listen.
    pub target: u16,
    /// Those behind it.
    pub backends: Vec<Ipv4Addr>,
}

/// Why connections cannot be spread.
#[derive(Debug, thiserror::Error)]
pub enum BalanceError {
    /// The namespace could not be entered.
    #[error("enter network namespace: {0}")]
    Enter(#[source] io::Error),
    /// The rules.
    #[error(transparent)]
    Rules(NetlinkError),
}

/// The rules of one namespace. Its socket stays open: closing it waits until the kernel has freed what was deleted.
#[derive(Debug)]
pub struct Balancer {
    nft: Nft,
    is_written: bool,
}

impl Balancer {
    /// Of the namespace; rules that an earlier process left there are replaced.
    pub fn open(namespace: &NetNs) -> Result<Self, BalanceError> {
        let mut nft = Nft::open_in(namespace).map_err(BalanceError::Rules)?;
        let is_written = nft.has_table(TABLE).map_err(BalanceError::Rules)?;
        Ok(Self { nft, is_written })
    }

    /// Whether the namespace has rules, be they an earlier process's.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.is_written
    }

    /// From now on these addresses, and no others, stand for several to the programs of the namespace.
    pub fn stand_for(&mut self, all: &[Virtual]) -> Result<(), BalanceError> {
        self.write(all.is_empty(), |batch| {
            let hook = Hook { chain_type: ChainType::Nat, at: HookPoint::Output, priority: DESTINATION };
            let batch = batch.create_table().add_chain("output", Some(hook));
            all.iter().filter(|one| !one.backends.is_empty()).enumerate().fold(batch, |batch, (at, one)| {
                let map = format!("backends{at}");
                let to = Rule::new()
                    .address_in(Address::Destination, one.address, 32)
                    .readdress_in_turn(&map, one.backends.len() as u32);
                let elements = numbered(&one.backends, |element, ip| element.ip(ip));
                batch
                    .add_set(&Set::map(&map, &[Field::Number], &[Field::Ipv4]))
                    .add_elements(&map, &elements)
                    .add_rule("output", &to)
            })
        })
    }

    /// From now on connections that arrive at these ports, and no others, are passed on, under the namespace's own
    /// address so that answers come back this way.
    pub fn pass_on(&mut self, all: &[Entry]) -> Result<(), BalanceError> {
        self.write(all.is_empty(), |batch| {
            let arriving =
                Hook { chain_type: ChainType::Nat, at: HookPoint::Prerouting, priority: DESTINATION };
            let leaving = Hook { chain_type: ChainType::Nat, at: HookPoint::Postrouting, priority: SOURCE };
            let batch = batch
                .create_table()
                .add_chain("arriving", Some(arriving))
                .add_chain("leaving", Some(leaving))
                .add_rule("leaving", &Rule::new().is_translated().masquerade());
            all.iter().filter(|one| !one.backends.is_empty()).enumerate().fold(batch, |batch, (at, one)| {
                let map = format!("backends{at}");
                let to = Rule::new()
                    .protocol(one.protocol.number())
                    .port(Port::Destination, one.port)
                    .redirect_in_turn(&map, one.backends.len() as u32);
                let elements = numbered(&one.backends, |element, ip| element.ip(ip).port(one.target));
                batch
                    .add_set(&Set::map(&map, &[Field::Number], &[Field::Ipv4, Field::Port]))
                    .add_elements(&map, &elements)
                    .add_rule("arriving", &to)
            })
        })
    }

    fn write(&mut self, is_nothing: bool, rules: impl FnOnce(Batch) -> Batch) -> Result<(), BalanceError> {
        let batch = Batch::new(TABLE);
        let batch = if self.is_written { batch.delete_table() } else { batch };
        let batch = if is_nothing { batch } else { rules(batch) };
        self.nft.commit(batch).map_err(BalanceError::Rules)?;
        self.is_written = !is_nothing;
        Ok(())
    }
}

/// What `numgen` counts to, from 0, with what is behind each number.
fn numbered(backends: &[Ipv4Addr], write: impl Fn(Element, Ipv4Addr) -> Element) -> Vec<Element> {
    let one = |(at, ip): (usize, &Ipv4Addr)| write(Element::key().number(at as u32).value(), *ip);
    backends.iter().enumerate().map(one).collect()
}
