//! The gateway: HTTP, WebSockets and published ports in front of sessions, and the `drydock` command line.
//!
//! Doors translate; they decide nothing. What a session is and does lives in [`playground`], its records in
//! `drydock_sessions`, its nodes in `drydock_nodes`. Begin with [`serve`] (how it comes up and goes down), then
//! [`doors`] (one file per family of endpoints).
//!
//! # Tasks
//!
//! ```text
//! serve ─ connections ─ one task per connection, and one per WebSocket
//!       ├ reaper: ends sessions whose time is over
//!       └ per session (its tracker; all end with it)
//!           ├ registry listener in the session's network
//!           ├ topology publisher
//!           └ per instance: engine observer
//! ```
#![forbid(unsafe_code)]

pub mod cli;
pub mod config;
pub mod connections;
pub mod doors;
pub mod playground;
pub mod serve;
pub mod state;
