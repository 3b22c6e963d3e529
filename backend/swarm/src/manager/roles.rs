//! Who votes follows who is wished to be a manager.
//!
//! ```text
//!  promote: spec says manager ─▶ observed role manager ─▶ the node renews its certificate ─▶ starts raft and joins
//!  demote:  spec says worker ─▶ out of raft ─▶ observed role worker ─▶ the node renews its certificate ─▶ stops raft
//! ```
//! Out of raft first: a node whose certificate says worker cannot answer the others, and would be a voter that never votes.

use crate::Status;
use crate::objects::{Node, NodeId, ObservedRole, Role};
use crate::raft::RaftId;
use crate::raft::node::Member;
use crate::store::{Transaction, View};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleStep {
    Observe(NodeId, ObservedRole),
    Remove(RaftId),
}

/// What has to be done so that roles and members fit the specs. `own` comes last: who leads hands over after all else.
pub fn decide(view: &View, members: &[Member], own: &NodeId) -> Vec<RoleStep> {
    let mut steps: Vec<RoleStep> = view
        .nodes()
        .iter()
        .filter(|node| node.id != *own)
        .filter_map(|node| of_node(node, members))
        .collect();
    let strangers = members.iter().filter(|member| !view.nodes().contains(&member.manager.node_id));
    steps.extend(strangers.map(|member| RoleStep::Remove(member.id)));
    steps.extend(view.nodes().get(own.as_str()).and_then(|node| of_node(node, members)));
    steps
}

fn of_node(node: &Node, members: &[Member]) -> Option<RoleStep> {
    let member = members.iter().find(|member| member.manager.node_id == node.id.as_str());
    match (node.desired_role(), node.observed_role, member) {
        (Role::MANAGER, ObservedRole::Worker, _) => {
            Some(RoleStep::Observe(node.id.clone(), ObservedRole::Manager))
        }
        (Role::WORKER, ObservedRole::Manager, Some(member)) => Some(RoleStep::Remove(member.id)),
        (Role::WORKER, ObservedRole::Manager, None) => {
            Some(RoleStep::Observe(node.id.clone(), ObservedRole::Worker))
        }
        _ => None,
    }
}

/// Forgets the addresses of managers that are no members: a forced cluster begins with one.
pub fn forget_strangers(tx: &mut Transaction<'_>, members: &[Member]) -> Result<(), Status> {
    let is_stranger = |node: &Node| {
        let is_it = |member: &Member| member.manager.node_id == node.id.as_str();
        node.manager_status.is_some() && !members.iter().any(is_it)
    };
    let strangers: Vec<Node> =
        tx.nodes().iter().filter(|node| is_stranger(node)).map(|node| node.as_ref().clone()).collect();
    strangers
        .into_iter()
        .try_for_each(|node| tx.update(Node { manager_status: None, ..node }).map_err(Status::from))
}

/// Writes an observed role.
pub fn observe(tx: &mut Transaction<'_>, id: &NodeId, role: ObservedRole) -> Result<(), Status> {
    let Some(node) = tx.nodes().get(id.as_str()) else { return Ok(()) };
    let mut node = node.as_ref().clone();
    node.observed_role = role;
    if role == ObservedRole::Worker {
        node.manager_status = None;
    }
    tx.update(node).map_err(Status::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Store;
    use crate::objects::Timestamp;
    use crate::raft::Manager;

    fn node(id: &str, desired: Role, observed_role: ObservedRole) -> Node {
        let mut node = Node { id: id.into(), observed_role, ..Node::default() };
        node.spec.role = Some(desired);
        node
    }

    fn member(id: RaftId, node_id: &str) -> Member {
        let manager = Manager { node_id: node_id.into(), address: String::new() };
        Member { id, manager, is_voter: true, is_leader: false, is_reachable: true }
    }

    #[test]
    fn a_demoted_manager_leaves_raft_before_it_is_a_worker_and_the_leader_goes_last() {
        let mut store = Store::new();
        let nodes = [
            node("a", Role::WORKER, ObservedRole::Manager),
            node("b", Role::WORKER, ObservedRole::Manager),
            node("c", Role::MANAGER, ObservedRole::Worker),
            node("d", Role::WORKER, ObservedRole::Manager),
        ];
        store.commit(Timestamp(1), |tx| nodes.into_iter().for_each(|node| tx.create(node).unwrap())).unwrap();
        let members = [member(1, "a"), member(2, "b"), member(9, "removed")];
        let steps = decide(&store, &members, &"a".into());
        assert_eq!(
            steps,
            [
                RoleStep::Remove(2),
                RoleStep::Observe("c".into(), ObservedRole::Manager),
                RoleStep::Observe("d".into(), ObservedRole::Worker),
                RoleStep::Remove(9),
                RoleStep::Remove(1),
            ]
        );
    }
}
