//! `docker rename`.

use std::sync::Arc;

use http::StatusCode;

use crate::container::names::{self, NameError};
use crate::container::{Container, publish};
use crate::engine::Engine;
use crate::error::ApiError;

#[derive(Debug, thiserror::Error)]
pub enum RenameError {
    #[error("Neither old nor new names may be empty")]
    Empty,
    #[error("Renaming a container with the same name as its current name")]
    Same,
    #[error("Error when allocating new name")]
    Name(#[source] NameError),
}

impl From<RenameError> for ApiError {
    fn from(error: RenameError) -> Self {
        let status = match error {
            RenameError::Name(NameError::Taken(_)) => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::chain(status, &error)
    }
}

pub async fn rename(engine: &Engine, container: &Arc<Container>, wanted: &str) -> Result<(), RenameError> {
    let _one_verb = container.verbs.lock().await;
    if wanted.trim_start_matches('/').is_empty() {
        return Err(RenameError::Empty);
    }
    // The name a bad one is told by has its slash.
    let wanted = &format!("/{}", wanted.strip_prefix('/').unwrap_or(wanted));
    let old = container.record().name.clone();
    if old == wanted.trim_start_matches('/') {
        return Err(RenameError::Same);
    }
    let name = names::reserve(&engine.containers, wanted, &container.id).map_err(RenameError::Name)?;
    container.note(|record| record.name.clone_from(&name));
    engine.containers.release(&old, &container.id);
    engine.containers.rename_links(&old, &name);
    engine.networks.rename(&container.id, &name);
    publish(engine, container, "rename", [("oldName", format!("/{old}"))]);
    Ok(())
}
