//! Nodes, as their users change them.

use std::sync::Arc;

use time::OffsetDateTime;

use crate::ca::issue::{the_cluster, validity};
use crate::objects::{BlockedCertificate, Node, NodeSpec, ObservedRole, Role, Timestamp, Version};
use crate::store::{Transaction, View};
use crate::{Code, Status};

/// By id, host name, or the beginning of an id.
pub fn find(view: &View, reference: &str) -> Result<Arc<Node>, Status> {
    let missing = || Status::not_found(format!("node {reference} not found"));
    if let Some(node) = view.nodes().get(reference) {
        return Ok(node.clone());
    }
    let by_name: Vec<_> = view.nodes().iter().filter(|node| node.hostname() == reference).collect();
    let by_id: Vec<_> = view.nodes().by_id_prefix(reference).collect();
    let found = if by_name.is_empty() { by_id } else { by_name };
    match found[..] {
        [node] => Ok(node.clone()),
        [] => Err(missing()),
        _ => Err(Status::new(
            Code::Unknown,
            format!("node {reference} is ambiguous ({} matches found)", found.len()),
        )),
    }
}

/// Changes what is wished of a node.
pub fn update(tx: &mut Transaction<'_>, reference: &str, version: u64, spec: NodeSpec) -> Result<(), Status> {
    let mut node = find(tx, reference)?.as_ref().clone();
    if spec.role == Some(Role::WORKER) && node.desired_role() == Role::MANAGER {
        may_demote(tx)?;
    }
    node.meta.version = Version { index: version };
    let role = spec.role.or(node.spec.role);
    node.spec = NodeSpec { role, ..spec };
    tx.update(node).map_err(Status::from)
}

fn may_demote(view: &View) -> Result<(), Status> {
    let managers = view.nodes().iter().filter(|node| node.desired_role() == Role::MANAGER).count();
    if managers <= 1 {
        return Err(Status::new(
            Code::FailedPrecondition,
            "attempting to demote the last manager of the swarm",
        ));
    }
    Ok(())
}

/// Takes a node out. Its certificate is worth nothing from then on.
pub fn remove(tx: &mut Transaction<'_>, reference: &str, is_forced: bool) -> Result<(), Status> {
    let node = find(tx, reference)?;
    if node.observed_role == ObservedRole::Manager {
        let words = format!(
            "node {} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal",
            node.id
        );
        return Err(Status::new(Code::FailedPrecondition, words));
    }
    if !is_forced && node.is_ready() {
        let words = format!("node {} is not down and can't be removed", node.id);
        return Err(Status::new(Code::FailedPrecondition, words));
    }
    let mut cluster = the_cluster(tx)?.as_ref().clone();
    let now = Timestamp(i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos()).unwrap_or(i64::MAX));
    let life = i64::try_from(validity(&cluster).whole_nanoseconds()).unwrap_or(i64::MAX);
    cluster.blocked_certificates.retain(|_, blocked| blocked.expiry > now);
    let expiry = Timestamp(now.0.saturating_add(life));
    cluster.blocked_certificates.insert(node.id.to_string(), BlockedCertificate { expiry });
    tx.update(cluster)?;
    tx.delete::<Node>(&node.id).map_err(Status::from)
}
