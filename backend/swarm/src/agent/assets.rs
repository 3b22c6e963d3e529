//! Secrets, configs and networks that the node's tasks need, in memory only.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::objects::{Config, Kind, Network, Object, Secret, Stored};

/// Clones are one collection.
#[derive(Clone, Default)]
pub struct Assets(Arc<RwLock<HashMap<(Kind, String), Object>>>);

/// Secrets do not belong in logs.
impl std::fmt::Debug for Assets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Assets(…)")
    }
}

impl Assets {
    pub fn secret(&self, id: &str) -> Option<Arc<Secret>> {
        self.get(id)
    }

    pub fn config(&self, id: &str) -> Option<Arc<Config>> {
        self.get(id)
    }

    pub fn network(&self, id: &str) -> Option<Arc<Network>> {
        self.get(id)
    }

    /// All networks that the node has a part in.
    pub fn networks(&self) -> Vec<Arc<Network>> {
        let objects = self.0.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().filter_map(|object| Network::from_object(object).cloned()).collect()
    }

    pub(super) fn put(&self, object: Object) {
        let key = (object.kind(), object.id().to_owned());
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key, object);
    }

    pub(super) fn drop(&self, kind: Kind, id: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&(kind, id.to_owned()));
    }

    /// Keeps what is in `wanted` and nothing else.
    pub(super) fn retain(&self, wanted: &std::collections::HashSet<(Kind, String)>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|key, _| wanted.contains(key));
    }

    fn get<T: Stored>(&self, id: &str) -> Option<Arc<T>> {
        let objects = self.0.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(&(T::KIND, id.to_owned())).and_then(T::from_object).cloned()
    }
}
