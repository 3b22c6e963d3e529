//! How raft reaches the other members: over the wire, and who answered when.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::error::{
    Fatal, NetworkError, RPCError, RaftError, RemoteError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{AnyError, OptionalSend};
use tokio::time::Instant;

use super::calls::{Append, Install, Parcel, RequestVote, SNAPSHOT_LIMIT, To};
use super::types::{Manager, RaftId, Snapshot, Types, Vote};
use crate::Status;
use crate::wire::{Call, Pool};

/// How long to leave a member alone that cannot be reached: much shorter than an election.
const PAUSE: Duration = Duration::from_millis(100);

/// When each member last answered.
#[derive(Debug, Clone, Default)]
pub struct Reach(Arc<Mutex<HashMap<RaftId, Instant>>>);

impl Reach {
    fn note(&self, member: RaftId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(member, Instant::now());
    }

    /// Whether the member answered within `limit`.
    pub fn is_reachable(&self, member: RaftId, limit: Duration) -> bool {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(&member).is_some_and(|last| last.elapsed() < limit)
    }
}

/// Makes a link to each member.
#[derive(Debug, Clone)]
pub struct Links {
    pool: Pool,
    reach: Reach,
}

impl Links {
    pub fn new(pool: Pool, reach: Reach) -> Self {
        Self { pool, reach }
    }
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: RaftId, node: &Manager) -> Link {
        Link { target, address: node.address.clone(), links: self.clone() }
    }
}

/// The way to one member.
#[derive(Debug)]
pub struct Link {
    target: RaftId,
    address: String,
    links: Links,
}

type Rpc<E> = RPCError<RaftId, Manager, E>;

impl Link {
    async fn ask<C, T>(&self, message: T, limit: Duration) -> Result<C::Response, Status>
    where
        C: Call<Request = To<T>>,
    {
        let answer = self.links.pool.call::<C>(&self.address, To { to: self.target, message }, limit).await?;
        self.links.reach.note(self.target);
        Ok(answer)
    }

    fn told(&self, error: RaftError<RaftId>) -> Rpc<RaftError<RaftId>> {
        RPCError::RemoteError(RemoteError::new(self.target, error))
    }
}

fn lost<E: std::error::Error>(status: &Status) -> Rpc<E> {
    match status.code {
        crate::Code::DeadlineExceeded => RPCError::Network(NetworkError::new(status)),
        _ => RPCError::Unreachable(Unreachable::new(status)),
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<RaftId>, Rpc<RaftError<RaftId>>> {
        let answer = self.ask::<Append, _>(rpc, option.hard_ttl()).await.map_err(|status| lost(&status))?;
        answer.map_err(|error| self.told(error))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<RaftId>,
        option: RPCOption,
    ) -> Result<VoteResponse<RaftId>, Rpc<RaftError<RaftId>>> {
        let answer =
            self.ask::<RequestVote, _>(rpc, option.hard_ttl()).await.map_err(|status| lost(&status))?;
        answer.map_err(|error| self.told(error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<RaftId>, StreamingError<Types, Fatal<RaftId>>> {
        let parcel = Parcel::pack(vote, snapshot.meta, &snapshot.snapshot);
        let answer = tokio::select! {
            closed = cancel => return Err(closed.into()),
            answer = self.ask::<Install, _>(parcel, SNAPSHOT_LIMIT) => answer,
        };
        let answer = answer.map_err(|status| Unreachable::new(&AnyError::new(&status)))?;
        answer.map_err(|fatal| RemoteError::new(self.target, fatal).into())
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(PAUSE))
    }
}
