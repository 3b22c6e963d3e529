//! The geometry of the topology drawing, in CSS pixels.
//!
//! ```text
//! ═══ session network ═══════════      the switch; overlays run along it, and faults between nodes are listed
//!  │ ┌ node1 ──────────────────┐
//!  ├─┤ ●─── bridge             │      a network is a rail that begins at its name
//!  │ │ │ ●─ app                │
//!  │ │ ●─┼─[ web ]─────────────●      a container hangs on the rails of its networks; a published
//!  │ │ ●─●─[ db  ]             │      port leads to the node's edge
//! ```
//! An overlay falls from the switch into its rail on every node, in one colour. A link that is busy is heavier and has
//! its rate beside it; one that is idle has nothing.
//! The drawing is as wide as it is told to be; nodes go into as many columns as fit.

use drydock_wire::topology::{Container, Network, Node, Topology};

use crate::units;

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub switch: Rect,
    pub overlays: Vec<Overlay>,
    pub faults: Vec<FaultRow>,
    pub nodes: Vec<NodeBox>,
}

/// An overlay network at the switch.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlay {
    pub network: String,
    pub name: String,
    pub hue: usize,
    /// Of its line, and where its name begins.
    pub y: f64,
    pub label_x: f64,
}

/// A fault between two nodes, told at the switch.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultRow {
    /// Names of instances.
    pub one: String,
    pub other: String,
    pub text: String,
    pub is_cut: bool,
    pub y: f64,
    pub label_x: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// All positions inside are relative to the box.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeBox {
    pub name: String,
    pub hostname: String,
    pub ip: String,
    pub role: String,
    pub state: String,
    pub frame: Rect,
    /// Where the cable from the switch comes down, relative to the box, and how far it has fallen.
    pub cable_x: f64,
    pub cable_top: f64,
    /// Of a hundred packets, what the cable loses; 100 when it is cut.
    pub loss: u8,
    /// Of the cable: `1.2 MB/s`, or empty when it is idle.
    pub rate: String,
    /// Of the cable.
    pub weight: f64,
    pub joins: Vec<Join>,
    pub rails: Vec<Rail>,
    pub containers: Vec<ContainerBox>,
}

/// Where an overlay comes down from the switch and goes into its rail.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    pub network: String,
    pub hue: usize,
    pub x: f64,
    pub top: f64,
    pub rail_x: f64,
    pub rail_y: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rail {
    pub network: String,
    pub name: String,
    /// Driver and subnet; its rate while it is busy.
    pub about: String,
    pub is_busy: bool,
    pub weight: f64,
    /// Which of the rail colours; the same network has the same on every node.
    pub hue: usize,
    pub x: f64,
    pub top: f64,
    pub bottom: f64,
    pub label_x: f64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ContainerBox {
    pub id: String,
    pub name: String,
    pub image: String,
    pub state: String,
    /// The first address, or empty.
    pub ip: String,
    pub frame: Rect,
    /// The rails it hangs on.
    pub stations: Vec<Station>,
    /// Published ports, shortened: `8080→80`.
    pub ports: String,
}

/// Where a container hangs on a rail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Station {
    pub x: f64,
    pub hue: usize,
    pub weight: f64,
}

pub const HUES: usize = 6;
pub const HEADER: f64 = 50.0;
pub const CARD: f64 = 44.0;

const MARGIN: f64 = 14.0;
const SWITCH: f64 = 30.0;
const GUTTER: f64 = 18.0;
/// Of an overlay or a fault at the switch.
const ROW: f64 = 22.0;
/// Between the lines of overlays beside a node; more than so many share the last.
const BESIDE: f64 = 5.0;
const MOST_BESIDE: usize = 4;
/// What a node calls its link to the switch.
const UPLINK: &str = "eth0";
const GAP: f64 = 16.0;
const NARROWEST: f64 = 270.0;
const RAIL: f64 = 14.0;
const LABEL: f64 = 22.0;
const CARD_GAP: f64 = 8.0;
/// Width of a character of the drawing's fonts, a little generous.
const GLYPH: f64 = 7.0;

/// Lays `topology` out in `width` pixels.
pub fn draw(topology: &Topology, width: f64) -> Drawing {
    let overlays = overlays(topology);
    let gutter = GUTTER + BESIDE * overlays.len().min(MOST_BESIDE) as f64;
    let width = width.max(NARROWEST + gutter + 2.0 * MARGIN);
    let fit = ((width - 2.0 * MARGIN + GAP) / (NARROWEST + gutter + GAP)).floor().max(1.0) as usize;
    let columns = fit.min(topology.nodes.len().max(1));
    let pitch = (width - 2.0 * MARGIN + GAP) / columns as f64;
    let hues = hues(topology);
    let mut switch = Rect { x: MARGIN, y: MARGIN, width: width - 2.0 * MARGIN, height: SWITCH };
    let mut row = || {
        switch.height += ROW;
        switch.y + switch.height - 7.0
    };
    let label_x = MARGIN + gutter + 4.0;
    let mut lines = Vec::new();
    for network in overlays {
        lines.push(Overlay {
            network: network.id.clone(),
            name: shorten(&network.name, width / 2.0),
            hue: hue(&hues, network),
            y: row(),
            label_x,
        });
    }
    let mut faults = faults(topology);
    for fault in &mut faults {
        (fault.y, fault.label_x) = (row(), label_x);
    }
    let mut bottoms = vec![MARGIN + switch.height + GAP + 6.0; columns];
    let mut nodes = Vec::new();
    for (at, node) in topology.nodes.iter().enumerate() {
        let column = at % columns;
        let x = MARGIN + pitch * column as f64 + gutter;
        let mut drawn = node_box(node, pitch - GAP - gutter, &hues);
        (drawn.frame.x, drawn.frame.y) = (x, bottoms[column]);
        drawn.cable_x = 6.0 - gutter;
        drawn.cable_top = MARGIN + switch.height - drawn.frame.y;
        drawn.loss = loss(topology, &node.name);
        drawn.joins = joins(&drawn, &lines);
        bottoms[column] += drawn.frame.height + GAP;
        nodes.push(drawn);
    }
    let height = bottoms.iter().copied().fold(0.0, f64::max) - GAP + MARGIN;
    Drawing { width, height, switch, overlays: lines, faults, nodes }
}

/// Every overlay once, in order of appearance.
fn overlays(topology: &Topology) -> Vec<&Network> {
    let mut seen: Vec<&Network> = Vec::new();
    for network in topology.nodes.iter().flat_map(|node| &node.networks) {
        if network.driver == "overlay" && !seen.iter().any(|other| other.id == network.id) {
            seen.push(network);
        }
    }
    seen
}

/// Where each overlay that the node is on comes down beside it.
fn joins(node: &NodeBox, overlays: &[Overlay]) -> Vec<Join> {
    let mut joins = Vec::new();
    for (at, overlay) in overlays.iter().enumerate() {
        if let Some(rail) = node.rails.iter().find(|rail| rail.network == overlay.network) {
            joins.push(Join {
                network: overlay.network.clone(),
                hue: overlay.hue,
                x: node.cable_x + BESIDE * (at.min(MOST_BESIDE - 1) + 1) as f64,
                top: overlay.y - node.frame.y,
                rail_x: rail.x,
                rail_y: rail.top,
            });
        }
    }
    joins
}

/// What a node's own cable loses.
fn loss(topology: &Topology, node: &str) -> u8 {
    let mut own = topology.faults.iter().filter(|fault| fault.other.is_none());
    own.find(|fault| fault.one == node).map_or(0, |fault| fault.loss)
}

/// `cut`, or `loses 30 %`.
pub fn told(loss: u8) -> String {
    if loss >= 100 { "cut".to_owned() } else { format!("loses {loss} %") }
}

/// Faults between two nodes that are both there.
fn faults(topology: &Topology) -> Vec<FaultRow> {
    let place = |name: &str| topology.nodes.iter().position(|node| node.name == name);
    let hostname = |node: &Node| shorten(&node.hostname, NARROWEST / 3.0);
    let mut rows = Vec::new();
    for fault in &topology.faults {
        let Some(other) = &fault.other else { continue };
        if let (Some(one), Some(two)) = (place(&fault.one), place(other)) {
            // The ends come in an order of their own, and are told in that of the nodes.
            let (from, to) = (&topology.nodes[one.min(two)], &topology.nodes[one.max(two)]);
            rows.push(FaultRow {
                text: format!("{} ↔ {} {}", hostname(from), hostname(to), told(fault.loss)),
                one: from.name.clone(),
                other: to.name.clone(),
                is_cut: fault.loss >= 100,
                y: 0.0,
                label_x: 0.0,
            });
        }
    }
    rows
}

/// Bytes that pass a link of the node in a second, both ways.
fn rate(node: &Node, interface: &str) -> u64 {
    let mut links = node.traffic.iter();
    links
        .find(|link| !interface.is_empty() && link.interface == interface)
        .map_or(0, |link| link.received.saturating_add(link.sent))
}

/// What passes a network: a bridge's own counters have only what leaves it, so its containers' links count too.
fn through(node: &Node, network: &Network) -> u64 {
    let mut ends = 0_u64;
    for endpoint in node.containers.iter().flat_map(|container| &container.endpoints) {
        if endpoint.network == network.id {
            ends = ends.saturating_add(rate(node, &endpoint.interface));
        }
    }
    rate(node, &network.interface).max(ends / 2)
}

/// How much heavier a link is drawn, by the digits of its rate.
fn weight(rate: u64) -> f64 {
    match rate {
        0..1_000 => 0.0,
        1_000..100_000 => 1.0,
        100_000..10_000_000 => 2.0,
        _ => 3.0,
    }
}

/// Networks in order of appearance; the default bridge first.
fn hues(topology: &Topology) -> Vec<&str> {
    let mut seen: Vec<&str> = Vec::new();
    for network in topology.nodes.iter().flat_map(|node| &node.networks) {
        let key = hue_key(network);
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen.sort_by_key(|key| *key != "bridge");
    seen
}

/// Every node has a bridge of its own by the same name; an overlay has one id everywhere.
fn hue_key(network: &Network) -> &str {
    if network.driver == "overlay" { &network.id } else { &network.name }
}

fn hue(hues: &[&str], network: &Network) -> usize {
    hues.iter().position(|key| *key == hue_key(network)).unwrap_or_default() % HUES
}

fn node_box(node: &Node, width: f64, hues: &[&str]) -> NodeBox {
    let shown: Vec<&Network> = node.networks.iter().filter(|network| is_shown(network, node)).collect();
    let inner = MARGIN + RAIL * shown.len() as f64 + 4.0;
    let mut rails: Vec<Rail> = shown
        .iter()
        .enumerate()
        .map(|(at, network)| {
            let top = HEADER + 8.0 + LABEL * at as f64 + LABEL / 2.0;
            let rate = through(node, network);
            let about = if rate == 0 { about(network) } else { units::rate(rate) };
            Rail {
                network: network.id.clone(),
                name: shorten(&network.name, (width - inner) / 2.0),
                about: shorten(&about, (width - inner) / 2.0),
                is_busy: rate > 0,
                weight: weight(rate),
                hue: hue(hues, network),
                x: MARGIN + RAIL * at as f64 + 4.0,
                top,
                bottom: top,
                label_x: inner,
            }
        })
        .collect();
    let mut y = HEADER + 8.0 + LABEL * shown.len() as f64 + 4.0;
    let mut containers = Vec::new();
    for container in &node.containers {
        let frame = Rect { x: inner, y, width: width - inner - MARGIN, height: CARD };
        containers.push(container_box(node, container, frame, &mut rails));
        y += CARD + CARD_GAP;
    }
    if containers.is_empty() {
        y += LABEL;
    }
    let rate = rate(node, UPLINK);
    NodeBox {
        loss: 0,
        rate: if rate == 0 { String::new() } else { units::rate(rate) },
        weight: weight(rate),
        joins: Vec::new(),
        name: node.name.clone(),
        hostname: shorten(&node.hostname, width / 3.0),
        ip: node.ip.clone(),
        role: node.swarm(),
        state: node.state.clone(),
        frame: Rect { x: 0.0, y: 0.0, width, height: y + 6.0 },
        cable_x: 0.0,
        cable_top: 0.0,
        rails,
        containers,
    }
}

/// `host` and `none` are on every node, a swarm's way out on each of its: they are drawn where a container uses them.
fn is_shown(network: &Network, node: &Node) -> bool {
    let is_plumbing = matches!(network.driver.as_str(), "host" | "null") || network.name == "docker_gwbridge";
    let mut endpoints = node.containers.iter().flat_map(|container| &container.endpoints);
    !is_plumbing || endpoints.any(|endpoint| endpoint.network == network.id)
}

fn container_box(node: &Node, container: &Container, frame: Rect, rails: &mut [Rail]) -> ContainerBox {
    let (mut stations, mut total) = (Vec::new(), 0_u64);
    for endpoint in &container.endpoints {
        if let Some(rail) = rails.iter_mut().find(|rail| rail.network == endpoint.network) {
            rail.bottom = frame.y + frame.height / 2.0;
            let rate = rate(node, &endpoint.interface);
            total = total.saturating_add(rate);
            stations.push(Station { x: rail.x, hue: rail.hue, weight: weight(rate) });
        }
    }
    let ip = container.endpoints.iter().map(|endpoint| endpoint.ip.as_str()).find(|ip| !ip.is_empty());
    let ports = ports(container);
    // Name and address share the first line, image and ports the second.
    let beside = |other: &str| frame.width - 34.0 - other.chars().count() as f64 * GLYPH;
    let ip = ip.unwrap_or_default();
    let busy = if total == 0 { String::new() } else { format!(" · {}", units::rate(total)) };
    let image = shorten(&container.image, beside(&format!("{ports}{busy}")));
    ContainerBox {
        id: container.id.clone(),
        name: shorten(&container.name, beside(ip)),
        image: format!("{image}{busy}"),
        state: container.state.clone(),
        ip: ip.to_owned(),
        frame,
        stations,
        ports,
    }
}

fn ports(container: &Container) -> String {
    let mut published: Vec<String> = container
        .ports
        .iter()
        .filter_map(|port| Some(format!("{}→{}", port.host_port?, port.container_port)))
        .collect();
    published.dedup();
    match published.as_slice() {
        [first, rest @ ..] if !rest.is_empty() => format!("{first} +{}", rest.len()),
        rest => rest.concat(),
    }
}

fn about(network: &Network) -> String {
    match (network.driver == network.name, network.subnet.as_str()) {
        (true, subnet) => subnet.to_owned(),
        (false, "") => network.driver.clone(),
        (false, subnet) => format!("{} {subnet}", network.driver),
    }
}

/// SVG text has no ellipsis of its own.
fn shorten(text: &str, width: f64) -> String {
    let room = (width / GLYPH).max(4.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_wire::topology::{Endpoint, Fault, Port, Traffic};

    fn network(id: &str, name: &str, driver: &str) -> Network {
        Network { id: id.into(), name: name.into(), driver: driver.into(), ..Network::default() }
    }

    fn container(name: &str, networks: &[&str]) -> Container {
        let endpoint = |id: &&str| Endpoint {
            network: (*id).into(),
            ip: "172.17.0.2".into(),
            interface: format!("veth-{id}"),
        };
        Container {
            id: name.into(),
            name: name.into(),
            endpoints: networks.iter().map(endpoint).collect(),
            ..Container::default()
        }
    }

    fn topology(nodes: usize, containers: usize) -> Topology {
        let node = |at: usize| Node {
            name: format!("s_{at}"),
            hostname: format!("node{at}"),
            networks: vec![
                network("b", "bridge", "bridge"),
                network("h", "host", "host"),
                network("a", "app", "bridge"),
            ],
            containers: (0..containers)
                .map(|at| container(&format!("c{at}"), if at == 1 { &["b", "a"] } else { &["a"] }))
                .collect(),
            ..Node::default()
        };
        Topology { nodes: (1..=nodes).map(node).collect(), ..Topology::default() }
    }

    fn overlap(one: &Rect, other: &Rect) -> bool {
        one.x < other.x + other.width
            && other.x < one.x + one.width
            && one.y < other.y + other.height
            && other.y < one.y + one.height
    }

    #[test]
    fn nothing_overlaps_and_nothing_leaves_the_drawing() {
        for nodes in 0..=5 {
            for containers in [0, 1, 12] {
                for width in [200.0, 420.0, 900.0, 2_000.0] {
                    let drawing = draw(&topology(nodes, containers), width);
                    for (at, node) in drawing.nodes.iter().enumerate() {
                        assert!(node.frame.x + node.frame.width <= drawing.width);
                        assert!(node.frame.y + node.frame.height <= drawing.height);
                        assert!(drawing.nodes[..at].iter().all(|other| !overlap(&other.frame, &node.frame)));
                        for (at, card) in node.containers.iter().enumerate() {
                            assert!(card.frame.x + card.frame.width <= node.frame.width);
                            assert!(card.frame.y + card.frame.height <= node.frame.height);
                            assert!(
                                node.containers[..at].iter().all(|other| !overlap(&other.frame, &card.frame))
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_container_hangs_on_each_of_its_networks_and_the_rail_reaches_it() {
        let drawing = draw(&topology(1, 3), 400.0);
        let node = &drawing.nodes[0];
        assert_eq!(node.rails.iter().map(|rail| rail.name.as_str()).collect::<Vec<_>>(), ["bridge", "app"]);
        assert_eq!(node.containers[1].stations.len(), 2);
        let last = &node.containers[2].frame;
        assert_eq!(node.rails[1].bottom, last.y + last.height / 2.0);
        assert!(node.rails[0].bottom < node.rails[1].bottom);
    }

    #[test]
    fn an_overlay_is_one_line_at_the_switch_and_joins_its_rail_on_every_node() {
        let mut topology = topology(3, 1);
        for node in &mut topology.nodes[..2] {
            node.networks.push(network("o", "shop", "overlay"));
        }
        for width in [300.0, 1_200.0] {
            let drawing = draw(&topology, width);
            let [overlay] = drawing.overlays.as_slice() else { panic!("{:?}", drawing.overlays) };
            assert_eq!(overlay.name, "shop");
            assert!(overlay.y > drawing.switch.y && overlay.y < drawing.switch.y + drawing.switch.height);
            for node in &drawing.nodes[..2] {
                let [join] = node.joins.as_slice() else { panic!("{:?}", node.joins) };
                let rail = node.rails.iter().find(|rail| rail.network == "o").unwrap();
                assert_eq!((rail.name.as_str(), rail.hue, join.hue), ("shop", overlay.hue, overlay.hue));
                assert_eq!((join.rail_x, join.rail_y), (rail.x, rail.top));
                assert_eq!(node.frame.y + join.top, overlay.y, "it begins at the switch");
                assert!(join.x > node.cable_x && join.x < 0.0, "beside the cable, outside the node");
            }
            assert!(drawing.nodes[2].joins.is_empty());
        }
    }

    #[test]
    fn a_busy_link_is_heavier_and_says_its_rate_and_an_idle_one_says_nothing() {
        let mut topology = topology(1, 1);
        let node = &mut topology.nodes[0];
        node.networks[2].interface = "br-a".into();
        let idle = draw(&topology, 400.0).nodes.remove(0);
        assert_eq!((idle.rate.as_str(), idle.weight, idle.rails[1].is_busy), ("", 0.0, false));
        let busy =
            |interface: &str, received| Traffic { interface: interface.into(), received, sent: 200_000 };
        topology.nodes[0].traffic =
            vec![busy("eth0", 1_000_000), busy("br-a", 0), busy("veth-a", 20_000_000), busy("else", 1)];
        let node = draw(&topology, 400.0).nodes.remove(0);
        assert_eq!((node.rate.as_str(), node.weight), ("1.2 MB/s", 2.0));
        // What passes between its containers is seen by their links alone.
        assert_eq!((node.rails[1].about.as_str(), node.rails[1].is_busy), ("10 MB/s", true));
        assert!(!node.rails[0].is_busy);
        assert_eq!(node.containers[0].stations[0].weight, 3.0);
        assert!(node.containers[0].image.ends_with("20 MB/s"), "{}", node.containers[0].image);
    }

    #[test]
    fn what_cables_lose_is_told_where_it_is_lost() {
        let mut topology = topology(2, 0);
        let fault = |one: &str, other: Option<&str>, loss| Fault {
            one: one.into(),
            other: other.map(str::to_owned),
            loss,
        };
        let whole = draw(&topology, 400.0).switch.height;
        topology.faults = vec![
            fault("s_2", None, 100),
            fault("s_2", Some("s_1"), 30),
            // Of a node that is gone.
            fault("s_1", Some("s_9"), 100),
        ];
        let drawing = draw(&topology, 400.0);
        assert_eq!(drawing.nodes.iter().map(|node| node.loss).collect::<Vec<_>>(), [0, 100]);
        let [row] = drawing.faults.as_slice() else { panic!("{:?}", drawing.faults) };
        assert_eq!((row.text.as_str(), row.is_cut), ("node1 ↔ node2 loses 30 %", false));
        assert!(drawing.switch.height > whole && row.y < drawing.switch.y + drawing.switch.height);
    }

    #[test]
    fn the_host_network_is_drawn_where_it_is_used() {
        let mut topology = topology(1, 0);
        topology.nodes[0].containers.push(container("c", &["h"]));
        assert!(draw(&topology, 400.0).nodes[0].rails.iter().any(|rail| rail.name == "host"));
    }

    #[test]
    fn ports_are_told_shortly_and_long_names_fit() {
        let port = |host_port| Port { protocol: "tcp".into(), container_port: 80, host_port };
        let mut one = container(&"n".repeat(200), &[]);
        one.ports = vec![port(Some(8080)), port(None)];
        assert_eq!(ports(&one), "8080→80");
        one.ports.push(port(Some(8081)));
        assert_eq!(ports(&one), "8080→80 +1");
        let mut topology = topology(1, 0);
        topology.nodes[0].containers.push(one);
        let card = &draw(&topology, 400.0).nodes[0].containers[0];
        assert!(card.name.ends_with('…') && (card.name.chars().count() as f64 * GLYPH) < card.frame.width);
    }
}
