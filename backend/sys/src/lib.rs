//! The locked room: every system call that Rust cannot check, behind a function that is safe to call.
//!
//! Signatures speak in owned and borrowed descriptors, slices and enums; each `unsafe` block says
//! why its preconditions hold. This crate decides nothing: no paths, names or defaults of Drydock's
//! live here. Begin with [`process::clone_self`] and [`mount`].

pub mod child;
pub mod clock;
pub mod datagrams;
pub mod device_filter;
pub mod fds;
pub mod keyring;
pub mod loops;
pub mod memory;
pub mod mount;
pub mod namespaces;
pub mod netlink;
pub mod netns;
pub mod process;
pub mod pty;
pub mod scheduling;
pub mod seccomp;
pub mod signals;
pub mod tun;
