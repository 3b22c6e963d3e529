//! `docker start`: network, root file system, bundle, shim, streams, first process. Undone in reverse when a step
//! fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard_stubs::models::EndpointSettings;
use drydock_shim::config::{CONFIG_FILE, EXIT_FILE, LOG_STEP, SOCKET_FILE, ShimConfig, Size};
use drydock_shim::protocol::{Reply, Request};
use http::StatusCode;

use crate::container::explain::{self, Explained};
use crate::container::links::{self, LinkError};
use crate::container::live::{SaveError, write_by_rename};
use crate::container::mounts::{self, Kind};
use crate::container::record::{Sandbox, State, Status, now};
use crate::container::shim::{self, Connection, ShimError};
use crate::container::spec::namespaces::{Choice, container_of};
use crate::container::spec::{self, SpecError, user};
use crate::container::{Container, FindError, Record, files, image_mounts, modes, monitor, rootfs};
use crate::engine::Engine;
use crate::error::ApiError;
use crate::image::RootfsError;
use crate::log::setup::{self, Places, SetupError};
use crate::network::{Join, JoinError, Joined};
use crate::volume::VolumeError;

/// The program of remote log drivers, beside the shim.
const LOGGER: &str = "drydock-logger";

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// 304: it runs already.
    #[error("container is already running")]
    AlreadyRunning,
    #[error("cannot start a paused container, try unpause instead")]
    Paused,
    #[error("container is marked for removal and cannot be started")]
    Removing,
    #[error("No such container: {0}")]
    Gone(String),
    #[error("mount the root file system")]
    Rootfs(#[source] RootfsError),
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error("error while creating mount source path '{path}': mkdir {path}")]
    MountSource { path: String, source: std::io::Error },
    #[error("cannot access path {path}")]
    Subpath { path: String, source: std::io::Error },
    #[error("path concatenation escapes the base directory, base: {base}, subpath: {subpath}")]
    SubpathEscapes { base: String, subpath: String },
    #[error("invalid tmpfs option \"{0}\"")]
    TmpfsOption(String),
    #[error(transparent)]
    ImageMount(#[from] image_mounts::ImageMountError),
    #[error(transparent)]
    Network(#[from] JoinError),
    #[error(transparent)]
    Attach(#[from] crate::swarm::AttachError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    NamespaceOf(#[from] FindError),
    #[error(transparent)]
    Mode(#[from] modes::JoinError),
    #[error(transparent)]
    User(#[from] user::UserError),
    #[error(transparent)]
    Spec(SpecError),
    #[error("Cannot mkdir: {0} is not a directory")]
    NotADirectory(String),
    #[error("mkdir {path}")]
    WorkingDir { path: String, source: std::io::Error },
    #[error("write the container's files in {path}")]
    Files { path: PathBuf, source: std::io::Error },
    #[error("encode the specification")]
    Encode(#[source] serde_json::Error),
    #[error(transparent)]
    Save(#[from] SaveError),
    #[error("{}", .0.text)]
    Runtime(Explained),
    #[error("failed to create task for container: failed to initialize logging driver: {0}")]
    Log(#[source] SetupError),
    #[error("failed to create task for container: failed to initialize logging driver: {0}")]
    LogDriver(String),
    #[error("failed to create task for container")]
    Shim(#[source] ShimError),
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let status = match error {
            StartError::AlreadyRunning => StatusCode::NOT_MODIFIED,
            StartError::Paused | StartError::Removing => StatusCode::CONFLICT,
            StartError::Gone(_) => StatusCode::NOT_FOUND,
            StartError::Network(error) => return error.into(),
            StartError::Attach(error) => return error.into(),
            StartError::Link(error) => return error.into(),
            StartError::NamespaceOf(error) => return error.into(),
            StartError::Mode(error) => return error.into(),
            StartError::Runtime(explained) => return Self::new(explained.status, explained.text),
            StartError::User(_) | StartError::Spec(_) => StatusCode::BAD_REQUEST,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

impl StartError {
    /// What `docker inspect` shows as the exit code of a start that failed.
    const fn exit_code(&self) -> i32 {
        match self {
            Self::Runtime(explained) => explained.exit_code,
            _ => 128,
        }
    }
}

/// Starts a container for the user: a wish to stop it, and its restarts so far, are forgotten.
pub async fn start(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), StartError> {
    let _one_verb = container.verbs.lock().await;
    let restarting = container.status() == Status::Restarting;
    if restarting {
        container.interrupt.notify_waiters();
    }
    container.note(|record| {
        record.stopped_by_user = false;
        record.restart_count = 0;
    });
    let started = start_locked(engine, container).await;
    if started.is_err() && container.record().auto_remove() && !container.status().is_live() {
        super::monitor::remove_in_background(engine, container);
    }
    started
}

/// Starts a container whose `verbs` the caller holds.
pub async fn start_locked(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(), StartError> {
    if container.phase().borrow().removed {
        return Err(StartError::Gone(container.id.to_string()));
    }
    match container.status() {
        Status::Running => return Err(StartError::AlreadyRunning),
        Status::Paused => return Err(StartError::Paused),
        Status::Removing | Status::Dead => return Err(StartError::Removing),
        Status::Created | Status::Exited | Status::Restarting => {}
    }
    // Whatever the last run left is taken down before this one begins.
    let run = container.run.clone().lock_owned().await;
    match bring_up(engine, container).await {
        Ok((control, pid)) => {
            running(engine, container, pid);
            monitor::watch(engine, container, control, run);
            Ok(())
        }
        Err(error) => {
            failed(engine, container, &error).await;
            Err(error)
        }
    }
}

fn running(engine: &Engine, container: &Container, pid: i32) {
    container.note(|record| {
        let health = super::health::first_state(record);
        let finished_at = record.state.finished_at.clone();
        record.state = State {
            status: Status::Running,
            pid,
            started_at: now(),
            finished_at,
            health,
            ..State::default()
        };
    });
    container.advance(|phase| {
        phase.running = true;
        phase.error = None;
    });
    super::publish(engine, container, "start", []);
}

async fn failed(engine: &Engine, container: &Container, error: &StartError) {
    let code = error.exit_code();
    let text = crate::error::chain(error);
    super::monitor::release(engine, container).await;
    drop(container.take_waiting());
    container.note(|record| {
        record.state.error.clone_from(&text);
        record.state.exit_code = code;
        record.state.status = match record.state.status {
            Status::Restarting => Status::Exited,
            other => other,
        };
    });
    container.advance(|phase| {
        phase.running = false;
        phase.exit_code = code;
    });
}

/// Everything up to the first process; answers the connection that waits for its end.
async fn bring_up(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<(Connection, i32), StartError> {
    let record = container.record().clone();
    drop(container.freeing.lock().await);
    let root = engine.images.mount_rootfs(container.id.as_str()).map_err(StartError::Rootfs)?;
    let record = ready_mounts(engine, container, record)?;
    let (joined, network) = join(engine, container, &record).await?;
    let mut record = container.record().clone().with_mounts(record.mounts);
    engine.defaults.apply(&mut record.host_config);
    let files = match &network {
        Choice::Join(_) if record.sandbox.is_none() => shared_files(engine, &record)?,
        _ => files::write(&container.dir, &record, &joined, &engine.networks.host_gateways())
            .map_err(|source| StartError::Files { path: container.dir.clone(), source })?,
    };
    prepare_root(&root, &record)?;
    let extra = record.host_config.group_add.clone().unwrap_or_default();
    let who = user::look_up(&root, &record.config.user, &extra)?;
    let spec = spec::build(&spec::Input {
        record: &record,
        host: &engine.host,
        rootfs: &root,
        who,
        linked: links::environment(engine, &record)?,
        namespaces: modes::namespaces(engine, &record, network)?,
        shm: modes::shm(engine, container, &record)?,
        files: &files,
        cgroups_path: cgroups_path(engine, &record),
        init: wants_init(engine, &record).then_some(engine.config.shim.as_path()),
    })
    .map_err(|error| match error {
        SpecError::Sysctl(error) => StartError::Runtime(explain::of_specification(&error)),
        error => StartError::Spec(error),
    })?;
    write_bundle(engine, container, &record, &spec)?;
    start_shim(engine, container).await
}

fn wants_init(engine: &Engine, record: &Record) -> bool {
    let own_pids = record.host_config.pid_mode.as_deref().unwrap_or_default().is_empty();
    own_pids && record.host_config.init.unwrap_or(engine.config.init)
}

/// Host directories that `-v` names are made; volumes are mounted where they have a device.
fn ready_mounts(engine: &Engine, container: &Container, mut record: Record) -> Result<Record, StartError> {
    image_mounts::mount(engine, container, &mut record.mounts)?;
    for point in &mut record.mounts {
        match point.kind {
            Kind::Bind if point.create_source => make_source(&point.source)?,
            Kind::Bind if !Path::new(&point.source).exists() => {
                return Err(StartError::MountSource {
                    path: point.source.clone(),
                    source: std::io::ErrorKind::NotFound.into(),
                });
            }
            Kind::Volume => {
                let path = engine.volumes.mount(&point.name)?;
                point.source = within_volume(&path, &point.subpath)?;
                engine.volumes.note_use("mount", &point.name, &container.id, &point.destination);
            }
            Kind::Tmpfs => {
                if let Some(option) = mounts::unknown_tmpfs_option(point) {
                    return Err(StartError::TmpfsOption(option.to_owned()));
                }
            }
            _ => {}
        }
    }
    Ok(record)
}

fn make_source(path: &str) -> Result<(), StartError> {
    if Path::new(path).exists() {
        return Ok(());
    }
    let source = |source| StartError::MountSource { path: path.to_owned(), source };
    std::fs::create_dir_all(path).map_err(source)
}

fn within_volume(volume: &Path, subpath: &str) -> Result<String, StartError> {
    use std::os::fd::AsRawFd;
    if subpath.is_empty() {
        return Ok(volume.to_string_lossy().into_owned());
    }
    let path = || volume.join(subpath).to_string_lossy().into_owned();
    let missing = |source| StartError::Subpath { path: format!("{0}: lstat {0}", path()), source };
    let escapes = || StartError::SubpathEscapes {
        base: volume.to_string_lossy().into_owned(),
        subpath: subpath.to_owned(),
    };
    // A link that leads out is not there from inside, and is from outside.
    let place = rootfs::open_inside(volume, subpath).map_err(|errno| match std::fs::metadata(path()) {
        Ok(_) => escapes(),
        Err(_) => missing(errno.into()),
    })?;
    let path = std::fs::read_link(format!("/proc/self/fd/{}", place.as_raw_fd())).map_err(missing)?;
    Ok(path.to_string_lossy().into_owned())
}

/// The network namespace, and what `/etc` says about it.
async fn join(
    engine: &Engine,
    container: &Container,
    record: &Record,
) -> Result<(Joined, Choice), StartError> {
    let mode = record.network_mode();
    if mode == "host" {
        let shown = engine.networks.welcome(&container.id, &record.name, None).unwrap_or_default();
        container.note(|record| record.networks.insert("host".into(), shown));
        return Ok((files::without_sandbox(true), Choice::Host));
    }
    if let Some(other) = container_of(Some(mode)) {
        let pid = modes::network_of(engine, other)?;
        return Ok((Joined::default(), Choice::Join(format!("/proc/{pid}/ns/net").into())));
    }
    let links = links::linked(engine, record)?;
    let mut join = Join { links, ..ask_network(record) };
    crate::swarm::attach_all(engine, container, &mut join).await?;
    let joined = engine.networks.join(join).await?;
    links::tell_parents(engine, &container.id, &joined);
    container.update(|record| {
        record.networks.clone_from(&joined.endpoints);
        record.ports.clone_from(&joined.ports);
        record.sandbox = Some(Sandbox {
            path: joined.sandbox.clone(),
            id: joined.sandbox_id.clone(),
            gateway: joined.gateway.clone(),
        });
    })?;
    let path = joined.sandbox.clone();
    Ok((joined, Choice::Join(path)))
}

/// What the record asks of the network service.
pub fn ask_network(record: &Record) -> Join {
    let host = &record.host_config;
    let list = |words: &Option<Vec<String>>| words.clone().unwrap_or_default();
    let mut ports = host.port_bindings.clone().unwrap_or_default();
    for port in record.config.exposed_ports.keys() {
        let bindings = ports.entry(with_protocol(port)).or_default();
        if host.publish_all_ports.unwrap_or(false) && bindings.as_ref().is_none_or(Vec::is_empty) {
            *bindings = Some(vec![Default::default()]);
        }
    }
    Join {
        container: record.id.clone(),
        name: record.name.clone(),
        hostname: record.hostname().to_owned(),
        networks: record
            .networks
            .iter()
            .map(|(name, asked)| (name.clone(), asked_of(record, name, asked)))
            .collect(),
        ports,
        dns: list(&host.dns),
        dns_options: list(&host.dns_options),
        dns_search: list(&host.dns_search),
        links: Vec::new(),
        sysctls: Default::default(),
    }
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

fn asked_of(record: &Record, network: &str, endpoint: &EndpointSettings) -> EndpointSettings {
    EndpointSettings { mac_address: record.macs.get(network).cloned(), ..asked_only(endpoint) }
}

/// The wishes of an endpoint, without what an earlier run got. A fixed address can only have come from the user; a
/// MAC only when the record has it among those that were chosen.
pub fn asked_only(endpoint: &EndpointSettings) -> EndpointSettings {
    EndpointSettings {
        ipam_config: endpoint.ipam_config.clone(),
        links: endpoint.links.clone(),
        aliases: endpoint.aliases.clone(),
        driver_opts: endpoint.driver_opts.clone(),
        gw_priority: endpoint.gw_priority,
        ..EndpointSettings::default()
    }
}

/// A container in another's network namespace has the other's names.
fn shared_files(engine: &Engine, record: &Record) -> Result<Vec<(&'static str, PathBuf)>, StartError> {
    let Some(other) = container_of(Some(record.network_mode())) else { return Ok(Vec::new()) };
    let other = engine.containers.find(other)?;
    Ok([("/etc/resolv.conf", "resolv.conf"), ("/etc/hostname", "hostname"), ("/etc/hosts", "hosts")]
        .map(|(destination, name)| (destination, other.dir.join(name)))
        .into_iter()
        .filter(|(_, path)| path.exists())
        .collect())
}

/// What nothing may be mounted over: the container would not be one.
fn refuse_covers(record: &Record) -> Result<(), StartError> {
    for point in record.mounts.iter().filter(|point| point.kind != Kind::Tmpfs) {
        let why = match mounts::clean(&point.destination).as_str() {
            "/" => "mountpoint is on the top of rootfs".to_owned(),
            "/proc" => {
                "check proc-safety of /proc mount: \"/proc\" cannot be mounted because it is not of type proc"
                    .to_owned()
            }
            _ => continue,
        };
        let message = format!(
            "error mounting {:?} to rootfs at {:?}: create mountpoint for {2} mount: {why}",
            point.source, point.destination, point.destination
        );
        return Err(StartError::Runtime(explain::of_start_text(&message)));
    }
    Ok(())
}

fn prepare_root(root: &Path, record: &Record) -> Result<(), StartError> {
    refuse_covers(record)?;
    let path = &record.config.working_dir;
    if path.is_empty()
        || path == "/"
        || record.mounts.iter().any(|point| path.starts_with(&point.destination))
    {
        return Ok(());
    }
    match rootfs::place_inside(root, path) {
        Some(place) if place.is_dir() => Ok(()),
        Some(_) => Err(StartError::NotADirectory(path.clone())),
        None => rootfs::make_directory(root, path)
            .map_err(|errno| StartError::WorkingDir { path: path.clone(), source: errno.into() }),
    }
}

/// `/docker/<id>` below the engine's own cgroup root, unless a parent is named.
pub fn cgroups_path(engine: &Engine, record: &Record) -> String {
    let own = record.host_config.cgroup_parent.as_deref().filter(|parent| !parent.is_empty());
    let parent = own.or(engine.config.cgroup_parent.as_deref()).unwrap_or("/docker");
    format!("{}/{}", parent.trim_end_matches('/'), record.id)
}

fn write_bundle(
    engine: &Engine,
    container: &Container,
    record: &Record,
    spec: &oci_spec::runtime::Spec,
) -> Result<(), StartError> {
    let dir = &container.run_dir;
    let at = |source| StartError::Files { path: dir.clone(), source };
    std::fs::create_dir_all(dir).map_err(at)?;
    for stale in [EXIT_FILE, SOCKET_FILE] {
        match std::fs::remove_file(dir.join(stale)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(at(error)),
            _ => {}
        }
    }
    let config = serde_json::to_vec(spec).map_err(StartError::Encode)?;
    std::fs::write(dir.join("config.json"), config).map_err(at)?;
    let shim = serde_json::to_vec(&shim_config(engine, container, record)?).map_err(StartError::Encode)?;
    Ok(write_by_rename(&dir.join(CONFIG_FILE), &shim)?)
}

fn shim_config(engine: &Engine, container: &Container, record: &Record) -> Result<ShimConfig, StartError> {
    let size = record.host_config.console_size.as_deref().and_then(|size| match size {
        [rows, cols] if *rows > 0 && *cols > 0 => {
            Some(Size { rows: u16::try_from(*rows).ok()?, cols: u16::try_from(*cols).ok()? })
        }
        _ => None,
    });
    let logger = engine.config.shim.with_file_name(LOGGER);
    let places = Places { dir: &container.dir, json_file: container.log_path(), logger: &logger };
    Ok(ShimConfig {
        id: record.id.to_string(),
        runtime_root: engine.config.exec_root.join("runtime"),
        tty: record.config.tty,
        size,
        open_stdin: record.config.open_stdin,
        stdin_once: record.config.stdin_once,
        log: setup::setup(record, &places).map_err(StartError::Log)?,
        hold: true,
    })
}

/// A shim tells the end of its container before it takes the container down: the next one may be faster.
async fn last_run_is_gone(engine: &Engine, container: &Container) {
    const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
    let state = engine.config.exec_root.join("runtime").join(container.id.as_str());
    let gone = async {
        while state.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    // What is left after that is somebody else's, and the runtime will say so.
    let _ = tokio::time::timeout(PATIENCE, gone).await;
}

/// Starts the shim, hands it the clients that wait, and lets the program begin.
async fn start_shim(engine: &Engine, container: &Container) -> Result<(Connection, i32), StartError> {
    last_run_is_gone(engine, container).await;
    shim::spawn(&engine.config.shim, &container.run_dir).await.map_err(explain)?;
    for waiting in container.take_waiting() {
        let stream = shim::attach(&container.run_dir, waiting.streams).await.map_err(explain)?;
        // A client that went away meanwhile is no reason not to start.
        let _ = waiting.ready.send(stream);
    }
    let mut control = Connection::open(&container.run_dir).await.map_err(explain)?;
    match control.ask(&Request::Start).await.map_err(explain)? {
        Reply::Started { pid } => Ok((control, pid)),
        other => Err(StartError::Shim(ShimError::Unexpected(other))),
    }
}

fn explain(error: ShimError) -> StartError {
    match error {
        ShimError::Failed(failure) if failure.step == LOG_STEP => StartError::LogDriver(failure.message),
        ShimError::Failed(failure) => StartError::Runtime(explain::of_start(&failure)),
        error => StartError::Shim(error),
    }
}

impl Record {
    fn with_mounts(mut self, mounts: Vec<super::mounts::MountPoint>) -> Self {
        self.mounts = mounts;
        self
    }
}
