//! Everything that lives as long as the engine's process.

use std::sync::Arc;

use crate::config::Config;
use crate::container::Containers;
use crate::events::Events;
use crate::image::{self, ImageService};
use crate::network::{self, NetworkService};
use crate::volume::{self, Volumes};

/// The whole engine. Doors hold it as `Arc<Engine>`; the rooms inside know each other only through it.
#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub events: Events,
    pub images: ImageService,
    pub networks: NetworkService,
    pub volumes: Volumes,
    pub containers: Containers,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("create directory {path}")]
    Directory { path: std::path::PathBuf, source: std::io::Error },
    #[error("open the image store")]
    Images(#[source] image::OpenError),
    #[error("open the network service")]
    Networks(#[source] network::OpenError),
    #[error("open the volume store")]
    Volumes(#[source] volume::OpenError),
    #[error("load containers")]
    Containers(#[source] crate::container::LoadError),
}

impl Engine {
    /// Opens the stores of `config`'s data root, and takes over containers that run already.
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        for directory in [&config.data_root, &config.exec_root] {
            std::fs::create_dir_all(directory)
                .map_err(|source| OpenError::Directory { path: directory.clone(), source })?;
        }
        let events = Events::default();
        let images = ImageService::open(&config, events.clone()).map_err(OpenError::Images)?;
        let networks = NetworkService::open(&config, events.clone()).await.map_err(OpenError::Networks)?;
        let volumes = Volumes::open(&config, events.clone()).map_err(OpenError::Volumes)?;
        let containers = Containers::load(&config).map_err(OpenError::Containers)?;
        let engine = Arc::new(Self { config, events, images, networks, volumes, containers });
        crate::container::restore::restore(&engine).await;
        Ok(engine)
    }
}
