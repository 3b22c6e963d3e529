//! Bridges, isolation, translation and published ports, with real packets.

mod support;

use std::net::{Ipv4Addr, SocketAddrV4};

use drydock_networks::bridge::{Protocol, Publication, Reach, TABLE};
use drydock_networks::netlink::Route;
use drydock_networks::nft::Nft;
use support::*;

fn publication(host: &str, host_port: u16, container: &str, protocol: Protocol) -> Publication {
    Publication::Translated {
        protocol,
        host: SocketAddrV4::new(host.parse().unwrap(), host_port),
        container: SocketAddrV4::new(container.parse().unwrap(), 80),
    }
}

#[test]
fn containers_of_a_bridge_reach_each_other_and_the_world() {
    let world = World::new();
    let host = world.host("host");
    let outside = world.outside(&host);
    let br0 = bridge("br0", "172.20.0.1/16");
    host.create_bridge(&br0).unwrap();
    let one = world.container(&host, &br0, "one", "172.20.0.2");
    let two = world.container(&host, &br0, "two", "172.20.0.3");
    serve(&two, "0.0.0.0:80");
    serve(&outside, "0.0.0.0:80");
    serve(host.namespace(), "0.0.0.0:80");
    assert_eq!(seen_as(&one, "172.20.0.3:80").as_deref(), Some("172.20.0.2"));
    assert_eq!(seen_as(&one, "172.20.0.1:80").as_deref(), Some("172.20.0.2"));
    assert_eq!(seen_as(&one, "192.0.2.2:80").as_deref(), Some("192.0.2.1"), "masqueraded");
    assert_eq!(seen_as(host.namespace(), "172.20.0.3:80").as_deref(), Some("172.20.0.1"));
}

#[test]
fn bridges_are_isolated_from_each_other_and_from_outside() {
    let world = World::new();
    let host = world.host("host");
    let outside = world.outside(&host);
    let (br0, br1) = (bridge("br0", "172.20.0.1/16"), bridge("br1", "172.21.0.1/16"));
    host.create_bridge(&br0).unwrap();
    host.create_bridge(&br1).unwrap();
    let one = world.container(&host, &br0, "one", "172.20.0.2");
    let two = world.container(&host, &br1, "two", "172.21.0.2");
    serve(&two, "0.0.0.0:80");
    assert!(cannot_reach(&one, "172.21.0.2:80"));
    let mut route = Route::open_in(&outside).unwrap();
    let changes = drydock_networks::netlink::Changes::new();
    route.apply(changes.add_route(cidr("172.21.0.0/16"), Some([192, 0, 2, 1].into()), None)).unwrap();
    assert!(cannot_reach(&outside, "172.21.0.2:80"), "an unpublished port");
    assert!(seen_as(host.namespace(), "172.21.0.2:80").is_some());
}

#[test]
fn an_internal_network_has_no_way_out_and_icc_can_be_off() {
    let world = World::new();
    let host = world.host("host");
    let outside = world.outside(&host);
    serve(&outside, "0.0.0.0:80");
    let mut inner = bridge("br0", "172.20.0.1/16");
    inner.reach = Reach { outside: false, ..inner.reach };
    let mut apart = bridge("br1", "172.21.0.1/16");
    apart.reach = Reach { neighbours: false, ..apart.reach };
    host.create_bridge(&inner).unwrap();
    host.create_bridge(&apart).unwrap();
    let one = world.container(&host, &inner, "one", "172.20.0.2");
    let two = world.container(&host, &inner, "two", "172.20.0.3");
    serve(&two, "0.0.0.0:80");
    assert!(seen_as(&one, "172.20.0.3:80").is_some());
    assert!(cannot_reach(&one, "192.0.2.2:80"));
    let three = world.container(&host, &apart, "three", "172.21.0.2");
    let four = world.container(&host, &apart, "four", "172.21.0.3");
    serve(&four, "0.0.0.0:80");
    assert!(cannot_reach(&three, "172.21.0.3:80"));
    assert!(seen_as(&three, "192.0.2.2:80").is_some());
}

#[test]
fn a_published_port_answers_from_everywhere() {
    let world = World::new();
    let host = world.host("host");
    let outside = world.outside(&host);
    let (br0, br1) = (bridge("br0", "172.20.0.1/16"), bridge("br1", "172.21.0.1/16"));
    host.create_bridge(&br0).unwrap();
    host.create_bridge(&br1).unwrap();
    let web = world.container(&host, &br0, "web", "172.20.0.2");
    let neighbour = world.container(&host, &br0, "neighbour", "172.20.0.3");
    let stranger = world.container(&host, &br1, "stranger", "172.21.0.2");
    serve(&web, "0.0.0.0:80");
    serve_udp(&web, "0.0.0.0:80");
    let ports = [
        publication("0.0.0.0", 8080, "172.20.0.2", Protocol::Tcp),
        publication("0.0.0.0", 8080, "172.20.0.2", Protocol::Udp),
    ];
    host.publish(&ports).unwrap();
    assert_eq!(seen_as(&outside, "192.0.2.1:8080").as_deref(), Some("192.0.2.2"), "its own address");
    assert_eq!(seen_by_udp(&outside, "192.0.2.1:8080").as_deref(), Some("192.0.2.2"));
    for address in ["127.0.0.1:8080", "192.0.2.1:8080", "172.20.0.1:8080"] {
        assert!(seen_as(host.namespace(), address).is_some(), "the host at {address}");
    }
    assert!(seen_by_udp(host.namespace(), "127.0.0.1:8080").is_some());
    for (who, from) in [("itself", &web), ("neighbour", &neighbour), ("stranger", &stranger)] {
        assert!(seen_as(from, "192.0.2.1:8080").is_some(), "{who} through the host's address");
    }
    host.unpublish(&ports).unwrap();
    assert!(cannot_reach(&outside, "192.0.2.1:8080"));
}

#[test]
fn a_port_published_at_one_address_answers_only_there() {
    let world = World::new();
    let host = world.host("host");
    let outside = world.outside(&host);
    let br0 = bridge("br0", "172.20.0.1/16");
    host.create_bridge(&br0).unwrap();
    let web = world.container(&host, &br0, "web", "172.20.0.2");
    serve(&web, "0.0.0.0:80");
    host.publish(&[publication("127.0.0.1", 8080, "172.20.0.2", Protocol::Tcp)]).unwrap();
    assert!(seen_as(host.namespace(), "127.0.0.1:8080").is_some());
    assert!(cannot_reach(&outside, "192.0.2.1:8080"));
}

#[test]
fn a_container_cannot_reach_what_listens_on_the_hosts_localhost() {
    let world = World::new();
    let host = world.host("host");
    let br0 = bridge("br0", "172.20.0.1/16");
    host.create_bridge(&br0).unwrap();
    let one = world.container(&host, &br0, "one", "172.20.0.2");
    serve(host.namespace(), "127.0.0.1:9999");
    let mut route = Route::open_in(&one).unwrap();
    let loopback = drydock_networks::netlink::Changes::new().set_down(1);
    route.apply(loopback).unwrap();
    let changes = drydock_networks::netlink::Changes::new();
    let eth0 = route.index_of("eth0").unwrap();
    let gateway = Some(std::net::IpAddr::from(Ipv4Addr::new(172, 20, 0, 1)));
    route
        .apply(changes.set_route_localnet(eth0).add_route(cidr("127.0.0.1/32"), gateway, Some(eth0)))
        .unwrap();
    assert!(cannot_reach(&one, "127.0.0.1:9999"));
}

#[test]
fn rewriting_the_rules_keeps_connections() {
    let world = World::new();
    let host = world.host("host");
    let outside = world.outside(&host);
    let br0 = bridge("br0", "172.20.0.1/16");
    host.create_bridge(&br0).unwrap();
    let web = world.container(&host, &br0, "web", "172.20.0.2");
    serve_udp(&web, "0.0.0.0:80");
    let ports = [publication("0.0.0.0", 8080, "172.20.0.2", Protocol::Udp)];
    host.publish(&ports).unwrap();
    let socket = outside.run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    socket.connect("192.0.2.1:8080").unwrap();
    let mut word = [0; 16];
    for _ in 0..3 {
        socket.send(b"still there").unwrap();
        assert!(socket.recv(&mut word).unwrap() > 0);
        host.write_rules(std::slice::from_ref(&br0), &ports).unwrap();
    }
}

#[test]
fn what_is_taken_apart_is_gone() {
    let world = World::new();
    let host = world.host("host");
    let br0 = bridge("br0", "172.20.0.1/16");
    for _ in 0..3 {
        host.create_bridge(&br0).unwrap();
        let _one = world.container(&host, &br0, "one", "172.20.0.2");
        host.detach("veth-one").unwrap();
        host.detach("veth-one").unwrap();
        host.delete_bridge(&br0).unwrap();
        host.delete_bridge(&br0).unwrap();
        drydock_networks::NetNs::remove(&world.path("one")).unwrap();
    }
    assert_eq!(host.links().unwrap().len(), 1, "only the loopback");
    let mut nft = Nft::open_in(host.namespace()).unwrap();
    assert!(nft.has_table(TABLE).unwrap());
    host.delete_rules().unwrap();
    host.delete_rules().unwrap();
    assert!(!nft.has_table(TABLE).unwrap());
}
