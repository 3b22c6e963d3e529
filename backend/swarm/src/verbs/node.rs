//! `docker node update` and `rm`. Whether a manager may leave the quorum is raft's to say, before.

use std::sync::Arc;

use super::missing;
use crate::objects::{
    BlockedCertificate, Cluster, Node, NodeId, NodeSpec, ObservedRole, Role, Timestamp, Version,
};
use crate::status::{Code, Status};
use crate::store::Transaction;

/// Role, availability and labels, as of the version the user saw.
pub fn update(tx: &mut Transaction<'_>, id: &NodeId, version: u64, spec: NodeSpec) -> Result<(), Status> {
    if !matches!(spec.role, Some(Role::MANAGER | Role::WORKER)) {
        return Err(invalid("Role", spec.role.map(|role| role.to_string())));
    }
    if spec.availability.is_none_or(|availability| availability.to_string().is_empty()) {
        return Err(invalid("Availability", spec.availability.map(|it| it.to_string())));
    }
    let Some(node) = tx.nodes().get(id.as_str()) else { return Err(missing("node", id.as_str())) };
    let demotes = node.desired_role() == Role::MANAGER && spec.role == Some(Role::WORKER);
    let is_manager = |node: &&Arc<Node>| node.observed_role == ObservedRole::Manager;
    if demotes && tx.nodes().iter().filter(is_manager).all(|manager| manager.id == *id) {
        let message = "attempting to demote the last manager of the swarm";
        return Err(Status::new(Code::FailedPrecondition, message));
    }
    let mut node = Node::clone(node);
    node.meta.version = Version { index: version };
    node.spec = spec;
    Ok(tx.update(node)?)
}

fn invalid(field: &str, value: Option<String>) -> Status {
    Status::bad_parameter(format!("invalid {field}: {:?}", value.unwrap_or_default()))
}

/// Takes the node out; its certificate, valid until `expiry`, is worth nothing from then on. Its
/// tasks are orphaned at the next look.
pub fn remove(tx: &mut Transaction<'_>, id: &NodeId, force: bool, expiry: Timestamp) -> Result<(), Status> {
    let Some(node) = tx.nodes().get(id.as_str()) else { return Err(missing("node", id.as_str())) };
    let failed = |message: String| Err(Status::new(Code::FailedPrecondition, message));
    if node.desired_role() == Role::MANAGER && node.manager_status.is_some() {
        return failed(format!(
            "node {id} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before \
             removal"
        ));
    }
    if !force && node.is_ready() {
        return failed(format!("node {id} is not down and can't be removed"));
    }
    if let Some(cluster) = tx.cluster().map(|cluster| cluster.id.clone()) {
        tx.change::<Cluster>(&cluster, |cluster| {
            cluster.blocked_certificates.insert(id.to_string(), BlockedCertificate { expiry });
        })?;
    }
    Ok(tx.delete::<Node>(id)?)
}
