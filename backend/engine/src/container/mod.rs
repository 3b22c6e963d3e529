//! Containers: records, and one verb per file.

pub mod cgroup;
pub mod check;
pub mod commit;
pub mod copy_out;
pub mod create;
pub mod defaults;
pub mod exec;
pub mod explain;
pub mod files;
pub mod health;
pub mod image_mounts;
pub mod inspect;
pub mod links;
pub mod live;
pub mod modes;
pub mod monitor;
pub mod mounts;
pub mod names;
pub mod pause;
pub mod record;
pub mod registry;
pub mod remove;
pub mod rename;
pub mod restart;
pub mod restore;
pub mod rootfs;
pub mod shim;
pub mod signal;
pub mod spec;
pub mod start;
pub mod stats;
pub mod stop;
pub mod stray;
pub mod summary;
pub mod top;
pub mod update;
pub mod view;

pub use live::{Container, SaveError};
pub use record::{Attachment, Record};
pub use registry::{Containers, FindError, LoadError};

use crate::engine::Engine;

/// Tells the world what happened to a container.
pub fn publish<const N: usize>(
    engine: &Engine,
    container: &Container,
    action: &str,
    more: [(&str, String); N],
) {
    let mut attributes = container.record().event_attributes();
    attributes.extend(more.map(|(key, value)| (key.to_owned(), value)));
    engine.events.publish("container", action, container.id.as_str(), attributes);
}
