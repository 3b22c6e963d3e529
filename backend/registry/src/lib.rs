//! The distribution protocol (`opencontainers/distribution-spec`), both ends of it, over an `images` store.
//!
//! What this room does: asks registries for manifests and blobs with the authentication and the errors that
//! Docker's users know ([`client`]), fills a store from one ([`pull`]) or one from a store ([`push`]), and serves
//! a store as a registry that fetches what it lacks from the next one ([`server`]). It refuses to know the
//! Engine API, sessions and nodes.
//!
//! Begin with [`pull::pull`].
#![forbid(unsafe_code)]

mod auth;
pub mod client;
mod endpoint;
mod error;
pub mod manifest;
pub mod pull;
pub mod push;
pub mod server;

pub use auth::Credentials;
pub use client::{Client, Options};
pub use error::RegistryError;
pub use manifest::{Manifest, Platform};
pub use pull::{LayerState, PullError, Pulled, pull};
