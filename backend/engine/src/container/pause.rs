//! `docker pause` and `unpause`: the cgroup's freezer.

use std::sync::Arc;

use drydock_shim::protocol::Request;
use http::StatusCode;

use crate::container::record::Status;
use crate::container::shim::{self, ShimError};
use crate::container::{Container, publish};
use crate::engine::Engine;
use crate::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    #[error("container {0} is not running")]
    NotRunning(String),
    #[error("Container {0} is already paused")]
    AlreadyPaused(String),
    #[error("Container {0} is restarting, wait until the container is running")]
    Restarting(String),
    #[error("Container {0} is not paused")]
    NotPaused(String),
    #[error("cannot pause container {id}")]
    Freeze { id: String, source: ShimError },
    #[error("cannot unpause container {id}")]
    Thaw { id: String, source: ShimError },
}

impl From<PauseError> for ApiError {
    fn from(error: PauseError) -> Self {
        let status = match error {
            PauseError::NotRunning(_) | PauseError::AlreadyPaused(_) | PauseError::Restarting(_) => {
                StatusCode::CONFLICT
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

pub async fn pause(engine: &Engine, container: &Arc<Container>) -> Result<(), PauseError> {
    let _one_verb = container.verbs.lock().await;
    let id = container.id.to_string();
    match container.status() {
        Status::Running => {}
        Status::Paused => return Err(PauseError::AlreadyPaused(id)),
        Status::Restarting => return Err(PauseError::Restarting(id)),
        _ => return Err(PauseError::NotRunning(id)),
    }
    let frozen = shim::command(&container.run_dir, &Request::Pause).await;
    frozen.map_err(|source| PauseError::Freeze { id, source })?;
    become_status(container, Status::Running, Status::Paused);
    publish(engine, container, "pause", []);
    Ok(())
}

pub async fn unpause(engine: &Engine, container: &Arc<Container>) -> Result<(), PauseError> {
    let _one_verb = container.verbs.lock().await;
    let id = container.id.to_string();
    if container.status() != Status::Paused {
        return Err(PauseError::NotPaused(id));
    }
    let thawed = shim::command(&container.run_dir, &Request::Resume).await;
    thawed.map_err(|source| PauseError::Thaw { id, source })?;
    become_status(container, Status::Paused, Status::Running);
    publish(engine, container, "unpause", []);
    Ok(())
}

/// Lets a frozen container take the signal that ends it. Nobody asked for this by itself.
pub async fn thaw(engine: &Engine, container: &Arc<Container>) {
    match shim::command(&container.run_dir, &Request::Resume).await {
        Ok(()) => {
            become_status(container, Status::Paused, Status::Running);
            publish(engine, container, "unpause", []);
        }
        Err(error) => tracing::debug!(container.id = %container.id, "{}", crate::error::chain(&error)),
    }
}

/// Unless it ended in the same moment.
fn become_status(container: &Container, from: Status, to: Status) {
    container.note(|record| {
        if record.state.status == from {
            record.state.status = to;
        }
    });
}
