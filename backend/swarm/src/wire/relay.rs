//! Passing a call on to the leader.

use std::time::Duration;

use http::HeaderValue;
use tokio::sync::watch;
use tonic::body::Body;

use super::Pool;
use super::peer::{FORWARDED, Peer};
use crate::{Code, Status};

/// How long a call waits for a leader while one is elected.
const ELECTION_LIMIT: Duration = Duration::from_secs(3);

/// Moby's words when the managers left are too few.
pub const NO_LEADER: &str = "The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half \
                             of the managers are online.";

/// Where the leader is, as this manager knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leader {
    /// This manager, and its control loops run.
    Here,
    /// Another manager, at this address.
    At(String),
    /// None: an election runs, or the quorum is lost.
    None,
}

/// Waits until there is a leader, for as long as an election may take.
pub async fn await_leader(leader: &mut watch::Receiver<Leader>) -> Result<Leader, Status> {
    let found = tokio::time::timeout(ELECTION_LIMIT, leader.wait_for(|leader| *leader != Leader::None)).await;
    match found {
        Ok(Ok(leader)) => Ok(leader.clone()),
        _ => Err(no_leader()),
    }
}

pub fn no_leader() -> Status {
    Status::new(Code::Unknown, NO_LEADER)
}

/// What a manager needs to pass calls on.
#[derive(Debug, Clone)]
pub(super) struct Relay {
    pub pool: Pool,
    pub leader: watch::Receiver<Leader>,
}

impl Relay {
    /// The address to pass a call on to; `None` when the leader is here. A call that was passed on already is answered or refused here,
    /// so that two managers who disagree never send it round in circles.
    pub async fn target(&mut self, is_forwarded: bool) -> Result<Option<String>, Status> {
        let leader =
            if is_forwarded { self.leader.borrow().clone() } else { await_leader(&mut self.leader).await? };
        match leader {
            Leader::Here => Ok(None),
            Leader::At(address) if !is_forwarded => Ok(Some(address)),
            Leader::At(_) | Leader::None => Err(Status::new(
                Code::Unavailable,
                "raft: failed to process the request: node lost leader status",
            )),
        }
    }

    /// Sends the request as it came, with its caller's name.
    pub async fn forward(
        &self,
        address: &str,
        peer: &Peer,
        mut request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Status> {
        let caller = serde_json::to_string(peer).ok().and_then(|text| HeaderValue::from_str(&text).ok());
        let caller = caller.ok_or_else(|| Status::new(Code::Internal, "the caller's name is no header"))?;
        request.headers_mut().insert(FORWARDED, caller);
        let channel = self.pool.channel(address).await?;
        let answer = channel.forward(request).await;
        if answer.is_err() {
            self.pool.forget(address);
        }
        answer
    }
}
