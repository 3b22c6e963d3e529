//! A plain container on an attachable network: any node may ask for it, managers and workers alike.
//!
//! It is a task of no service, bound to the node that asks, and ends when its container does.

use serde::{Deserialize, Serialize};

use crate::Status;
use crate::objects::{NetworkId, NodeId, TaskId};
use crate::raft::RaftNode;
use crate::verbs;
use crate::wire::call::call;

/// Who wants to be on which network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachRequest {
    /// Chosen by who asks, so that it knows the task when it comes.
    pub task_id: TaskId,
    /// By id or name.
    pub network: String,
    pub container_id: String,
    pub container_name: String,
    pub aliases: Vec<String>,
    /// The addresses the user chose; others are given where there are none.
    pub addresses: Vec<String>,
}

/// The network that was meant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttachAnswer {
    pub network_id: NetworkId,
}

call!(
    /// A container of this node wants to be on a network.
    AttachNetwork, "ResourceAllocator/AttachNetwork", Member, Leader, AttachRequest => AttachAnswer
);

pub(crate) async fn attach(
    raft: &RaftNode,
    node: NodeId,
    request: AttachRequest,
) -> Result<AttachAnswer, Status> {
    let network_id = raft.update(|tx| verbs::network::attach(tx, &node, &request)).await?;
    Ok(AttachAnswer { network_id })
}
