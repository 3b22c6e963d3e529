//! Messages between browser and server. Serde only, built for both targets.
//!
//! This crate refuses to know how a message travels (HTTP, WebSocket) and what it causes.
//! Begin with [`terminal`] (the binary terminal socket), then [`session`] (play-with-docker's JSON),
//! [`topology`] (what the drawing shows), [`capture`] (packets of a link) and [`lab`] (what the lab pane shows).
#![forbid(unsafe_code)]

pub mod capture;
pub mod lab;
pub mod session;
pub mod terminal;
pub mod topology;
