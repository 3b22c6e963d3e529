//! One instance: its record, its node, and what was last observed of its engine.

use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use drydock_agent::client::Agent;
use drydock_nodes::Node;
use drydock_sessions::{Instance as Record, Label};
use drydock_wire::session::Instance as View;
use drydock_wire::topology;
use tokio_util::sync::CancellationToken;

use super::places::InstancePlace;
use super::roles::Seen;

#[derive(Debug)]
pub struct Instance {
    pub record: Record,
    pub node: Node,
    observed: Mutex<topology::Node>,
    swarm: Mutex<Seen>,
    /// Cancelled when the instance ends.
    pub ended: CancellationToken,
    _place: InstancePlace,
}

impl Instance {
    pub fn new(record: Record, node: Node, ended: CancellationToken, place: InstancePlace) -> Self {
        let observed = topology::Node {
            name: record.name.as_str().to_owned(),
            hostname: record.hostname.clone(),
            ip: record.ip.to_string(),
            state: "booting".to_owned(),
            ..topology::Node::default()
        };
        Self { record, node, observed: Mutex::new(observed), swarm: Mutex::default(), ended, _place: place }
    }

    pub fn name(&self) -> &str {
        self.record.name.as_str()
    }

    pub fn agent(&self) -> Agent {
        self.node.agent()
    }

    /// What the topology shows of it.
    pub fn observed(&self) -> MutexGuard<'_, topology::Node> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What its engine last said of a swarm.
    pub fn swarm(&self) -> Seen {
        self.swarm.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether that is news.
    pub fn set_swarm(&self, seen: Seen) -> bool {
        let mut known = self.swarm.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *known != seen;
        *known = seen;
        is_news
    }

    /// As clients see it.
    pub fn view(&self, label: &Label, host: &str) -> View {
        let record = &self.record;
        View {
            name: record.name.as_str().to_owned(),
            image: record.image.clone(),
            hostname: record.hostname.clone(),
            ip: record.ip.to_string(),
            routable_ip: record.ip.to_string(),
            tls: false,
            session_id: record.session.reveal().to_owned(),
            proxy_host: proxy_host(record.ip, label),
            session_host: host.to_owned(),
            kind: record.kind.clone(),
        }
    }
}

/// The host name of a node's ports, up to the port.
pub fn proxy_host(ip: Ipv4Addr, label: &Label) -> String {
    let [a, b, c, d] = ip.octets();
    format!("ip{a}-{b}-{c}-{d}-{}", label.as_str())
}
