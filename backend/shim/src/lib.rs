//! One small process per container: it holds the container's streams, writes its log, and reports its end.
//!
//! An engine starts `drydock-shim DIR` and may then be killed, upgraded and restarted: the shim and
//! its container do not notice. This library is what both sides share: the files in the container's
//! folder ([`config`], [`exit`]), the words spoken on its socket ([`protocol`]) and the pieces of output in a log ([`entry`]). The program itself
//! begins in `main.rs`.
//!
//! This room knows nothing of the Engine API, of images or of networks: a bundle is ready when it gets one.
#![forbid(unsafe_code)]

pub mod config;
pub mod entry;
pub mod exit;
pub mod protocol;
