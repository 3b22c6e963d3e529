//! A Dockerfile and its context → an image, as the classic builder of `dockerd` makes it.
//!
//! What this room does: reads Dockerfiles ([`dockerfile`], pure) and expands their variables ([`expand`], pure), plans each
//! step, asks the cache, copies files, and says what it does in the classic builder's own words. It refuses to know the
//! Engine API, HTTP, registries, and how containers run: what it needs of the world is the trait [`host::Host`], which the
//! engine gives it. It is synchronous; callers with an event loop run it on a blocking thread.
//!
//! Begin with [`dockerfile::Dockerfile::parse`], then [`build::Build::run`], then `stage` (one instruction after the other).
#![forbid(unsafe_code)]

mod arguments;
pub mod build;
mod cache;
mod change;
mod configure;
pub mod copy;
mod decompress;
pub mod dockerfile;
mod error;
pub mod expand;
mod glob;
pub mod host;
pub mod image;
mod owner;
pub mod patterns;
mod ports;
mod signals;
mod stage;
mod stages;
mod tree;

pub use build::Build;
pub use change::{ChangeError, apply_changes};
pub use decompress::decompress;
pub use error::BuildError;
pub use stage::{parse_platform, short};
