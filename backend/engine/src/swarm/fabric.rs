//! From what managers say to networks of this host: which there are, who is on them, what the routing mesh passes on.
//!
//! Managers tell three things by ways of their own: the node's place ([`Fabric::hear_of_node`]), the networks it has a
//! part in, and who else is on these. Each time all of it is handed on as one; whoever gets it does what is new.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_networks::Cidr;
use drydock_networks::balance::{Entry, Virtual};
use drydock_networks::netlink::Mac;
use drydock_networks::overlay::Peer;
use drydock_swarm::api;
use drydock_swarm::dispatcher::Landscape;
use drydock_swarm::dispatcher::landscape::{Scenery, ServicePlace, TaskPlace};
use drydock_swarm::network_keys;
use drydock_swarm::objects::{EncryptionKey, Network, NetworkAttachment, Node, NodeId, PublishMode};
use drydock_tunnel::{Key, Neighbour};
use tokio::sync::{Mutex, watch};

use crate::engine::Engine;
use crate::id::Id;
use crate::network::{ENCRYPTED, Mesh, Scene, Sealing, Underlay, protocol};

/// What was heard last, and who wants to know when a plain container has left a network.
#[derive(Debug, Default)]
pub struct Fabric {
    heard: Mutex<Heard>,
    detached: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Heard {
    own: Option<Own>,
    networks: Vec<Arc<Network>>,
    others: Landscape,
}

#[derive(Clone, Debug, PartialEq)]
struct Own {
    id: NodeId,
    underlay: Underlay,
    attachments: Vec<NetworkAttachment>,
    /// What encrypted networks are sealed with.
    keys: Vec<Key>,
}

impl Fabric {
    pub async fn hear_of_node(
        &self,
        engine: &Engine,
        node: &Node,
        data_path: Option<IpAddr>,
        keys: &[EncryptionKey],
    ) {
        let Some(IpAddr::V4(local)) = data_path else {
            return tracing::warn!("overlay networks need an IPv4 address to advertise or --data-path-addr");
        };
        let port = u16::try_from(node.data_path_port).unwrap_or(drydock_networks::overlay::PORT);
        let own = Own {
            id: node.id.clone(),
            underlay: Underlay { local, port },
            attachments: node.attachments.clone(),
            keys: network_keys::of(keys, network_keys::DATA).filter_map(key).collect(),
        };
        engine.networks.ensure_gateway().await;
        let mut heard = self.heard.lock().await;
        if heard.own.as_ref() != Some(&own) {
            heard.own = Some(own);
            heard.tell(engine).await;
        }
    }

    pub async fn hear_of_networks(&self, engine: &Engine, networks: Vec<Arc<Network>>) {
        let mut heard = self.heard.lock().await;
        heard.networks = networks;
        heard.tell(engine).await;
    }

    pub async fn hear_of_others(&self, engine: &Engine, others: Landscape) {
        let mut heard = self.heard.lock().await;
        heard.others = others;
        heard.tell(engine).await;
    }

    /// A container's record says of fewer places than before.
    pub fn note_detached(&self) {
        self.detached.send_replace(());
    }

    /// Told of each [`Self::note_detached`].
    pub fn detached(&self) -> watch::Receiver<()> {
        self.detached.subscribe()
    }

    /// The node is no longer part of a swarm.
    pub async fn leave(&self, engine: &Engine) {
        *self.heard.lock().await = Heard::default();
        engine.networks.leave_swarm().await;
    }
}

impl Heard {
    async fn tell(&self, engine: &Engine) {
        let Some(own) = &self.own else { return };
        let networks = self.networks.iter().map(|network| api::network(network)).collect();
        let scenes = self.known().filter_map(|(network, scenery)| {
            let scene = scene(scenery, &own.id, host_in(network));
            Some((Id::of_swarm(scenery.network_id.as_str())?, scene))
        });
        let (scenes, sealing) = (scenes.collect(), self.sealing(own));
        engine.networks.follow(own.underlay, networks, scenes, sealing, self.mesh(own)).await;
    }

    /// Who is on the networks that were heard of: where a node is, only its network says.
    fn known(&self) -> impl Iterator<Item = (&Network, &Scenery)> {
        let network =
            |scenery: &Scenery| self.networks.iter().find(|network| network.id == scenery.network_id);
        self.others.networks.iter().filter_map(move |scenery| Some((network(scenery)?.as_ref(), scenery)))
    }

    fn sealing(&self, own: &Own) -> Sealing {
        let encrypted = self.known().filter(|(network, _)| is_encrypted(network));
        let mut neighbours: Vec<Neighbour> = encrypted.flat_map(|(_, scenery)| neighbours(scenery)).collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        Sealing { node: own.id.to_string(), keys: own.keys.clone(), neighbours }
    }

    /// The mesh, once the node has an address in its network.
    fn mesh(&self, own: &Own) -> Option<Mesh> {
        let ingress = self.networks.iter().find(|network| network.is_ingress() && network.is_allocated())?;
        let place = own.attachments.iter().find(|place| place.network_id == ingress.id)?;
        let scenery = self.others.networks.iter().find(|scenery| scenery.network_id == ingress.id);
        Some(Mesh {
            network: Id::of_swarm(ingress.id.as_str())?,
            address: place.addresses.first()?.parse().ok()?,
            entries: scenery.map(entries).unwrap_or_default(),
        })
    }
}

fn is_encrypted(network: &Network) -> bool {
    network.spec.options.as_ref().is_some_and(|options| options.contains_key(ENCRYPTED))
}

fn key(key: &EncryptionKey) -> Option<Key> {
    Some(Key { number: key.lamport_time, secret: STANDARD.decode(&key.key).ok()? })
}

/// The nodes on a network, where their tunnels end.
fn neighbours(scenery: &Scenery) -> impl Iterator<Item = Neighbour> {
    let tasks = scenery.tasks.iter().map(|task| (&task.node_id, &task.node_address));
    let nodes = scenery.nodes.iter().map(|node| (&node.node_id, &node.node_address));
    tasks
        .chain(nodes)
        .filter_map(|(node, host)| Some(Neighbour { node: node.to_string(), host: host.parse().ok()? }))
}

/// Where a network's packets for a node are sent: to the node, or into the tunnel.
fn host_in(network: &Network) -> HostOf {
    if is_encrypted(network) {
        |node, _| Some(drydock_tunnel::address_of(node.as_str()).into())
    } else {
        |_, address| address.parse().ok()
    }
}

/// By a node's id and its own address.
type HostOf = fn(&NodeId, &str) -> Option<IpAddr>;

/// A network as this node's containers need to know it.
fn scene(scenery: &Scenery, own: &NodeId, host: HostOf) -> Scene {
    let tasks = scenery.tasks.iter().filter(|task| task.node_id != *own);
    let tasks = tasks.flat_map(|task| peers(&task.addresses, host(&task.node_id, &task.node_address)));
    let nodes = scenery.nodes.iter().filter(|node| node.node_id != *own);
    let nodes = nodes.flat_map(|node| peers(&node.addresses, host(&node.node_id, &node.node_address)));
    let services = scenery.services.iter().filter_map(|service| {
        let address = ipv4(service.virtual_address.as_deref()?)?;
        Some(Virtual { address, backends: backends(scenery, service) })
    });
    Scene { peers: tasks.chain(nodes).collect(), services: services.collect(), names: names(scenery) }
}

fn peers(addresses: &[String], host: Option<IpAddr>) -> Vec<Peer> {
    let Some(host) = host else { return Vec::new() };
    let peer = |ip: Ipv4Addr| Peer { ip: ip.into(), mac: Mac::of_ipv4(ip), host };
    addresses.iter().filter_map(|text| ipv4(text)).map(peer).collect()
}

/// Services by their own address, or those of their tasks; tasks by their own names, and all of a service as `tasks.NAME`.
fn names(scenery: &Scenery) -> Vec<(IpAddr, Vec<String>)> {
    let mut all = Vec::new();
    for service in &scenery.services {
        if let Some(address) = service.virtual_address.as_deref().and_then(ipv4) {
            all.push((address.into(), names_of(service)));
        }
    }
    for task in &scenery.tasks {
        let service =
            scenery.services.iter().find(|service| Some(&service.service_id) == task.service_id.as_ref());
        let names = match service {
            Some(service) => names_in_service(task, service),
            None => task.names.clone(),
        };
        all.extend(task.addresses.iter().filter_map(|text| ipv4(text)).map(|ip| (ip.into(), names.clone())));
    }
    all
}

fn names_in_service(task: &TaskPlace, service: &ServicePlace) -> Vec<String> {
    // Its own first: that is what its address is called. Aliases are the service's.
    let mut names: Vec<String> = task.names.iter().take(1).cloned().collect();
    if task.is_backend {
        names.extend(names_of(service).into_iter().map(|name| format!("tasks.{name}")));
        if service.virtual_address.is_none() {
            names.extend(names_of(service));
        }
    }
    names
}

fn names_of(service: &ServicePlace) -> Vec<String> {
    std::iter::once(&service.name).chain(&service.aliases).cloned().collect()
}

fn backends(scenery: &Scenery, service: &ServicePlace) -> Vec<Ipv4Addr> {
    let own = scenery
        .tasks
        .iter()
        .filter(|task| task.is_backend && task.service_id.as_ref() == Some(&service.service_id));
    own.flat_map(|task| &task.addresses).filter_map(|text| ipv4(text)).collect()
}

/// Ports in the mesh.
fn entries(scenery: &Scenery) -> Vec<Entry> {
    let mut all = Vec::new();
    for service in &scenery.services {
        let published = service.ports.iter().filter(|port| port.publish_mode != Some(PublishMode::HOST));
        for port in published {
            let number = |port: Option<i64>| port.and_then(|port| u16::try_from(port).ok());
            let name = port.protocol.map_or_else(|| "tcp".to_owned(), |protocol| protocol.to_string());
            let (Some(protocol), Some(published), Some(target)) =
                (protocol(&name), number(port.published_port), number(port.target_port))
            else {
                continue;
            };
            all.push(Entry { protocol, port: published, target, backends: backends(scenery, service) });
        }
    }
    all
}

/// The address of `10.0.1.3/24`.
fn ipv4(text: &str) -> Option<Ipv4Addr> {
    match text.parse::<Cidr>().ok()?.ip() {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use drydock_swarm::objects::EndpointPortConfig;

    use super::*;

    fn task(id: &str, node: &str, ip: &str, is_backend: bool) -> TaskPlace {
        TaskPlace {
            task_id: id.into(),
            service_id: Some("web".into()),
            node_id: node.into(),
            node_address: "192.0.2.2".into(),
            addresses: vec![format!("{ip}/24")],
            names: vec![format!("web.{id}"), "www".into()],
            is_backend,
        }
    }

    fn scenery(virtual_address: Option<&str>) -> Scenery {
        let port = |mode, published| EndpointPortConfig {
            target_port: Some(80),
            published_port: Some(published),
            publish_mode: Some(mode),
            ..EndpointPortConfig::default()
        };
        let service = ServicePlace {
            service_id: "web".into(),
            name: "web".into(),
            virtual_address: virtual_address.map(str::to_owned),
            aliases: vec!["www".into()],
            ports: vec![port(PublishMode::INGRESS, 8080), port(PublishMode::HOST, 8081)],
        };
        Scenery {
            network_id: "net".into(),
            tasks: vec![
                task("here", "a", "10.0.1.3", true),
                task("there", "b", "10.0.1.4", true),
                task("starts", "b", "10.0.1.5", false),
            ],
            services: vec![service],
            nodes: Vec::new(),
        }
    }

    fn named(scene: &Scene, name: &str) -> Vec<String> {
        let has = |names: &[String]| names.iter().any(|own| own == name);
        scene.names.iter().filter(|(_, names)| has(names)).map(|(ip, _)| ip.to_string()).collect()
    }

    #[test]
    fn a_service_has_its_own_address_and_its_running_tasks_stand_behind_it() {
        let scene = scene(&scenery(Some("10.0.1.2/24")), &"a".into(), host_in(&Network::default()));
        assert_eq!(named(&scene, "web"), ["10.0.1.2"]);
        assert_eq!(named(&scene, "www"), ["10.0.1.2"]);
        assert_eq!(named(&scene, "tasks.web"), ["10.0.1.3", "10.0.1.4"]);
        assert_eq!(named(&scene, "web.starts"), ["10.0.1.5"]);
        assert_eq!(scene.services[0].backends, [[10, 0, 1, 3], [10, 0, 1, 4]].map(Ipv4Addr::from));
        let peers: Vec<_> = scene.peers.iter().map(|peer| peer.ip.to_string()).collect();
        assert_eq!(peers, ["10.0.1.4", "10.0.1.5"], "of other nodes, those that start too");
    }

    #[test]
    fn without_an_address_of_its_own_a_service_is_its_tasks() {
        let scene = scene(&scenery(None), &"a".into(), host_in(&Network::default()));
        assert_eq!(named(&scene, "web"), ["10.0.1.3", "10.0.1.4"]);
        assert!(scene.services.is_empty());
    }

    #[test]
    fn the_peers_of_an_encrypted_network_are_in_the_tunnel() {
        let mut network = Network { id: "net".into(), ..Network::default() };
        let hosts = |network: &Network| {
            let peers = scene(&scenery(None), &"a".into(), host_in(network)).peers;
            peers.iter().map(|peer| peer.host).collect::<Vec<_>>()
        };
        let clear: IpAddr = "192.0.2.2".parse().unwrap();
        assert_eq!(hosts(&network), [clear; 2]);
        network.spec.options = Some([(ENCRYPTED.to_owned(), String::new())].into());
        let sealed: IpAddr = drydock_tunnel::address_of("b").into();
        assert_eq!(hosts(&network), [sealed; 2]);
        let own = Own {
            id: "a".into(),
            underlay: Underlay { local: Ipv4Addr::LOCALHOST, port: 4789 },
            attachments: Vec::new(),
            keys: Vec::new(),
        };
        let mut heard = Heard::default();
        heard.others.networks = vec![scenery(None)];
        assert_eq!(heard.sealing(&own).neighbours, [], "nobody said that it is encrypted");
        heard.networks = vec![Arc::new(network)];
        let neighbour = |node: &str| Neighbour { node: node.into(), host: Ipv4Addr::new(192, 0, 2, 2) };
        assert_eq!(heard.sealing(&own).neighbours, [neighbour("a"), neighbour("b")]);
    }

    #[test]
    fn ports_of_the_mesh_lead_to_running_tasks_and_ports_of_nodes_are_not_among_them() {
        let entries = entries(&scenery(Some("10.0.1.2/24")));
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].port, entries[0].target, entries[0].backends.len()), (8080, 80, 2));
    }
}
