//! One session and its nodes.
//!
//! ```text
//! Loading ──snapshot──▶ Live ──session end──▶ Ended
//!    └──not found──▶ Missing
//! ```
//! Written by the session page's socket and by answers to its requests; read by everything on the page.

use std::collections::BTreeMap;

use drydock_wire::lab::Progress;
use drydock_wire::session::{Instance, Session, Terminal};
use drydock_wire::topology::{self, Stats, Topology, Traffic};

use crate::{clock, json};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    #[default]
    Loading,
    Live,
    Ended,
    Missing,
}

/// A node as the page shows it: the instance, and what the topology said of it last.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub name: String,
    pub hostname: String,
    pub ip: String,
    pub proxy_host: String,
    /// `booting`, `ready`, `engine-down`, `ending`.
    pub state: String,
    /// As [`topology::Node::swarm`] tells it.
    pub role: String,
    pub stats: Option<Stats>,
    /// TCP ports that lead somewhere, of containers and of services, ascending.
    pub ports: Vec<u16>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    pub phase: Phase,
    pub nodes: Vec<Node>,
    /// How often nodes came or went by an event: a snapshot that was asked for before the last time is out of date.
    pub comings_and_goings: u32,
    pub max_nodes: u32,
    pub expires_at: Option<i64>,
    pub lab: Option<String>,
    /// By instance name. Absent until the server has said.
    pub terminals: BTreeMap<String, Vec<Terminal>>,
    pub topology: Topology,
    /// Busy links, by instance name.
    pub traffic: BTreeMap<String, Vec<Traffic>>,
    pub progress: Progress,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    Snapshot(Session),
    Missing,
    End,
    Expires(i64),
    NodeAdded { name: String, ip: String, hostname: String, proxy_host: String },
    NodeRemoved(String),
    Stats { node: String, stats: Stats },
    Traffic { node: String, links: Vec<Traffic> },
    Terminals { node: String, terminals: Vec<Terminal> },
    Topology(Topology),
    Progress(Progress),
}

impl Change {
    /// Reads a `drydock_wire::session::Event`; `None` for one that changes nothing this page shows.
    pub fn read(event: &str) -> Option<Self> {
        let event = json::parse(event)?;
        let name: String = event.get("name").to()?;
        let args = event.get("args");
        let first = args.at(0);
        // What some events say of an instance.
        let of = || first.get("instance").to();
        Some(match name.as_str() {
            "session end" => Self::End,
            "session expires" => Self::Expires(clock::parse_rfc3339(&first.to::<String>()?)?),
            "instance new" => Self::NodeAdded {
                name: first.to()?,
                ip: args.at(1).to()?,
                hostname: args.at(2).to()?,
                proxy_host: args.at(3).to()?,
            },
            "instance delete" => Self::NodeRemoved(first.to()?),
            "instance terminals" => Self::Terminals { node: first.to()?, terminals: args.at(1).to()? },
            "session topology" => Self::Topology(first.to()?),
            "lab progress" => Self::Progress(first.to()?),
            "instance traffic" => Self::Traffic { node: of()?, links: first.get("links").to()? },
            "instance stats" => Self::Stats { node: of()?, stats: first.to()? },
            _ => return None,
        })
    }
}

impl Model {
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    pub fn by_hostname(&self, hostname: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.hostname == hostname)
    }

    /// The topology as it is drawn: nodes of which nothing was heard yet are in it too.
    pub fn picture(&self) -> Topology {
        let seen = |node: &Node| self.topology.nodes.iter().find(|seen| seen.name == node.name).cloned();
        let unseen = |node: &Node| topology::Node {
            name: node.name.clone(),
            hostname: node.hostname.clone(),
            ip: node.ip.clone(),
            state: node.state.clone(),
            ..topology::Node::default()
        };
        let whole = |node: &Node| {
            let traffic = self.traffic.get(&node.name).cloned().unwrap_or_default();
            topology::Node { traffic, ..seen(node).unwrap_or_else(|| unseen(node)) }
        };
        let nodes = self.nodes.iter().map(whole).collect();
        Topology { nodes, faults: self.topology.faults.clone() }
    }

    /// What the node's cable, or the way from it to `other`, loses of a hundred packets.
    pub fn loss(&self, node: &str, other: Option<&str>) -> u8 {
        let is_it = |fault: &&topology::Fault| match (other, fault.other.as_deref()) {
            (None, None) => fault.one == node,
            // The way back is the same way.
            (Some(other), Some(end)) => {
                (fault.one == node && end == other) || (fault.one == other && end == node)
            }
            _ => false,
        };
        self.topology.faults.iter().find(is_it).map_or(0, |fault| fault.loss)
    }

    pub fn has_room(&self) -> bool {
        self.max_nodes == 0 || self.nodes.len() < self.max_nodes as usize
    }

    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Snapshot(session) => self.take_snapshot(session),
            Change::Missing => self.phase = Phase::Missing,
            Change::End => self.phase = Phase::Ended,
            Change::Expires(at) => self.expires_at = Some(at),
            Change::NodeAdded { name, ip, hostname, proxy_host } => {
                self.comings_and_goings += 1;
                self.put_node(name, ip, hostname, proxy_host);
            }
            Change::NodeRemoved(name) => {
                self.comings_and_goings += 1;
                self.nodes.retain(|node| node.name != name);
                self.topology.nodes.retain(|node| node.name != name);
                self.terminals.remove(&name);
                self.traffic.remove(&name);
            }
            Change::Stats { node, stats } => self.with_node(&node, |node| node.stats = Some(stats)),
            Change::Traffic { node, links } => {
                self.traffic.insert(node, links);
            }
            Change::Terminals { node, terminals } => {
                self.terminals.insert(node, terminals);
            }
            Change::Topology(topology) => {
                topology.nodes.iter().for_each(|seen| self.look_at(seen));
                self.topology = topology;
            }
            Change::Progress(progress) => self.progress = progress,
        }
    }

    fn take_snapshot(&mut self, session: Session) {
        self.phase = Phase::Live;
        self.max_nodes = session.max_instances;
        self.expires_at = clock::parse_rfc3339(&session.expires_at);
        self.lab = session.lab.filter(|lab| !lab.is_empty());
        self.nodes.retain(|node| session.instances.contains_key(&node.name));
        for Instance { name, ip, hostname, proxy_host, .. } in session.instances.into_values() {
            self.put_node(name, ip, hostname, proxy_host);
        }
    }

    fn put_node(&mut self, name: String, ip: String, hostname: String, proxy_host: String) {
        let seen = self.topology.nodes.iter().find(|seen| seen.name == name).cloned();
        match self.nodes.iter_mut().find(|node| node.name == name) {
            Some(node) => (node.ip, node.hostname, node.proxy_host) = (ip, hostname, proxy_host),
            None => self.nodes.push(Node {
                name,
                hostname,
                ip,
                proxy_host,
                state: "booting".to_owned(),
                role: String::new(),
                stats: None,
                ports: Vec::new(),
            }),
        }
        self.nodes.sort_by_cached_key(|node| natural(&node.hostname));
        if let Some(seen) = seen {
            self.look_at(&seen);
        }
    }

    fn look_at(&mut self, seen: &topology::Node) {
        self.with_node(&seen.name, |node| {
            node.state.clone_from(&seen.state);
            node.role = seen.swarm();
            node.stats = seen.stats.or(node.stats);
            let published = seen.containers.iter().flat_map(|container| &container.ports);
            let tcp = published.filter(|port| port.protocol == "tcp" || port.protocol.is_empty());
            let of_services = seen.swarm_ports.iter().copied();
            node.ports = ascending(tcp.filter_map(|port| port.host_port).chain(of_services).collect());
        });
    }

    fn with_node(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.iter_mut().find(|node| node.name == name) {
            change(node);
        }
    }
}

fn ascending(mut ports: Vec<u16>) -> Vec<u16> {
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// `node2` before `node10`.
fn natural(hostname: &str) -> (String, u64) {
    let stem = hostname.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (stem.to_owned(), hostname[stem.len()..].parse().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_wire::topology::{Container, Port};
    use serde_json::{Value, json};

    fn change(name: &str, args: Value) -> Option<Change> {
        Change::read(&json!({"name": name, "args": args}).to_string())
    }

    fn with_nodes(hostnames: &[&str]) -> Model {
        let mut model = Model { phase: Phase::Live, ..Model::default() };
        for hostname in hostnames {
            let args = json!([format!("s_{hostname}"), "10.0.0.2", hostname, "ip10-0-0-2-x"]);
            model.apply(change("instance new", args).unwrap());
        }
        model
    }

    fn hostnames(model: &Model) -> Vec<&str> {
        model.nodes.iter().map(|node| node.hostname.as_str()).collect()
    }

    #[test]
    fn nodes_come_in_natural_order_once_and_go() {
        let mut model = with_nodes(&["node10", "node2", "node1", "node2"]);
        assert_eq!(hostnames(&model), ["node1", "node2", "node10"]);
        model.apply(change("instance delete", json!(["s_node2"])).unwrap());
        assert_eq!(hostnames(&model), ["node1", "node10"]);
    }

    #[test]
    fn the_picture_has_what_passes_its_links_now_and_what_they_lose() {
        let mut model = with_nodes(&["node1", "node2"]);
        let link = json!({"interface": "eth0", "received": 1_200_000, "sent": 3});
        let told =
            |links: Value| change("instance traffic", json!([{"instance": "s_node1", "links": links}]));
        model.apply(told(json!([link])).unwrap());
        let faults = json!([{"one": "s_node1", "other": "s_node2", "loss": 100}]);
        model.apply(change("session topology", json!([{"nodes": [], "faults": faults}])).unwrap());
        let picture = model.picture();
        assert_eq!(picture.nodes[0].traffic[0].received, 1_200_000);
        assert_eq!(picture.faults[0].loss, 100);
        assert_eq!(model.loss("s_node2", Some("s_node1")), 100, "from either end");
        assert_eq!(model.loss("s_node1", None), 0);
        model.apply(told(json!([])).unwrap());
        assert_eq!(model.picture().nodes[0].traffic, []);
    }

    #[test]
    fn the_topology_tells_state_role_and_ports() {
        let mut model = with_nodes(&["node1"]);
        let port =
            |host_port, protocol: &str| Port { host_port, protocol: protocol.into(), container_port: 80 };
        let containers = vec![Container {
            ports: vec![
                port(Some(8080), "tcp"),
                port(Some(53), "udp"),
                port(None, "tcp"),
                port(Some(80), "tcp"),
            ],
            ..Container::default()
        }];
        let node = topology::Node {
            name: "s_node1".into(),
            state: "ready".into(),
            swarm_role: "leader".into(),
            swarm_state: "drain".into(),
            containers,
            swarm_ports: vec![80, 443],
            ..topology::Node::default()
        };
        model.apply(Change::Topology(Topology { nodes: vec![node], ..Topology::default() }));
        let node = model.node("s_node1").unwrap();
        assert_eq!((node.state.as_str(), node.role.as_str()), ("ready", "leader · drain"));
        assert_eq!(node.ports, [80, 443, 8080]);
    }

    #[test]
    fn a_snapshot_forgets_nodes_that_are_gone() {
        let mut model = with_nodes(&["node1", "node2"]);
        let session = json!({
            "id": "s", "created_at": "", "expires_at": "2026-11-21T02:50:11Z", "pwd_ip_address": "", "ready": true,
            "stack": "", "stack_name": "", "image_name": "", "host": "", "user_id": "", "playground_id": "",
            "max_instances": 2,
            "instances": {"s_node2": {"name": "s_node2", "image": "", "hostname": "node2", "ip": "10.0.0.3",
                "routable_ip": "", "tls": false, "session_id": "s", "proxy_host": "p", "session_host": "", "type": ""}}
        });
        model.apply(Change::Snapshot(serde_json::from_value(session).unwrap()));
        assert_eq!(hostnames(&model), ["node2"]);
        assert!(model.has_room());
        assert!(model.expires_at.is_some());
        model.apply(change("instance new", json!(["s_node3", "", "node3", ""])).unwrap());
        assert!(!model.has_room());
    }

    #[test]
    fn it_can_be_told_that_a_snapshot_is_older_than_an_event() {
        let mut model = with_nodes(&["node1"]);
        let asked = model.comings_and_goings;
        model.apply(change("instance traffic", json!([{"instance": "s_node1", "links": []}])).unwrap());
        assert_eq!(model.comings_and_goings, asked);
        model.apply(change("instance new", json!(["s_node2", "", "node2", ""])).unwrap());
        assert_ne!(model.comings_and_goings, asked);
    }

    #[test]
    fn the_end_and_the_unknown() {
        let mut model = with_nodes(&[]);
        assert_eq!(change("instance terminal out", json!(["a", "b"])), None);
        assert_eq!(change("session expires", json!(["tomorrow"])), None);
        model.apply(change("session end", json!([])).unwrap());
        assert_eq!(model.phase, Phase::Ended);
    }
}
