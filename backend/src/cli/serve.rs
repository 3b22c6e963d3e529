//! `drydock serve`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use drydock_sessions::{capacity, life, rate};
use time::Duration;

use crate::config::{Config, UpstreamRegistry, dist_of};

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    host: super::HostArgs,
    /// Address and port to serve on.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The host (and port) of the playground's address; sockets of other pages are refused.
    #[arg(long)]
    domain: Option<String>,
    /// Another origin whose pages may use this playground (`https://training.example`); repeatable.
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<String>,
    /// The registry asked, instead of Docker Hub, for images that the host lacks (`http://mirror.example:5000`).
    #[arg(long, value_name = "URL", conflicts_with = "offline")]
    registry: Option<String>,
    /// Ask no registry: serve the images that the host has.
    #[arg(long)]
    offline: bool,
    /// Folder of labs; those of the dist folder unless given.
    #[arg(long, value_name = "DIR")]
    labs: Option<PathBuf>,
    #[arg(long, value_name = "N", default_value_t = 50)]
    max_sessions: u32,
    /// Nodes of one session.
    #[arg(long, value_name = "N", default_value_t = 5)]
    max_instances: u32,
    /// Nodes of all sessions.
    #[arg(long, value_name = "N", default_value_t = 100)]
    max_nodes: u32,
    /// What a session lasts, and what one extension gives (`4h`, `90m`).
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "4h")]
    session_duration: Duration,
    /// The most a session may live with extensions.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "24h")]
    max_session_duration: Duration,
    /// How long a session outlives its last browser.
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "30m")]
    orphan_timeout: Duration,
    /// Sessions one client address may make at once, a class behind one router for instance; afterwards one every two
    /// seconds.
    #[arg(long, value_name = "N", default_value_t = 60)]
    session_burst: u32,
    /// End all nodes when the server is told to stop, instead of leaving them to the next start.
    #[arg(long)]
    stop_nodes: bool,
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let stop_nodes = self.stop_nodes;
        let config = self.config()?;
        crate::serve::serve(config, stop_nodes).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn config(self) -> anyhow::Result<Config> {
        let (data, dist) = self.host.folders()?;
        Ok(Config {
            listen: self.listen,
            data,
            dist,
            image_store: self.host.image_store.clone(),
            domain: self.domain,
            life: life::Limits {
                duration: self.session_duration,
                longest: self.max_session_duration.max(self.session_duration),
                orphan_after: self.orphan_timeout,
            },
            capacity: capacity::Limits {
                sessions: self.max_sessions,
                instances_per_session: self.max_instances,
                instances: self.max_nodes,
            },
            creation: rate::Allowance { burst: self.session_burst.max(1), every: Duration::seconds(2) },
            node_limits: self.host.limits(),
            upstream: match self.registry {
                Some(address) => UpstreamRegistry::At(address),
                None if self.offline => UpstreamRegistry::None,
                None => UpstreamRegistry::DockerHub,
            },
            labs: self.labs,
            allowed_origins: self.allowed_origins,
            ..Config::default()
        })
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    life::parse_go_duration(text)
        .filter(|duration| *duration > Duration::ZERO)
        .ok_or_else(|| "a duration is like 4h, 90m or 30s".to_owned())
}

impl super::HostArgs {
    /// The data and the dist folder.
    pub fn folders(&self) -> anyhow::Result<(PathBuf, PathBuf)> {
        let dist = match &self.dist {
            Some(dist) => dist.clone(),
            None => {
                let executable = std::env::current_exe().context("cannot find this program's own file")?;
                dist_of(&executable).context("this program has no folder above it: give --dist")?
            }
        };
        // Nodes see paths from elsewhere.
        let data = std::path::absolute(&self.data_dir).context("--data-dir is no path")?;
        match dist.canonicalize() {
            Ok(dist) => Ok((data, dist)),
            Err(error) => bail!("{}: {error}: run `cargo xtask dist`, or give --dist", dist.display()),
        }
    }

    pub fn limits(&self) -> drydock_nodes::Limits {
        const MIB: u64 = 1024 * 1024;
        let offered = drydock_nodes::Limits::default();
        drydock_nodes::Limits {
            memory: self.node_memory.map_or(offered.memory, |mib| mib * MIB),
            disk: self.node_disk.map_or(offered.disk, |mib| mib * MIB),
            ..offered
        }
    }
}
