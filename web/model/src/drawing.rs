//! The geometry of the topology drawing, in CSS pixels.
//!
//! ```text
//! ═══ session network ═══════════      the switch
//!  │ ┌ node1 ──────────────────┐
//!  ├─┤ ●─── bridge             │      a network is a rail that begins at its name
//!  │ │ │ ●─ app                │
//!  │ │ ●─┼─[ web ]─────────────●      a container hangs on the rails of its networks; a published
//!  │ │ ●─●─[ db  ]             │      port leads to the node's edge
//! ```
//! The drawing is as wide as it is told to be; nodes go into as many columns as fit.

use drydock_wire::topology::{Container, Network, Node, Topology};

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Drawing {
    pub width: f64,
    pub height: f64,
    pub switch: Rect,
    pub nodes: Vec<NodeBox>,
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
    pub rails: Vec<Rail>,
    pub containers: Vec<ContainerBox>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Rail {
    pub network: String,
    pub name: String,
    /// Driver and subnet.
    pub about: String,
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
    /// The rails it hangs on: position and colour.
    pub stations: Vec<(f64, usize)>,
    /// Published ports, shortened: `8080→80`.
    pub ports: String,
}

pub const HUES: usize = 6;
pub const HEADER: f64 = 50.0;
pub const CARD: f64 = 44.0;

const MARGIN: f64 = 14.0;
const SWITCH: f64 = 30.0;
const GUTTER: f64 = 18.0;
const GAP: f64 = 16.0;
const NARROWEST: f64 = 270.0;
const RAIL: f64 = 14.0;
const LABEL: f64 = 22.0;
const CARD_GAP: f64 = 8.0;
/// Width of a character of the drawing's fonts, a little generous.
const GLYPH: f64 = 7.0;

/// Lays `topology` out in `width` pixels.
pub fn draw(topology: &Topology, width: f64) -> Drawing {
    let width = width.max(NARROWEST + GUTTER + 2.0 * MARGIN);
    let fit = ((width - 2.0 * MARGIN + GAP) / (NARROWEST + GUTTER + GAP)).floor().max(1.0) as usize;
    let columns = fit.min(topology.nodes.len().max(1));
    let pitch = (width - 2.0 * MARGIN + GAP) / columns as f64;
    let hues = hues(topology);
    let switch = Rect { x: MARGIN, y: MARGIN, width: width - 2.0 * MARGIN, height: SWITCH };
    let mut bottoms = vec![MARGIN + SWITCH + GAP + 6.0; columns];
    let mut nodes = Vec::new();
    for (at, node) in topology.nodes.iter().enumerate() {
        let column = at % columns;
        let x = MARGIN + pitch * column as f64 + GUTTER;
        let mut drawn = node_box(node, pitch - GAP - GUTTER, &hues);
        (drawn.frame.x, drawn.frame.y) = (x, bottoms[column]);
        drawn.cable_x = 6.0 - GUTTER;
        drawn.cable_top = MARGIN + SWITCH - drawn.frame.y;
        bottoms[column] += drawn.frame.height + GAP;
        nodes.push(drawn);
    }
    let height = bottoms.iter().copied().fold(0.0, f64::max) - GAP + MARGIN;
    Drawing { width, height, switch, nodes }
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

fn node_box(node: &Node, width: f64, hues: &[&str]) -> NodeBox {
    let shown: Vec<&Network> = node.networks.iter().filter(|network| is_shown(network, node)).collect();
    let inner = MARGIN + RAIL * shown.len() as f64 + 4.0;
    let mut rails: Vec<Rail> = shown
        .iter()
        .enumerate()
        .map(|(at, network)| {
            let top = HEADER + 8.0 + LABEL * at as f64 + LABEL / 2.0;
            Rail {
                network: network.id.clone(),
                name: shorten(&network.name, (width - inner) / 2.0),
                about: shorten(&about(network), (width - inner) / 2.0),
                hue: hues.iter().position(|key| *key == hue_key(network)).unwrap_or_default() % HUES,
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
        containers.push(container_box(container, frame, &mut rails));
        y += CARD + CARD_GAP;
    }
    if containers.is_empty() {
        y += LABEL;
    }
    NodeBox {
        name: node.name.clone(),
        hostname: shorten(&node.hostname, width / 3.0),
        ip: node.ip.clone(),
        role: node.swarm_role.clone(),
        state: node.state.clone(),
        frame: Rect { x: 0.0, y: 0.0, width, height: y + 6.0 },
        cable_x: 0.0,
        cable_top: 0.0,
        rails,
        containers,
    }
}

/// `host` and `none` are on every node: they are drawn where a container uses them.
fn is_shown(network: &Network, node: &Node) -> bool {
    let is_plumbing = matches!(network.driver.as_str(), "host" | "null");
    let mut endpoints = node.containers.iter().flat_map(|container| &container.endpoints);
    !is_plumbing || endpoints.any(|endpoint| endpoint.network == network.id)
}

fn container_box(container: &Container, frame: Rect, rails: &mut [Rail]) -> ContainerBox {
    let mut stations = Vec::new();
    for endpoint in &container.endpoints {
        if let Some(rail) = rails.iter_mut().find(|rail| rail.network == endpoint.network) {
            rail.bottom = frame.y + frame.height / 2.0;
            stations.push((rail.x, rail.hue));
        }
    }
    let ip = container.endpoints.iter().map(|endpoint| endpoint.ip.as_str()).find(|ip| !ip.is_empty());
    let ports = ports(container);
    // Name and address share the first line, image and ports the second.
    let beside = |other: &str| frame.width - 34.0 - other.chars().count() as f64 * GLYPH;
    let ip = ip.unwrap_or_default();
    ContainerBox {
        id: container.id.clone(),
        name: shorten(&container.name, beside(ip)),
        image: shorten(&container.image, beside(&ports)),
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
    use drydock_wire::topology::{Endpoint, Port};

    fn network(id: &str, name: &str, driver: &str) -> Network {
        Network { id: id.into(), name: name.into(), driver: driver.into(), ..Network::default() }
    }

    fn container(name: &str, networks: &[&str]) -> Container {
        let endpoint =
            |id: &&str| Endpoint { network: (*id).into(), ip: "172.17.0.2".into(), ..Endpoint::default() };
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
