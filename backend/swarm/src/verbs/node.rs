//! `docker node update` and `rm`. Who is a manager that others count on is not the node's record's to say, but raft's: its members.

use std::sync::Arc;

use super::missing;
use crate::objects::{
    BlockedCertificate, Cluster, Node, NodeId, NodeSpec, ObservedRole, Role, Timestamp, Version,
};
use crate::raft::node::{Member, may_go};
use crate::status::{Code, Status};
use crate::store::Transaction;

/// Role, availability and labels, as of the version the user saw.
pub fn update(
    tx: &mut Transaction<'_>,
    id: &NodeId,
    version: u64,
    spec: NodeSpec,
    members: &[Member],
) -> Result<(), Status> {
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
    if demotes {
        let member = member_of(id, members)
            .ok_or_else(|| Status::not_found("can't find manager in raft memberlist".to_owned()))?;
        if !may_go(members, member.id) {
            let message = "can't remove member from the raft: this would result in a loss of quorum";
            return Err(Status::new(Code::FailedPrecondition, message));
        }
    }
    let mut node = Node::clone(node);
    node.meta.version = Version { index: version };
    node.spec = spec;
    Ok(tx.update(node)?)
}

fn invalid(field: &str, value: Option<String>) -> Status {
    Status::bad_parameter(format!("invalid {field}: {:?}", value.unwrap_or_default()))
}

fn member_of<'a>(id: &NodeId, members: &'a [Member]) -> Option<&'a Member> {
    members.iter().find(|member| member.manager.node_id == id.as_str())
}

/// Takes the node out; its certificate, valid until `expiry`, is worth nothing from then on. Its
/// tasks are orphaned at the next look.
pub fn remove(
    tx: &mut Transaction<'_>,
    id: &NodeId,
    force: bool,
    expiry: Timestamp,
    members: &[Member],
) -> Result<(), Status> {
    let Some(node) = tx.nodes().get(id.as_str()) else { return Err(missing("node", id.as_str())) };
    let failed = |message: String| Err(Status::new(Code::FailedPrecondition, message));
    if node.desired_role() == Role::MANAGER && member_of(id, members).is_some() {
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
