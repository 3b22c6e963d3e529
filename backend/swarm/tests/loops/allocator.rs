//! Subnets, addresses, identifiers and ports.

use std::collections::BTreeSet;

use bollard_stubs::models::{
    EndpointPortConfig, EndpointSpec, EndpointSpecModeEnum, Ipam, IpamConfig, NetworkAttachmentConfig,
};
use drydock_swarm::objects::{Cluster, Network, NetworkCreateRequest, PublishMode, ServiceSpec, TaskState};

use crate::swarm::{Swarm, spec, template};

fn on(network: &str, mut spec: ServiceSpec) -> ServiceSpec {
    let attachment =
        NetworkAttachmentConfig { target: Some(network.into()), ..NetworkAttachmentConfig::default() };
    template(&mut spec).networks = Some(vec![attachment]);
    spec
}

fn port(published: Option<i64>) -> EndpointPortConfig {
    EndpointPortConfig { target_port: Some(80), published_port: published, ..EndpointPortConfig::default() }
}

fn publishing(ports: Vec<EndpointPortConfig>, mut spec: ServiceSpec) -> ServiceSpec {
    spec.endpoint_spec = Some(EndpointSpec { ports: Some(ports), mode: None });
    spec
}

fn subnet(swarm: &Swarm, id: &str) -> Option<String> {
    let network = swarm.store.networks().get(id).unwrap();
    network.ipam.as_ref()?.config.as_ref()?[0].subnet.clone()
}

#[test]
fn networks_get_the_pools_subnets_in_order_and_ingress_the_first() {
    let mut swarm = Swarm::new(1, 1);
    swarm.add_network("back", false);
    swarm.add_network("front", false);
    swarm.look();
    assert_eq!(subnet(&swarm, "ingress").unwrap(), "10.0.0.0/24");
    assert_eq!(subnet(&swarm, "back").unwrap(), "10.0.1.0/24");
    assert_eq!(subnet(&swarm, "front").unwrap(), "10.0.2.0/24");
    let back = swarm.store.networks().get("back").unwrap();
    assert_eq!(back.ipam.as_ref().unwrap().config.as_ref().unwrap()[0].gateway.as_deref(), Some("10.0.1.1"));
    let vnis: Vec<_> = swarm.store.networks().iter().flat_map(|network| network.vnis.clone()).collect();
    assert_eq!(vnis.iter().collect::<BTreeSet<_>>(), [4096, 4097, 4098].iter().collect());
}

#[test]
fn pools_and_sizes_of_the_cluster_are_kept_to_until_they_are_used_up() {
    let mut swarm = Swarm::new(1, 1);
    swarm.write(|tx| {
        tx.change::<Cluster>(&"cluster".into(), |cluster| {
            cluster.default_address_pool = vec!["20.20.0.0/25".into(), "30.30.0.0/26".into()];
            cluster.subnet_size = 26;
        })
        .unwrap()
    });
    for id in ["a", "b", "c", "d"] {
        swarm.add_network(id, false);
        swarm.look();
    }
    let given: Vec<_> = ["a", "b", "c", "d"].iter().map(|id| subnet(&swarm, id)).collect();
    let expected = [Some("20.20.0.0/26"), Some("20.20.0.64/26"), Some("30.30.0.0/26"), None];
    assert_eq!(given, expected.map(|text| text.map(str::to_owned)));
}

#[test]
fn a_subnet_that_was_asked_for_is_given_unless_another_network_has_it() {
    let mut swarm = Swarm::new(1, 1);
    let ask = |swarm: &mut Swarm, id: &str, subnet: &str| {
        let config = IpamConfig { subnet: Some(subnet.into()), ..IpamConfig::default() };
        let spec = NetworkCreateRequest {
            name: id.into(),
            ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
            ..NetworkCreateRequest::default()
        };
        swarm.write(|tx| tx.create(Network { id: id.into(), spec, ..Network::default() }).unwrap());
        swarm.look();
    };
    ask(&mut swarm, "a", "172.30.0.0/16");
    ask(&mut swarm, "b", "172.30.5.0/24");
    assert_eq!(subnet(&swarm, "a").unwrap(), "172.30.0.0/16");
    assert_eq!(subnet(&swarm, "b"), None);
}

#[test]
fn services_get_a_virtual_address_and_tasks_their_own() {
    let mut swarm = Swarm::new(2, 1);
    swarm.add_network("back", false);
    let web = swarm.create(on("back", spec("web", 3)));
    swarm.settle();
    let vips = &swarm.service(&web).endpoint.as_ref().unwrap().virtual_ips;
    assert_eq!((vips.len(), vips[0].network_id.as_str(), vips[0].addr.as_str()), (1, "back", "10.0.1.2/24"));
    let mut addresses: Vec<_> =
        swarm.tasks(&web).iter().map(|task| task.networks[0].addresses[0].clone()).collect();
    addresses.sort();
    assert_eq!(addresses, ["10.0.1.3/24", "10.0.1.4/24", "10.0.1.5/24"]);
    assert_eq!(swarm.running(&web).len(), 3);
}

#[test]
fn names_that_resolve_to_tasks_need_no_virtual_address() {
    let mut swarm = Swarm::new(1, 1);
    swarm.add_network("back", false);
    let mut spec = on("back", spec("web", 1));
    spec.endpoint_spec = Some(EndpointSpec { mode: Some(EndpointSpecModeEnum::DNSRR), ports: None });
    let web = swarm.create(spec);
    swarm.settle();
    assert!(swarm.service(&web).endpoint.as_ref().unwrap().virtual_ips.is_empty());
    assert_eq!(swarm.tasks(&web)[0].networks.len(), 1);
}

#[test]
fn a_published_service_is_in_the_ingress_network_and_every_node_too() {
    let mut swarm = Swarm::new(2, 1);
    let web = swarm.create(publishing(vec![port(Some(8080))], spec("web", 1)));
    swarm.settle();
    let endpoint = swarm.service(&web).endpoint.clone().unwrap();
    assert_eq!(endpoint.virtual_ips[0].network_id.as_str(), "ingress");
    assert_eq!(endpoint.ports[0].published_port, Some(8080));
    assert_eq!(endpoint.ports[0].publish_mode, Some(PublishMode::INGRESS));
    assert_eq!(swarm.tasks(&web)[0].networks[0].network_id.as_str(), "ingress");
    let nodes: Vec<_> =
        swarm.store.nodes().iter().map(|node| node.attachments[0].addresses[0].clone()).collect();
    assert_eq!(nodes, ["10.0.0.2/24", "10.0.0.3/24"]);
}

#[test]
fn ports_nobody_names_come_from_30000_and_stay_with_their_service() {
    let mut swarm = Swarm::new(1, 1);
    let web = swarm.create(publishing(vec![port(None)], spec("web", 1)));
    let named = swarm.create(publishing(vec![port(Some(30001))], spec("named", 1)));
    let db = swarm.create(publishing(vec![port(Some(0))], spec("db", 1)));
    let published = |swarm: &Swarm, id| swarm.service(id).endpoint.as_ref().unwrap().ports[0].published_port;
    assert_eq!(published(&swarm, &web), Some(30000));
    assert_eq!(published(&swarm, &named), Some(30001));
    assert_eq!(published(&swarm, &db), Some(30002));
    swarm.update(&web, |spec| {
        let ports = spec.endpoint_spec.as_mut().unwrap().ports.as_mut().unwrap();
        ports.push(EndpointPortConfig { target_port: Some(81), ..EndpointPortConfig::default() });
    });
    swarm.settle();
    let ports: Vec<_> = swarm
        .service(&web)
        .endpoint
        .as_ref()
        .unwrap()
        .ports
        .iter()
        .map(|port| port.published_port.unwrap())
        .collect();
    assert_eq!(ports, [30000, 30003]);
}

#[test]
fn tasks_of_a_service_whose_port_is_taken_wait_until_it_is_free() {
    let mut swarm = Swarm::new(1, 1);
    let first = swarm.create(publishing(vec![port(Some(8080))], spec("first", 1)));
    let second = swarm.create(publishing(vec![port(Some(8080))], spec("second", 1)));
    swarm.settle();
    assert_eq!(swarm.tasks(&second)[0].status.state, TaskState::NEW);
    swarm.remove(&first);
    swarm.settle();
    assert_eq!(swarm.running(&second).len(), 1);
}

#[test]
fn ended_tasks_give_their_addresses_back_and_a_full_network_takes_no_more() {
    let mut swarm = Swarm::new(1, 1);
    let config = IpamConfig { subnet: Some("10.9.9.0/29".into()), ..IpamConfig::default() };
    let spec_ = NetworkCreateRequest {
        name: "small".into(),
        ipam: Some(Ipam { config: Some(vec![config]), ..Ipam::default() }),
        ..NetworkCreateRequest::default()
    };
    swarm.write(|tx| tx.create(Network { id: "small".into(), spec: spec_, ..Network::default() }).unwrap());
    // Of the eight addresses two are the ends, one the gateway's, one the service's.
    let web = swarm.create(on("small", spec("web", 6)));
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 4);
    swarm.update(&web, |spec| crate::swarm::scale(spec, 1));
    swarm.settle();
    swarm.update(&web, |spec| crate::swarm::scale(spec, 3));
    swarm.settle();
    assert_eq!(swarm.running(&web).len(), 3);
}
