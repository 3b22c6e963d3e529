//! What passes a node's links, counted from outside.

use drydock_nodes::{Node, TrafficError};

use crate::yard::{Yard, boot, sh};

/// Bytes that came by the node's cable and that left by it.
fn passed(node: &Node) -> (u64, u64) {
    let links = node.traffic().unwrap();
    let cable = links.iter().find(|link| link.link == "eth0").unwrap();
    (cable.received, cable.sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_a_nodes_links_is_counted_from_outside_until_it_ends() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = "counted".parse().unwrap();
    let gateway = host.create_session(&id).await.unwrap().gateway();
    let node = boot(&host, &id, "node1").await;
    let before = passed(&node);
    sh(&node, &format!("ping -c 10 -i 0.05 -s 1000 {gateway}")).await;
    let after = passed(&node);
    assert!(after.0 - before.0 >= 10_000 && after.1 - before.1 >= 10_000, "{before:?} {after:?}");
    host.end(node.id()).await.unwrap();
    assert!(matches!(node.traffic(), Err(TrafficError::NotRunning | TrafficError::Namespace { .. })));
    host.reset().await.unwrap();
}
