//! Connections to managers, kept: one for each address, made when first needed.
//!
//! A connection belongs to the identity that made it. After a renewal the next call dials anew, while streams over the old connection
//! go on until they end by themselves.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Call, Channel, Source};
use crate::identity::{Credentials, Identity};
use crate::{Code, Status};

/// Clones share their connections.
#[derive(Debug, Clone)]
pub struct Pool {
    credentials: Credentials,
    source: Source,
    channels: Arc<Mutex<HashMap<String, Kept>>>,
}

#[derive(Debug)]
struct Kept {
    channel: Channel,
    identity: Arc<Identity>,
    /// Calls in a row that were not answered in time.
    unanswered: u32,
}

/// So many calls may go unanswered before the connection counts as dead: a busy peer is not helped by another handshake.
const UNANSWERED_LIMIT: u32 = 5;

impl Pool {
    pub fn new(credentials: Credentials, source: Source) -> Self {
        Self { credentials, source, channels: Arc::default() }
    }

    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// A live connection to `address`, as the node is now.
    pub async fn channel(&self, address: &str) -> Result<Channel, Status> {
        let identity = self.credentials.get();
        if let Some(channel) = self.kept(address, &identity) {
            return Ok(channel);
        }
        let channel = Channel::connect(address, identity.client(), self.source).await?;
        let kept = Kept { channel: channel.clone(), identity, unanswered: 0 };
        self.lock().insert(address.to_owned(), kept);
        Ok(channel)
    }

    /// One call; a connection that turns out to be dead is forgotten, for the next call to dial anew.
    pub async fn call<C: Call>(
        &self,
        address: &str,
        request: C::Request,
        limit: Duration,
    ) -> Result<C::Response, Status> {
        let asking = async { self.channel(address).await?.call::<C>(request, limit).await };
        let answer =
            tokio::time::timeout(limit, asking).await.unwrap_or_else(|_| Err(super::client::deadline()));
        match &answer {
            Err(status) if status.code == Code::Unavailable => self.forget(address),
            Err(status) if status.code == Code::DeadlineExceeded => self.count_unanswered(address),
            _ => self.count_answered(address),
        }
        answer
    }

    fn count_answered(&self, address: &str) {
        if let Some(kept) = self.lock().get_mut(address) {
            kept.unanswered = 0;
        }
    }

    fn count_unanswered(&self, address: &str) {
        let mut channels = self.lock();
        let Some(kept) = channels.get_mut(address) else { return };
        kept.unanswered += 1;
        if kept.unanswered >= UNANSWERED_LIMIT {
            channels.remove(address);
        }
    }

    /// Drops the connection to `address`.
    pub fn forget(&self, address: &str) {
        self.lock().remove(address);
    }

    /// Drops all connections.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn kept(&self, address: &str, identity: &Arc<Identity>) -> Option<Channel> {
        let mut channels = self.lock();
        let kept = channels.get(address)?;
        if kept.channel.is_closed() || !Arc::ptr_eq(&kept.identity, identity) {
            channels.remove(address);
            return None;
        }
        Some(kept.channel.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.channels.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
