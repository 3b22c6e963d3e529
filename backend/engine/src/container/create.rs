//! `docker create`: a record, a writable layer, volumes. Nothing runs yet.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bollard_stubs::models::{EndpointSettings, HostConfig};
use drydock_images::Durability;
use drydock_registry::Platform;
use http::StatusCode;
use serde::Deserialize;

use crate::container::links::LinkError;
use crate::container::mounts::{self, Kind, MountPoint, MountsError};
use crate::container::names::{self, NameError};
use crate::container::record::{State, now};
use crate::container::spec::namespaces::container_of;
use crate::container::{Container, FindError, Record, check, image_mounts, links, live};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::id::Id;
use crate::image::{Image, LookupError, RootfsError};
use crate::log::options::{self, OptionError};
use crate::volume::{self, NewVolume, VolumeError};
use crate::wire::ContainerConfig;

/// The body of `POST /containers/create`: two shapes in one object.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub config: ContainerConfig,
    pub around: Around,
    /// The image must be for it.
    pub platform: Option<Platform>,
    /// See [`Record::of_build`].
    pub of_build: bool,
}

/// What is said beside the container's own configuration.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Around {
    #[serde(rename = "HostConfig", default)]
    pub host_config: Option<HostConfig>,
    #[serde(rename = "NetworkingConfig", default)]
    pub networking: Option<Networking>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Networking {
    #[serde(rename = "EndpointsConfig", default, deserialize_with = "crate::wire::null_is_empty")]
    pub endpoints: BTreeMap<String, Option<EndpointSettings>>,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Image(#[from] LookupError),
    #[error("no command specified")]
    NoCommand,
    #[error(transparent)]
    Refused(#[from] check::Refused),
    #[error(transparent)]
    Log(#[from] OptionError),
    #[error(transparent)]
    Mounts(#[from] MountsError),
    #[error(transparent)]
    Mode(FindError),
    #[error(transparent)]
    VolumesFrom(#[from] FindError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("create the container's folder")]
    Folder(#[source] std::io::Error),
    #[error("create the container's root file system")]
    Rootfs(#[source] RootfsError),
    #[error(transparent)]
    Network(#[from] crate::network::JoinError),
    #[error(transparent)]
    Seed(#[from] volume::SeedError),
    #[error(transparent)]
    ImageMount(#[from] image_mounts::ImageMountError),
    #[error("source {0} is not directory")]
    NotADirectory(String),
    #[error("cannot mount volume over existing file, file exists {0}")]
    OverFile(String),
    #[error(transparent)]
    Save(#[from] live::SaveError),
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let status = match error {
            CreateError::Image(error) => return error.into(),
            CreateError::Network(error) => return error.into(),
            CreateError::Volume(error) => return error.into(),
            CreateError::ImageMount(image_mounts::ImageMountError::Image(error)) => return error.into(),
            CreateError::Link(error) => return error.into(),
            CreateError::Name(NameError::Taken(_)) => StatusCode::CONFLICT,
            CreateError::Name(NameError::Invalid(_))
            | CreateError::NoCommand
            | CreateError::Refused(_)
            | CreateError::VolumesFrom(_)
            | CreateError::Log(_)
            | CreateError::Mounts(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

/// Makes a container. What was made is undone when a step fails.
pub async fn create(
    engine: &Arc<Engine>,
    name: Option<&str>,
    wanted: Wanted,
) -> Result<(Arc<Container>, Vec<String>), CreateError> {
    let mut host_config = wanted.around.host_config.unwrap_or_default();
    let mut config = wanted.config;
    let warnings = check::settings(&mut config, &mut host_config, &engine.live(), &engine.host)?;
    check_log(engine, &mut host_config)?;
    pin_modes(engine, &mut host_config)?;
    let image = engine.images.lookup_for(&config.image, wanted.platform.as_ref())?;
    merge(&mut config, &image.config);
    if config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten()).next().is_none() {
        return Err(CreateError::NoCommand);
    }
    let inherited = inherited_mounts(engine, &host_config)?;
    let mounts = mounts::resolve(&config, &host_config, inherited)?;
    let links = links::resolve(engine, &host_config)?;
    host_config.links = None;
    let networks = networks(&mut host_config, wanted.around.networking.unwrap_or_default());
    engine.networks.check(&networks)?;
    let macs = chosen_macs(&networks);
    let id = Id::random();
    let name = match name.filter(|name| !name.is_empty()) {
        Some(name) => names::reserve(&engine.containers, name, &id)?,
        None => names::invent(&engine.containers, &id),
    };
    if config.hostname.is_empty() && host_config.network_mode.as_deref() == Some("host") {
        config.hostname = engine.host.name.clone();
    } else if config.hostname.is_empty() {
        config.hostname = id.short().to_owned();
    }
    let record = Record {
        id: id.clone(),
        name: name.clone(),
        created: now(),
        image_id: image.id.clone(),
        platform: image.os.clone(),
        config,
        host_config,
        mounts,
        networks,
        attachments: Vec::new(),
        links,
        macs,
        ports: Default::default(),
        sandbox: None,
        state: State::default(),
        restart_count: 0,
        stopped_by_user: false,
        of_build: wanted.of_build,
    };
    let container = Container::new(record, &engine.config.data_root, &engine.config.exec_root);
    match make(engine, &container, &image).await {
        Ok(()) => {
            let container = Arc::new(container);
            engine.containers.insert(container.clone());
            name_links(engine, &container);
            super::publish(engine, &container, "create", []);
            Ok((container, warnings))
        }
        Err(error) => {
            engine.containers.release(&name, &id);
            let _ = engine.images.remove_rootfs(id.as_str());
            image_mounts::remove(engine, &container);
            let _ = std::fs::remove_dir_all(&container.dir);
            Err(error)
        }
    }
}

/// A name that is taken already is no reason to refuse the container, in moby as here.
fn name_links(engine: &Engine, container: &Container) {
    let (name, links) = {
        let record = container.record();
        (record.name.clone(), record.links.clone())
    };
    for (alias, link) in links {
        if let Err(error) = engine.containers.reserve(&links::full_name(&name, &alias), &link.child) {
            tracing::warn!(container.id = %container.id, %error, "link");
        }
    }
}

fn chosen_macs(networks: &BTreeMap<String, EndpointSettings>) -> BTreeMap<String, String> {
    let chosen = |(name, endpoint): (&String, &EndpointSettings)| {
        let mac = endpoint.mac_address.clone().filter(|mac| !mac.is_empty())?;
        Some((name.clone(), mac))
    };
    networks.iter().filter_map(chosen).collect()
}

async fn make(engine: &Engine, container: &Container, image: &Image) -> Result<(), CreateError> {
    std::fs::create_dir_all(&container.dir).map_err(CreateError::Folder)?;
    let durability = durability(engine, &container.record());
    engine.images.create_rootfs(container.id.as_str(), image, durability).map_err(CreateError::Rootfs)?;
    let mut points = container.record().mounts.clone();
    image_mounts::create(engine, container, &mut points)?;
    for point in points.iter_mut().filter(|point| point.kind == Kind::Volume) {
        make_volume(engine, point)?;
    }
    if points.iter().any(|point| point.kind == Kind::Volume && !point.no_copy) {
        let rootfs = engine.images.mount_rootfs(container.id.as_str()).map_err(CreateError::Rootfs)?;
        let seeded = seed_volumes(engine, &rootfs, &points);
        engine.images.unmount_rootfs(container.id.as_str()).map_err(CreateError::Rootfs)?;
        seeded?;
    }
    container.update(|record| record.mounts = points)?;
    Ok(())
}

/// moby lets every container flush what it writes, and pays for it at every unmount. Nobody can come back for what a
/// `--rm` container wrote, nor, after a power cut, for a node and its containers (their namespaces are gone).
fn durability(engine: &Engine, record: &Record) -> Durability {
    if record.auto_remove() || engine.host.in_user_namespace {
        Durability::Volatile
    } else {
        Durability::Flushed
    }
}

fn make_volume(engine: &Engine, point: &mut MountPoint) -> Result<(), CreateError> {
    let volume = engine.volumes.create(NewVolume {
        name: Some(point.name.clone()),
        driver: Some(point.driver.clone()),
        options: point.driver_options.clone(),
        labels: point.labels.clone(),
    })?;
    point.name = volume.name;
    point.driver = volume.driver;
    point.source = volume.mountpoint.to_string_lossy().into_owned();
    Ok(())
}

/// What the image has where a fresh volume goes is copied into it.
fn seed_volumes(engine: &Engine, rootfs: &Path, points: &[MountPoint]) -> Result<(), CreateError> {
    for point in points.iter().filter(|point| point.kind == Kind::Volume && !point.no_copy) {
        let target = engine.volumes.mount(&point.name)?;
        match super::rootfs::place_inside(rootfs, &point.destination) {
            Some(source) if source.is_dir() => volume::seed(&source, &target)?,
            Some(file) if !point.anonymous => {
                return Err(CreateError::NotADirectory(file.to_string_lossy().into_owned()));
            }
            Some(file) => return Err(CreateError::OverFile(file.to_string_lossy().into_owned())),
            None => {}
        }
    }
    Ok(())
}

/// `container:NAME` is who has the name now. As in moby, a network is looked for at the start alone.
fn pin_modes(engine: &Engine, host: &mut HostConfig) -> Result<(), CreateError> {
    let pinned = |mode: &Option<String>| {
        let other = container_of(mode.as_deref()).map(|name| engine.containers.find(name));
        other.map(|found| found.map(|other| format!("container:{}", other.id))).transpose()
    };
    host.ipc_mode = pinned(&host.ipc_mode).map_err(CreateError::Mode)?.or(host.ipc_mode.take());
    host.pid_mode = pinned(&host.pid_mode).map_err(CreateError::Mode)?.or(host.pid_mode.take());
    host.network_mode = pinned(&host.network_mode).unwrap_or_default().or(host.network_mode.take());
    Ok(())
}

fn inherited_mounts(engine: &Engine, host: &HostConfig) -> Result<Vec<MountPoint>, CreateError> {
    let mut points = Vec::new();
    for from in host.volumes_from.iter().flatten() {
        let (name, may_write) = mounts::modes::volumes_from(from)?;
        let other = engine.containers.find(name)?;
        for point in other.record().mounts.iter().filter(|point| point.kind != Kind::Tmpfs) {
            let writable = point.writable && may_write;
            let mut point = MountPoint { writable, no_copy: true, mode: String::new(), ..point.clone() };
            point.inherited = true;
            points.retain(|other: &MountPoint| other.destination != point.destination);
            points.push(point);
        }
    }
    Ok(points)
}

/// The user's word wins; what it leaves open is the image's.
pub(super) fn merge(config: &mut ContainerConfig, from: &ContainerConfig) {
    for (port, set) in &from.exposed_ports {
        config.exposed_ports.entry(port.clone()).or_insert_with(|| set.clone());
    }
    let named = |env: &[String], variable: &str| {
        let name = variable.split('=').next();
        env.iter().any(|other| other.split('=').next() == name)
    };
    let missing: Vec<String> =
        from.env.iter().filter(|variable| !named(&config.env, variable)).cloned().collect();
    config.env.extend(missing);
    for (label, value) in &from.labels {
        config.labels.entry(label.clone()).or_insert_with(|| value.clone());
    }
    if config.entrypoint.as_ref().is_none_or(|words| words.is_empty()) {
        if config.cmd.as_ref().is_none_or(|words| words.is_empty()) {
            config.cmd = from.cmd.clone();
        }
        if config.entrypoint.is_none() {
            config.entrypoint = from.entrypoint.clone();
        }
    } else if config.entrypoint.as_ref().is_some_and(|words| words.len() == 1 && words[0].is_empty()) {
        // `--entrypoint ""` clears the image's.
        config.entrypoint = None;
    }
    if config.user.is_empty() {
        config.user.clone_from(&from.user);
    }
    if config.working_dir.is_empty() {
        config.working_dir.clone_from(&from.working_dir);
    }
    // An empty set is nobody's word.
    config.volumes = config.volumes.take().filter(|volumes| !volumes.is_empty());
    let volumes = from.volumes.iter().flatten();
    for (path, set) in volumes {
        config.volumes.get_or_insert_default().entry(path.clone()).or_insert_with(|| set.clone());
    }
    config.stop_signal = config.stop_signal.take().or_else(|| from.stop_signal.clone());
    config.healthcheck = super::health::merge(config.healthcheck.take(), from.healthcheck.as_ref());
}

/// The endpoints a container will have. Modes without endpoints of their own have none.
fn networks(host: &mut HostConfig, wanted: Networking) -> BTreeMap<String, EndpointSettings> {
    let mode = match host.network_mode.as_deref() {
        None | Some("" | "default") => "bridge".to_owned(),
        Some(mode) => mode.to_owned(),
    };
    host.network_mode = Some(mode.clone());
    if mode.starts_with("container:") {
        return BTreeMap::new();
    }
    let mut networks: BTreeMap<String, EndpointSettings> =
        wanted.endpoints.into_iter().map(|(name, settings)| (name, settings.unwrap_or_default())).collect();
    // Clients say "default" for what the engine calls bridge.
    if let Some(settings) = networks.remove("default") {
        networks.entry("bridge".into()).or_insert(settings);
    }
    networks.entry(mode).or_default();
    networks
}

/// The log driver and its options, with the daemon's defaults.
fn check_log(engine: &Engine, host: &mut HostConfig) -> Result<(), OptionError> {
    let config = host.log_config.get_or_insert_default();
    let default = engine.config.log_driver.clone();
    let driver = config.typ.take().filter(|name| !name.is_empty()).unwrap_or_else(|| default.clone());
    let mut own: options::Options = config.config.take().unwrap_or_default().into_iter().collect();
    options::merge_defaults(&driver, &mut own, &default, &engine.config.log_opts);
    options::validate(&driver, &own)?;
    config.typ = Some(driver);
    config.config = Some(own.into_iter().collect());
    Ok(())
}
