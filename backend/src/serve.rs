//! Comes up, serves, goes down.
//!
//! ```text
//!   page ▶ listen ▶ images ▶ host (adopts nodes) ▶ store ▶ sessions ▶ accept … signal ▶ settle ▶ close
//! ```

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use drydock_nodes::{Host, HostConfig, NodeImage, OpenError};
use drydock_registry::server::Upstream;
use drydock_sessions::Store;
use drydock_sessions::rate::Buckets;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, NODE_IMAGE, UpstreamRegistry};
use crate::connections;
use crate::doors;
use crate::doors::assets::Assets;
use crate::doors::metrics::Metrics;
use crate::playground::Playground;
use crate::state::AppState;

/// How long requests under way may take once a signal came.
const PATIENCE: Duration = Duration::from_secs(5);

/// Disk that the images and a few nodes take, bytes.
const ROOM: u64 = 3 << 30;

/// Serves until SIGTERM or SIGINT.
pub async fn serve(config: Config, stop_nodes: bool) -> anyhow::Result<()> {
    let config = Arc::new(config);
    check_machine(&config)?;
    let assets = Assets::load(&config.web())?;
    // Before the long part, so that a taken port is said at once.
    let listener = listen(config.listen).await?;
    let state = open(config.clone(), assets).await?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tracing::info!(listen = %config.listen, "serving");
    run(listener, state.clone(), stop).await;
    state.playground.settle().await;
    if stop_nodes {
        for session in state.playground.sessions() {
            state.playground.host.end_session(session.network.id()).await?;
        }
    }
    state.playground.store.close().await;
    Ok(())
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{address} is taken by another program: stop it, or choose another with --listen")
        }
        _ => anyhow::Error::new(error).context(format!("cannot listen on {address}")),
    })
}

/// Everything behind the doors.
pub async fn open(config: Arc<Config>, assets: Assets) -> anyhow::Result<AppState> {
    let images = import_images(&config).await?;
    let host = open_host(&config, NodeImage::Reference(NODE_IMAGE.to_owned())).await?;
    let store = Store::open(&config.database()).await.with_context(|| {
        let database = config.database();
        format!("{} is of no use: move it away, or choose another place with --data-dir", database.display())
    })?;
    let metrics = Arc::new(Metrics::default());
    let upstream = match &config.upstream {
        UpstreamRegistry::None => None,
        UpstreamRegistry::DockerHub => Some(Upstream::new(None)),
        UpstreamRegistry::At(address) => Some(Upstream::new(Some(address.clone()))),
    };
    let registry = drydock_registry::server::router(images, upstream);
    let playground = Playground::open(config.clone(), store, host, metrics.clone(), registry).await?;
    Ok(AppState {
        labs: playground.labs.clone(),
        assets: Arc::new(assets),
        creation: Arc::new(Mutex::new(Buckets::new(config.creation))),
        playground,
        metrics,
        config,
    })
}

/// Takes the images of `dist` into the host's store. Those it has already cost a look.
async fn import_images(config: &Config) -> anyhow::Result<drydock_images::Store> {
    std::fs::create_dir_all(&config.data).with_context(|| {
        format!("cannot make {}: choose another place with --data-dir", config.data.display())
    })?;
    let (layout, root) = (config.dist.join("images"), config.store());
    if !layout.join("index.json").exists() {
        bail!("{} holds no images: run `cargo xtask dist`, or give --dist", layout.display());
    }
    if !root.join("refs.json").exists() {
        check_room(&config.data)?;
        tracing::info!("taking in the images, once");
    }
    let (store, imported) = tokio::task::spawn_blocking(move || {
        let store = drydock_images::Store::open(root, None)?;
        let imported = store.import_layout(&layout)?;
        anyhow::Ok((store, imported))
    })
    .await??;
    let new = imported.iter().filter(|image| image.is_new).count();
    tracing::info!(images = imported.len(), new, "images ready");
    Ok(store)
}

/// Whether the images, and a few nodes, fit.
fn check_room(folder: &Path) -> anyhow::Result<()> {
    let disk = rustix::fs::statvfs(folder).with_context(|| format!("cannot look at {}", folder.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < ROOM {
        bail!(
            "{} has {} MiB of disk left and {} are needed: free some, or choose another place with --data-dir",
            folder.display(),
            free >> 20,
            ROOM >> 20
        );
    }
    Ok(())
}

/// Root and its programs, or what to do.
pub fn check_machine(config: &Config) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("only root can make nodes: run it with sudo");
    }
    for (feature, is_there, remedy) in [
        (
            "user namespaces",
            user_namespaces(),
            "`sysctl user.max_user_namespaces=15000`, or a kernel with CONFIG_USER_NS",
        ),
        (
            "loop devices",
            Path::new("/dev/loop-control").exists(),
            "`modprobe loop`; in a container, pass /dev/loop-control in",
        ),
    ] {
        if !is_there {
            bail!("this machine lacks {feature}, which nodes are made of: {remedy}");
        }
    }
    let agent = config.bin().join("drydock-agent");
    if !agent.exists() {
        bail!("{} is missing: run `cargo xtask dist`, or give --dist", agent.display());
    }
    Ok(())
}

fn user_namespaces() -> bool {
    let most = std::fs::read_to_string("/proc/sys/user/max_user_namespaces");
    most.is_ok_and(|most| most.trim() != "0") && Path::new("/proc/self/ns/user").exists()
}

/// The host's nodes, those of an earlier run adopted. Without an image it can make none, only end them.
pub async fn open_host(config: &Config, image: NodeImage) -> anyhow::Result<Host> {
    let mut host = HostConfig::new(&config.data, config.bin(), image);
    host.store = Some(config.store());
    host.capacity.nodes = config.capacity.instances as usize;
    Host::open(host).await.map_err(|error| match error {
        OpenError::Locked { .. } => {
            anyhow::anyhow!("another drydock uses {}: stop it first", config.data.display())
        }
        error => error.into(),
    })
}

/// Serves `state` on `listener` until `stop`, and then what is under way for a moment longer.
pub async fn run(listener: TcpListener, state: AppState, stop: impl Future<Output = ()>) {
    let reaper = tokio::spawn(state.playground.clone().reap());
    let stopping = CancellationToken::new();
    let serving = connections::serve(listener, doors::router(state), stopping.clone());
    let told = async {
        stop.await;
        stopping.cancel();
        tokio::time::sleep(PATIENCE).await;
    };
    tokio::select! {
        () = serving => {}
        () = told => {}
    }
    reaper.abort();
}
