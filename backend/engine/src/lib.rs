//! The Docker Engine: what `dockerd` is to a docker client.
//!
//! Here the verbs of the Engine API are put in order over the rooms below: `images` (layers), `networks`
//! (links), `registry` (pull and push) and `drydock-shim` (one process per container). This crate knows nothing of
//! sessions, nodes or the gateway: it runs alone on any Linux host, or inside a node.
//!
//! Begin reading in [`engine`] (what lives as long as the process), then [`api`] (the table of endpoints), then
//! [`container`] (the life of one container). Wire shapes that are not `bollard-stubs`' are in [`wire`].
#![forbid(unsafe_code)]

pub mod api;
pub mod build;
pub mod config;
pub mod container;
pub mod engine;
pub mod error;
pub mod events;
pub mod folders;
pub mod host;
pub mod http;
pub mod id;
pub mod image;
pub mod log;
pub mod logging;
pub mod metrics;
pub mod network;
pub mod pidfile;
pub mod quiet;
pub mod reload;
pub mod settings;
pub mod shutdown;
pub mod stream;
pub mod swarm;
pub mod trash;
pub mod volume;
pub mod wire;

pub use config::Config;
pub use engine::Engine;

pub use drydock_golang as golang;
