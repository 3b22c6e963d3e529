//! Addresses and ports: subnets of networks, virtual addresses and published ports of services, an
//! address for each task and for each node in the ingress network.
//!
//! What is given stands in the objects, and what is free is what stands in none: nothing else is
//! kept. A task that has ended gives its addresses back. New addresses follow the highest one in
//! use, so that one is not given again at once to something else.

mod addresses;
mod network;
mod node;
mod pool;
mod ports;
mod service;
mod subnet;
mod task;

pub(crate) use addresses::claim;
pub use network::{FIRST_VNI, PREDEFINED, is_predefined};
pub use ports::needs_ingress;
pub(crate) use ports::{is_ingress, ports_of};
pub(crate) use service::allocate_service;
pub use subnet::Subnet;

use addresses::Addresses;

use crate::objects::Moment;
use crate::store::Transaction;

/// Gives whatever lacks it an address or port, as far as there are any. Networks first, since the
/// others need them; tasks last, which go on to `PENDING`.
pub fn allocate(tx: &mut Transaction<'_>, now: Moment) {
    network::allocate(tx);
    let mut addresses = Addresses::default();
    node::allocate(tx, &mut addresses);
    service::allocate(tx, &mut addresses);
    task::allocate(tx, &mut addresses, now);
}
