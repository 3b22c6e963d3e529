//! The distribution protocol (`opencontainers/distribution-spec`), both ends of it, over an `images` store.
//!
//! What this room does: asks registries for manifests and blobs with the authentication and the errors that
//! Docker's users know ([`client`]), fills a store from one ([`pull`]) or one from a store ([`push`]), and serves
//! a store as a registry that fetches what it lacks from the next one ([`server`]). It refuses to know the
//! Engine API, sessions and nodes.
//!
//! Begin with [`pull::pull`].
#![forbid(unsafe_code)]

pub mod answer;
mod auth;
mod certificates;
pub mod client;
mod connection;
pub mod dial;
mod download;
mod endpoint;
mod error;
mod leavings;
mod login;
pub mod manifest;
mod platform;
mod pour;
mod proxies;
pub mod pull;
pub mod push;
pub mod repository;
pub mod search;
pub mod server;
mod upload;

pub use auth::Credentials;
pub use certificates::CertificateError;
pub use client::{Client, Options};
pub use error::RegistryError;
pub use manifest::Manifest;
pub use platform::Platform;
pub use pour::Chunks;
pub use proxies::Proxies;
pub use pull::{LayerState, PullError, PullEvent, Pulled, Wanted, pull};
pub use search::{Found, SearchError};
