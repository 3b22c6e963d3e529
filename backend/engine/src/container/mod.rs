//! Containers: records, and one verb per file.

pub mod record;
pub mod registry;
pub mod restore;

pub use record::{Container, Record};
pub use registry::{Containers, FindError, LoadError};
