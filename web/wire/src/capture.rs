//! What is caught on a link of a node: text frames of `GET /sessions/{id}/instances/{name}/capture/ws?interface=&filter=`.
//! The same path without `/ws` (and with `seconds=`, `packets=`) is the packets themselves, as a pcap file.

use serde::{Deserialize, Serialize};

/// Lines since the last frame.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caught {
    pub lines: Vec<String>,
    /// Lines that came too fast to be sent.
    pub left_out: u32,
    /// Why it is over, in the last frame.
    pub over: Option<String>,
}
