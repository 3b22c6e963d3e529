//! Streams between docker clients and shims: taking a connection over, and passing bytes both ways.

pub mod detach;
pub mod hijack;
pub mod pump;
pub mod websocket;
