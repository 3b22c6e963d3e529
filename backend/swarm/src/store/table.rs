//! The objects of one kind, by id and by name.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::objects::Stored;

/// In the order of ids, so that whoever walks it does so alike on every manager.
#[derive(Clone, Debug)]
pub struct Table<T: Stored> {
    objects: BTreeMap<T::Id, Arc<T>>,
    /// Of kinds with unique names: lower case, since names differ by more than case.
    names: BTreeMap<String, T::Id>,
}

impl<T: Stored> Default for Table<T> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), names: BTreeMap::new() }
    }
}

impl<T: Stored> Table<T> {
    pub fn get(&self, id: &str) -> Option<&Arc<T>> {
        self.objects.get(id)
    }

    pub fn contains(&self, id: &str) -> bool {
        self.objects.contains_key(id)
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Arc<T>> + Clone {
        self.objects.values()
    }

    pub fn len(&self) -> usize {
        self.objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The object of that name, whatever the case.
    pub fn named(&self, name: &str) -> Option<&Arc<T>> {
        self.names.get(&name.to_lowercase()).and_then(|id| self.objects.get(id.borrow_str()))
    }

    /// The objects whose id begins so.
    pub fn by_id_prefix<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'a Arc<T>> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        self.objects
            .range::<str, _>(from)
            .take_while(move |(id, _)| id.borrow_str().starts_with(prefix))
            .map(|(_, object)| object)
    }

    /// Puts the object in and answers the one that was there.
    pub(super) fn put(&mut self, object: Arc<T>) -> Option<Arc<T>> {
        let before = self.objects.insert(object.id().clone(), object.clone());
        if let Some(before) = &before {
            self.forget_name(before);
        }
        if T::KIND.has_unique_names() {
            self.names.insert(object.name().to_lowercase(), object.id().clone());
        }
        before
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Arc<T>> {
        let before = self.objects.remove(id)?;
        self.forget_name(&before);
        Some(before)
    }

    fn forget_name(&mut self, object: &T) {
        if T::KIND.has_unique_names() {
            let name = object.name().to_lowercase();
            if self.names.get(&name) == Some(object.id()) {
                self.names.remove(&name);
            }
        }
    }
}

/// Says which of an id's borrows is meant.
trait BorrowStr {
    fn borrow_str(&self) -> &str;
}

impl<I: std::borrow::Borrow<str>> BorrowStr for I {
    fn borrow_str(&self) -> &str {
        self.borrow()
    }
}
