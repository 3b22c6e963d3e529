//! A session's switch: bridge, gateway address and uplink, in a network namespace of the session's own.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drydock_networks::netlink::{Changes, LinkKind, Mac, NetlinkError, NewLink, Route};
use drydock_networks::{Cidr, NetNs};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::faults::Faults;
use crate::id::SessionId;
use crate::places::Places;
use crate::record::{self, SessionRecord};
use crate::table::{SESSION_PREFIX, Subnet};
use crate::uplink::{self, UplinkError};

/// The bridge that a session's nodes hang on.
const BRIDGE: &str = "switch";

/// What a node calls its own end.
const NODE_LINK: &str = "eth0";

#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error("all subnets of the pool are taken")]
    NoSubnet,
    #[error("cannot read the host's routes")]
    Routes { source: UplinkError },
    #[error("cannot record the session in {path}")]
    Record { path: PathBuf, source: io::Error },
    #[error("cannot make the session's network namespace")]
    Namespace { source: io::Error },
    #[error("cannot make the session's bridge")]
    Bridge { source: NetlinkError },
    #[error("cannot let the session forward packets")]
    Forwarding { source: io::Error },
    #[error("cannot connect the session to the world")]
    Uplink { source: UplinkError },
    #[error("cannot answer names in the session")]
    Names { source: io::Error },
}

/// A session's switch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: SessionId,
    subnet: Subnet,
    number: u32,
    namespace: NetNs,
    faults: Mutex<Faults>,
    /// Answers the nodes' name queries; ends with the last handle.
    names: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.names.abort();
    }
}

impl Session {
    pub(crate) fn new(
        id: SessionId,
        subnet: Subnet,
        number: u32,
        namespace: NetNs,
        faults: Faults,
        names: AbortHandle,
    ) -> Self {
        let faults = Mutex::new(faults);
        Self { inner: Arc::new(Inner { id, subnet, number, namespace, faults, names }) }
    }

    pub fn id(&self) -> &SessionId {
        &self.inner.id
    }

    /// `.1` of the session's /24.
    pub fn gateway(&self) -> Ipv4Addr {
        self.inner.subnet.gateway()
    }

    /// Network address; the prefix is 24.
    pub fn subnet(&self) -> Ipv4Addr {
        self.inner.subnet.network()
    }

    pub(crate) fn number(&self) -> u32 {
        self.inner.number
    }

    /// Stops answering names, whoever still holds a handle.
    pub(crate) fn fall_silent(&self) {
        self.inner.names.abort();
    }

    pub(crate) fn addresses(&self) -> Subnet {
        self.inner.subnet
    }

    pub(crate) fn namespace(&self) -> &NetNs {
        &self.inner.namespace
    }

    /// Its cables that lose packets. Taken before the host's state, if both are.
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        // A set is replaced whole, after all that can fail.
        self.inner.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens on the gateway address, inside the session's namespace: only its nodes reach it.
    pub async fn listen(&self, port: u16) -> io::Result<TcpListener> {
        let address = SocketAddr::new(IpAddr::V4(self.gateway()), port);
        TcpListener::from_std(self.inner.namespace.listen_tcp(address)?)
    }

    /// Connects to an address of the session from inside its namespace.
    pub(crate) async fn dial(&self, address: Ipv4Addr, port: u16) -> io::Result<TcpStream> {
        let address = SocketAddr::new(IpAddr::V4(address), port);
        self.inner.namespace.tcp_socket(address)?.connect(address).await
    }
}

/// Makes namespace, bridge and uplink of a recorded session.
pub fn make(
    places: &Places,
    record: &SessionRecord,
    subnet: Subnet,
    uplink: Uplink,
) -> Result<NetNs, SessionError> {
    let folder = places.session(&record.id);
    let path = folder.join("session.json");
    let recorded = fs::create_dir_all(&folder).and_then(|()| record::write(&path, record));
    recorded.map_err(|source| SessionError::Record { path, source })?;
    let namespace =
        NetNs::create(&folder.join("netns")).map_err(|source| SessionError::Namespace { source })?;
    make_bridge(&namespace, subnet).map_err(|source| SessionError::Bridge { source })?;
    if uplink == Uplink::Wanted {
        // A file of /proc/sys/net means the namespace of the thread that opens it.
        let forward = namespace.run(|| fs::write("/proc/sys/net/ipv4/ip_forward", "1"));
        forward.flatten().map_err(|source| SessionError::Forwarding { source })?;
        uplink::connect(places, subnet, record.number, &namespace)
            .map_err(|source| SessionError::Uplink { source })?;
    }
    Ok(namespace)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uplink {
    Wanted,
    /// The host itself has no way out.
    Pointless,
}

fn make_bridge(namespace: &NetNs, subnet: Subnet) -> Result<(), NetlinkError> {
    let mut route = Route::open_in(namespace)?;
    let mut bridge = NewLink::new(BRIDGE, LinkKind::Bridge);
    bridge.mac = Some(Mac::of_ipv4(subnet.gateway()));
    route.apply(Changes::new().add_link(&bridge))?;
    let index = route.index_of(BRIDGE)?;
    route.apply(Changes::new().add_address(index, within(subnet.gateway())))
}

fn within(address: Ipv4Addr) -> Cidr {
    Cidr::new(address, SESSION_PREFIX).expect("a /24 is an IPv4 prefix")
}

/// Whether a pinned namespace still is this session's switch; after a reboot of the host it is not.
pub fn is_whole(namespace: &NetNs) -> bool {
    Route::open_in(namespace).and_then(|mut route| route.index_of(BRIDGE)).is_ok()
}

/// The port's name on the session's side; unique by the last octet.
pub fn port_name(address: Ipv4Addr) -> String {
    format!("port{}", address.octets()[3])
}

/// Plugs the node whose first process is `pid` into the switch: its end is `eth0`, configured and up.
pub fn plug(session: &Session, pid: u32, address: Ipv4Addr) -> Result<(), NetlinkError> {
    let node = NetNs::of_process(pid).map_err(NetlinkError::Open)?;
    let mut switch = Route::open_in(session.namespace())?;
    let bridge = switch.index_of(BRIDGE)?;
    let name = port_name(address);
    let mut port = NewLink::veth(&name, NODE_LINK, Some(&node));
    port.master = Some(bridge);
    switch.apply(Changes::new().add_link(&port))?;
    let mut inside = Route::open_in(&node)?;
    inside.bring_loopback_up()?;
    let index = inside.index_of(NODE_LINK)?;
    let changes = Changes::new()
        .set_mac(index, Mac::of_ipv4(address))
        .add_address(index, within(address))
        .set_up(index)
        .add_default_route(IpAddr::V4(session.gateway()));
    inside.apply(changes)
}

/// Takes a node's port off the switch; no error when there is none.
pub fn unplug(namespace: &NetNs, address: Ipv4Addr) -> Result<(), NetlinkError> {
    let mut switch = Route::open_in(namespace)?;
    match switch.apply(Changes::new().delete_link_named(&port_name(address))) {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}
