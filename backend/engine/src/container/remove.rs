//! `docker rm`: the record, the writable layer, the log, and volumes nobody named.

use std::sync::Arc;

use http::StatusCode;

use crate::container::record::Status;
use crate::container::stop::{self, StopError};
use crate::container::{Container, mounts::Kind};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::image::RootfsError;

#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub force: bool,
    pub volumes: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("No such container: {0}")]
    Gone(String),
    #[error("removal of container {0} is already in progress")]
    InProgress(String),
    #[error("container is paused and must be unpaused first")]
    Paused,
    #[error("container is {0}: stop the container before removing or force remove")]
    Running(&'static str),
    #[error("could not kill container")]
    Kill(#[source] Box<StopError>),
    #[error("container {id}: driver \"overlay2\" failed to remove root filesystem")]
    Rootfs { id: String, source: RootfsError },
    #[error("unable to remove filesystem for {id}")]
    Folder { id: String, source: std::io::Error },
}

impl From<RemoveError> for ApiError {
    fn from(error: RemoveError) -> Self {
        let status = match error {
            RemoveError::Gone(_) => StatusCode::NOT_FOUND,
            RemoveError::InProgress(_) | RemoveError::Running(_) | RemoveError::Paused => {
                StatusCode::CONFLICT
            }
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

pub async fn remove(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    options: Options,
) -> Result<(), RemoveError> {
    let Ok(_one_verb) = container.verbs.try_lock() else {
        if container.status() == Status::Removing {
            return Err(RemoveError::InProgress(container.id.to_string()));
        }
        let _waited = container.verbs.lock().await;
        drop(_waited);
        return Box::pin(remove(engine, container, options)).await;
    };
    if container.phase().borrow().removed {
        return Err(RemoveError::Gone(container.id.to_string()));
    }
    end(engine, container, options.force).await?;
    // The last run is taken down by its monitor.
    let _run = container.run.lock().await;
    container.note(|record| record.state.status = Status::Removing);
    if let Err(error) = erase(engine, container) {
        container.note(|record| {
            record.state.status = Status::Dead;
            record.state.error = crate::error::chain(&error);
        });
        return Err(error);
    }
    engine.containers.remove(&container.id);
    engine.execs.forget(&container.id);
    container.advance(|phase| {
        phase.running = false;
        phase.removed = true;
    });
    super::publish(engine, container, "destroy", []);
    if options.volumes {
        remove_anonymous_volumes(engine, container);
    }
    Ok(())
}

async fn end(engine: &Arc<Engine>, container: &Arc<Container>, force: bool) -> Result<(), RemoveError> {
    let status = container.status();
    if !status.counts_as_running() {
        return Ok(());
    }
    if !force {
        return Err(match status {
            Status::Paused => RemoveError::Paused,
            status => RemoveError::Running(status.as_str()),
        });
    }
    if status == Status::Restarting {
        container.note(|record| record.state.status = Status::Exited);
        container.interrupt.notify_waiters();
        return Ok(());
    }
    match stop::kill(engine, container, None).await {
        Ok(()) | Err(StopError::NotRunning(_)) => Ok(()),
        Err(source) => Err(RemoveError::Kill(Box::new(source))),
    }
}

fn erase(engine: &Engine, container: &Container) -> Result<(), RemoveError> {
    let id = || container.id.to_string();
    let take = |folder: &std::path::Path| {
        engine.trash.take(folder).map_err(|source| RemoveError::Folder { id: id(), source })
    };
    match engine.images.abandon_rootfs(container.id.as_str()) {
        Ok((folder, detached)) => {
            take(&folder)?;
            // After its files: what is unlinked is not written to the disk any more.
            detached.into_iter().for_each(|root| engine.trash.free(root));
        }
        Err(RootfsError::Missing(_)) => {}
        Err(source) => return Err(RemoveError::Rootfs { id: id(), source }),
    }
    super::image_mounts::remove(engine, container);
    take(&container.run_dir)?;
    take(&container.dir)
}

fn remove_anonymous_volumes(engine: &Engine, container: &Container) {
    let points = container.record().mounts.clone();
    for point in points.iter().filter(|point| point.kind == Kind::Volume && point.anonymous) {
        if engine.volume_users(&point.name).is_empty()
            && let Err(error) = engine.volumes.remove(&point.name)
        {
            tracing::warn!(volume.name = %point.name, "{}", crate::error::chain(&error));
        }
    }
}
