//! What a node must know of the others to reach their tasks: where each task of its networks is, and which services stand before them.
//!
//! Dockerd's nodes tell each other by gossip on 7946. Here the leader tells them, over the calls that they have already: it is the one
//! that knows, and a node that misses a change is told the whole anew. Pure; a node hears only of networks that it has a part in.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::objects::{
    EndpointPortConfig, NetworkId, Node, NodeId, Service, ServiceId, Task, TaskId, TaskState,
};
use crate::store::View;

/// All of a node's networks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Landscape {
    pub networks: Vec<Scenery>,
}

/// One network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scenery {
    pub network_id: NetworkId,
    pub tasks: Vec<TaskPlace>,
    pub services: Vec<ServicePlace>,
    pub nodes: Vec<NodePlace>,
}

/// A task that a node has, and its place in the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskPlace {
    pub task_id: TaskId,
    pub service_id: Option<ServiceId>,
    pub node_id: NodeId,
    /// Where the node is reached: the far end of the tunnel.
    pub node_address: String,
    /// With the length of the network's mask.
    pub addresses: Vec<String>,
    /// The container's name and further names in this network.
    pub names: Vec<String>,
    /// Whether it takes what is sent to its service: it runs, and is to.
    pub is_backend: bool,
}

/// A service, and the address that stands for its tasks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ServicePlace {
    pub service_id: ServiceId,
    pub name: String,
    /// With the length of the mask; absent when names are resolved to tasks.
    pub virtual_address: Option<String>,
    pub aliases: Vec<String>,
    /// Published through the mesh: of interest in the ingress network.
    pub ports: Vec<EndpointPortConfig>,
}

/// Another node's own address in the network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodePlace {
    pub node_id: NodeId,
    pub node_address: String,
    pub addresses: Vec<String>,
}

impl Landscape {
    /// What `node` must know.
    pub fn of(view: &View, node: &Node) -> Self {
        let tasks = view.node_tasks(&node.id).filter(|task| is_there(task));
        let of_tasks = tasks.flat_map(|task| task.networks.iter());
        let ids: BTreeSet<NetworkId> =
            of_tasks.chain(&node.attachments).map(|attachment| attachment.network_id.clone()).collect();
        Self { networks: ids.into_iter().map(|id| Scenery::of(view, id)).collect() }
    }
}

impl Scenery {
    fn of(view: &View, network_id: NetworkId) -> Self {
        let tasks: Vec<TaskPlace> = view
            .tasks()
            .iter()
            .filter(|task| is_reachable(task))
            .filter_map(|task| task_place(view, task, &network_id))
            .collect();
        let services = view
            .services()
            .iter()
            .filter_map(|service| service_place(service, &network_id, &tasks))
            .collect();
        let nodes = view.nodes().iter().filter_map(|node| node_place(node, &network_id)).collect();
        Self { network_id, tasks, services, nodes }
    }
}

/// Whether the task's node needs its networks.
fn is_there(task: &Task) -> bool {
    (TaskState::ASSIGNED..=TaskState::RUNNING).contains(&task.status.state)
        && task.desired_state <= TaskState::RUNNING
}

/// Whether a container of it may be on its networks: also one that starts has something to ask of others, and one that ends
/// something to finish.
fn is_reachable(task: &Task) -> bool {
    (TaskState::ASSIGNED..=TaskState::RUNNING).contains(&task.status.state)
}

/// Whether its service may send to it.
fn is_backend(task: &Task) -> bool {
    task.status.state == TaskState::RUNNING && task.desired_state <= TaskState::RUNNING
}

fn task_place(view: &View, task: &Task, network: &NetworkId) -> Option<TaskPlace> {
    let attachment = task.networks.iter().find(|attachment| attachment.network_id == *network)?;
    let node = view.nodes().get(task.node_id.as_ref()?.as_str())?;
    let mut names = vec![task.full_name()];
    names.extend(attachment.aliases.iter().cloned());
    Some(TaskPlace {
        task_id: task.id.clone(),
        service_id: task.service_id.clone(),
        node_id: node.id.clone(),
        node_address: node.tunnel_address().to_owned(),
        addresses: attachment.addresses.clone(),
        names,
        is_backend: is_backend(task),
    })
}

fn service_place(service: &Service, network: &NetworkId, tasks: &[TaskPlace]) -> Option<ServicePlace> {
    let endpoint = service.endpoint.as_ref();
    let virtual_ip =
        endpoint.and_then(|endpoint| endpoint.virtual_ips.iter().find(|ip| ip.network_id == *network));
    let has_tasks = tasks.iter().any(|task| task.service_id.as_ref() == Some(&service.id));
    if virtual_ip.is_none() && !has_tasks {
        return None;
    }
    let aliases =
        service.networks().iter().filter(|wanted| wanted.target.as_deref() == Some(network.as_str()));
    Some(ServicePlace {
        service_id: service.id.clone(),
        name: service.name().to_owned(),
        virtual_address: virtual_ip.map(|ip| ip.addr.clone()).filter(|address| !address.is_empty()),
        aliases: aliases.flat_map(|wanted| wanted.aliases.iter().flatten().cloned()).collect(),
        ports: endpoint.map(|endpoint| endpoint.ports.clone()).unwrap_or_default(),
    })
}

fn node_place(node: &Node, network: &NetworkId) -> Option<NodePlace> {
    let attachment = node.attachments.iter().find(|attachment| attachment.network_id == *network)?;
    Some(NodePlace {
        node_id: node.id.clone(),
        node_address: node.tunnel_address().to_owned(),
        addresses: attachment.addresses.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::objects::{Endpoint, Network, NetworkAttachment, Timestamp, VirtualIp};

    fn attachment(address: &str) -> NetworkAttachment {
        NetworkAttachment {
            network_id: "net".into(),
            addresses: vec![address.into()],
            ..NetworkAttachment::default()
        }
    }

    fn node(id: &str, address: &str) -> Node {
        let mut node = Node { id: id.into(), ..Node::default() };
        node.status.addr = address.into();
        node
    }

    fn task(id: &str, node: &str, address: &str, state: TaskState) -> Task {
        let mut task = Task {
            id: id.into(),
            service_id: Some("web".into()),
            node_id: Some(node.into()),
            desired_state: TaskState::RUNNING,
            networks: vec![attachment(address)],
            slot: 1,
            ..Task::default()
        };
        task.status.state = state;
        task
    }

    #[test]
    fn a_node_hears_of_tasks_and_services_of_its_networks_and_of_no_others() {
        let mut store = Store::new();
        let made = store.commit(Timestamp(1), |tx| {
            let mut network = Network { id: "net".into(), ..Network::default() };
            network.spec.name = "net".into();
            tx.create(network).unwrap();
            [node("a", "10.0.0.1"), node("b", "10.0.0.2"), node("c", "10.0.0.3")]
                .into_iter()
                .for_each(|node| tx.create(node).unwrap());
            let virtual_ips = vec![VirtualIp { network_id: "net".into(), addr: "10.1.0.2/24".into() }];
            let endpoint = Some(Endpoint { virtual_ips, ..Endpoint::default() });
            let mut service = Service { id: "web".into(), endpoint, ..Service::default() };
            service.spec.name = Some("web".into());
            tx.create(service).unwrap();
            tx.create(task("runs", "a", "10.1.0.3/24", TaskState::RUNNING)).unwrap();
            tx.create(task("starts", "b", "10.1.0.4/24", TaskState::STARTING)).unwrap();
        });
        made.unwrap();
        let of = |id: &str| Landscape::of(&store, store.nodes().get(id).unwrap());
        let scenery = &of("b").networks[0];
        let tasks: Vec<_> =
            scenery.tasks.iter().map(|task| (task.task_id.as_str(), task.is_backend)).collect();
        assert_eq!(tasks, [("runs", true), ("starts", false)]);
        assert_eq!(scenery.tasks[0].node_address, "10.0.0.1");
        assert_eq!(scenery.services[0].virtual_address.as_deref(), Some("10.1.0.2/24"));
        assert!(of("c").networks.is_empty());
    }
}
