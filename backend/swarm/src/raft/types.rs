//! What openraft is made of here.

use serde::{Deserialize, Serialize};

use super::dice::Runtime;
use crate::store::{Batch, Refusal};

/// A manager's number in raft; random, and never given twice.
pub type RaftId = u64;

/// A member as raft's configuration has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    pub node_id: String,
    /// `host:port` where the other managers reach it.
    pub address: String,
}

/// What became of a batch. Only the manager that proposed it asks.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outcome {
    #[serde(skip)]
    pub refusal: Option<Refusal>,
}

openraft::declare_raft_types!(
    /// Batches in, outcomes out; snapshots are the store as JSON.
    pub Types:
        D = Batch,
        R = Outcome,
        NodeId = RaftId,
        Node = Manager,
        Entry = openraft::Entry<Types>,
        SnapshotData = Vec<u8>,
        AsyncRuntime = Runtime,
);

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<RaftId>;
pub(super) type Vote = openraft::Vote<RaftId>;
pub(super) type StoredMembership = openraft::StoredMembership<RaftId, Manager>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<RaftId, Manager>;
pub(super) type Snapshot = openraft::Snapshot<Types>;
pub(super) type StorageError = openraft::StorageError<RaftId>;
