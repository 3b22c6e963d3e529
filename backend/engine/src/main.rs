//! `drydock-engine`: reads its flags, binds its sockets, opens the engine, serves until SIGTERM; SIGHUP reads `daemon.json` again.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use drydock_engine::config::{self, Config, Environment, FlagError, Given, Host, Sources};
use drydock_engine::golang::os_error;
use drydock_engine::http::listen::{self, Door, Listener};
use drydock_engine::http::tls;
use drydock_engine::logging::{self, Level};
use drydock_engine::pidfile::Pidfile;
use drydock_engine::{Engine, api, folders, metrics, reload, shutdown};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

const PROGRAM: &str = "drydock-engine";
/// Threads that answer; what waits for the kernel or a disk has others.
const WORKERS: u8 = 2;

fn main() -> ExitCode {
    let given = match Given::parse(std::env::args().skip(1)) {
        Ok(given) => given,
        Err(error) => return misused(&error),
    };
    for warning in &given.warnings {
        println!("{warning}");
    }
    if given.is_true("help") {
        print!("\n{}", config::usage(PROGRAM));
        return ExitCode::SUCCESS;
    }
    if given.is_true("version") {
        println!("Docker version {}, build drydock-{}", api::RELEASE, env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let only_validate = given.is_true("validate");
    let (config, sources) = match config::load(given, &Environment::read()) {
        Ok(loaded) => loaded,
        Err(error) => return fail(&error.into()),
    };
    let tls = match config.tls.as_ref().map(tls::acceptor).transpose() {
        Ok(tls) => tls,
        Err(error) => return fail(&anyhow::Error::new(error).context("invalid TLS configuration")),
    };
    if only_validate {
        say("configuration OK");
        return ExitCode::SUCCESS;
    }
    match run(config, sources, tls) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// As dockerd prints an error of its command line, down to its own code in the text.
fn misused(error: &FlagError) -> ExitCode {
    let usage = config::usage(PROGRAM);
    match error {
        FlagError::Positional => say(&format!("\n{}", usage.trim_end())),
        error => say(&format!("Status: {error}\nSee '{PROGRAM} --help'.\n\n{usage}, Code: 125")),
    }
    ExitCode::FAILURE
}

fn fail(error: &anyhow::Error) -> ExitCode {
    // An error whose text has its cause in it already is not said twice.
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let as_go = cause.downcast_ref::<std::io::Error>().map(os_error);
        let cause = as_go.unwrap_or_else(|| cause.to_string());
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    say(&text);
    ExitCode::FAILURE
}

fn run(config: Config, sources: Sources, tls: Option<tokio_rustls::TlsAcceptor>) -> Result<()> {
    // As many as there are threads that do most of the work.
    drydock_sys::memory::share_arenas(WORKERS);
    let level = logging::begin(&config.log_level, config.live.debug, config.log_format);
    tracing::info!("Starting up");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS.into())
        .thread_stack_size(512 << 10)
        .enable_all()
        .build()
        .context("start the task runtime")?;
    runtime.block_on(serve(config, sources, level, tls))?;
    // Streams to slow clients must not keep the process; containers belong to their shims.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(
    config: Config,
    sources: Sources,
    level: Level,
    tls: Option<tokio_rustls::TlsAcceptor>,
) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("listen for SIGHUP")?;
    folders::prepare(&config)?;
    let _pidfile = config.pidfile.as_deref().map(Pidfile::write).transpose()?;
    if config.experimental {
        tracing::warn!("Running with experimental features enabled");
    }
    if config.live.features.get("buildkit") == Some(&true) {
        tracing::warn!(
            "the feature buildkit is asked for, and images are built by the classic builder all the same"
        );
    }
    // Bound before anything is opened: a client that is early waits in the backlog.
    let mut listeners = Vec::new();
    for host in &config.hosts {
        warn_of_strangers(host, &config);
        let bound = Listener::bind(host, config.group.as_deref()).await;
        listeners.extend(bound.context("failed to load listeners")?);
    }
    let (hosts, oldest) = (config.hosts.clone(), config.min_api_version);
    let open_doors: Vec<String> =
        hosts.iter().filter_map(|host| api::info::open_door(host, &config)).collect();
    let engine = Engine::open(config).await.context("failed to start daemon")?;
    open_doors.iter().for_each(|warning| tracing::warn!("{warning}"));
    let stop = CancellationToken::new();
    if let Some(address) = &engine.config.metrics_addr {
        let listener = metrics::bind(address).await?;
        tracing::info!("metrics API listening on {address}");
        tokio::spawn(metrics::serve(listener, engine.clone(), stop.clone()));
    }
    tracing::info!("Daemon has completed initialization");
    let activity = engine.events.activity();
    let door = Door { router: api::router(engine.clone()), oldest, activity };
    let serving = tokio::spawn(listen::serve(listeners, door, tls, stop.clone()));
    for host in &hosts {
        tracing::info!("API listen on {}", address(host));
    }
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            _ = hangup.recv() => {
                if let Err(error) = reload::reload(&engine, &sources, &level) {
                    tracing::error!(%error, "Error reloading configuration");
                }
            }
        }
    }
    tracing::info!("Processing signal 'terminated'");
    stop.cancel();
    serving.await.context("stop serving")?;
    // Before the containers: the swarm must not take their end for a failure, and make others.
    engine.swarm()?.stop().await;
    shutdown::run(&engine).await;
    tracing::info!("Daemon shutdown complete");
    Ok(())
}

fn address(host: &Host) -> String {
    match host {
        Host::Unix(path) => path.display().to_string(),
        Host::Tcp(address) => address.clone(),
        Host::Inherited(_) => host.to_string(),
    }
}

fn warn_of_strangers(host: &Host, config: &Config) {
    if !matches!(host, Host::Tcp(_)) || config.tls.as_ref().is_some_and(|tls| tls.verify) {
        return;
    }
    for warning in [
        "Binding to IP address without --tlsverify is insecure and gives root access on this machine to everyone who has \
         access to your network.",
        "Binding to an IP address, even on localhost, can also give access to scripts run in a browser. Be safe out there!",
        "[DEPRECATION NOTICE] In future versions this will be a hard failure preventing the daemon from starting! Learn \
         more at: https://docs.docker.com/go/api-security/",
    ] {
        tracing::warn!(host = %host, "{warning}");
    }
}
