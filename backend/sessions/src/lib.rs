//! Who owns what, until when: the records of sessions and their instances, and every decision about them.
//!
//! This crate refuses to know of nodes (it keeps the host's id of one as a string), of HTTP, and of the clock:
//! decisions take the time as an argument.
//!
//! Begin with [`record`], then [`Store`]. The decisions are [`life`] (expiry, orphans, extension), [`capacity`]
//! and [`rate`].
#![forbid(unsafe_code)]

pub mod capacity;
pub mod hostname;
pub mod id;
pub mod life;
pub mod rate;
pub mod record;
mod store;
pub mod template;

pub use id::{InstanceName, Label, SessionId};
pub use record::{Instance, Session};
pub use store::{OpenStore, Store, StoreError};
