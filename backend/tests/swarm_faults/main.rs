//! What a session's swarm of five nodes survives: killed engines, cut cables, a full disk, strangers. Seen through the genuine
//! command line in the nodes, as a student sees it.
//!
//! Each test has a session of its own. Begin with [`swarm`].

#[path = "../support/mod.rs"]
mod support;

mod clock;
mod disk;
mod engines;
mod partition;
mod quorum;
mod strangers;
mod swarm;
mod update;
mod worker;
mod writer;
