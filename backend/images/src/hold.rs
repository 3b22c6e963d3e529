//! What somebody is about to name: a pull finds a layer in the store, and names it only when the last one has come. In
//! between another client may remove the last image that had the layer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::digest::Digest;
use crate::store::Store;

/// How many hold a digest, by its hexadecimal digits.
pub(crate) type Holds = BTreeMap<String, usize>;

/// Layers and blobs that stay until this is dropped, whether an image names them or not.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Mutex<Holds>>,
    digests: Vec<String>,
}

impl Store {
    /// Keeps layers (by their diffids) and blobs. What is there when this returns stays there.
    pub fn hold(&self, digests: impl IntoIterator<Item = Digest>) -> Hold {
        let digests: Vec<String> = digests.into_iter().map(|digest| digest.hex().to_owned()).collect();
        let holds = Arc::clone(self.holds());
        let mut held = lock(&holds);
        for digest in &digests {
            *held.entry(digest.clone()).or_default() += 1;
        }
        drop(held);
        Hold { holds, digests }
    }

    /// Nobody begins or ends to hold anything meanwhile.
    pub(crate) fn held(&self) -> MutexGuard<'_, Holds> {
        lock(self.holds())
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut held = lock(&self.holds);
        for digest in &self.digests {
            if let Some(count) = held.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    held.remove(digest);
                }
            }
        }
    }
}

fn lock(holds: &Mutex<Holds>) -> MutexGuard<'_, Holds> {
    holds.lock().unwrap_or_else(PoisonError::into_inner)
}
