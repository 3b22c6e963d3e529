//! Taking names away, and with the last name the image, its layers and its blobs.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::digest::{DiffId, Digest, ImageId};
use crate::image::Image;
use crate::reference::Named;
use crate::refs::IndexError;
use crate::store::Store;

/// An image could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    #[error("change the image index")]
    Index(#[source] IndexError),
    #[error("list {path}")]
    List { path: PathBuf, source: io::Error },
    #[error("remove {path}")]
    Remove { path: PathBuf, source: io::Error },
}

/// What was thrown away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    /// Diffids of the layers that are gone from the disk.
    pub layers: Vec<Digest>,
    /// Chain ids that no image and no container has any more, topmost first: what `docker rmi` lists.
    pub chains: Vec<Digest>,
    /// Bytes freed.
    pub size: u64,
}

impl Store {
    /// Takes a name away; answers the image that it meant.
    pub fn untag(&self, name: &Named) -> Result<Option<ImageId>, IndexError> {
        let name = name.clone().or_latest();
        self.change(|index, _| Ok(index.references.remove(&name.to_string())))
    }

    /// Forgets an image with all its names, and throws away what only it needed.
    pub fn remove(&self, id: &ImageId) -> Result<Removed, RemoveError> {
        let forgotten = self.change(|index, images| {
            index.references.retain(|_, named| named != id);
            index.images.remove(id);
            Ok(images.get(id).cloned())
        });
        let Some(image) = forgotten.map_err(RemoveError::Index)? else { return Ok(Removed::default()) };
        let in_use = self.chains_in_use()?;
        let chains = image.chain_ids().into_iter().rev().filter(|chain| !in_use.contains(chain)).collect();
        let removed = self.throw_away(Parts::of_images(std::slice::from_ref(&image)))?;
        Ok(Removed { chains, ..removed })
    }

    /// Throws away layers, blobs and records that no image and no snapshot needs: the leavings of pulls that
    /// never came to their end. What is younger than `age` may belong to one that goes on.
    pub fn collect(&self, age: Duration) -> Result<Removed, RemoveError> {
        let candidates = Parts {
            layers: self.older("layers", age)?,
            blobs: self.older("blobs/sha256", age)?,
            images: self
                .older("images", age)?
                .iter()
                .map(|name| name.trim_end_matches(".json").to_owned())
                .collect(),
        };
        self.throw_away(candidates)
    }

    /// Throws away of these layers (by their diffids) and blobs what no image names and nobody holds: what a verb brought
    /// that then failed.
    pub fn discard(&self, digests: impl IntoIterator<Item = Digest>) -> Result<Removed, RemoveError> {
        let hexes: BTreeSet<String> = digests.into_iter().map(|digest| digest.hex().to_owned()).collect();
        self.throw_away(Parts { layers: hexes.clone(), blobs: hexes, images: BTreeSet::new() })
    }

    fn chains_in_use(&self) -> Result<BTreeSet<Digest>, RemoveError> {
        let images = self.images().map_err(RemoveError::Index)?;
        let mut chains: BTreeSet<Digest> = images.iter().flat_map(|image| image.chain_ids()).collect();
        let list = |source| RemoveError::List { path: self.root().join("snapshots"), source };
        for container in self.snapshots().map_err(list)? {
            chains.extend(crate::image::chain(self.snapshot_layers(&container).iter().rev()));
        }
        Ok(chains)
    }

    fn kept(&self) -> Result<Parts, RemoveError> {
        let images = self.images().map_err(RemoveError::Index)?;
        let mut kept = Parts::of_images(&images);
        let list = |source| RemoveError::List { path: self.root().join("snapshots"), source };
        for container in self.snapshots().map_err(list)? {
            // A snapshot without a record was never finished and holds nothing.
            kept.layers.extend(self.snapshot_layers(&container).iter().map(|layer| layer.0.hex().to_owned()));
        }
        Ok(kept)
    }

    /// Throws away what of the candidates nothing needs.
    fn throw_away(&self, candidates: Parts) -> Result<Removed, RemoveError> {
        let failed = |source| RemoveError::Remove { path: self.tmp(), source };
        let trash = tempfile::Builder::new().prefix("removed-").tempdir_in(self.tmp()).map_err(failed)?;
        let mut removed = Removed::default();
        // Whoever begins to hold something now finds it whole or gone.
        let held = self.held();
        let mut kept = self.kept()?;
        kept.layers.extend(held.keys().cloned());
        kept.blobs.extend(held.keys().cloned());
        kept.images.extend(held.keys().cloned());
        let parts = candidates.without(&kept);
        for hex in parts.layers {
            let path = self.root().join("layers").join(&hex);
            if !path.is_dir() {
                continue;
            }
            let digest: Option<Digest> = format!("sha256:{hex}").parse().ok();
            removed.size +=
                digest.clone().and_then(|digest| self.layer_size(&DiffId(digest))).unwrap_or_default();
            // A folder loses its name in one step before it is emptied, so that a crash leaves no half layer.
            fs::rename(&path, trash.path().join(&hex))
                .map_err(|source| RemoveError::Remove { path, source })?;
            removed.layers.extend(digest);
        }
        let records =
            parts.images.iter().map(|hex| self.root().join("images").join(hex).with_extension("json"));
        let blobs = parts.blobs.iter().map(|hex| self.blobs().join(hex));
        for path in blobs.chain(records) {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(RemoveError::Remove { path, source: error });
                }
                _ => {}
            }
        }
        drop(held);
        trash.close().map_err(failed)?;
        Ok(removed)
    }

    fn older(&self, folder: &str, age: Duration) -> Result<BTreeSet<String>, RemoveError> {
        let path = self.root().join(folder);
        let old = |entry: &fs::DirEntry| {
            let modified = entry.metadata().and_then(|meta| meta.modified()).ok();
            modified.and_then(|time| time.elapsed().ok()).is_some_and(|elapsed| elapsed >= age)
        };
        let entries = fs::read_dir(&path).map_err(|source| RemoveError::List { path, source })?;
        Ok(entries
            .flatten()
            .filter(old)
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect())
    }
}

/// Parts of images by their digests in hexadecimal.
#[derive(Default)]
struct Parts {
    layers: BTreeSet<String>,
    blobs: BTreeSet<String>,
    images: BTreeSet<String>,
}

impl Parts {
    fn of_images(images: &[Arc<Image>]) -> Self {
        let mut parts = Self::default();
        for image in images {
            parts.images.insert(image.id.0.hex().to_owned());
            parts.blobs.insert(image.id.0.hex().to_owned());
            parts.blobs.extend(image.manifest.iter().map(|manifest| manifest.digest.hex().to_owned()));
            for layer in &image.layers {
                parts.layers.insert(layer.diff_id.0.hex().to_owned());
                parts.blobs.extend(layer.blob.iter().map(|blob| blob.digest.hex().to_owned()));
            }
        }
        parts
    }

    fn without(mut self, kept: &Self) -> Self {
        self.layers.retain(|hex| !kept.layers.contains(hex));
        self.blobs.retain(|hex| !kept.blobs.contains(hex));
        self.images.retain(|hex| !kept.images.contains(hex));
        self
    }
}
