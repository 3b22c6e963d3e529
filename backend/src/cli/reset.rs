//! `drydock reset`.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;
use drydock_nodes::NodeImage;

use crate::config::Config;
use crate::serve::{check_machine, open_host};

#[derive(Debug, Args)]
pub struct Reset {
    #[command(flatten)]
    host: super::HostArgs,
}

impl Reset {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let (data, dist) = self.host.folders()?;
        if !data.exists() {
            return Ok(ExitCode::SUCCESS);
        }
        let config =
            Arc::new(Config { data, dist, image_store: self.host.image_store.clone(), ..Config::default() });
        check_machine(&config)?;
        let host = open_host(&config, NodeImage::Layers(Vec::new())).await?;
        host.reset().await?;
        drop(host);
        std::fs::remove_dir_all(&config.data)
            .with_context(|| format!("cannot remove {}", config.data.display()))?;
        Ok(ExitCode::SUCCESS)
    }
}
