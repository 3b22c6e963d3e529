//! Encrypted overlay networks: the tunnel that all of them share on this host, there while one of them has a switch here.
//!
//! Locks are taken in this order: the switches', then this.

use std::net::Ipv6Addr;
use std::sync::{MutexGuard, PoisonError};

use drydock_networks::NetNs;
use drydock_tunnel::{Key, Neighbour, Place, Tunnel, TunnelError, address_of, remove_fence};

use super::overlay::{Overlays, PartError, Underlay};
use super::record::{Record, option};
use super::service::Inner;

/// What a swarm's managers say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealing {
    /// This node's id.
    pub node: String,
    pub keys: Vec<Key>,
    /// The nodes on encrypted networks.
    pub neighbours: Vec<Neighbour>,
}

/// What was said, and what is there.
#[derive(Debug, Default)]
pub struct Encryption {
    sealing: Option<Sealing>,
    tunnel: Option<Tunnel>,
    /// Whether nothing is left of a tunnel that is gone, or that could not be made: neither this process's nor an earlier one's.
    is_swept: bool,
}

impl Record {
    /// Whatever the value says, as moby reads it.
    pub fn is_encrypted(&self) -> bool {
        self.options.contains_key(option::ENCRYPTED)
    }
}

impl Encryption {
    /// The tunnel at this place, made anew when it is at another.
    fn at(&mut self, underlay: Underlay, mtu: u32) -> Result<&Tunnel, PartError> {
        let sealing =
            self.sealing.as_ref().filter(|sealing| !sealing.keys.is_empty()).ok_or(PartError::NoKey)?;
        let place = Place {
            node: sealing.node.clone(),
            local: underlay.local,
            port: underlay.port,
            underlay_mtu: mtu,
        };
        let tunnel = match self.tunnel.take() {
            Some(tunnel) if *tunnel.place() == place => tunnel,
            other => {
                // Its rules stay until those of the next replace them: switches that send may be there.
                drop(other);
                self.is_swept = false;
                let namespace = NetNs::own().map_err(|source| TunnelError::Device { source })?;
                let tunnel = Tunnel::open(namespace, place)?;
                tunnel.connect(&sealing.neighbours, &sealing.keys);
                tunnel
            }
        };
        Ok(self.tunnel.insert(tunnel))
    }

    fn close(&mut self) {
        let closed = match self.tunnel.take() {
            Some(tunnel) => tunnel.close(),
            None if self.is_swept => Ok(()),
            None => NetNs::own().map_or(Ok(()), |namespace| remove_fence(&namespace)),
        };
        self.is_swept = true;
        if let Err(error) = closed {
            tracing::warn!(%error, "something of encrypted networks is left");
        }
    }
}

impl Inner {
    fn encryption(&self) -> MutexGuard<'_, Encryption> {
        self.encryption.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// This is who is on encrypted networks now, and what they are sealed with; `None` outside a swarm.
    pub(super) fn seal(&self, sealing: Option<Sealing>) {
        let overlays = self.overlays();
        {
            let mut encryption = self.encryption();
            if encryption.sealing != sealing {
                encryption.sealing = sealing;
                if let (Some(tunnel), Some(sealing)) = (&encryption.tunnel, &encryption.sealing) {
                    tunnel.connect(&sealing.neighbours, &sealing.keys);
                }
            }
        }
        self.keep_tunnel(&overlays);
    }

    /// The tunnel is there while an encrypted network has a switch here.
    pub(super) fn keep_tunnel(&self, overlays: &Overlays) {
        let mut encryption = self.encryption();
        if !overlays.is_any_encrypted() {
            return encryption.close();
        }
        // After a restart the switches are there before anybody said what they are sealed with.
        let (Some(underlay), true) = (overlays.underlay(), encryption.sealing.is_some()) else { return };
        if let Err(error) = encryption.at(underlay, self.mtu_towards(underlay.local)) {
            tracing::error!(%error, "encrypted networks do not reach other nodes");
        }
    }

    /// This host's address for encrypted networks, with the tunnel that it leads into.
    pub(super) fn sealed_address(&self, underlay: Underlay) -> Result<Ipv6Addr, PartError> {
        let mut encryption = self.encryption();
        let tunnel = encryption.at(underlay, self.mtu_towards(underlay.local))?;
        Ok(address_of(&tunnel.place().node))
    }
}
