//! A few ready-made network namespaces, so that a start does not wait for the kernel to make one.
//!
//! They are pinned in `EXEC_ROOT/netns` under the first digits of the id of the sandbox they
//! will be. One task refills them ([`Spares::keep`]); what is left of them after a crash is swept with
//! all other namespaces that belong to no container.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use drydock_networks::NetNs;
use tokio::sync::Notify;

use crate::id::Id;

/// Kept ready; more are made as they are taken.
const READY: usize = 2;

/// A namespace with its loopback up and nothing else.
#[derive(Debug)]
pub struct Spare {
    pub id: Id,
    pub namespace: NetNs,
}

/// The stock.
#[derive(Debug)]
pub struct Spares {
    folder: PathBuf,
    ready: Mutex<Vec<Spare>>,
    taken: Notify,
}

impl Spares {
    pub fn open(folder: PathBuf) -> io::Result<Arc<Self>> {
        std::fs::create_dir_all(&folder)?;
        Ok(Arc::new(Self { folder, ready: Mutex::default(), taken: Notify::new() }))
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A ready namespace, or a new one when none is left. Blocks for the latter.
    pub fn take(&self) -> io::Result<Spare> {
        let ready = self.ready().pop();
        self.taken.notify_one();
        match ready {
            Some(spare) => Ok(spare),
            None => self.make(),
        }
    }

    fn make(&self) -> io::Result<Spare> {
        let id = Id::random();
        let namespace = NetNs::create(&self.folder.join(id.short()))?;
        Ok(Spare { id, namespace })
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, Vec<Spare>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts refilling: not before what an earlier engine left was swept, lest a fresh
    /// namespace be taken for a leftover.
    pub fn begin(&self) {
        self.taken.notify_one();
    }

    /// Refills the stock for ever, from [`Spares::begin`] on.
    pub async fn keep(self: Arc<Self>) {
        loop {
            self.taken.notified().await;
            let spares = self.clone();
            // The blocking thread itself holds the stock: what it makes while the service ends
            // is still in it when it is dropped.
            match tokio::task::spawn_blocking(move || spares.refill()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot make a network namespace in advance"),
                // The runtime is going down.
                Err(_) => return,
            }
        }
    }

    fn refill(&self) -> io::Result<()> {
        while self.ready().len() < READY {
            let spare = self.make()?;
            self.ready().push(spare);
        }
        Ok(())
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        for spare in self.ready().drain(..) {
            let _ = NetNs::remove(spare.namespace.path());
        }
    }
}
