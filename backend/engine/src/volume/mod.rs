//! Named and anonymous volumes of the `local` driver.

use std::path::PathBuf;

use crate::config::Config;
use crate::events::Events;

/// All volumes, below `DATA_ROOT/volumes`.
#[derive(Debug)]
pub struct Volumes {
    #[expect(dead_code, reason = "volume events are published through it")]
    events: Events,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open {path}")]
    Directory { path: PathBuf, source: std::io::Error },
}

impl Volumes {
    pub fn open(_config: &Config, events: Events) -> Result<Self, OpenError> {
        Ok(Self { events })
    }
}
