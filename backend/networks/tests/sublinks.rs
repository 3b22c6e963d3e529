//! macvlan networks, with real packets; kinds of link that a kernel lacks are refused by name.

mod support;

use std::net::Ipv4Addr;

use drydock_networks::NetNs;
use drydock_networks::bridge::Plug;
use drydock_networks::netlink::{Changes, LinkKind, Mac, NewLink, Route};
use drydock_networks::sublink::{self, IpvlanMode, MacvlanMode, Parent, Sublink};
use support::{World, cannot_reach, cidr, seen_as, serve};

const BRIDGED: Sublink = Sublink::Macvlan(MacvlanMode::Bridge);

fn attach(world: &World, host: &NetNs, parent: &Parent, kind: Sublink, name: &str, ip: &str) -> NetNs {
    let container = world.namespace(name);
    let address: Ipv4Addr = ip.parse().unwrap();
    let plug = Plug {
        host_name: "",
        name: "eth0",
        mac: Mac::of_ipv4(address),
        addresses: &[cidr(&format!("{ip}/24"))],
        gateways: &[],
    };
    sublink::attach(host, parent, kind, None, &container, &plug).unwrap();
    container
}

/// A host with `eth0` to another machine, `10.44.0.1`.
fn host_and_neighbour(world: &World) -> (NetNs, NetNs) {
    let (host, neighbour) = (world.namespace("host"), world.namespace("neighbour"));
    let mut route = Route::open_in(&host).unwrap();
    route.apply(Changes::new().add_link(&NewLink::veth("eth0", "eth0", Some(&neighbour)))).unwrap();
    let mut route = Route::open_in(&neighbour).unwrap();
    let eth0 = route.index_of("eth0").unwrap();
    route.apply(Changes::new().set_up(eth0).add_address(eth0, cidr("10.44.0.1/24"))).unwrap();
    (host, neighbour)
}

#[test]
fn a_macvlan_container_is_a_machine_of_its_own_on_the_hosts_link() {
    let world = World::new();
    let (host, neighbour) = host_and_neighbour(&world);
    let parent = Parent::Named("eth0".into());
    sublink::create_parent(&host, &parent, BRIDGED).unwrap();
    let one = attach(&world, &host, &parent, BRIDGED, "one", "10.44.0.2");
    let two = attach(&world, &host, &parent, BRIDGED, "two", "10.44.0.3");
    serve(&two, "0.0.0.0:80");
    serve(&neighbour, "0.0.0.0:80");
    assert_eq!(seen_as(&one, "10.44.0.3:80").as_deref(), Some("10.44.0.2"));
    assert_eq!(seen_as(&one, "10.44.0.1:80").as_deref(), Some("10.44.0.2"), "untranslated");
    assert_eq!(seen_as(&neighbour, "10.44.0.3:80").as_deref(), Some("10.44.0.1"));
    // The same hardware address again at once.
    sublink::detach(&one, "eth0").unwrap();
    sublink::detach(&one, "eth0").unwrap();
    let again = attach(&world, &host, &parent, BRIDGED, "again", "10.44.0.2");
    assert!(seen_as(&again, "10.44.0.3:80").is_some());
    sublink::delete_parent(&host, &parent).unwrap();
    assert!(Route::open_in(&host).unwrap().link("eth0").is_ok(), "the host's own link stays");
}

#[test]
fn private_macvlan_containers_do_not_reach_each_other() {
    let world = World::new();
    let (host, neighbour) = host_and_neighbour(&world);
    let parent = Parent::Named("eth0".into());
    let private = Sublink::Macvlan(MacvlanMode::Private);
    let one = attach(&world, &host, &parent, private, "one", "10.44.0.2");
    let two = attach(&world, &host, &parent, private, "two", "10.44.0.3");
    serve(&two, "0.0.0.0:80");
    serve(&neighbour, "0.0.0.0:80");
    assert!(cannot_reach(&one, "10.44.0.3:80"));
    assert!(seen_as(&one, "10.44.0.1:80").is_some());
}

#[test]
fn a_network_without_a_parent_has_a_link_of_its_own_and_takes_it_along() {
    let world = World::new();
    let host = world.namespace("host");
    let parent = Parent::Own("dm-0123456789ab".into());
    sublink::create_parent(&host, &parent, BRIDGED).unwrap();
    sublink::create_parent(&host, &parent, BRIDGED).unwrap();
    let one = attach(&world, &host, &parent, BRIDGED, "one", "10.44.0.2");
    let two = attach(&world, &host, &parent, BRIDGED, "two", "10.44.0.3");
    serve(&two, "0.0.0.0:80");
    assert!(seen_as(&one, "10.44.0.3:80").is_some());
    for _ in 0..2 {
        sublink::delete_parent(&host, &parent).unwrap();
    }
    assert_eq!(Route::open_in(&host).unwrap().links().unwrap().len(), 1, "only the loopback");
}

#[test]
fn parents_that_cannot_be_are_refused_in_mobys_words() {
    let world = World::new();
    let (host, _neighbour) = host_and_neighbour(&world);
    for (name, expected) in [
        ("eth9", "invalid subinterface vlan name eth9, example formatting is eth0.10"),
        ("eth9.10", "-o parent interface was not found on the host: eth9"),
        ("eth0.4095", "vlan id must be between 1-4094, received: 4095"),
    ] {
        let refused = sublink::create_parent(&host, &Parent::Named(name.into()), BRIDGED).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
}

/// Where the kernel has VLANs the link comes and goes with its network; where not, that is said.
#[test]
fn a_vlan_parent_is_made_or_refused_by_name() {
    let world = World::new();
    let (host, _neighbour) = host_and_neighbour(&world);
    let parent = Parent::Named("eth0.10".into());
    match sublink::create_parent(&host, &parent, BRIDGED) {
        Ok(()) => {
            assert_eq!(Route::open_in(&host).unwrap().link("eth0.10").unwrap().kind, "vlan");
            sublink::delete_parent(&host, &parent).unwrap();
            assert!(Route::open_in(&host).unwrap().link("eth0.10").is_err());
        }
        Err(error) => {
            let error = error.to_string();
            assert!(error.starts_with("failed to create eth0.10 vlan link: "), "{error}");
            assert!(error.contains("not supported"), "{error}");
        }
    }
}

#[test]
fn ipvlan_works_or_is_refused_before_anything_is_made() {
    let world = World::new();
    let (host, neighbour) = host_and_neighbour(&world);
    let parent = Parent::Named("eth0".into());
    let kind = Sublink::Ipvlan(IpvlanMode::L2);
    match sublink::create_parent(&host, &parent, kind) {
        Ok(()) => {
            let one = attach(&world, &host, &parent, kind, "one", "10.44.0.2");
            serve(&neighbour, "0.0.0.0:80");
            assert!(seen_as(&one, "10.44.0.1:80").is_some());
        }
        Err(error) => {
            assert_eq!(error.to_string(), "this machine's kernel has no ipvlan: operation not supported")
        }
    }
}

#[test]
fn a_bridge_may_be_a_parent() {
    let world = World::new();
    let host = world.namespace("host");
    let mut route = Route::open_in(&host).unwrap();
    route.apply(Changes::new().add_link(&NewLink::new("br0", LinkKind::Bridge))).unwrap();
    let parent = Parent::Named("br0".into());
    sublink::create_parent(&host, &parent, BRIDGED).unwrap();
    let one = attach(&world, &host, &parent, BRIDGED, "one", "10.44.0.2");
    let two = attach(&world, &host, &parent, BRIDGED, "two", "10.44.0.3");
    serve(&two, "0.0.0.0:80");
    assert!(seen_as(&one, "10.44.0.3:80").is_some());
}
