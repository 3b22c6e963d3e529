//! Each node's own address in the ingress network, from which it passes the mesh's connections on.

use std::sync::Arc;

use super::addresses::Addresses;
use super::service::write;
use crate::objects::{Network, NetworkAttachment, Node};
use crate::store::Transaction;

pub(super) fn allocate(tx: &mut Transaction<'_>, addresses: &mut Addresses) {
    let ingress = tx.ingress_network().filter(|network| network.is_allocated()).cloned();
    let outdated = |node: &&Arc<Node>| !is_attached(node, ingress.as_deref());
    let nodes: Vec<Arc<Node>> = tx.nodes().iter().filter(outdated).cloned().collect();
    for node in nodes {
        let attachment = ingress.as_deref().and_then(|network| attach(tx, addresses, network));
        let attachments: Vec<_> = attachment.into_iter().collect();
        if node.attachments != attachments {
            write::<Node>(tx, &node.id, |node| node.attachments = attachments);
        }
    }
}

fn is_attached(node: &Node, ingress: Option<&Network>) -> bool {
    let attached = node.attachments.first().map(|attachment| &attachment.network_id);
    attached == ingress.map(|network| &network.id)
}

fn attach(tx: &Transaction<'_>, addresses: &mut Addresses, network: &Network) -> Option<NetworkAttachment> {
    let address = addresses.take(tx, network)?;
    Some(NetworkAttachment {
        network_id: network.id.clone(),
        addresses: vec![address],
        ..NetworkAttachment::default()
    })
}
