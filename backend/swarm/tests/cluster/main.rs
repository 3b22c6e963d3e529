//! Real clusters: several nodes in one process, each with its own runtime, data root and loopback address, in a network namespace of
//! the test's own. Certificates, raft, TLS and the calls are the product's; partitions are packets that the kernel drops.
//!
//! Only where the engine's containers would be there is a stand-in ([`executor`]): this crate knows no containers.

mod executor;
mod faults;
mod identity;
mod lab;
mod lock;
mod membership;
mod services;
mod tasks;
