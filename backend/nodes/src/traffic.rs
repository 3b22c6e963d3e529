//! What passes the links of a node, counted by the kernel and read from outside: nothing in the node is asked.

use std::io;

use drydock_networks::NetNs;
use drydock_networks::netlink::{NetlinkError, Route};

pub use drydock_networks::netlink::Counters;

use crate::processes;

/// Links that are read of one node: a student can make thousands.
const MOST: usize = 1_024;

#[derive(Debug, thiserror::Error)]
pub enum TrafficError {
    #[error("the node does not run")]
    NotRunning,
    #[error("cannot open the node's network namespace")]
    Namespace { source: io::Error },
    #[error("cannot list the node's links")]
    Links { source: NetlinkError },
}

/// The links of the node whose first process is `pid`, which began at `began`.
pub fn read(pid: u32, began: u64) -> Result<Vec<Counters>, TrafficError> {
    let namespace = NetNs::of_process(pid).map_err(|source| TrafficError::Namespace { source })?;
    // Asked after opening: now the namespace is that process's and no later one's.
    if processes::started(pid) != Some(began) {
        return Err(TrafficError::NotRunning);
    }
    let counters = Route::open_in(&namespace).and_then(|mut route| route.counters(MOST));
    counters.map_err(|source| TrafficError::Links { source })
}
