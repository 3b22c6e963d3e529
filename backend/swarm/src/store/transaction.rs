//! Trying changes: a decision sees what it has already decided, and nobody else does.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use super::change::{Change, Stamped};
use super::{Refusal, View};
use crate::objects::{Kind, Object, Stored};

/// What was there before each change, to go back to.
#[derive(Default)]
pub(super) struct Undo(Vec<(Kind, String, Option<Object>)>);

impl Undo {
    pub fn perform(&mut self, view: &mut View, change: &Stamped) -> Result<(), Refusal> {
        match change {
            Stamped::Create(object) => {
                name_is_free(view, object)?;
                if view.object(object.kind(), object.id()).is_some() {
                    return Err(Refusal::Exists { kind: object.kind(), id: object.id().to_owned() });
                }
                self.put(view, object.clone());
            }
            Stamped::Update { object, read_at } => {
                let (kind, id) = (object.kind(), object.id());
                name_is_free(view, object)?;
                match view.object(kind, id) {
                    None => return Err(Refusal::NotExist { kind, id: id.to_owned() }),
                    Some(old) if old.meta().version != *read_at => {
                        return Err(Refusal::OutOfSequence { kind, id: id.to_owned() });
                    }
                    Some(_) => self.put(view, object.clone()),
                }
            }
            Stamped::Delete { kind, id } => match view.remove(*kind, id) {
                None => return Err(Refusal::NotExist { kind: *kind, id: id.clone() }),
                Some(before) => self.0.push((*kind, id.clone(), Some(before))),
            },
        }
        Ok(())
    }

    fn put(&mut self, view: &mut View, object: Object) {
        let (kind, id) = (object.kind(), object.id().to_owned());
        self.0.push((kind, id, view.put(object)));
    }

    /// Puts everything back as it was.
    pub fn back(self, view: &mut View) {
        for (kind, id, before) in self.0.into_iter().rev() {
            match before {
                Some(before) => _ = view.put(before),
                None => _ = view.remove(kind, &id),
            }
        }
    }

    /// The objects that were touched, once each, with what was there before.
    pub fn touched(self) -> Vec<(Kind, String, Option<Object>)> {
        let mut seen = std::collections::HashSet::new();
        self.0.into_iter().filter(|(kind, id, _)| seen.insert((*kind, id.clone()))).collect()
    }
}

fn name_is_free(view: &View, object: &Object) -> Result<(), Refusal> {
    match view.holder_of_name(object.kind(), object.name()) {
        Some(holder) if holder != object.id() => {
            Err(Refusal::NameConflict { kind: object.kind(), name: object.name().to_owned() })
        }
        _ => Ok(()),
    }
}

/// A decision in the making. Reads, through [`View`], show its own changes; when it is over they
/// are taken back and only the list of them remains.
pub struct Transaction<'a> {
    view: &'a mut View,
    undo: Undo,
    changes: Vec<Option<Change>>,
    /// Where the change of an object stands: an object has one change in a batch.
    places: HashMap<(Kind, String), usize>,
}

impl Deref for Transaction<'_> {
    type Target = View;

    fn deref(&self) -> &View {
        self.view
    }
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(view: &'a mut View) -> Self {
        Self { view, undo: Undo::default(), changes: Vec::new(), places: HashMap::new() }
    }

    pub fn create<T: Stored>(&mut self, object: T) -> Result<(), Refusal> {
        let object = Arc::new(object).into_object();
        self.undo.perform(self.view, &Stamped::Create(object.clone()))?;
        self.note(Change::Create(object));
        Ok(())
    }

    /// `object` is one that was read here, changed.
    pub fn update<T: Stored>(&mut self, object: T) -> Result<(), Refusal> {
        let object = Arc::new(object).into_object();
        let read_at = object.meta().version;
        self.undo.perform(self.view, &Stamped::Update { object: object.clone(), read_at })?;
        self.note(Change::Update(object));
        Ok(())
    }

    /// Changes the object as it stands here. `false` when there is no such object.
    pub fn change<T: Stored>(&mut self, id: &T::Id, change: impl FnOnce(&mut T)) -> Result<bool, Refusal> {
        let Some(object) = self.view.object(T::KIND, id.borrow()) else { return Ok(false) };
        let Some(object) = T::from_object(&object) else { return Ok(false) };
        let mut changed = T::clone(object);
        change(&mut changed);
        self.update(changed)?;
        Ok(true)
    }

    pub fn delete<T: Stored>(&mut self, id: &T::Id) -> Result<(), Refusal> {
        let (kind, id) = (T::KIND, id.to_string());
        self.undo.perform(self.view, &Stamped::Delete { kind, id: id.clone() })?;
        self.note(Change::Delete { kind, id });
        Ok(())
    }

    /// Whether nothing was changed so far.
    pub fn is_unchanged(&self) -> bool {
        self.changes.iter().all(Option::is_none)
    }

    /// How many objects were changed so far.
    pub fn len(&self) -> usize {
        self.changes.iter().flatten().count()
    }

    pub fn is_empty(&self) -> bool {
        self.is_unchanged()
    }

    /// Joins the change with an earlier one of the same object. What was made here and changed is
    /// made; what was made here and deleted never was.
    fn note(&mut self, change: Change) {
        let key = (change.kind(), change.id().to_owned());
        let Some(&place) = self.places.get(&key) else {
            self.places.insert(key, self.changes.len());
            self.changes.push(Some(change));
            return;
        };
        self.changes[place] = match (self.changes[place].take(), change) {
            (Some(Change::Create(_)), Change::Update(object)) => Some(Change::Create(object)),
            (Some(Change::Create(_)), Change::Delete { .. }) => None,
            (_, change) => Some(change),
        };
    }

    pub(super) fn finish(mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes).into_iter().flatten().collect()
    }
}

impl Drop for Transaction<'_> {
    /// Takes the changes back, also when the decision ends in a panic.
    fn drop(&mut self) {
        std::mem::take(&mut self.undo).back(self.view);
    }
}
