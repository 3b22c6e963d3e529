//! `drydock image`: the host's images, which every node shares.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use drydock_images::Store;

/// Younger leavings may belong to a pull that goes on.
const YOUNG: Duration = Duration::from_secs(3600);

#[derive(Debug, Subcommand)]
pub enum Image {
    /// List what the host has.
    Ls {
        #[command(flatten)]
        place: Place,
    },
    /// Take in the images of an OCI layout, `dist/images` for instance.
    Import {
        #[command(flatten)]
        place: Place,
        /// The layout's folder.
        layout: PathBuf,
    },
    /// Throw away what interrupted pulls left behind.
    Prune {
        #[command(flatten)]
        place: Place,
    },
}

#[derive(Debug, Args)]
pub struct Place {
    /// Sessions, nodes and images of this host.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/drydock-host")]
    data_dir: PathBuf,
    /// The host's images; the folder `store` of the data folder unless given.
    #[arg(long, value_name = "DIR")]
    image_store: Option<PathBuf>,
}

impl Place {
    fn open(self) -> Result<Store, drydock_images::OpenError> {
        Store::open(self.image_store.unwrap_or_else(|| self.data_dir.join("store")), None)
    }
}

impl Image {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        tokio::task::spawn_blocking(|| self.work()).await??;
        Ok(ExitCode::SUCCESS)
    }

    fn work(self) -> anyhow::Result<()> {
        match self {
            Self::Ls { place } => list(&place.open()?),
            Self::Import { place, layout } => {
                for image in place.open()?.import_layout(&layout)? {
                    println!("{} {}", if image.is_new { "new " } else { "kept" }, image.name);
                }
                Ok(())
            }
            Self::Prune { place } => {
                let removed = place.open()?.collect(YOUNG)?;
                println!("{} layers, {} MiB", removed.layers.len(), removed.size >> 20);
                Ok(())
            }
        }
    }
}

fn list(store: &Store) -> anyhow::Result<()> {
    for image in store.images()? {
        let (tags, _) = store.names(&image.id)?;
        let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
        println!("{:>8.1} MiB  {}", image.size as f64 / f64::from(1 << 20), names.join(" "));
    }
    Ok(())
}
