//! `docker commit`: what a container wrote becomes a layer, and its configuration an image.

use std::sync::Arc;

use drydock_images::Named;
use http::StatusCode;

use crate::container::record::Status;
use crate::container::{Container, create, pause, publish};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::image::{CommitError as ImageError, NewCommit};
use crate::wire::ContainerConfig;

/// How to commit.
#[derive(Clone, Debug)]
pub struct Commit {
    pub name: Option<Named>,
    pub author: String,
    pub comment: String,
    /// What the image is to have beside, or instead of, what the container has.
    pub config: ContainerConfig,
    pub while_running: WhileRunning,
}

/// Whether the container may write while it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhileRunning {
    Pause,
    GoOn,
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error("You cannot commit container {0} which is being removed")]
    Removing(String),
    #[error("You cannot commit container {0} which is Dead")]
    Dead(String),
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error("wait for the commit")]
    Wait(#[source] tokio::task::JoinError),
}

impl From<CommitError> for ApiError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Removing(_) | CommitError::Dead(_) => Self::conflict(error.to_string()),
            CommitError::Image(error) => error.into(),
            CommitError::Wait(_) => Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error),
        }
    }
}

/// Answers the new image's id.
pub async fn commit(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    wanted: Commit,
) -> Result<String, CommitError> {
    let record = container.record().clone();
    match record.state.status {
        Status::Removing => return Err(CommitError::Removing(record.id.to_string())),
        Status::Dead => return Err(CommitError::Dead(record.id.to_string())),
        _ => {}
    }
    let mut config = wanted.config;
    create::merge(&mut config, &record.config);
    let reference = wanted.name.as_ref().map(Named::familiar).unwrap_or_default();
    let new = NewCommit {
        container: record.id.to_string(),
        parent: record.image_id,
        config,
        created_by: record.config.cmd.unwrap_or_default().join(" "),
        author: wanted.author,
        comment: wanted.comment.clone(),
        name: wanted.name,
    };
    // One that does not run, or is paused already, stays as it is.
    let paused = wanted.while_running == WhileRunning::Pause && pause::pause(engine, container).await.is_ok();
    let images = engine.clone();
    let made = tokio::task::spawn_blocking(move || images.images.commit(&new)).await;
    let made = made.map_err(CommitError::Wait).and_then(|made| Ok(made?));
    if let Ok(id) = &made {
        let said = [("comment", wanted.comment), ("imageID", id.clone()), ("imageRef", reference)];
        publish(engine, container, "commit", said);
    }
    if paused && let Err(error) = pause::unpause(engine, container).await {
        tracing::error!(container.id = %container.id, "{}", crate::error::chain(&error));
    }
    made
}
