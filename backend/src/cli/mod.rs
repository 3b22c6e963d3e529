//! The command line: one verb per file.

mod image;
mod lab;
mod reset;
mod serve;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[derive(Debug, Parser)]
#[command(
    name = "drydock",
    version,
    about = "A browser playground of real Docker hosts, with labs that check themselves"
)]
pub struct Cli {
    /// What to log, in `tracing`'s notation (`info`, `drydock=debug`, …).
    #[arg(long, global = true, env = "DRYDOCK_LOG", default_value = "info")]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the playground.
    Serve(serve::Serve),
    /// End every session and node and remove all data.
    Reset(reset::Reset),
    /// Try labs without a browser.
    #[command(subcommand)]
    Lab(lab::Lab),
    /// Look after the host's images.
    #[command(subcommand)]
    Image(image::Image),
}

/// Where things are, and how large nodes may be: of every command that makes nodes.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Sessions, nodes and images of this host.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/drydock-host")]
    data_dir: PathBuf,
    /// What `cargo xtask dist` made; the folder above this program's own unless given.
    #[arg(long, value_name = "DIR")]
    dist: Option<PathBuf>,
    /// The host's images; the folder `store` of the data folder unless given. Several servers may share one.
    #[arg(long, value_name = "DIR")]
    image_store: Option<PathBuf>,
    /// Memory of one node, MiB.
    #[arg(long, value_name = "MIB")]
    node_memory: Option<u64>,
    /// Disk of one node, MiB.
    #[arg(long, value_name = "MIB")]
    node_disk: Option<u64>,
}

/// Runs one command to its end.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(&cli.log))
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match cli.command {
            Command::Serve(serve) => serve.run().await,
            Command::Reset(reset) => reset.run().await,
            Command::Lab(lab) => lab.run().await,
            Command::Image(image) => image.run().await,
        }
    });
    // A blocking call that hangs (a dead disk) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    code
}
