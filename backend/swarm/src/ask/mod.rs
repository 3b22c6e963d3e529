//! What an engine asks of the swarm: users' wishes, answered by the leader.
//!
//! A question is a value, so that any manager can pass it on. Reading is another way: a manager looks at its own copy of the store, after
//! it has asked the leader how far that copy must be. Begin with [`answer`].

pub mod attach;
pub mod calls;
pub(crate) mod swarm;
mod wishes;

pub use attach::{AttachAnswer, AttachNetwork, AttachRequest};
pub use calls::{Answer, Ask, Control, Reading, RotateKeys, ServiceTo, SwarmUpdate, Wish};

use crate::Status;
use crate::objects::{ManagerStatus, Node, Reachability};
use crate::raft::RaftNode;
use crate::wire::no_leader;

/// Answers on the leader.
pub async fn answer(raft: &RaftNode, ask: Ask) -> Result<Answer, Status> {
    match ask {
        Ask::Read => read(raft).map(Answer::Reading),
        Ask::UpdateSwarm(update) => {
            raft.update(|tx| swarm::update(tx, *update)).await.map(|()| Answer::Nothing)
        }
        Ask::Wish(wish) => wishes::fulfil(raft, *wish).await,
    }
}

fn read(raft: &RaftNode) -> Result<Reading, Status> {
    let reading = Reading { index: raft.applied(), members: raft.members() };
    // Asked after the index was read: what it shows was agreed on while this manager led.
    if raft.is_leader() { Ok(reading) } else { Err(no_leader()) }
}

impl Reading {
    /// The node with who leads and who answers, which is raft's to say.
    pub fn node(&self, node: &Node) -> Node {
        let mut node = node.clone();
        let member = self.members.iter().find(|member| member.manager.node_id == node.id.as_str());
        node.manager_status = node.manager_status.zip(member).map(|(status, member)| ManagerStatus {
            leader: member.is_leader,
            reachability: match member.is_reachable {
                true => Reachability::REACHABLE,
                false => Reachability::UNREACHABLE,
            },
            ..status
        });
        node
    }
}
