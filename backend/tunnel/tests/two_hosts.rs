//! An encrypted overlay between two hosts, with the packets that pass between them.

#[path = "../../networks/tests/support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use drydock_networks::NetNs;
use drydock_networks::bridge::Plug;
use drydock_networks::netlink::{Changes, LinkKind, Mac, NewLink, Route};
use drydock_networks::overlay::{Overlay, PORT as VXLAN, Peer, Switch};
use drydock_tunnel::{Key, LINK, Neighbour, OVERHEAD, PORT, Place, Tunnel, address_of};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use support::{World, cannot_reach, cidr, seen_as, serve};

const NETWORK: u32 = 4097;
const NODES: [&str; 2] = ["one", "two"];

/// Two hosts on one link, each with the tunnel, the network's switch and a container on it.
struct Scene {
    // In this order: the tunnels end before the namespaces go.
    tunnels: Vec<Option<Tunnel>>,
    hosts: [NetNs; 2],
    cable: NetNs,
    containers: Vec<NetNs>,
    world: World,
}

fn host_address(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, at as u8 + 1)
}

fn container_address(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, at as u8 + 2)
}

fn key(number: u64) -> Key {
    Key { number, secret: vec![number as u8; 16] }
}

impl Scene {
    fn new() -> Self {
        let world = World::new();
        let hosts = [world.namespace("host0"), world.namespace("host1")];
        // Between them a switch, on which nothing but what they send is heard.
        let cable = world.namespace("cable");
        let mut route = Route::open_in(&cable).unwrap();
        route.apply(Changes::new().add_link(&NewLink::new("br0", LinkKind::Bridge))).unwrap();
        let bridge = route.index_of("br0").unwrap();
        for (at, host) in hosts.iter().enumerate() {
            let name = format!("port{at}");
            let mut port = NewLink::veth(&name, "eth0", Some(host));
            port.master = Some(bridge);
            route.apply(Changes::new().add_link(&port)).unwrap();
        }
        for (at, host) in hosts.iter().enumerate() {
            let mut route = Route::open_in(host).unwrap();
            let eth0 = route.index_of("eth0").unwrap();
            let addresses =
                Changes::new().set_up(eth0).add_address(eth0, cidr(&format!("{}/24", host_address(at))));
            route.apply(addresses.add_address(eth0, cidr(&format!("fd00::{}/64", at + 1)))).unwrap();
        }
        let mut scene = Self { tunnels: vec![None, None], hosts, cable, containers: Vec::new(), world };
        for at in 0..2 {
            scene.open(at);
            scene.connect(at, &[key(1)]);
            let container = scene.plug(at);
            scene.containers.push(container);
        }
        serve(&scene.containers[1], "0.0.0.0:80");
        scene
    }

    fn open(&mut self, at: usize) {
        let namespace = NetNs::open(self.hosts[at].path()).unwrap();
        let place =
            Place { node: NODES[at].to_owned(), local: host_address(at), port: VXLAN, underlay_mtu: 1500 };
        self.tunnels[at] = Some(Tunnel::open(namespace, place).unwrap());
    }

    fn connect(&self, at: usize, keys: &[Key]) {
        let neighbours = [0, 1].map(|at| Neighbour { node: NODES[at].to_owned(), host: host_address(at) });
        self.tunnels[at].as_ref().unwrap().connect(&neighbours, keys);
    }

    fn plug(&self, at: usize) -> NetNs {
        let overlay = Overlay {
            id: NETWORK,
            gateways: vec![cidr("10.77.0.1/24")],
            local: address_of(NODES[at]).into(),
            port: VXLAN,
            underlay_mtu: 1500 - OVERHEAD,
        };
        let switch =
            Switch::create(&self.hosts[at], &self.world.path(&format!("switch{at}")), &overlay).unwrap();
        let (own, other) = (container_address(at), container_address(1 - at));
        let container = self.world.namespace(&format!("container{at}"));
        let plug = Plug {
            host_name: "veth0",
            name: "eth0",
            mac: Mac::of_ipv4(own),
            addresses: &[cidr(&format!("{own}/24"))],
            gateways: &[],
        };
        switch.attach(&container, &plug).unwrap();
        let host = address_of(NODES[1 - at]).into();
        switch.add_peer(&Peer { ip: other.into(), mac: Mac::of_ipv4(other), host }).unwrap();
        container
    }

    fn is_reached(&self) -> bool {
        seen_as(&self.containers[0], "10.77.0.3:80").as_deref() == Some("10.77.0.2")
    }
}

/// Everything that passes between the hosts, as tcpdump sees it.
fn listen(cable: &NetNs) -> OwnedFd {
    let open = || socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_NONBLOCK, SockProtocol::EthAll);
    cable.run(open).unwrap().unwrap()
}

fn heard(listener: &OwnedFd) -> Vec<Vec<u8>> {
    let (mut frames, mut frame) = (Vec::new(), [0; 2048]);
    while let Ok(length) = recv(listener.as_raw_fd(), &mut frame, MsgFlags::empty()) {
        frames.push(frame[..length].to_vec());
    }
    frames
}

#[test]
fn containers_talk_and_on_the_wire_is_wireguard_alone() {
    let scene = Scene::new();
    let mtu = Route::open_in(&scene.containers[0]).unwrap().link("eth0").unwrap().mtu;
    assert_eq!(mtu, 1370, "1500 without IP 20, UDP 8, WireGuard 32, IPv6 40, UDP 8, VXLAN 8, Ethernet 14");
    let listener = listen(&scene.cable);
    assert!(scene.is_reached());
    let frames = heard(&listener);
    let udp = frames.iter().filter(|frame| frame[12..14] == [8, 0] && frame[23] == 17);
    assert!(udp.clone().count() >= 4, "{}", frames.len());
    assert!(udp.clone().all(|frame| frame[36..38] == PORT.to_be_bytes()), "to no other port");
    let address = container_address(1).octets();
    assert!(
        !frames.iter().any(|frame| frame.windows(4).any(|bytes| bytes == address)),
        "nothing of it in clear"
    );
}

#[test]
fn a_packet_in_clear_with_the_networks_number_is_dropped() {
    let scene = Scene::new();
    assert!(scene.is_reached());
    // A frame to the container, as the network carries it: UDP to a port where it would be received.
    let (from, to) = (container_address(0), container_address(1));
    let receiver = scene.containers[1].run(|| UdpSocket::bind("0.0.0.0:99")).unwrap().unwrap();
    receiver.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let packet = vxlan(NETWORK, from, to, b"forged");
    let clear = scene.hosts[0].run(|| UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    clear.send_to(&packet, (host_address(1), VXLAN)).unwrap();
    let clear = scene.hosts[0].run(|| UdpSocket::bind("[::]:0")).unwrap().unwrap();
    clear.send_to(&packet, "[fd00::2]:4789").unwrap();
    // To the inner address, straight over the link.
    let mut route = Route::open_in(&scene.hosts[0]).unwrap();
    let other = address_of(NODES[1]);
    let eth0 = route.index_of("eth0").unwrap();
    let via = cidr(&format!("{other}/128"));
    route.apply(Changes::new().add_route(via, Some("fd00::2".parse().unwrap()), Some(eth0))).unwrap();
    // This host's own rules stop it: they are taken away, as an attacker's host has none.
    drydock_tunnel::remove_fence(&scene.hosts[0]).unwrap();
    let listener = listen(&scene.cable);
    clear.send_to(&packet, SocketAddrV6::new(other, VXLAN, 0, 0)).unwrap();
    assert!(receiver.recv(&mut [0; 16]).is_err(), "none of them arrived");
    let arrived = heard(&listener).iter().any(|frame| frame.ends_with(b"forged"));
    assert!(arrived, "though the last was on the wire");
}

/// A VXLAN packet with UDP from one container to another.
fn vxlan(network: u32, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![8, 0, 0, 0];
    packet.extend_from_slice(&(network << 8).to_be_bytes());
    packet.extend_from_slice(&Mac::of_ipv4(to).0);
    packet.extend_from_slice(&Mac::of_ipv4(from).0);
    packet.extend_from_slice(&[8, 0]);
    let length = (28 + payload.len()) as u16;
    let mut ip = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
    ip[2..4].copy_from_slice(&length.to_be_bytes());
    ip.extend_from_slice(&from.octets());
    ip.extend_from_slice(&to.octets());
    let sum: u32 = ip.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend_from_slice(&ip);
    packet.extend_from_slice(&[0, 99, 0, 99]);
    packet.extend_from_slice(&(8 + payload.len() as u16).to_be_bytes());
    packet.extend_from_slice(&[0, 0]);
    packet.extend_from_slice(payload);
    packet
}

#[test]
fn a_packet_like_the_forged_one_arrives_where_nothing_is_encrypted() {
    // Else the test above would prove nothing.
    let scene = Scene::new();
    let receiver = scene.containers[1].run(|| UdpSocket::bind("0.0.0.0:99")).unwrap().unwrap();
    receiver.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    drydock_tunnel::remove_fence(&scene.hosts[1]).unwrap();
    let clear = scene.hosts[0].run(|| UdpSocket::bind("[::]:0")).unwrap().unwrap();
    let packet = vxlan(NETWORK, container_address(0), container_address(1), b"forged");
    clear.send_to(&packet, "[fd00::2]:4789").unwrap();
    let mut word = [0; 16];
    let length = receiver.recv(&mut word).unwrap();
    assert_eq!(&word[..length], b"forged");
}

#[test]
fn what_is_cut_off_comes_back_by_itself_and_nothing_leaves_in_clear_meanwhile() {
    let mut scene = Scene::new();
    assert!(scene.is_reached());
    // The engine was killed: link and socket are gone, the rules stay. All else leads to the other host.
    let tunnel = scene.tunnels[0].take().unwrap();
    drop(tunnel);
    let mut route = Route::open_in(&scene.hosts[0]).unwrap();
    assert!(route.index_of(LINK).is_err(), "the link went with its process");
    route.apply(Changes::new().add_default_route("fd00::2".parse().unwrap())).unwrap();
    let listener = listen(&scene.cable);
    assert!(cannot_reach(&scene.containers[0], "10.77.0.3:80"));
    let astray =
        heard(&listener).into_iter().filter(|frame| frame[12..14] == [0x86, 0xdd] && frame[20] == 17);
    assert_eq!(astray.count(), 0, "nothing by the default route");
    scene.open(0);
    scene.connect(0, &[key(1)]);
    assert!(scene.is_reached());
}

#[test]
fn a_long_stream_arrives_whole_both_ways() {
    let scene = Scene::new();
    let listener = scene.containers[1].run(|| TcpListener::bind("0.0.0.0:81")).unwrap().unwrap();
    let echo = std::thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        std::io::copy(&mut stream.try_clone().unwrap(), &mut stream).unwrap();
    });
    let address = "10.77.0.3:81".parse().unwrap();
    let mut stream = scene.containers[0].connect_tcp(address, std::time::Duration::from_secs(10)).unwrap();
    // Each word tells its place.
    let sent: Vec<u8> = (0..4_000_000u32).flat_map(u32::to_le_bytes).collect();
    let mut received = Vec::new();
    std::thread::scope(|scope| {
        let (mut writer, sent) = (stream.try_clone().unwrap(), &sent);
        scope.spawn(move || {
            writer.write_all(sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        stream.read_to_end(&mut received).unwrap();
    });
    echo.join().unwrap();
    assert!(received == sent, "{} of {} bytes, or others", received.len(), sent.len());
}

#[test]
fn a_new_key_spreads_without_a_pause() {
    let scene = Scene::new();
    assert!(scene.is_reached());
    for (at, keys) in
        [(0, vec![key(1), key(2)]), (1, vec![key(1), key(2)]), (0, vec![key(2)]), (1, vec![key(2)])]
    {
        scene.connect(at, &keys);
        assert!(scene.is_reached());
    }
    scene.connect(1, &[key(3)]);
    assert!(cannot_reach(&scene.containers[0], "10.77.0.3:80"), "another swarm's node");
}

#[test]
fn a_closed_tunnel_leaves_nothing_and_may_be_opened_again() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.tunnels[0].take().unwrap().close().unwrap();
        let mut route = Route::open_in(&scene.hosts[0]).unwrap();
        assert!(route.index_of(LINK).is_err());
        let ours =
            |entry: &drydock_networks::netlink::RouteEntry| entry.subnet.to_string().starts_with("fd64:");
        assert!(!route.routes().unwrap().iter().any(ours));
        scene.open(0);
    }
    scene.connect(0, &[key(1)]);
    assert!(scene.is_reached());
}
