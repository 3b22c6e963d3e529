//! Nodes.

use bollard_stubs::models as wire;

use super::{date, version};
use crate::objects::Node;

pub fn node(node: &Node) -> wire::Node {
    let spec = wire::NodeSpec {
        labels: Some(node.spec.labels.clone().unwrap_or_default()),
        role: Some(node.desired_role()),
        availability: Some(node.availability()),
        name: node.spec.name.clone(),
    };
    let status = wire::NodeStatus {
        state: Some(node.status.state),
        message: (!node.status.message.is_empty()).then(|| node.status.message.clone()),
        addr: Some(node.status.addr.clone()),
    };
    let manager = node.manager_status.as_ref().map(|manager| wire::ManagerStatus {
        leader: manager.leader.then_some(true),
        reachability: Some(manager.reachability),
        addr: Some(manager.addr.clone()),
    });
    wire::Node {
        id: Some(node.id.to_string()),
        version: Some(version(node.meta.version)),
        created_at: Some(date(node.meta.created_at)),
        updated_at: Some(date(node.meta.updated_at)),
        spec: Some(spec),
        description: Some(node.description.clone().unwrap_or_default()),
        status: Some(status),
        manager_status: manager,
    }
}
