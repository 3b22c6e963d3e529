//! One write of one object, and the batch of them that makes an entry of the log.

use serde::{Deserialize, Serialize};

use super::View;
use crate::objects::{Kind, Object, Timestamp, Version};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Create(Object),
    /// The object's version is the one it had when it was read.
    Update(Object),
    Delete {
        kind: Kind,
        id: String,
    },
}

/// An entry of the log: taken whole or refused whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Batch {
    /// The leader's wall clock when it proposed.
    pub at: Timestamp,
    /// The swarm's own time then; unset in logs of before there was one.
    pub clock: Timestamp,
    pub changes: Vec<Change>,
}

impl Batch {
    pub(crate) fn clock(&self) -> Timestamp {
        if self.clock.is_unset() { self.at } else { self.clock }
    }
}

impl Change {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Create(object) | Self::Update(object) => object.kind(),
            Self::Delete { kind, .. } => *kind,
        }
    }

    pub fn id(&self) -> &str {
        match self {
            Self::Create(object) | Self::Update(object) => object.id(),
            Self::Delete { id, .. } => id,
        }
    }

    /// The change as it is written at `version`; a stale update keeps its version, to be refused.
    pub(super) fn stamped(&self, view: &View, version: Version, at: Timestamp) -> Stamped {
        match self {
            Self::Create(object) => {
                let mut object = object.clone();
                let meta = object.meta_mut();
                if meta.created_at.is_unset() {
                    meta.created_at = at;
                }
                (meta.version, meta.updated_at) = (version, at);
                Stamped::Create(object)
            }
            Self::Update(object) => {
                let read_at = object.meta().version;
                let created_at = view.object(object.kind(), object.id()).map(|old| old.meta().created_at);
                let mut object = object.clone();
                let meta = object.meta_mut();
                meta.created_at = created_at.unwrap_or(meta.created_at);
                (meta.version, meta.updated_at) = (version, at);
                Stamped::Update { object, read_at }
            }
            Self::Delete { kind, id } => Stamped::Delete { kind: *kind, id: id.clone() },
        }
    }
}

/// A change with the meta that the object will have, and the version it was read at.
pub(super) enum Stamped {
    Create(Object),
    Update { object: Object, read_at: Version },
    Delete { kind: Kind, id: String },
}
