//! The whole store as one value, for a new manager and for the disk.

use serde::{Deserialize, Serialize};

use super::View;
use crate::objects::{Object, Timestamp};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Index of the last batch that is in it.
    pub index: u64,
    /// The swarm's own time at that batch.
    pub clock: Timestamp,
    pub objects: Vec<Object>,
}

impl Snapshot {
    pub(super) fn of(index: u64, clock: Timestamp, view: &View) -> Self {
        Self { index, clock, objects: view.objects().collect() }
    }

    pub(super) fn into_view(self) -> View {
        let mut view = View::default();
        for object in self.objects {
            view.put(object);
        }
        view
    }
}
