//! What a pull has brought that no image names yet.
//!
//! A pull ends in two ways that name nothing: it fails, or whoever asked goes away and it is dropped. Its threads cannot
//! be ended: one that unpacks a layer goes on until the layer is whole. So the pull and each of its threads share one
//! [`Leavings`], and the last of them that ends throws away what is of no use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock_images::{Digest, Hold, Store};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Layers and blobs that are held until the last of those who share this has ended.
#[derive(Debug)]
pub(crate) struct Leavings {
    store: Store,
    parts: Vec<Digest>,
    hold: Option<Hold>,
    is_named: AtomicBool,
    /// Goes when all is thrown away.
    done: Option<oneshot::Sender<()>>,
}

/// Waits until the last has ended.
pub(crate) struct Gone(oneshot::Receiver<()>);

impl Leavings {
    /// From here on nobody throws away what is found to be there.
    pub fn new(store: &Store, parts: Vec<Digest>) -> (Arc<Self>, Gone) {
        let (done, gone) = oneshot::channel();
        let hold = Some(store.hold(parts.iter().cloned()));
        let (store, is_named, done) = (store.clone(), AtomicBool::new(false), Some(done));
        (Arc::new(Self { store, parts, hold, is_named, done }), Gone(gone))
    }

    /// An image has them now.
    pub fn are_named(&self) {
        self.is_named.store(true, Ordering::Release);
    }
}

impl Gone {
    pub async fn wait(self) {
        // Nothing is ever sent.
        let _ = self.0.await;
    }
}

impl Drop for Leavings {
    fn drop(&mut self) {
        drop(self.hold.take());
        if *self.is_named.get_mut() {
            return;
        }
        let (store, parts, done) = (self.store.clone(), std::mem::take(&mut self.parts), self.done.take());
        let discard = move || {
            if let Err(error) = store.discard(parts) {
                tracing::warn!(%error, "what a pull brought that came to nothing stays");
            }
            drop(done);
        };
        // Whoever drops a pull may be one of the runtime's own threads, which must not wait for the disk.
        match Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(discard)),
            Err(_) => discard(),
        }
    }
}
