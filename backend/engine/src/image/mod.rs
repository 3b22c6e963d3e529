//! Images as the engine uses them: names, pull, containers' root file systems.
//!
//! The bytes are `drydock-images`' and how they arrive is `drydock-registry`'s; this room knows both. The rest of the
//! engine uses only what is public here.

mod archive;
mod commit;
mod delete;
mod describe;
pub mod driver;
mod filter;
mod import;
mod load;
pub mod progress;
mod save;
mod transfer;

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use drydock_images::{Detached, Durability, FindError, IndexError, SnapshotError, Store};
use drydock_registry::{Client, Options, Platform, Proxies};
use http::StatusCode;

use crate::config::{Config, Live};
use crate::error::ApiError;
use crate::events::Events;
use crate::wire::ContainerConfig;

pub use archive::ArchiveError;
pub use commit::{CommitError, NewCommit};
pub use delete::{DeleteError, Force, Parents, Use};
pub use describe::Listing;
pub use filter::{Filter, FilterError};
pub use import::Imported;
pub use save::Saved;
pub use transfer::{PullRequest, TransferError};

/// Names, layers and root file systems.
#[derive(Debug)]
pub struct ImageService {
    store: Store,
    /// Another one when the registries' settings change.
    client: RwLock<Arc<Client>>,
    /// Through whom others are asked.
    proxies: Proxies,
    events: Events,
    /// One prune at a time.
    pruning: std::sync::Mutex<()>,
}

/// An image that a container can be made from.
#[derive(Clone, Debug)]
pub struct Image {
    /// `sha256:…` of its configuration.
    pub id: String,
    pub config: ContainerConfig,
    pub os: String,
    pub architecture: String,
    stored: Arc<drydock_images::Image>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the image store in {path}")]
    Store { path: PathBuf, source: drydock_images::OpenError },
    #[error(transparent)]
    Driver(#[from] driver::ChooseError),
}

#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("No such image: {0}")]
    NotFound(String),
    #[error("{0}")]
    Name(#[source] FindError),
    /// There is such an image, and it is for another platform.
    #[error("{0}")]
    Platform(String),
    #[error(transparent)]
    Filter(#[from] FilterError),
    #[error("too many non-empty layers in History section")]
    History,
    #[error("look into the image store")]
    Index(#[source] IndexError),
    #[error("the configuration of image {id} is not valid")]
    Config { id: String, source: serde_json::Error },
}

/// A container's root file system cannot be made, mounted or removed.
#[derive(Debug, thiserror::Error)]
pub enum RootfsError {
    #[error("no root file system for container {0}")]
    Missing(String),
    #[error("root file system of container {container}")]
    Snapshot { container: String, source: SnapshotError },
}

impl From<LookupError> for ApiError {
    fn from(error: LookupError) -> Self {
        match error {
            LookupError::NotFound(_) | LookupError::Platform(_) => Self::not_found(error.to_string()),
            LookupError::Name(_) => Self::invalid(error.to_string()),
            LookupError::Filter(error) => error.into(),
            LookupError::History | LookupError::Index(_) | LookupError::Config { .. } => {
                Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error)
            }
        }
    }
}

impl From<FindError> for LookupError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NotFound(name) => Self::NotFound(name),
            FindError::Index(error) => Self::Index(error),
            FindError::Reference(_) | FindError::Ambiguous(_) => Self::Name(error),
        }
    }
}

impl ImageService {
    pub fn open(config: &Config, events: Events) -> Result<Self, OpenError> {
        let driver = driver::choose(config)?;
        let path = driver::folder(&config.data_root, driver);
        let store = Store::open_with(path.clone(), config.shared_store.clone(), driver)
            .map_err(|source| OpenError::Store { path, source })?;
        let client = RwLock::new(Arc::new(client(&config.live, &config.proxies)));
        Ok(Self {
            store,
            client,
            proxies: config.proxies.clone(),
            events,
            pruning: std::sync::Mutex::default(),
        })
    }

    /// Transfers that begin from now on go by these settings.
    pub fn configure(&self, live: &Live) {
        *self.client.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(client(live, &self.proxies));
    }

    fn client(&self) -> Arc<Client> {
        Arc::clone(&self.client.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finds what `docker create IMAGE` names: a tag, a digest, an id or a unique prefix of one.
    /// The message of `NotFound` carries the name with its tag, as the CLI expects to pull it.
    pub fn lookup(&self, reference: &str) -> Result<Image, LookupError> {
        self.lookup_for(reference, None)
    }

    /// The same, if it is for the platform.
    pub fn lookup_for(&self, reference: &str, platform: Option<&Platform>) -> Result<Image, LookupError> {
        let stored = self.find_for(reference, platform)?;
        // The wire's own shape: it has the fields that Docker adds to the OCI's (Healthcheck, OnBuild, Shell).
        let config = match stored.json().get_mut("config").map(serde_json::Value::take) {
            None | Some(serde_json::Value::Null) => ContainerConfig::default(),
            Some(config) => serde_json::from_value(config)
                .map_err(|source| LookupError::Config { id: stored.id.to_string(), source })?,
        };
        Ok(Image {
            id: stored.id.to_string(),
            config,
            os: stored.config.os().to_string(),
            architecture: stored.config.architecture().to_string(),
            stored,
        })
    }

    /// Records a writable layer for `container` over `image`. Mounts nothing.
    pub fn create_rootfs(
        &self,
        container: &str,
        image: &Image,
        durability: Durability,
    ) -> Result<(), RootfsError> {
        self.store
            .prepare_as(container, &image.stored, durability)
            .map(drop)
            .map_err(|source| rootfs_error(container, source))
    }

    /// A tree of `image` alone, under a name of its own.
    pub fn create_image_tree(&self, name: &str, image: &Image) -> Result<(), RootfsError> {
        let made = self.store.prepare_image(name, &image.stored);
        made.map(drop).map_err(|source| rootfs_error(name, source))
    }

    /// Mounts the container's root file system unless it is mounted already; answers where.
    pub fn mount_rootfs(&self, container: &str) -> Result<PathBuf, RootfsError> {
        let snapshot = self.store.snapshot(container).map_err(|source| rootfs_error(container, source))?;
        let place = snapshot.mount().map_err(|source| rootfs_error(container, source))?;
        Ok(place.to_owned())
    }

    /// Unmounts it; nothing happens when it is not mounted.
    pub fn unmount_rootfs(&self, container: &str) -> Result<(), RootfsError> {
        let snapshot = self.store.snapshot(container).map_err(|source| rootfs_error(container, source))?;
        snapshot.unmount().map_err(|source| rootfs_error(container, source))
    }

    /// Unmounts it; what is answered may wait for the disk when it is dropped.
    pub fn detach_rootfs(&self, container: &str) -> Result<Option<Detached>, RootfsError> {
        let snapshot = self.store.snapshot(container).map_err(|source| rootfs_error(container, source))?;
        snapshot.detach().map_err(|source| rootfs_error(container, source))
    }

    /// Unmounts it; the folder of the writable layer is the caller's to remove.
    pub fn abandon_rootfs(&self, container: &str) -> Result<(PathBuf, Option<Detached>), RootfsError> {
        let snapshot = self.store.snapshot(container).map_err(|source| rootfs_error(container, source))?;
        snapshot.abandon().map_err(|source| rootfs_error(container, source))
    }

    /// Unmounts and removes the writable layer and its record.
    pub fn remove_rootfs(&self, container: &str) -> Result<(), RootfsError> {
        let snapshot = self.store.snapshot(container).map_err(|source| rootfs_error(container, source))?;
        snapshot.remove().map_err(|source| rootfs_error(container, source))
    }

    /// The store itself, for builds.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes a layer of what a container wrote, which it loses unless it is kept; nothing when it wrote nothing. `places`
    /// were made for its mounts alone.
    pub fn take_layer(
        &self,
        container: &str,
        places: &[String],
        keep: bool,
    ) -> Result<Option<drydock_images::DiffId>, drydock_images::DraftError> {
        let snapshot = self.store.snapshot(container)?;
        self.store.remove_places(&snapshot, places)?;
        if keep { self.store.copy_layer(&snapshot) } else { self.store.move_layer(&snapshot) }
    }

    /// What the container wrote over its image, in bytes (`SizeRw`), and what it sees in all (`SizeRootFs`).
    pub fn rootfs_size(&self, container: &str) -> Result<(u64, u64), RootfsError> {
        let failed = |source| rootfs_error(container, source);
        let snapshot = self.store.snapshot(container).map_err(failed)?;
        let written = snapshot.size().map_err(failed)?;
        let image = self.store.image(&snapshot.image).ok().flatten();
        Ok((written, written + image.map_or(0, |image| image.size)))
    }

    /// What the container changed in its image: `docker diff`.
    pub fn rootfs_changes(&self, container: &str) -> Result<Vec<drydock_images::Change>, RootfsError> {
        let failed = |source| rootfs_error(container, source);
        self.store.snapshot(container).map_err(failed)?.changes().map_err(failed)
    }

    /// `docker tag`.
    pub fn tag(&self, reference: &str, name: &drydock_images::Named) -> Result<(), LookupError> {
        let image = self.store.find(reference)?;
        self.store.tag(name, &image.id).map_err(LookupError::Index)?;
        if let Err(error) = self.store.touch(&image.id) {
            tracing::warn!(image.id = %image.id, %error, "the time of the new name is lost");
        }
        self.publish("tag", &image.id.to_string(), &name.clone().or_latest().familiar());
        Ok(())
    }

    /// How many images there are, as `docker info` counts them.
    pub fn count(&self) -> usize {
        self.store.images().map(|images| images.len()).unwrap_or_default()
    }

    /// The image's labels, while it is there, tell events apart as well as its name.
    fn publish(&self, action: &str, id: &str, name: &str) {
        let mut attributes = self.store.find(id).map(|image| image.labels()).unwrap_or_default();
        attributes.insert("name".to_owned(), name.to_owned());
        self.events.publish("image", action, id, attributes);
    }

    /// As `docker info` names it.
    pub fn driver_name(&self) -> &'static str {
        self.store.driver().name()
    }
}

fn client(live: &Live, proxies: &Proxies) -> Client {
    Client::new(Options {
        mirrors: live.registry_mirrors.clone(),
        insecure: live.insecure_registries.clone(),
        downloads: live.max_concurrent_downloads,
        uploads: live.max_concurrent_uploads,
        attempts: u32::try_from(live.max_download_attempts).unwrap_or(u32::MAX),
        proxies: proxies.clone(),
        ..Options::default()
    })
}

fn rootfs_error(container: &str, source: SnapshotError) -> RootfsError {
    match source {
        SnapshotError::Missing(container) => RootfsError::Missing(container),
        source => RootfsError::Snapshot { container: container.to_owned(), source },
    }
}
