//! What the page believes. Every module is a reducer: a value, and `apply`, the only way it changes.
//!
//! This crate refuses to know the DOM, JavaScript, Leptos and the clock: time and randomness are arguments. It is
//! therefore tested natively. Begin with [`session`] (one session and its nodes), then [`stream`] (one terminal's
//! bytes), [`workspace`] (which terminal is in which pane), [`drawing`] (the topology's geometry) and [`lesson`].
#![forbid(unsafe_code)]

pub mod capture;
pub mod clock;
pub mod drawing;
pub mod json;
pub mod keys;
pub mod lesson;
pub mod link;
mod messages;
pub mod recent;
pub mod session;
pub mod shapes;
pub mod stream;
pub mod units;
pub mod workspace;
