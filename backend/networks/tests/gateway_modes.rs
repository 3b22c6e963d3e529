//! How the world reaches containers: `nat`, `nat-unprotected`, `routed`; compared with dockerd 28.5.

mod support;

use std::net::IpAddr;

use drydock_networks::NetNs;
use drydock_networks::bridge::{Bridge, GatewayMode, Host, Plug, Protocol, Publication, Reach};
use drydock_networks::netlink::{Changes, Mac, Route};
use support::*;

fn routed(container: &str) -> Publication {
    Publication::Routed { protocol: Protocol::Tcp, container: container.parse().unwrap() }
}

fn with_mode(mut bridge: Bridge, mode: GatewayMode) -> Bridge {
    bridge.reach = Reach { mode, mode_v6: mode, ..bridge.reach };
    bridge
}

/// Sends what is for `subnet` to the host.
fn add_route(outside: &NetNs, subnet: &str, gateway: &str) {
    let gateway: IpAddr = gateway.parse().unwrap();
    let changes = Changes::new().add_route(cidr(subnet), Some(gateway), None);
    Route::open_in(outside).unwrap().apply(changes).unwrap();
}

/// A network of this mode with a container that serves ports 80 and 81, one of which is published, and one of
/// another network.
fn scene(world: &World, mode: GatewayMode) -> (Host, NetNs, NetNs, NetNs) {
    let host = world.host("host");
    let outside = world.outside(&host);
    add_route(&outside, "172.20.0.0/16", "192.0.2.1");
    let (open, other) = (with_mode(bridge("br0", "172.20.0.1/16"), mode), bridge("br1", "172.21.0.1/16"));
    host.create_bridge(&open).unwrap();
    host.create_bridge(&other).unwrap();
    let web = world.container(&host, &open, "web", "172.20.0.2");
    let stranger = world.container(&host, &other, "stranger", "172.21.0.2");
    serve(&web, "0.0.0.0:80");
    serve(&web, "0.0.0.0:81");
    serve(&outside, "0.0.0.0:80");
    (host, outside, web, stranger)
}

#[test]
fn a_routed_container_is_reached_at_its_own_address_by_its_published_ports() {
    let world = World::new();
    let (host, outside, web, stranger) = scene(&world, GatewayMode::Routed);
    assert!(cannot_reach(&outside, "172.20.0.2:80"), "not published yet");
    host.publish(&[routed("172.20.0.2:80")]).unwrap();
    assert_eq!(seen_as(&outside, "172.20.0.2:80").as_deref(), Some("192.0.2.2"));
    assert_eq!(seen_as(&stranger, "172.20.0.2:80").as_deref(), Some("172.20.0.1"), "masqueraded");
    assert!(cannot_reach(&outside, "172.20.0.2:81"));
    assert!(cannot_reach(&stranger, "172.20.0.2:81"));
    assert_eq!(seen_as(&web, "192.0.2.2:80").as_deref(), Some("172.20.0.2"), "under its own address");
    host.unpublish(&[routed("172.20.0.2:80")]).unwrap();
    assert!(cannot_reach(&outside, "172.20.0.2:80"));
}

#[test]
fn an_unprotected_container_is_reached_by_every_port_from_outside_and_by_none_from_other_bridges() {
    let world = World::new();
    let (_host, outside, web, stranger) = scene(&world, GatewayMode::Unprotected);
    for port in [80, 81] {
        assert!(seen_as(&outside, &format!("172.20.0.2:{port}")).is_some());
        assert!(cannot_reach(&stranger, &format!("172.20.0.2:{port}")));
    }
    assert_eq!(seen_as(&web, "192.0.2.2:80").as_deref(), Some("192.0.2.1"), "masqueraded");
}

#[test]
fn nobody_on_an_internal_network_reaches_another_network() {
    let world = World::new();
    let (host, _outside, _web, stranger) = scene(&world, GatewayMode::Routed);
    serve(&stranger, "0.0.0.0:80");
    let translated = Publication::Translated {
        protocol: Protocol::Tcp,
        host: "0.0.0.0:8080".parse().unwrap(),
        container: "172.21.0.2:80".parse().unwrap(),
    };
    host.publish(&[routed("172.20.0.2:80"), translated]).unwrap();
    let mut inner = bridge("br2", "172.22.0.1/16");
    inner.reach = Reach { outside: false, ..inner.reach };
    host.create_bridge(&inner).unwrap();
    let one = world.container(&host, &inner, "one", "172.22.0.2");
    assert!(cannot_reach(&one, "172.20.0.2:80"), "a routed container");
    assert!(cannot_reach(&one, "172.22.0.1:8080"), "a published port");
    assert!(seen_as(host.namespace(), "127.0.0.1:8080").is_some());
}

#[test]
fn ipv6_is_routed_to_published_ports_alone() {
    let world = World::new();
    let host = world.host("host");
    host.enable_forwarding_v6().unwrap();
    let outside = world.outside(&host);
    for (namespace, link, address) in
        [(host.namespace(), "uplink", "2001:db8::1/64"), (&outside, "eth0", "2001:db8::2/64")]
    {
        let mut route = Route::open_in(namespace).unwrap();
        let index = route.index_of(link).unwrap();
        route.apply(Changes::new().add_address(index, cidr(address))).unwrap();
    }
    add_route(&outside, "fd00:20::/64", "2001:db8::1");
    let mut open = with_mode(bridge("br0", "172.20.0.1/16"), GatewayMode::Routed);
    open.gateway_v6 = Some(cidr("fd00:20::1/64"));
    host.create_bridge(&open).unwrap();
    let web = world.namespace("web");
    let addresses = [cidr("172.20.0.2/16"), cidr("fd00:20::2/64")];
    let gateways = ["172.20.0.1".parse().unwrap(), "fd00:20::1".parse().unwrap()];
    let mac = Mac::of_ipv4([172, 20, 0, 2].into());
    let plug = Plug { host_name: "veth-web", name: "eth0", mac, addresses: &addresses, gateways: &gateways };
    host.attach("br0", &web, &plug).unwrap();
    serve(&web, "[::]:80");
    serve(&web, "[::]:81");
    let ports = [routed("172.20.0.2:80"), routed("[fd00:20::2]:80")];
    host.publish(&ports).unwrap();
    assert_eq!(seen_as(&outside, "[fd00:20::2]:80").as_deref(), Some("2001:db8::2"));
    assert!(cannot_reach(&outside, "[fd00:20::2]:81"));
    // Written anew, as after an engine's restart.
    host.write_rules(std::slice::from_ref(&open), &ports[1..]).unwrap();
    assert!(seen_as(&outside, "[fd00:20::2]:80").is_some());
    host.unpublish(&ports[1..]).unwrap();
    assert!(cannot_reach(&outside, "[fd00:20::2]:80"));
}
