//! The name server of a container, at 127.0.0.11 in its own namespace: names of its networks
//! are answered from their [`Zone`]s, all else is passed to the host's servers.
//!
//! The sockets are made inside the container's namespace on free ports, so that a container
//! may serve port 53 itself; two packet rules per protocol make them port 53 of 127.0.0.11.
//!
//! Tasks: one for UDP and one for TCP per [`NameServer`]; each owns a `JoinSet` of the questions
//! (UDP) or connections (TCP) in hand, and all end when the server is dropped.

mod answer;
mod server;
mod upstream;
mod zone;

pub use server::{NameServer, StartError};
pub use upstream::Upstream;
pub use zone::{View, Zone, Zones};

use std::net::Ipv4Addr;

/// Where a container finds it.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
