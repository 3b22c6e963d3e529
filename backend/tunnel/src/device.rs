//! The TUN link: made with an address and a route, gone with its descriptor.

use std::os::fd::{AsFd, OwnedFd};

use drydock_networks::netlink::{Changes, NetlinkError, Route};
use drydock_networks::{Cidr, NetNs};

use crate::address::{PREFIX, PREFIX_LENGTH};
use crate::tunnel::{LINK, Place, TunnelError};

/// Packets that wait to be sealed. The kernel cuts what containers send before it gets here, and a burst is of thousands: what is lost is sent again.
const QUEUE: u32 = 4096;

/// The link, as it is read and written.
pub(crate) struct Device {
    pub descriptor: OwnedFd,
    /// Whether it may be given several packets as one.
    pub takes_many: bool,
}

/// Makes the link; one that a killed engine's process has not let go of yet is taken away first.
pub(crate) fn make(namespace: &NetNs, place: &Place, mtu: u32) -> Result<Device, TunnelError> {
    remove(namespace).map_err(TunnelError::Link)?;
    let descriptor = namespace
        .run(|| drydock_sys::tun::create(LINK))
        .and_then(|made| made)
        .map_err(|source| TunnelError::Device { source })?;
    // Asked while nothing passes yet: asking sets for a moment what the link may be read as.
    let takes_many = drydock_sys::tun::takes_datagrams_together(descriptor.as_fd());
    furnish(namespace, place, mtu).map_err(TunnelError::Link)?;
    Ok(Device { descriptor, takes_many })
}

fn furnish(namespace: &NetNs, place: &Place, mtu: u32) -> Result<(), NetlinkError> {
    let mut route = Route::open_in(namespace)?;
    let link = route.index_of(LINK)?;
    let changes =
        Changes::new().without_link_local(link).set_mtu(link, mtu).set_queue_length(link, QUEUE).set_up(link);
    let own = Cidr::new(place.address(), 128);
    let others = Cidr::new(PREFIX, PREFIX_LENGTH);
    let changes = own.into_iter().fold(changes, |changes, own| changes.add_address(link, own));
    route.apply(others.into_iter().fold(changes, |changes, all| changes.add_route(all, None, Some(link))))
}

pub(crate) fn remove(namespace: &NetNs) -> Result<(), NetlinkError> {
    match Route::open_in(namespace)?.apply(Changes::new().delete_link_named(LINK)) {
        Err(error) if !error.is_missing() => Err(error),
        _ => Ok(()),
    }
}
