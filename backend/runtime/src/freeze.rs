//! Pausing a container and letting it go on.

use crate::cgroup::CgroupError;
use crate::state::{State, StateDir, Status};

#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    #[error("container not running")]
    NotRunning,
    #[error("container not paused")]
    NotPaused,
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

/// Freezes every process of a container that runs, or waits for its start.
pub fn pause(dir: &StateDir, state: &State) -> Result<(), FreezeError> {
    match dir.status(state) {
        Status::Running | Status::Created => Ok(state.cgroup.freeze(true)?),
        _ => Err(FreezeError::NotRunning),
    }
}

/// Thaws a paused container.
pub fn resume(dir: &StateDir, state: &State) -> Result<(), FreezeError> {
    match state.cgroup.frozen() && dir.status(state) != Status::Stopped {
        true => Ok(state.cgroup.freeze(false)?),
        false => Err(FreezeError::NotPaused),
    }
}
