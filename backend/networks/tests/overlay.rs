//! The overlay driver between two hosts, with the packets that pass between them.

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsRawFd;

use drydock_networks::NetNs;
use drydock_networks::bridge::Plug;
use drydock_networks::netlink::{Changes, Mac, NewLink, Route};
use drydock_networks::overlay::{Overlay, PORT, Peer, Switch};
use support::{World, cannot_reach, cidr, seen_as, serve};

const NETWORK: u32 = 4097;

fn host_address(at: usize) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, at as u8 + 1)
}

/// Two hosts on one link, `192.0.2.1` and `192.0.2.2`.
fn hosts(world: &World) -> [NetNs; 2] {
    let hosts = [world.namespace("host0"), world.namespace("host1")];
    let mut route = Route::open_in(&hosts[0]).unwrap();
    route.apply(Changes::new().add_link(&NewLink::veth("eth0", "eth0", Some(&hosts[1])))).unwrap();
    for (at, host) in hosts.iter().enumerate() {
        let mut route = Route::open_in(host).unwrap();
        let eth0 = route.index_of("eth0").unwrap();
        let address = cidr(&format!("{}/24", host_address(at)));
        route.apply(Changes::new().set_up(eth0).add_address(eth0, address)).unwrap();
    }
    hosts
}

fn overlay(at: usize) -> Overlay {
    Overlay {
        id: NETWORK,
        gateways: vec![cidr("10.77.0.1/24")],
        local: host_address(at).into(),
        port: PORT,
        underlay_mtu: 1500,
    }
}

fn container(world: &World, switch: &Switch, name: &str, ip: Ipv4Addr) -> NetNs {
    let container = world.namespace(name);
    let plug = Plug {
        host_name: &format!("veth-{name}"),
        name: "eth0",
        mac: Mac::of_ipv4(ip),
        addresses: &[cidr(&format!("{ip}/24"))],
        gateways: &[],
    };
    switch.attach(&container, &plug).unwrap();
    container
}

fn peer(ip: Ipv4Addr, at: usize) -> Peer {
    Peer { ip: ip.into(), mac: Mac::of_ipv4(ip), host: host_address(at).into() }
}

/// Everything that passes the host's `eth0`, as tcpdump sees it.
fn listen(host: &NetNs) -> std::os::fd::OwnedFd {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    let open = || socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_NONBLOCK, SockProtocol::EthAll);
    host.run(open).unwrap().unwrap()
}

/// The network numbers of the VXLAN packets among what was heard.
fn heard(listener: &std::os::fd::OwnedFd) -> Vec<u32> {
    let mut numbers = Vec::new();
    let mut frame = [0; 2048];
    while let Ok(length) =
        nix::sys::socket::recv(listener.as_raw_fd(), &mut frame, nix::sys::socket::MsgFlags::empty())
    {
        let frame = &frame[..length];
        let is_udp_to_us = frame.len() > 50
            && frame[12..14] == [8, 0]
            && frame[23] == 17
            && frame[36..38] == PORT.to_be_bytes();
        if is_udp_to_us {
            numbers.push(u32::from_be_bytes([0, frame[46], frame[47], frame[48]]));
        }
    }
    numbers
}

#[test]
fn containers_of_two_hosts_talk_in_vxlan_packets() {
    let world = World::new();
    let hosts = hosts(&world);
    let switches = [0, 1]
        .map(|at| Switch::create(&hosts[at], &world.path(&format!("switch{at}")), &overlay(at)).unwrap());
    let [one, two] = [Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 77, 0, 3)];
    let here = container(&world, &switches[0], "here", one);
    let there = container(&world, &switches[1], "there", two);
    let mtu = Route::open_in(&here).unwrap().link("eth0").unwrap().mtu;
    assert_eq!(mtu, 1450);
    serve(&there, "0.0.0.0:80");
    assert!(cannot_reach(&here, "10.77.0.3:80"), "nobody was told of anybody");
    switches[0].add_peer(&peer(two, 1)).unwrap();
    switches[1].add_peer(&peer(one, 0)).unwrap();
    switches[1].add_peer(&peer(one, 0)).unwrap();
    let listener = listen(&hosts[1]);
    assert_eq!(seen_as(&here, "10.77.0.3:80").as_deref(), Some("10.77.0.2"), "without translation");
    let numbers = heard(&listener);
    assert!(numbers.len() >= 4 && numbers.iter().all(|number| *number == NETWORK), "{numbers:?}");
    switches[0].remove_peer(&peer(two, 1)).unwrap();
    switches[0].remove_peer(&peer(two, 1)).unwrap();
    flush_neighbours(&here, two);
    assert!(cannot_reach(&here, "10.77.0.3:80"), "a peer that is gone");
}

/// The container itself remembers a neighbour for a while.
fn flush_neighbours(container: &NetNs, ip: Ipv4Addr) {
    let mut route = Route::open_in(container).unwrap();
    let eth0 = route.index_of("eth0").unwrap();
    let _ = route.apply(Changes::new().delete_neighbour(eth0, IpAddr::from(ip)));
}

#[test]
fn a_peer_that_moves_is_followed() {
    let world = World::new();
    let hosts = hosts(&world);
    let switches = [0, 1]
        .map(|at| Switch::create(&hosts[at], &world.path(&format!("switch{at}")), &overlay(at)).unwrap());
    let [one, two] = [Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 77, 0, 3)];
    let here = container(&world, &switches[0], "here", one);
    // First it was said to be behind a host that there is not.
    switches[0].add_peer(&peer(two, 8)).unwrap();
    let there = container(&world, &switches[1], "there", two);
    serve(&there, "0.0.0.0:80");
    switches[1].add_peer(&peer(one, 0)).unwrap();
    switches[0].add_peer(&peer(two, 1)).unwrap();
    assert!(seen_as(&here, "10.77.0.3:80").is_some());
}

#[test]
fn a_switch_is_found_again_and_its_number_is_free_once_it_is_removed() {
    let world = World::new();
    let host = world.namespace("host");
    let path = world.path("switch");
    for _ in 0..3 {
        let switch = Switch::create(&host, &path, &overlay(0)).unwrap();
        let taken = Switch::create(&host, &world.path("other"), &overlay(0)).unwrap_err();
        assert!(taken.to_string().contains("add link vxlan0"), "{taken}");
        assert!(!world.path("other").exists(), "what was made is undone");
        drop(switch);
        let again = Switch::open(&path).unwrap();
        let _one = container(&world, &again, "one", Ipv4Addr::new(10, 77, 0, 2));
        again.detach("veth-one").unwrap();
        again.detach("veth-one").unwrap();
        NetNs::remove(&world.path("one")).unwrap();
        Switch::remove(&path).unwrap();
        Switch::remove(&path).unwrap();
    }
}

#[test]
fn a_switch_that_is_opened_again_knows_who_it_was_told_of() {
    let world = World::new();
    let [host, _] = hosts(&world);
    let path = world.path("switch");
    let [one, two] = [peer(Ipv4Addr::new(10, 77, 0, 2), 1), peer(Ipv4Addr::new(10, 77, 0, 3), 1)];
    let switch = Switch::create(&host, &path, &overlay(0)).unwrap();
    assert_eq!(switch.peers().unwrap(), []);
    switch.add_peer(&one).unwrap();
    switch.add_peer(&two).unwrap();
    drop(switch);
    let switch = Switch::open(&path).unwrap();
    let mut known = switch.peers().unwrap();
    known.sort_by_key(|peer| peer.ip);
    assert_eq!(known, [one, two]);
    switch.remove_peer(&one).unwrap();
    assert_eq!(switch.peers().unwrap(), [two]);
}
