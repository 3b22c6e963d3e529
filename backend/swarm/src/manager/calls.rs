//! The calls between managers beside raft's own.

use serde::{Deserialize, Serialize};

use crate::dispatcher::calls::Nothing;
use crate::raft::RaftId;
use crate::wire::call::call;

/// A manager wants to be a member of raft.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinRaftRequest {
    pub raft_id: RaftId,
    /// `host:port`; an unspecified host is replaced by where the call came from.
    pub address: String,
}

call!(
    /// Take me in: the leader calls back, hands over the log, and lets the caller vote.
    JoinRaft, "RaftMembership/Join", Manager, Leader, JoinRaftRequest => Nothing
);
