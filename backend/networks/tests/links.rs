//! Links, addresses and routes in fresh namespaces, with real packets.

mod support;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use drydock_networks::NetNs;
use drydock_networks::netlink::{Changes, LinkKind, Mac, NewLink, Route, Vxlan};
use support::{World, cidr};

/// Sends a word from one namespace to an address in another and back.
fn talk(from: &NetNs, to: &NetNs, address: &str) {
    let listener = to.run(|| std::net::TcpListener::bind((address, 0))).unwrap().unwrap();
    let target = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut word = [0; 5];
        stream.read_exact(&mut word).unwrap();
        stream.write_all(&word).unwrap();
    });
    let mut stream = from.connect_tcp(target, Duration::from_secs(5)).unwrap();
    stream.write_all(b"hello").unwrap();
    let mut word = [0; 5];
    stream.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"hello");
    server.join().unwrap();
}

#[test]
fn two_namespaces_talk_over_a_bridge() {
    let world = World::new();
    let switch = world.namespace("switch");
    let mut route = Route::open_in(&switch).unwrap();
    route.apply(Changes::new().add_link(&NewLink::new("br0", LinkKind::Bridge))).unwrap();
    let bridge = route.index_of("br0").unwrap();
    route.apply(Changes::new().add_address(bridge, cidr("10.9.0.1/24"))).unwrap();
    let ends = ["a", "b"].map(|name| {
        let end = world.namespace(name);
        let host_name = format!("veth-{name}");
        let mut pair = NewLink::veth(&host_name, "eth0", Some(&end));
        pair.master = Some(bridge);
        route.apply(Changes::new().add_link(&pair)).unwrap();
        end
    });
    for (end, address) in ends.iter().zip(["10.9.0.2/24", "10.9.0.3/24"]) {
        let mut inside = Route::open_in(end).unwrap();
        let eth0 = inside.index_of("eth0").unwrap();
        let gateway = IpAddr::from([10, 9, 0, 1]);
        inside
            .apply(Changes::new().add_address(eth0, cidr(address)).set_up(eth0).add_default_route(gateway))
            .unwrap();
        let routes = inside.routes().unwrap();
        assert!(routes.iter().any(|route| route.gateway == Some(gateway)));
    }
    talk(&ends[0], &ends[1], "10.9.0.3");
    talk(&ends[1], &switch, "10.9.0.1");
    let ports = route.links().unwrap();
    assert_eq!(ports.iter().filter(|link| link.master == Some(bridge)).count(), 2);
}

#[test]
fn a_link_keeps_what_it_is_given() {
    let world = World::new();
    let namespace = world.namespace("one");
    let mut route = Route::open_in(&namespace).unwrap();
    let mac = Mac::of_ipv4(Ipv4Addr::new(10, 0, 0, 9));
    let mut link = NewLink::new("br0", LinkKind::Bridge);
    link.mac = Some(mac);
    link.up = false;
    route.apply(Changes::new().add_link(&link)).unwrap();
    let index = route.index_of("br0").unwrap();
    let changes = Changes::new().set_mtu(index, 1400).set_name(index, "br1").set_up(index);
    route.apply(changes.add_address(index, cidr("10.0.0.9/24"))).unwrap();
    let link = route.link("br1").unwrap();
    assert_eq!((link.mac, link.mtu, link.is_up), (Some(mac), 1400, true));
    assert_eq!(link.kind, "bridge");
    let address = route.addresses().unwrap().into_iter().find(|found| found.link == index);
    assert_eq!(address.unwrap().address, cidr("10.0.0.9/24"));
    route.apply(Changes::new().delete_link(index)).unwrap();
    assert!(route.link("br1").unwrap_err().is_missing());
}

#[test]
fn a_refusal_names_its_step_and_later_steps_still_run() {
    let world = World::new();
    let namespace = world.namespace("one");
    let mut route = Route::open_in(&namespace).unwrap();
    let changes = Changes::new().delete_link_named("absent").add_link(&NewLink::new("br0", LinkKind::Bridge));
    let error = route.apply(changes).unwrap_err();
    assert!(error.to_string().starts_with("delete link absent"), "{error}");
    assert!(error.is_missing());
    let again = Changes::new().add_link(&NewLink::new("br0", LinkKind::Bridge));
    assert!(route.apply(again).unwrap_err().is_existing());
}

#[test]
fn links_move_between_namespaces() {
    let world = World::new();
    let (here, there) = (world.namespace("here"), world.namespace("there"));
    let mut route = Route::open_in(&here).unwrap();
    route.apply(Changes::new().add_link(&NewLink::veth("left", "right", None))).unwrap();
    let right = route.index_of("right").unwrap();
    route.apply(Changes::new().move_to(right, &there)).unwrap();
    assert!(route.link("right").unwrap_err().is_missing());
    assert_eq!(Route::open_in(&there).unwrap().link("right").unwrap().kind, "veth");
}

#[test]
fn a_tunnel_carries_packets_between_two_hosts() {
    let world = World::new();
    let hosts = [world.namespace("one"), world.namespace("two")];
    let mut route = Route::open_in(&hosts[0]).unwrap();
    route.apply(Changes::new().add_link(&NewLink::veth("eth0", "eth0", Some(&hosts[1])))).unwrap();
    for (at, host) in hosts.iter().enumerate() {
        let mut route = Route::open_in(host).unwrap();
        let (own, other) = (at as u8 + 1, 2 - at as u8);
        let eth0 = route.index_of("eth0").unwrap();
        route
            .apply(Changes::new().set_up(eth0).add_address(eth0, cidr(&format!("192.168.9.{own}/24"))))
            .unwrap();
        let vxlan = Vxlan {
            id: 4097,
            port: 4789,
            local: Some(Ipv4Addr::new(192, 168, 9, own).into()),
            link: Some(eth0),
            learning: true,
            answers_for_neighbours: false,
        };
        route.apply(Changes::new().add_link(&NewLink::new("vx0", LinkKind::Vxlan(vxlan)))).unwrap();
        let vx0 = route.index_of("vx0").unwrap();
        let everybody = Ipv4Addr::new(192, 168, 9, other);
        let changes = Changes::new()
            .add_forwarding(vx0, Mac::ZERO, everybody.into())
            .add_address(vx0, cidr(&format!("10.77.0.{own}/24")));
        route.apply(changes).unwrap();
    }
    talk(&hosts[0], &hosts[1], "10.77.0.2");
}

#[test]
fn a_closure_returns_to_where_it_came_from() {
    let world = World::new();
    let namespace = world.namespace("one");
    let before = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    let inside = namespace.run(|| std::fs::read_link("/proc/thread-self/ns/net")).unwrap().unwrap();
    let after = std::fs::read_link("/proc/thread-self/ns/net").unwrap();
    assert_eq!(before, after);
    assert_ne!(before, inside);
}
