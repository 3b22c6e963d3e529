//! The whole store as one value, for a new manager and for the disk.

use serde::{Deserialize, Serialize};

use super::View;
use crate::objects::Object;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    /// Index of the last batch that is in it.
    pub index: u64,
    pub objects: Vec<Object>,
}

impl Snapshot {
    pub(super) fn of(index: u64, view: &View) -> Self {
        Self { index, objects: view.objects().collect() }
    }

    pub(super) fn into_view(self) -> View {
        let mut view = View::default();
        for object in self.objects {
            view.put(object);
        }
        view
    }
}
