//! Fresh network namespaces for a test, gone when it ends.
#![allow(dead_code, reason = "each test file uses its part of this")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::Duration;

use drydock_networks::bridge::{Bridge, Host, Plug, Reach};
use drydock_networks::netlink::{Changes, Mac, NewLink, Route};
use drydock_networks::{Cidr, NetNs};

/// A folder of namespaces.
pub struct World {
    folder: tempfile::TempDir,
}

impl World {
    /// Panics unless root: nothing here can be tried otherwise.
    pub fn new() -> Self {
        assert!(
            nix::unistd::geteuid().is_root(),
            "network tests make namespaces: run them as root (cargo xtask test)"
        );
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn namespace(&self, name: &str) -> NetNs {
        NetNs::create(&self.path(name)).expect("a network namespace")
    }

    /// A host that forwards, with our rules and no bridge yet.
    pub fn host(&self, name: &str) -> Host {
        let host = Host::new(self.namespace(name));
        host.enable_forwarding().unwrap();
        host.write_rules(&[], &[]).unwrap();
        host
    }

    /// Another machine, 192.0.2.2, on the host's link `uplink`, 192.0.2.1.
    pub fn outside(&self, host: &Host) -> NetNs {
        let outside = self.namespace("outside");
        let mut route = Route::open_in(host.namespace()).unwrap();
        route.apply(Changes::new().add_link(&NewLink::veth("uplink", "eth0", Some(&outside)))).unwrap();
        for (namespace, link, address) in
            [(host.namespace(), "uplink", "192.0.2.1/24"), (&outside, "eth0", "192.0.2.2/24")]
        {
            let mut route = Route::open_in(namespace).unwrap();
            let index = route.index_of(link).unwrap();
            route.apply(Changes::new().set_up(index).add_address(index, cidr(address))).unwrap();
        }
        outside
    }

    /// A container plugged into a bridge, with the bridge as its gateway.
    pub fn container(&self, host: &Host, bridge: &Bridge, name: &str, address: &str) -> NetNs {
        let container = self.namespace(name);
        let address: Ipv4Addr = address.parse().unwrap();
        let gateway = bridge.gateway.unwrap();
        let plug = Plug {
            host_name: &format!("veth-{name}"),
            name: "eth0",
            mac: Mac::of_ipv4(address),
            addresses: &[Cidr::new(address, gateway.prefix()).unwrap()],
            gateways: &[gateway.ip()],
        };
        host.attach(&bridge.name, &container, &plug).unwrap();
        container
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for entry in std::fs::read_dir(self.folder.path()).into_iter().flatten().flatten() {
            NetNs::remove(&entry.path()).expect("remove a namespace");
        }
    }
}

pub fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

pub fn bridge(name: &str, gateway: &str) -> Bridge {
    Bridge {
        name: name.to_owned(),
        gateway: Some(cidr(gateway)),
        gateway_v6: None,
        reach: Reach::OPEN,
        mtu: None,
    }
}

/// Serves TCP at `address` inside a namespace until the process ends: each caller is told the
/// address it is seen under.
pub fn serve(namespace: &NetNs, address: &str) {
    let listener = namespace.run(|| TcpListener::bind(address)).unwrap().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let _ = stream.write_all(peer.ip().to_string().as_bytes());
        }
    });
}

/// The same by UDP: each datagram is answered with the sender's address.
pub fn serve_udp(namespace: &NetNs, address: &str) {
    let socket = namespace.run(|| UdpSocket::bind(address)).unwrap().unwrap();
    std::thread::spawn(move || {
        let mut word = [0; 64];
        while let Ok((_, peer)) = socket.recv_from(&mut word) {
            let _ = socket.send_to(peer.ip().to_string().as_bytes(), peer);
        }
    });
}

/// Under which address a server sees us; `None` when it cannot be reached.
pub fn seen_as(from: &NetNs, address: &str) -> Option<String> {
    seen_within(from, address, Duration::from_secs(10))
}

/// The same for what is expected to be dropped: waits less.
pub fn cannot_reach(from: &NetNs, address: &str) -> bool {
    seen_within(from, address, Duration::from_millis(400)).is_none()
}

fn seen_within(from: &NetNs, address: &str, timeout: Duration) -> Option<String> {
    let target: SocketAddr = address.parse().unwrap();
    let mut stream = from.connect_tcp(target, timeout).ok()?;
    stream.set_read_timeout(Some(timeout)).unwrap();
    let mut seen = String::new();
    stream.read_to_string(&mut seen).ok()?;
    Some(seen)
}

/// Asks a UDP server under which address it sees us.
pub fn seen_by_udp(from: &NetNs, address: &str) -> Option<String> {
    let socket = from.run(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket.connect(address).ok()?;
    socket.send(b"who am I").ok()?;
    let mut word = [0; 64];
    let length = socket.recv(&mut word).ok()?;
    Some(String::from_utf8_lossy(&word[..length]).into_owned())
}
