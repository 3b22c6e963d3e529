//! The calls between raft's members.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use openraft::error::{Fatal, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use serde::{Deserialize, Serialize};

use super::types::{RaftId, SnapshotMeta, Types, Vote};
use crate::wire::call::call;

/// A whole snapshot may take this long to travel.
pub const SNAPSHOT_LIMIT: Duration = Duration::from_secs(30);

/// A message with the member it is for: an address may have changed hands.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct To<T> {
    pub to: RaftId,
    pub message: T,
}

/// A snapshot of the store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Parcel {
    pub vote: Vote,
    pub meta: SnapshotMeta,
    /// Base64 of the bytes.
    pub bytes: String,
}

impl Parcel {
    pub(super) fn pack(vote: Vote, meta: SnapshotMeta, bytes: &[u8]) -> Self {
        Self { vote, meta, bytes: STANDARD.encode(bytes) }
    }

    pub(super) fn unpack(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.bytes).ok()
    }
}

call!(
    /// New entries, or a heartbeat.
    Append, "Raft/AppendEntries", Manager, Asked,
    To<AppendEntriesRequest<Types>> => Result<AppendEntriesResponse<RaftId>, RaftError<RaftId>>
);
call!(
    /// A candidate asks.
    RequestVote, "Raft/RequestVote", Manager, Asked,
    To<VoteRequest<RaftId>> => Result<VoteResponse<RaftId>, RaftError<RaftId>>
);
call!(
    /// For who is too far behind for entries.
    Install, "Raft/InstallSnapshot", Manager, Asked,
    To<Parcel> => Result<SnapshotResponse<RaftId>, Fatal<RaftId>>
);
