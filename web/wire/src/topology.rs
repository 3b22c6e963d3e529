//! What the topology drawing shows: an inventory, sent whole when it changes (`session topology`).

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Topology {
    pub nodes: Vec<Node>,
    /// Cables that lose packets.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// A cable that loses packets; `GET /sessions/{id}/links` lists them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// The instance's name. Alone: its cable to the session's switch.
    pub one: String,
    /// With it: the way between the two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// Of a hundred packets, each way; 100 is a cut.
    pub loss: u8,
}

/// `PUT /sessions/{id}/links/{instance}[/{other}]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFault {
    /// 0 heals.
    pub loss: u8,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The instance's name.
    pub name: String,
    pub hostname: String,
    pub ip: String,
    /// `booting`, `ready`, `engine-down`, `ending`.
    pub state: String,
    /// `manager`, `leader`, `worker` or empty.
    pub swarm_role: String,
    /// What is the matter with it in the swarm: `down`, `unreachable`, `drain`, `pause`, `locked`, `no leader`, or empty.
    #[serde(default)]
    pub swarm_state: String,
    /// TCP ports of services at which every node of the swarm answers, ascending.
    #[serde(default)]
    pub swarm_ports: Vec<u16>,
    pub networks: Vec<Network>,
    pub containers: Vec<Container>,
    pub stats: Option<Stats>,
    /// Links that are busy now, as `instance traffic` says; the inventory itself has none.
    #[serde(default)]
    pub traffic: Vec<Traffic>,
}

impl Node {
    /// Its part in a swarm for people: `leader`, `worker · drain`, or empty.
    pub fn swarm(&self) -> String {
        match self.swarm_state.as_str() {
            "" => self.swarm_role.clone(),
            state => format!("{} · {state}", self.swarm_role),
        }
    }
}

/// What passes a link of a node, bytes in a second; in and out as the node counts them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub interface: String,
    pub received: u64,
    pub sent: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub driver: String,
    /// `172.17.0.0/16`, or empty.
    pub subnet: String,
    /// The bridge's interface name in the node, or empty.
    pub interface: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub image: String,
    /// Docker's word: `created`, `running`, `paused`, `restarting`, `exited`, `dead`.
    pub state: String,
    /// Docker's sentence: `Up 3 seconds`.
    pub status: String,
    pub endpoints: Vec<Endpoint>,
    pub ports: Vec<Port>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Endpoint {
    /// [`Network::id`].
    pub network: String,
    pub ip: String,
    /// The node's end of the container's link, or empty.
    #[serde(default)]
    pub interface: String,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Port {
    pub protocol: String,
    pub container_port: u16,
    /// The node's port, when published.
    pub host_port: Option<u16>,
}

/// Of one node, at the time of sending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Share of one processor, percent; 200 is two processors busy.
    pub cpu_percent: f32,
    pub memory_bytes: u64,
    pub memory_limit_bytes: u64,
    pub disk_bytes: u64,
    pub disk_limit_bytes: u64,
}
