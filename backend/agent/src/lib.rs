//! The process that is PID 1 of a node, and the client that the gateway speaks to it with.
//!
//! The agent reaps zombies, starts and supervises the Docker engine, owns the node's terminals with their
//! scrollback, runs commands and moves files. It refuses to know what Docker is beyond one program to keep
//! running, and knows nothing of sessions, HTTP or the host.
//!
//! Begin with [`protocol`] (what travels over the unix socket, and in which frames), then [`client::Agent`].
//! The server's half is the program `drydock-agent` (`src/main.rs`).
//!
//! # The protocol
//!
//! One connection of a unix stream socket carries one request. Every frame is
//!
//! ```text
//! [type: u8] [length: u32, network byte order] [payload: length bytes]
//! ```
//!
//! and its payload at most [`frame::MAX_PAYLOAD`] bytes. The client's first frame is `REQUEST`, a JSON
//! [`protocol::Request`]. The agent answers with `REPLY` (JSON, its shape depends on the request) or `ERROR` (JSON
//! [`protocol::Refusal`]), and the connection then carries:
//!
//! | request | client sends | agent sends |
//! |---|---|---|
//! | `attach` | `INPUT`, `RESIZE`, `ACK` | `OUTPUT`, `GAP`, `RESIZED`, `SHELL_EXITED`, at last `CLOSED` |
//! | `exec` | `INPUT` (its stdin), `END` | `STDOUT`, `STDERR`, at last `EXITED` |
//! | `write` | `INPUT` (the contents), `END` | a second `REPLY` once the file has its name |
//! | `read` | – | `STDOUT` (the contents), `END` |
//! | all others | – | – |
//!
//! Closing the connection ends what it carried: a viewer leaves, a command is killed, an unfinished file is
//! removed. Anything malformed is answered with `ERROR` and the connection closed; the client for its part treats a
//! node as hostile: it bounds sizes and waits, and believes nothing that does not parse.
#![forbid(unsafe_code)]

pub mod client;
pub mod frame;
pub mod protocol;
pub mod socket;
