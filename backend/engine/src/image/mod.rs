//! Images as the engine uses them: names, pull, containers' root file systems.
//!
//! The bytes are `drydock-images`' and how they arrive is `drydock-registry`'s; this room knows both. The rest of the
//! engine uses only what is public here.

use std::path::PathBuf;

use crate::config::Config;
use crate::error::ApiError;
use crate::events::Events;
use crate::wire::ContainerConfig;

/// Names, layers and root file systems.
#[derive(Debug)]
pub struct ImageService {
    #[expect(dead_code, reason = "the store behind it publishes image events")]
    events: Events,
}

/// An image that a container can be made from.
#[derive(Clone, Debug)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    pub config: ContainerConfig,
    pub os: String,
    pub architecture: String,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open {path}")]
    Store { path: PathBuf, source: std::io::Error },
}

#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("No such image: {0}")]
    NotFound(String),
}

/// A container's root file system cannot be made, mounted or removed.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    #[error("no root file system for container {0}")]
    Missing(String),
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound(_) => Self::not_found(error.to_string()),
        }
    }
}

impl ImageService {
    pub fn open(_config: &Config, events: Events) -> Result<Self, OpenError> {
        Ok(Self { events })
    }

    /// Finds what `docker create IMAGE` names: a tag, a digest, an id or a unique prefix of one.
    /// The message of `NotFound` carries the name with its tag, as the CLI expects to pull it.
    pub fn lookup(&self, reference: &str) -> Result<Image, LookupError> {
        Err(LookupError::NotFound(reference.to_owned()))
    }

    /// Records a writable layer for `container` over `image`. Mounts nothing.
    pub fn create_rootfs(&self, container: &str, _image: &Image) -> Result<(), RootfsError> {
        Err(RootfsError::Missing(container.to_owned()))
    }

    /// Mounts the container's root file system unless it is mounted already; answers where.
    pub fn mount_rootfs(&self, container: &str) -> Result<PathBuf, RootfsError> {
        Err(RootfsError::Missing(container.to_owned()))
    }

    /// Unmounts it; nothing happens when it is not mounted.
    pub fn unmount_rootfs(&self, container: &str) -> Result<(), RootfsError> {
        Err(RootfsError::Missing(container.to_owned()))
    }

    /// Unmounts and removes the writable layer and its record.
    pub fn remove_rootfs(&self, container: &str) -> Result<(), RootfsError> {
        Err(RootfsError::Missing(container.to_owned()))
    }
}
