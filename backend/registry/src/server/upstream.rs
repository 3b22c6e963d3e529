//! The registry behind this one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use drydock_images::{Image, Named, Store};

use crate::client::{Client, Options};
use crate::pull::{PullError, Wanted, pull};

/// How long an unreachable registry is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Where images come from that the store lacks.
#[derive(Debug)]
pub struct Upstream {
    client: Client,
    unreachable_since: Mutex<Option<Instant>>,
    /// One pull per name; whoever comes second waits for the first.
    running: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

/// An image could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the upstream registry was not reachable a moment ago")]
    Unreachable,
    #[error(transparent)]
    Pull(#[from] PullError),
}

impl Upstream {
    /// Docker Hub itself, or (`Some`) the registry at that address, asked instead of it.
    pub fn new(address: Option<String>) -> Self {
        let options = Options {
            mirrors: address.into_iter().collect(),
            connect_timeout: Duration::from_secs(2),
            ..Options::default()
        };
        Self { client: Client::new(options), unreachable_since: Mutex::default(), running: Mutex::default() }
    }

    pub(super) async fn fetch(&self, store: &Store, name: &Named) -> Result<Arc<Image>, FetchError> {
        if self.gave_up() {
            return Err(FetchError::Unreachable);
        }
        let turn = Arc::clone(self.running().entry(name.to_string()).or_default());
        let _turn = turn.lock().await;
        if let Ok(Some(image)) = store.resolve(name) {
            return Ok(image);
        }
        let wanted = Wanted { name, platform: None, credentials: None };
        let pulled = pull(&self.client, store, wanted, &|_| {}).await;
        self.running().remove(&name.to_string());
        match pulled {
            Ok(pulled) => Ok(pulled.image),
            Err(error) => {
                if matches!(&error, PullError::Registry(error) if error.is_unreachable()) {
                    *self.unreachable_since.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(Instant::now());
                }
                Err(error.into())
            }
        }
    }

    fn gave_up(&self) -> bool {
        let since = *self.unreachable_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() < RETRY_AFTER)
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
