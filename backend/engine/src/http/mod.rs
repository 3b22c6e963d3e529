//! Listeners and what is common to every request: version negotiation and headers.

pub mod hangup;
pub mod listen;
pub mod tls;
pub mod version;
