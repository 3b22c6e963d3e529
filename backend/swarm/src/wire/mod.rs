//! Calls between nodes: gRPC over HTTP/2 with mutual TLS on TCP 2377.
//!
//! A call is a type ([`Call`]) that names its path, who may make it and where it is answered. Messages are JSON, as the objects in the
//! log are, so that there is one form of them and a reader of another version passes over what it does not know. `tonic` does the
//! framing, statuses and streams; the connections are ours, because TLS settings change under a running node, each call needs the
//! certificate it came with, and a manager that does not lead passes the whole call on.
//!
//! ```text
//!  agent ── Session ──▶ manager ── the same bytes, with the caller's subject in a header ──▶ leader
//! ```
//!
//! Knows nothing of what the calls mean. Begin with [`call`].

pub mod call;
mod client;
mod codec;
pub mod peer;
mod pool;
mod relay;
mod server;
mod socket;
pub mod status;

pub use call::{At, Call, Caller};
pub use client::{Channel, Incoming};
pub use peer::{Gate, Peer};
pub use pool::Pool;
pub use relay::{Leader, NO_LEADER, await_leader, no_leader};
pub use server::{Routes, Server};
pub use socket::Source;
