//! Reading `json-file` logs, which shims write: one JSON object per line, in a file and its rotated elders.

pub mod entry;
pub mod follow;
pub mod read;
