//! Connections to one address or port, spread over several containers.

mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use drydock_networks::NetNs;
use drydock_networks::balance::{Balancer, Entry, Virtual};
use drydock_networks::bridge::{Bridge, Host, Protocol};
use drydock_networks::netlink::{Changes, Route};
use support::{World, bridge, cannot_reach, cidr};

const SERVERS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(10, 88, 0, 3), Ipv4Addr::new(10, 88, 0, 4), Ipv4Addr::new(10, 88, 0, 5)];
const SERVICE: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);

fn network(world: &World) -> (Host, Bridge) {
    let (host, bridge) = (world.host("host"), bridge("br0", "10.88.0.1/24"));
    host.create_bridge(&bridge).unwrap();
    (host, bridge)
}

/// Each caller is told the server's own address and the one it is seen under.
fn serve(namespace: &NetNs, own: Ipv4Addr, port: u16) {
    let listener = namespace.run(|| TcpListener::bind(("0.0.0.0", port))).unwrap().unwrap();
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let _ = stream.write_all(format!("{own} {}", peer.ip()).as_bytes());
        }
    });
}

fn ask(from: &NetNs, address: &str) -> (String, String) {
    let asked = from.run(|| {
        let mut answer = String::new();
        TcpStream::connect(address)?.read_to_string(&mut answer)?;
        std::io::Result::Ok(answer)
    });
    let answer = asked.unwrap().expect("somebody answers");
    let (server, seen) = answer.split_once(' ').expect("two addresses");
    (server.to_owned(), seen.to_owned())
}

fn virtual_of(backends: &[Ipv4Addr]) -> [Virtual; 1] {
    [Virtual { address: SERVICE, backends: backends.to_vec() }]
}

#[test]
fn an_address_stands_for_all_who_are_behind_it_and_for_oneself_too() {
    let world = World::new();
    let (host, bridge) = network(&world);
    let servers = SERVERS.map(|ip| {
        let server = world.container(&host, &bridge, &format!("s{}", ip.octets()[3]), &ip.to_string());
        serve(&server, ip, 80);
        server
    });
    let client = world.container(&host, &bridge, "client", "10.88.0.9");
    let mut rules = Balancer::open(&client).unwrap();
    rules.stand_for(&virtual_of(&SERVERS)).unwrap();
    let answers: Vec<_> = (0..6).map(|_| ask(&client, "10.88.0.2:80")).collect();
    let met: BTreeSet<_> = answers.iter().map(|(server, _)| server.clone()).collect();
    assert_eq!(met.len(), 3, "in turn: {answers:?}");
    assert!(answers.iter().all(|(_, seen)| seen == "10.88.0.9"), "without translation: {answers:?}");

    let mut own = Balancer::open(&servers[0]).unwrap();
    own.stand_for(&virtual_of(&SERVERS[..1])).unwrap();
    assert_eq!(ask(&servers[0], "10.88.0.2:80").0, "10.88.0.3", "one's own task");
}

#[test]
fn who_is_gone_is_asked_no_more_and_an_address_with_nobody_behind_it_answers_nobody() {
    let world = World::new();
    let (host, bridge) = network(&world);
    for ip in &SERVERS[..2] {
        let server = world.container(&host, &bridge, &format!("s{}", ip.octets()[3]), &ip.to_string());
        serve(&server, *ip, 80);
    }
    let client = world.container(&host, &bridge, "client", "10.88.0.9");
    Balancer::open(&client).unwrap().stand_for(&virtual_of(&SERVERS[..2])).unwrap();
    // Another process takes the rules over.
    let mut rules = Balancer::open(&client).unwrap();
    rules.stand_for(&virtual_of(&SERVERS[1..2])).unwrap();
    assert!((0..4).all(|_| ask(&client, "10.88.0.2:80").0 == "10.88.0.4"));
    rules.stand_for(&virtual_of(&[])).unwrap();
    assert!(cannot_reach(&client, "10.88.0.2:80"));
    rules.stand_for(&[]).unwrap();
    rules.stand_for(&[]).unwrap();
}

#[test]
fn a_port_leads_to_other_ports_behind_it_and_answers_come_back_the_same_way() {
    let world = World::new();
    let (host, inner) = network(&world);
    for ip in &SERVERS[..2] {
        let server = world.container(&host, &inner, &format!("s{}", ip.octets()[3]), &ip.to_string());
        serve(&server, *ip, 80);
        // It knows its own network and nothing else.
        Route::open_in(&server)
            .unwrap()
            .apply(Changes::new().delete_default_route(cidr("10.88.0.1/32").ip()))
            .unwrap();
    }
    let outside = world.outside(&host);
    let mut rules = Balancer::open(host.namespace()).unwrap();
    let entry = |protocol, port| Entry { protocol, port, target: 80, backends: SERVERS[..2].to_vec() };
    rules.pass_on(&[entry(Protocol::Udp, 8080), entry(Protocol::Tcp, 8080)]).unwrap();
    let answers: Vec<_> = (0..4).map(|_| ask(&outside, "192.0.2.1:8080")).collect();
    let met: BTreeSet<_> = answers.iter().map(|(server, _)| server.clone()).collect();
    assert_eq!(met.len(), 2, "{answers:?}");
    assert!(answers.iter().all(|(_, seen)| seen == "10.88.0.1"), "{answers:?}");
    rules.pass_on(&[]).unwrap();
    assert!(cannot_reach(&outside, "192.0.2.1:8080"));
}
