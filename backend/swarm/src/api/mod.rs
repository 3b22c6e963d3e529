//! What is in the store, in the Docker API's words.
//!
//! Pure: a view in, the API's own JSON out. Where a client asked for a list, [`filter`] reads what
//! it asked for and refuses in moby's words what it cannot have meant.

mod cluster;
mod defaults;
pub mod filter;
mod network;
mod node;
mod secret;
mod service;
mod task;

pub use cluster::{cluster, swarm};
pub use defaults::with_defaults;
pub use network::{AttachedNetwork, NetworkAttachmentAnswer, network};
pub use node::node;
pub use secret::{config, secret};
pub use service::{ServiceAnswer, service, service_status};
pub use task::{TaskAnswer, task};

use bollard_stubs::models::ObjectVersion;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::objects::{Timestamp, Version};
use crate::status::Status;
use crate::store::Ambiguous;

/// The time as Go writes it, and its zero for none.
pub fn date(time: Timestamp) -> String {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    if time.is_unset() {
        return NEVER.to_owned();
    }
    let date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.0)).ok();
    date.and_then(|date| date.format(&Rfc3339).ok()).unwrap_or_else(|| NEVER.to_owned())
}

pub fn version(version: Version) -> ObjectVersion {
    ObjectVersion { index: Some(version.index) }
}

/// What moby says when the beginning of an id fits several objects.
pub fn ambiguous(kind: &str, reference: &str, ambiguous: Ambiguous) -> Status {
    let count = ambiguous.matches;
    Status::plain(format!("{kind} {reference} is ambiguous ({count} matches found)"))
}

/// What moby says when there is no such object.
pub fn not_found(kind: &str, reference: &str) -> Status {
    Status::absent(format!("{kind} {reference} not found"))
}
