//! What the engine knows of its networks: one table under one lock, which is never held while
//! the kernel is asked for anything.
//!
//! Writers: `create` and `remove` (networks), `join`, `leave` and `connect` (sandboxes and
//! endpoints), `restore` (all, once).

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use drydock_networks::bridge::Publication;
use drydock_networks::dns::{NameServer, View, Zone, Zones};
use drydock_networks::ipam::{AddressBook, AddressError};
use drydock_networks::netlink::Mac;
use drydock_networks::ports::PortLease;
use drydock_networks::{Cidr, NetNs};

use super::overlay::Scene;
use super::record::Record;
use crate::id::Id;

/// A network and who is on it.
#[derive(Debug)]
pub struct Network {
    pub record: Arc<Record>,
    /// One per subnet, in the record's order.
    pub books: Vec<AddressBook>,
    pub endpoints: HashMap<Id, Endpoint>,
    pub zone: Arc<Zone>,
    /// Who else is on it, and what stands for whom: of a swarm's network.
    pub scene: Arc<Scene>,
    /// Being removed: nobody may join any more.
    pub is_leaving: bool,
}

impl Network {
    pub fn new(record: Record) -> Self {
        let books = record.subnets.iter().map(book).collect();
        let zone = Arc::new(Zone::new(&record.name));
        Self {
            record: Arc::new(record),
            books,
            endpoints: HashMap::new(),
            zone,
            scene: Arc::default(),
            is_leaving: false,
        }
    }

    /// Takes an address of each subnet: the asked-for one, or the lowest that is free.
    pub fn take_addresses(&mut self, asked: &[IpAddr]) -> Result<Vec<Cidr>, AddressError> {
        if let Some(stray) =
            asked.iter().find(|ip| !self.books.iter().any(|book| book.subnet().contains(**ip)))
        {
            return Err(AddressError::Outside(*stray));
        }
        let mut taken = Vec::with_capacity(self.books.len());
        for book in &mut self.books {
            let address = match asked.iter().find(|ip| book.subnet().contains(**ip)) {
                Some(ip) => book.claim(*ip).map(|()| *ip),
                None => book.allocate(),
            };
            match address {
                Ok(ip) => taken.extend(Cidr::new(ip, book.subnet().prefix())),
                Err(error) => {
                    self.give_back(&taken);
                    return Err(error);
                }
            }
        }
        Ok(taken)
    }

    pub fn give_back(&mut self, addresses: &[Cidr]) {
        for address in addresses {
            self.books.iter_mut().for_each(|book| {
                if book.subnet().contains(address.ip()) {
                    book.release(address.ip());
                }
            });
        }
    }
}

/// The addresses of a subnet that no endpoint may have are taken from the start.
fn book(subnet: &super::record::Subnet) -> AddressBook {
    let mut book = AddressBook::new(subnet.cidr, subnet.range);
    for ip in subnet.gateway.iter().chain(subnet.auxiliary.values()) {
        // Outside the subnet, or twice the same: nothing to keep free.
        let _ = book.claim(*ip);
    }
    book
}

/// A container's end on a network.
#[derive(Clone, Debug)]
pub struct Endpoint {
    pub id: Id,
    pub network: Id,
    pub container: Id,
    pub container_name: String,
    pub mac: Mac,
    /// With the prefix of their subnets; IPv4 first.
    pub addresses: Vec<Cidr>,
    /// `--link-local-ip`: addresses beside those of the network.
    pub link_local: Vec<Cidr>,
    /// Name of the link inside the sandbox.
    pub link: String,
    /// Names it is answered for, its own first. Empty on the default bridge.
    pub names: Vec<String>,
    pub gateway_priority: i64,
    /// The container's own names for others on the network: `(alias, name)`.
    pub links: Vec<(String, String)>,
}

impl Endpoint {
    /// The host's end of its veth pair, so named that it is found again after a restart.
    pub fn host_link(&self) -> String {
        host_link(&self.id)
    }

    pub fn address(&self, is_ipv4: bool) -> Option<Cidr> {
        self.addresses.iter().copied().find(|address| address.ip().is_ipv4() == is_ipv4)
    }
}

/// Eight digits, where moby's names have seven: its links on a bridge we share are not ours to sweep.
const DIGITS: usize = 8;

pub fn host_link(endpoint: &Id) -> String {
    format!("veth{}", &endpoint.as_str()[..DIGITS])
}

/// Whether a link's name is one of [`host_link`]'s.
pub fn is_host_link(name: &str) -> bool {
    name.strip_prefix("veth")
        .is_some_and(|digits| digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
}

/// A container's network namespace and all that is plugged into it.
#[derive(Debug)]
pub struct Sandbox {
    pub path: PathBuf,
    pub namespace: Arc<NetNs>,
    /// Which network each endpoint is on; keys are network names, the order of the links.
    pub endpoints: BTreeMap<String, Endpoint>,
    pub leases: Vec<PortLease>,
    pub publications: Vec<Publication>,
    /// The container's address that the ports lead to.
    pub published_at: Option<Ipv4Addr>,
    pub name_server: Option<NameServer>,
}

/// Everything.
#[derive(Debug, Default)]
pub struct State {
    pub networks: HashMap<Id, Network>,
    pub sandboxes: HashMap<Id, Sandbox>,
    /// Containers with the host's network, by id.
    pub guests: HashMap<Id, Endpoint>,
}

impl State {
    /// By full id, then by name, then by a unique prefix of an id.
    pub fn find(&self, reference: &str) -> Option<&Network> {
        let id = Id::parse(reference).or_else(|| Id::of_swarm(reference));
        let by_id = id.and_then(|id| self.networks.get(&id));
        let by_name = || self.networks.values().find(|network| network.record.name == reference);
        let by_prefix = || {
            let mut matching =
                self.networks.values().filter(|network| network.record.id.as_str().starts_with(reference));
            matching.next().filter(|_| !reference.is_empty() && matching.next().is_none())
        };
        by_id.or_else(by_name).or_else(by_prefix)
    }

    pub fn find_mut(&mut self, reference: &str) -> Option<&mut Network> {
        let id = self.find(reference)?.record.id.clone();
        self.networks.get_mut(&id)
    }

    /// The names a container with these endpoints may ask for. The default bridge has none; its links are in
    /// `/etc/hosts`.
    pub fn zones<'a>(&self, endpoints: impl Iterator<Item = &'a Endpoint>) -> Zones {
        let view = |endpoint: &Endpoint| {
            let network = self.networks.get(&endpoint.network)?;
            let view = View::from(network.zone.clone()).with_aliases(endpoint.links.clone());
            network.record.has_names().then_some(view)
        };
        Zones(endpoints.filter_map(view).collect())
    }

    /// Puts an endpoint on its network and makes its names known.
    pub fn plug(&mut self, endpoint: &Endpoint) {
        if let Some(network) = self.networks.get_mut(&endpoint.network) {
            network.endpoints.insert(endpoint.id.clone(), endpoint.clone());
            for address in &endpoint.addresses {
                network.zone.insert(address.ip(), &endpoint.names);
            }
        }
    }

    /// Takes an endpoint off its network: its names are unknown, its addresses free.
    pub fn unplug(&mut self, endpoint: &Endpoint) {
        if let Some(network) = self.networks.get_mut(&endpoint.network) {
            network.endpoints.remove(&endpoint.id);
            network.give_back(&endpoint.addresses);
            for address in &endpoint.addresses {
                network.zone.remove(address.ip());
            }
        }
    }

    /// An endpoint has other names than before.
    pub fn rename(&mut self, endpoint: &Endpoint) {
        if let Some(network) = self.networks.get_mut(&endpoint.network) {
            endpoint.addresses.iter().for_each(|address| network.zone.remove(address.ip()));
        }
        self.plug(endpoint);
    }
}
