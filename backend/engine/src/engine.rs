//! Everything that lives as long as the engine's process.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use drydock_swarm::manager::ClusterError;

use crate::config::{Config, Live};
use crate::container::Containers;
use crate::container::defaults::{Defaults, DefaultsError};
use crate::container::exec::Execs;
use crate::events::Events;
use crate::host::Host;
use crate::image::{self, ImageService};
use crate::metrics::Metrics;
use crate::network::{self, NetworkService};
use crate::settings::{self, SettingsError};
use crate::swarm::{Fabric, Runner, Swarm};
use crate::trash::{self, Trash};
use crate::volume::{self, Volumes};

/// The whole engine. Doors hold it as `Arc<Engine>`; the rooms inside know each other only through it.
#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub host: Host,
    /// Names this engine in `docker info`; kept for as long as its data root.
    pub id: String,
    pub events: Events,
    pub images: ImageService,
    pub networks: NetworkService,
    pub volumes: Volumes,
    pub containers: Containers,
    pub execs: Execs,
    pub trash: Trash,
    /// What containers get unless they ask for something else.
    pub defaults: Defaults,
    /// What `--metrics-addr` tells.
    pub metrics: Metrics,
    /// What the swarm's managers say of networks.
    pub fabric: Fabric,
    /// Opened when all the rest is: its tasks are containers.
    swarm: std::sync::OnceLock<Swarm>,
    /// What SIGHUP may change, as it is now. Written by [`crate::reload`].
    live: RwLock<Arc<Live>>,
    /// The engine is about to end, and its containers with it: no policy starts one again.
    stopping: AtomicBool,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Defaults(DefaultsError),
    #[error("create directory {path}")]
    Directory { path: std::path::PathBuf, source: std::io::Error },
    #[error("keep the engine's id in {path}")]
    Id { path: std::path::PathBuf, source: std::io::Error },
    #[error(transparent)]
    Images(image::OpenError),
    #[error("Error initializing network controller")]
    Networks(#[source] network::OpenError),
    #[error("open the volume store")]
    Volumes(#[source] volume::OpenError),
    #[error("open the trash")]
    Trash(#[source] trash::OpenError),
    #[error("take up the swarm: {0}")]
    Swarm(ClusterError),
    #[error("load containers")]
    Containers(#[source] crate::container::LoadError),
}

impl Engine {
    /// Opens the stores of `config`'s data root, and takes over containers that run already.
    pub async fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        settings::verify(&config)?;
        let defaults = Defaults::read(&config).map_err(OpenError::Defaults)?;
        for directory in [&config.data_root, &config.exec_root] {
            std::fs::create_dir_all(directory)
                .map_err(|source| OpenError::Directory { path: directory.clone(), source })?;
        }
        let events = Events::default();
        let images = ImageService::open(&config, events.clone()).map_err(OpenError::Images)?;
        let networks = NetworkService::open(&config, events.clone()).await.map_err(OpenError::Networks)?;
        let volumes = Volumes::open(&config, events.clone()).map_err(OpenError::Volumes)?;
        let containers = Containers::load(&config, images.store().driver()).map_err(OpenError::Containers)?;
        let trash = Trash::open([&config.data_root, &config.exec_root]).map_err(OpenError::Trash)?;
        let id = own_id(&config)?;
        let host = Host::detect();
        let live = RwLock::new(Arc::new(config.live.clone()));
        let engine = Arc::new(Self {
            live,
            metrics: Metrics::default(),
            fabric: Fabric::default(),
            swarm: std::sync::OnceLock::new(),
            defaults,
            stopping: AtomicBool::new(false),
            config,
            host,
            id,
            events,
            images,
            networks,
            volumes,
            containers,
            execs: Execs::default(),
            trash,
        });
        crate::build::clear_leftovers(&engine);
        crate::container::restore::restore(&engine).await;
        let runner = Arc::new(Runner::of(&engine));
        let swarm = Swarm::open(&engine.config.data_root, runner).map_err(OpenError::Swarm)?;
        let _ = engine.swarm.set(swarm);
        Ok(engine)
    }
}

impl Engine {
    /// This engine's swarm.
    pub fn swarm(&self) -> Result<&Swarm, ClusterError> {
        self.swarm.get().ok_or(ClusterError::NoSwarm)
    }

    /// The settings that may change, as they are now.
    pub fn live(&self) -> Arc<Live> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn set_live(&self, live: Live) {
        *self.live.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(live);
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    pub fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Containers that mount this volume, running or not.
    pub fn volume_users(&self, volume: &str) -> Vec<crate::id::Id> {
        let uses = |container: &Arc<crate::container::Container>| {
            container.record().mounts.iter().any(|point| point.name == volume)
        };
        self.containers.all().into_iter().filter(uses).map(|container| container.id.clone()).collect()
    }
}

impl Engine {
    /// Whether a container that has the volume runs.
    pub fn volume_is_live(&self, volume: &str) -> bool {
        self.containers.all().into_iter().any(|container| {
            let record = container.record();
            record.state.status.is_live() && record.mounts.iter().any(|point| point.name == volume)
        })
    }
}

/// `DATA_ROOT/engine-id`, made at the first start.
fn own_id(config: &Config) -> Result<String, OpenError> {
    let path = config.data_root.join("engine-id");
    if let Ok(id) = std::fs::read_to_string(&path) {
        return Ok(id.trim().to_owned());
    }
    let digits = crate::id::Id::random();
    let digits = digits.as_str();
    // A version 4 UUID, as newer engines have.
    let id = format!(
        "{}-{}-4{}-8{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[13..16],
        &digits[17..20],
        &digits[20..32]
    );
    std::fs::write(&path, &id).map_err(|source| OpenError::Id { path, source })?;
    Ok(id)
}
