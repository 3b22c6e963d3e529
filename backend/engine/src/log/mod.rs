//! Containers' logs: which driver and with which options, and reading back what shims wrote.
//!
//! Writing is the shim's, so that it goes on without an engine (`backend/shim/src/log`). Here options are checked ([`options`]) and
//! made into what a shim is told ([`setup`]); and files of the two formats that can be read back, and their rotated elders,
//! are read ([`read`], [`follow`]).

pub mod entry;
pub mod files;
pub mod follow;
pub mod info;
pub mod options;
pub mod read;
pub mod setup;
