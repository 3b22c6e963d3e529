//! The name server at 127.0.0.11 and port leases, through real sockets.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use drydock_networks::NetNs;
use drydock_networks::bridge::Protocol;
use drydock_networks::dns::{NameServer, Upstream, Zone, Zones};
use drydock_networks::ports::{LeaseError, Ports};
use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use support::World;

const SERVER: &str = "127.0.0.11:53";
const LONG: Duration = Duration::from_secs(10);

fn question(name: &str) -> Vec<u8> {
    let mut message = Message::new();
    message.set_id(4711).set_recursion_desired(true);
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn ask_udp(from: &NetNs, name: &str) -> Message {
    let socket = from.run(|| UdpSocket::bind("127.0.0.1:0")).unwrap().unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    // Connected: an answer from another port than 53 would never arrive.
    socket.connect(SERVER).unwrap();
    socket.send(&question(name)).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    Message::from_vec(&answer[..length]).unwrap()
}

fn ask_tcp(from: &NetNs, name: &str) -> Message {
    let mut stream = from.connect_tcp(SERVER.parse().unwrap(), LONG).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let question = question(name);
    stream.write_all(&(question.len() as u16).to_be_bytes()).unwrap();
    stream.write_all(&question).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn addresses(message: &Message) -> Vec<String> {
    message.answers().iter().map(|record| record.data().to_string()).collect()
}

/// A server of the world: answers every question with itself as the address 203.0.113.5.
fn world_server() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut packet) {
            let request = Message::from_vec(&packet[..length]).unwrap();
            let mut response = request.clone();
            response.set_message_type(hickory_proto::op::MessageType::Response);
            let data = hickory_proto::rr::RData::A(Ipv4Addr::new(203, 0, 113, 5).into());
            let name = request.query().unwrap().name().clone();
            response.add_answer(hickory_proto::rr::Record::from_rdata(name, 60, data));
            socket.send_to(&response.to_vec().unwrap(), client).unwrap();
        }
    });
    address
}

fn zones() -> Zones {
    let zone = Arc::new(Zone::new("front"));
    zone.insert([172, 18, 0, 2].into(), &["web".into()]);
    Zones(vec![zone.into()])
}

#[test]
fn a_container_asks_for_names_by_udp_and_tcp() {
    let world = World::new();
    let container = world.namespace("container");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let entered = runtime.enter();
    let server = NameServer::start(&container, zones(), Upstream::at([world_server()])).unwrap();
    assert_eq!(addresses(&ask_udp(&container, "web.")), ["172.18.0.2"]);
    assert_eq!(addresses(&ask_tcp(&container, "WEB.front.")), ["172.18.0.2"]);
    assert_eq!(addresses(&ask_udp(&container, "example.org.")), ["203.0.113.5"]);
    let zone = Arc::new(Zone::new("back"));
    zone.insert([172, 19, 0, 9].into(), &["db".into()]);
    server.set_zones(Zones(vec![zone.into()]));
    assert_eq!(addresses(&ask_udp(&container, "db.")), ["172.19.0.9"]);
    // The container's own port 53 stays free for a server of its own.
    container.run(|| UdpSocket::bind("0.0.0.0:53")).unwrap().unwrap();
    // As after a restart of the engine: a new server takes the old one's place.
    drop(server);
    let _server = NameServer::start(&container, zones(), Upstream::default()).unwrap();
    assert_eq!(addresses(&ask_udp(&container, "web.")), ["172.18.0.2"]);
    drop(entered);
}

#[test]
fn a_name_nobody_can_be_asked_about_is_a_server_failure() {
    let world = World::new();
    let container = world.namespace("container");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    // A port that is closed again refuses at once.
    let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let _server = NameServer::start(&container, zones(), Upstream::at([closed])).unwrap();
    let answer = ask_udp(&container, "example.org.");
    assert_eq!((answer.id(), answer.response_code()), (4711, ResponseCode::ServFail));
    assert_eq!(ask_tcp(&container, "example.org.").response_code(), ResponseCode::ServFail);
}

#[test]
fn a_leased_port_is_nobody_elses_until_it_is_dropped() {
    let world = World::new();
    let host = world.namespace("host");
    let ports = Ports::default();
    let (any, local) = (Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into());
    let lease = ports.lease(&host, Protocol::Tcp, any, 8080).unwrap();
    let refused = ports.lease(&host, Protocol::Tcp, local, 8080).unwrap_err();
    assert_eq!(refused.to_string(), "Bind for 0.0.0.0:8080 failed: port is already allocated");
    let udp = ports.lease(&host, Protocol::Udp, any, 8080).unwrap();
    let theirs = host.run(|| std::net::TcpListener::bind("0.0.0.0:8080")).unwrap();
    assert!(theirs.is_err(), "a program of the host");
    drop(lease);
    let theirs = host.run(|| std::net::TcpListener::bind("0.0.0.0:8080")).unwrap().unwrap();
    let refused = ports.lease(&host, Protocol::Tcp, any, 8080).unwrap_err();
    assert!(matches!(refused, LeaseError::Bind { .. }), "{refused}");
    drop(theirs);
    let _again = ports.lease(&host, Protocol::Tcp, any, 8080).unwrap();
    drop(udp);
}

#[test]
fn a_port_that_was_passed_on_can_be_leased_again_at_once() {
    let world = World::new();
    let host = world.namespace("host");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _inside = runtime.enter();
    let ports = Ports::default();
    let target = (Ipv4Addr::LOCALHOST, 80).into();
    for _ in 0..100 {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let mut lease = ports.lease(&host, protocol, Ipv6Addr::UNSPECIFIED.into(), 8080).unwrap();
            lease.forward(target).unwrap();
        }
    }
}

#[test]
fn ports_nobody_chose_are_drawn_in_turn() {
    let world = World::new();
    let host = world.namespace("host");
    let ports = Ports::default();
    let any = Ipv4Addr::UNSPECIFIED.into();
    let taken = host.run(|| std::net::TcpListener::bind("0.0.0.0:32769")).unwrap().unwrap();
    let first = ports.lease_any(&host, Protocol::Tcp, any).unwrap();
    let second = ports.lease_any(&host, Protocol::Tcp, any).unwrap();
    assert_eq!((first.port(), second.port()), (32768, 32770));
    drop((first, taken));
    assert_eq!(ports.lease_any(&host, Protocol::Tcp, any).unwrap().port(), 32771);
    let held = [9000, 9001].map(|port| ports.lease(&host, Protocol::Tcp, any, port).unwrap());
    assert_eq!(ports.lease_from(&host, Protocol::Tcp, any, 9000..=9002).unwrap().port(), 9002);
    let refused = ports.lease_from(&host, Protocol::Tcp, any, 9000..=9001).unwrap_err();
    assert_eq!(refused.to_string(), "all ports are allocated");
    drop(held);
}
