//! All containers by id and by name.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::config::Config;
use crate::container::Container;
use crate::error::ApiError;
use crate::id::Id;

/// Every container the engine knows.
#[derive(Debug)]
pub struct Containers {
    all: Mutex<HashMap<Id, Arc<Container>>>,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("read {path}")]
    Read { path: PathBuf, source: std::io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("No such container: {0}")]
    NotFound(String),
    #[error("multiple IDs found with provided prefix: {0}")]
    Ambiguous(String),
}

impl From<FindError> for ApiError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound(_) => Self::not_found(error.to_string()),
            FindError::Ambiguous(_) => Self::invalid(error.to_string()),
        }
    }
}

impl Containers {
    pub fn load(_config: &Config) -> Result<Self, LoadError> {
        Ok(Self { all: Mutex::default() })
    }

    /// By full id, then by name, then by a unique prefix of an id.
    pub fn find(&self, reference: &str) -> Result<Arc<Container>, FindError> {
        let all = self.all.lock().expect("no holder of the registry panics");
        if let Some(container) = Id::parse(reference).and_then(|id| all.get(&id)) {
            return Ok(container.clone());
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(container) = all.values().find(|container| container.record().name == name) {
            return Ok(container.clone());
        }
        let mut matching = all.values().filter(|container| container.id.as_str().starts_with(reference));
        match (matching.next().filter(|_| !reference.is_empty()), matching.next()) {
            (Some(container), None) => Ok(container.clone()),
            (Some(_), Some(_)) => Err(FindError::Ambiguous(reference.to_owned())),
            (None, _) => Err(FindError::NotFound(reference.to_owned())),
        }
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Container>> {
        self.all.lock().expect("no holder of the registry panics").values().cloned().collect()
    }
}
