//! `drydock-engine`: reads its flags, binds its sockets, opens the engine, serves until SIGTERM.
#![forbid(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use drydock_engine::config::{Config, Flags};
use drydock_engine::http::listen::{self, Listener};
use drydock_engine::http::tls;
use drydock_engine::{Engine, api};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    let flags = Flags::parse();
    if flags.version {
        println!("Docker version 28.5.1, build drydock-{}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let validate = flags.validate;
    let config = match flags.resolve() {
        Ok(config) if validate => {
            drop(config);
            println!("configuration OK");
            return ExitCode::SUCCESS;
        }
        Ok(config) => config,
        Err(error) => return fail(&error.into()),
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "failed to start daemon: {error:#}");
    ExitCode::FAILURE
}

fn run(config: Config) -> Result<()> {
    log_to_stderr(&config.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(512 << 10)
        .enable_all()
        .build()
        .context("start the task runtime")?;
    runtime.block_on(serve(config))?;
    // Streams to slow clients must not keep the process; containers belong to their shims.
    runtime.shutdown_background();
    Ok(())
}

fn log_to_stderr(level: &str) {
    let filter = tracing_subscriber::EnvFilter::builder()
        .parse_lossy(format!("{level},hyper=warn,reqwest=warn,rustls=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

async fn serve(config: Config) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    // Bound before anything is opened: a client that is early waits in the backlog.
    let mut listeners = Vec::new();
    for host in &config.hosts {
        listeners.extend(Listener::bind(host).await.context("failed to load listeners")?);
    }
    let tls = config.tls.as_ref().map(tls::acceptor).transpose().context("set TLS up")?;
    let pidfile = config.pidfile.clone();
    if let Some(path) = &pidfile {
        std::fs::write(path, format!("{}\n", std::process::id()))
            .with_context(|| format!("write pidfile {}", path.display()))?;
    }
    let engine = Engine::open(config).await?;
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listen::serve(listeners, api::router(engine.clone()), tls, stop.clone()));
    tracing::info!("API listen");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.cancel();
    serving.await.context("stop serving")?;
    if let Some(path) = &pidfile {
        let _ = std::fs::remove_file(path);
    }
    Ok(())
}
