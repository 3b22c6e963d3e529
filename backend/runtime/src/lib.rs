//! An OCI runtime: from a bundle to a running container and back to nothing.
//!
//! A container is made by one `clone3(2)` of this single-threaded process: no second program, no re-exec.
//! The child ([`init`]) has everything it needs in the memory it was copied with, and speaks with its
//! parent over one socket pair ([`channel`]). Whatever fails on either side names its step, and the parent
//! takes down what it had made.
//!
//! Begin with [`create`] for the parent's side and [`init`] for the child's; [`exec`] adds a process later;
//! [`delete`] leaves nothing behind. `drydock-runtime` (`main.rs`) puts `runc`'s command line before them,
//! and a shim calls them directly.
//!
//! This room knows nothing of Docker, of images or of how networks are made: it joins what it is told to join.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod capabilities;
pub mod cgroup;
pub mod channel;
pub mod console;
pub mod create;
pub mod credentials;
pub mod delete;
pub mod exec;
pub mod failure;
pub mod features;
pub mod freeze;
pub mod hooks;
pub mod init;
pub mod limits;
pub mod listener;
pub mod lookup;
pub mod namespaces;
pub mod program;
pub mod rootfs;
pub mod scheduling;
pub mod seccomp;
pub mod signal;
pub mod spawn;
pub mod start;
pub mod state;
pub mod stdio;
