//! `docker import`: a tar archive of a tree becomes an image of one layer.

use std::io::Read;

use drydock_images::{Named, NewImage};
use drydock_registry::Platform;
use serde_json::json;

use super::ImageService;
use super::archive::ArchiveError;
use super::progress::Progress;
use crate::api::RELEASE;
use crate::build::download::open;
use crate::wire::ContainerConfig;

/// What the image is to be beside its files.
#[derive(Clone, Debug)]
pub struct Imported {
    pub name: Option<Named>,
    pub config: ContainerConfig,
    pub comment: String,
    pub platform: Platform,
}

impl ImageService {
    /// Takes the archive, compressed or not; answers the image's id.
    pub fn import(&self, input: impl Read, new: &Imported) -> Result<String, ArchiveError> {
        let plain = drydock_builder::decompress(input).map_err(ArchiveError::Unpack)?;
        let (diff_id, _) = self.store.import_layer(plain).map_err(|error| match error {
            drydock_images::LayerError::Unpack {
                source: drydock_images::unpack::UnpackError::Archive(error),
                ..
            } => ArchiveError::Unpack(error),
            error => ArchiveError::Layer(error),
        })?;
        let now = time::OffsetDateTime::now_utc();
        let now = now.format(&time::format_description::well_known::Rfc3339).unwrap_or_default();
        let mut config = json!({
            "architecture": new.platform.architecture,
            "os": new.platform.os,
            "created": now,
            "docker_version": RELEASE,
            "comment": new.comment,
            "config": new.config,
            "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            "history": [{"created": now, "comment": new.comment}],
        });
        if let Some(variant) = &new.platform.variant {
            config["variant"] = json!(variant);
        }
        let config = config.to_string();
        let image = NewImage { config: config.as_bytes(), manifest: None, blobs: Vec::new() };
        let image = self.store.put_image(image).map_err(ArchiveError::Image)?;
        let id = image.id.to_string();
        if let Some(name) = &new.name {
            self.store.tag(name, &image.id).map_err(ArchiveError::Index)?;
            self.publish("tag", &id, &name.familiar());
        }
        self.publish("import", &id, &id);
        Ok(id)
    }

    /// [`import`](Self::import) of what a URL gives; one without a scheme is fetched in plain text.
    pub async fn import_from(
        &self,
        url: &str,
        new: Imported,
        progress: &Progress,
    ) -> Result<String, ArchiveError> {
        let url = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let folder = tempfile::tempdir_in(self.store.root().join("tmp")).map_err(ArchiveError::Room)?;
        let fetched = open(&url, &self.proxies).await?;
        progress.say(&format!("Downloading from {url}"));
        let path = folder.path().join("archive");
        fetched.save(&path, "Importing", progress).await?;
        let file = std::fs::File::open(&path).map_err(ArchiveError::Room)?;
        tokio::task::block_in_place(|| self.import(std::io::BufReader::new(file), &new))
    }
}
