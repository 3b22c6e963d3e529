//! What passes the links of a node: told while it passes, caught as lines and as files.

mod support;

use drydock_wire::capture::Caught;
use drydock_wire::topology::{Container, Topology, Traffic};
use futures_util::StreamExt;
use support::{Gateway, PATIENCE, Play, eventually, open};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A capture pane as a browser has it.
struct Pane {
    socket: WebSocketStream<TcpStream>,
    lines: Vec<String>,
}

impl Pane {
    async fn on(play: &Play, node: &str, query: &str) -> Self {
        let url = format!("{}/instances/{node}/capture/ws?{query}", play.url);
        Self { socket: open(&url, None).await.unwrap(), lines: Vec::new() }
    }

    /// Takes one frame; why it is over, if it is.
    async fn receive(&mut self) -> Option<String> {
        loop {
            match self.socket.next().await.expect("the socket is open").unwrap() {
                Message::Text(text) => {
                    let caught: Caught = serde_json::from_str(&text).unwrap();
                    self.lines.extend(caught.lines);
                    return caught.over;
                }
                Message::Close(_) => panic!("closed: {:?}", self.lines),
                _ => {}
            }
        }
    }

    async fn until(&mut self, wanted: &str) {
        let found = async {
            while !self.lines.iter().any(|line| line.contains(wanted)) {
                assert_eq!(self.receive().await, None, "{:?}", self.lines);
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, found).await;
        assert!(outcome.is_ok(), "{wanted:?} did not come: {:?}", self.lines);
    }
}

#[tokio::test]
async fn packets_come_as_lines_until_the_pane_closes() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut pane = Pane::on(&play, &node.name, "interface=eth0&filter=icmp").await;
    pane.until("listening on eth0").await;
    let address = &play.show().await.pwd_ip_address;
    play.run(&node.name, &format!("ping -c2 -W5 {address}")).await;
    pane.until("ICMP echo request").await;
    pane.until("ICMP echo reply").await;
    assert!(pane.lines.iter().all(|line| !line.contains("ARP")), "{:?}", pane.lines);
    drop(pane);
    let count = "pgrep -xc tcpdump || true";
    eventually(async || (play.run(&node.name, count).await == "0").then_some(())).await;

    // What tcpdump cannot read it says, and that is the end.
    let mut pane = Pane::on(&play, &node.name, "interface=eth0&filter=nonsense+here").await;
    let over = async {
        loop {
            if let Some(over) = pane.receive().await {
                return over;
            }
        }
    };
    tokio::time::timeout(PATIENCE, over).await.unwrap();
    assert!(pane.lines.iter().any(|line| line.contains("syntax error")), "{:?}", pane.lines);
    gateway.end().await;
}

/// The packets of a pcap file, each as its bytes on the wire.
fn packets(file: &[u8]) -> Vec<&[u8]> {
    assert_eq!(file[..4], 0xa1b2_c3d4_u32.to_le_bytes(), "a pcap file begins with its magic number");
    let (mut rest, mut packets) = (&file[24..], Vec::new());
    while !rest.is_empty() {
        let length = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        packets.push(&rest[16..16 + length]);
        rest = &rest[16 + length..];
    }
    packets
}

#[tokio::test]
async fn a_saved_file_has_the_packets_and_no_others_and_ends() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let address = play.show().await.pwd_ip_address;
    let capture = format!("{}/instances/{}/capture", play.url, node.name);
    let ask = |query: &str| play.http.get(format!("{capture}?{query}")).send();
    // Headers come when tcpdump listens: what is sent afterwards is in the file.
    let answer = ask("interface=eth0&filter=icmp+and+icmp[icmptype]=8&packets=3").await.unwrap();
    assert_eq!(answer.status(), 200);
    let disposition = answer.headers()["content-disposition"].to_str().unwrap().to_owned();
    assert!(
        disposition.starts_with("attachment") && disposition.contains("node1-eth0.pcap"),
        "{disposition}"
    );
    play.run(&node.name, &format!("ping -c4 -i0.2 -W5 {address}")).await;
    let file = answer.bytes().await.unwrap();
    let packets = packets(&file);
    assert_eq!(packets.len(), 3);
    for packet in packets {
        // Ethernet carries IPv4 carries an echo request.
        assert_eq!((&packet[12..14], packet[23], packet[34]), (&[8, 0][..], 1, 8));
    }
    let only_begin = ask("interface=eth0&filter=port+4999&seconds=1").await.unwrap();
    assert_eq!(only_begin.bytes().await.unwrap().len(), 24, "nothing came in its time");

    for (query, status, said) in [
        ("interface=eth9", 404, "no such interface"),
        ("interface=-w", 404, "no such interface"),
        ("", 404, "no such interface"),
        ("interface=eth0&filter=nonsense+here", 400, "syntax error"),
        ("interface=eth0&filter=-w+/tmp/x", 400, "syntax error"),
        ("interface=eth0&seconds=0", 400, "seconds"),
        ("interface=eth0&seconds=100000", 400, "seconds"),
    ] {
        let refused = ask(query).await.unwrap();
        assert_eq!(refused.status(), status, "{query}");
        let text = refused.text().await.unwrap();
        assert!(text.contains(said), "{query}: {text}");
    }
    assert_eq!(play.run(&node.name, "ls /tmp/x 2>/dev/null | wc -l").await, "0");
    gateway.end().await;
}

#[tokio::test]
async fn a_file_as_large_as_it_may_be_ends_behind_a_packet() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let capture = format!("{}/instances/{}/capture?interface=lo&seconds=600", play.url, node.name);
    let answer = play.http.get(capture).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    // Ends with the node.
    play.run(&node.name, "setsid ping -q -f -s 65000 127.0.0.1 >/dev/null 2>&1 &").await;
    let file = answer.bytes().await.unwrap();
    assert!(packets(&file).len() > 900, "{}", packets(&file).len());
    let most = 64 << 20;
    assert!(file.len() <= most && file.len() + 66_000 > most, "{}", file.len());
    gateway.end().await;
}

#[tokio::test]
async fn what_passes_is_told_for_the_uplink_the_bridge_and_the_containers_link() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let address = play.show().await.pwd_ip_address;
    let mut events = play.events().await;
    let command = format!("docker run -d --name chatty alpine ping -q -i 0.1 -s 1000 {address}");
    play.run(&node.name, &command).await;
    let running = events.until("session topology", |args| !chatty(args).endpoints.is_empty()).await;
    let endpoint = chatty(&running.args).endpoints.remove(0);
    assert!(endpoint.interface.starts_with("veth"), "{endpoint:?}");
    let links = |args: &[serde_json::Value]| {
        assert_eq!(args[0]["instance"], node.name);
        serde_json::from_value::<Vec<Traffic>>(args[0]["links"].clone()).unwrap()
    };
    events
        .until("instance traffic", |args| {
            let links = links(args);
            let busy = |interface: &str| {
                let both = |link: &Traffic| link.interface == interface && link.received > 0 && link.sent > 0;
                links.iter().any(both)
            };
            busy("eth0") && busy("docker0") && busy(&endpoint.interface)
        })
        .await;
    play.run(&node.name, "docker rm -f chatty").await;
    events.until("instance traffic", |args| links(args).is_empty()).await;
    gateway.end().await;
}

fn chatty(args: &[serde_json::Value]) -> Container {
    let topology: Topology = serde_json::from_value(args[0].clone()).unwrap();
    let mut containers = topology.nodes.into_iter().flat_map(|node| node.containers);
    containers.find(|container| container.name == "chatty").unwrap_or_default()
}
