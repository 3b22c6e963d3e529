//! `drydock image`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Image {
    /// List what the host has.
    Ls {
        #[arg(long)]
        data_dir: PathBuf,
    },
}

impl Image {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        anyhow::bail!("this build has no image commands")
    }
}
