//! All other nodes, by their addresses within the tunnel and outside.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::address::address_of;
use crate::key::Key;
use crate::outbox::Outbox;
use crate::peer::Peer;

/// A node on one of this node's encrypted networks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Its id in the swarm.
    pub node: String,
    /// Where it is reached.
    pub host: Ipv4Addr,
}

/// Replaced as a whole when something changes.
#[derive(Clone, Default)]
pub(crate) struct Peers {
    inside: HashMap<Ipv6Addr, Arc<Peer>>,
    outside: HashMap<IpAddr, Arc<Peer>>,
}

impl Peers {
    pub fn inside(&self, address: Ipv6Addr) -> Option<&Arc<Peer>> {
        self.inside.get(&address)
    }

    pub fn outside(&self, address: IpAddr) -> Option<&Arc<Peer>> {
        self.outside.get(&address)
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.outside.values()
    }

    /// The peers with these neighbours and keys: who was there before and is where it was goes on. Each greeting comes with its receiver.
    pub fn become_these(
        &self,
        own: &str,
        neighbours: &[Neighbour],
        keys: &[Key],
        index: &mut impl FnMut() -> u32,
    ) -> (Self, Vec<(Ipv4Addr, Outbox)>) {
        let mut keys = keys.to_vec();
        keys.sort_by_key(|key| std::cmp::Reverse(key.number));
        let (mut next, mut greetings) = (Self::default(), Vec::new());
        for neighbour in neighbours.iter().filter(|neighbour| neighbour.node != own) {
            let address = address_of(&neighbour.node);
            let known = self.inside.get(&address).filter(|peer| peer.host == neighbour.host).cloned();
            let peer = known.unwrap_or_else(|| Arc::new(Peer::new(&neighbour.node, address, neighbour.host)));
            let mut outbox = Outbox::default();
            peer.use_keys(own, &keys, index, &mut outbox);
            greetings.push((neighbour.host, outbox));
            next.inside.insert(address, peer.clone());
            next.outside.insert(neighbour.host.into(), peer);
        }
        (next, greetings)
    }
}
