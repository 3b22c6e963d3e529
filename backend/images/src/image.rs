//! One image: what its files say of it.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use oci_spec::image::ImageConfiguration;
use serde::{Deserialize, Serialize};

use crate::digest::{DiffId, Digest, ImageId};
use crate::snapshot::Durability;
use crate::store::Store;

/// An image that a container can be made from: all its layers were there when it was recorded.
#[derive(Clone, Debug)]
pub struct Image {
    pub id: ImageId,
    /// The configuration, typed. Fields that Docker adds to the OCI's are in [`Image::raw`] only.
    pub config: ImageConfiguration,
    /// The configuration as it was received: its digest is the id.
    pub raw: Vec<u8>,
    /// The manifest it came with; `None` for an image made here.
    pub manifest: Option<Descriptor>,
    /// Bottom first.
    pub layers: Vec<Layer>,
    /// Bytes of all files of all layers.
    pub size: u64,
    /// Seconds since 1970 when a name was last given to it.
    pub tagged_at: i64,
    /// The image it was made from here; `None` for one that came from elsewhere.
    pub parent: Option<ImageId>,
}

/// A layer of an image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Layer {
    pub diff_id: DiffId,
    /// The blob that it was unpacked from; `None` when it was made here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Descriptor>,
}

/// A blob as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
}

/// What [`Store::put_image`] records. The layers must be unpacked already.
#[derive(Clone, Debug)]
pub struct NewImage<'a> {
    /// The configuration's JSON.
    pub config: &'a [u8],
    /// The manifest and its bytes.
    pub manifest: Option<(Descriptor, &'a [u8])>,
    /// The layers' blobs in the order of the configuration's diffids. Empty for an image made here: its layers keep
    /// the blobs that they came as, those made here have none.
    pub blobs: Vec<Option<Descriptor>>,
}

/// An image could not be recorded or read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    #[error("the image's configuration is not valid")]
    Config(#[source] oci_spec::OciSpecError),
    #[error("the image's configuration names {diffs} layers, its manifest {blobs}")]
    LayerCount { diffs: usize, blobs: usize },
    #[error("the image's configuration is not valid")]
    DiffId(#[source] crate::digest::DigestError),
    #[error("layer {0} is not in the store")]
    LayerMissing(DiffId),
    #[error("store a part of the image")]
    Blob(#[source] crate::blob::BlobError),
    #[error("write the image's record")]
    Write(#[source] io::Error),
    #[error("read the record of image {id}")]
    Read { id: ImageId, source: io::Error },
    #[error("the record of image {id} is not valid")]
    Record { id: ImageId, source: serde_json::Error },
    #[error("record the image")]
    Index(#[source] crate::refs::IndexError),
}

/// `images/<hex>.json`.
#[derive(Serialize, Deserialize)]
struct Record {
    manifest: Option<Descriptor>,
    layers: Vec<Layer>,
    size: u64,
    tagged_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<ImageId>,
}

impl ImageError {
    /// Whether a file of the image is gone or cut, and not merely refused by the disk.
    pub(crate) fn is_torn(&self) -> bool {
        match self {
            Self::Read { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Self::Record { .. } | Self::Config(_) => true,
            Self::Blob(error) => matches!(error, crate::blob::BlobError::Missing(_)),
            _ => false,
        }
    }
}

impl Image {
    /// The configuration with every field it came with.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.raw).unwrap_or_default()
    }

    /// RFC 3339, or nothing for an image without a date.
    pub fn created(&self) -> Option<&str> {
        self.config.created().as_deref()
    }

    /// What names each layer together with all below it, bottom first: the digests that `docker rmi` prints.
    pub fn chain_ids(&self) -> Vec<Digest> {
        chain(self.layers.iter().map(|layer| &layer.diff_id))
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = self.config.config().as_ref().and_then(|config| config.labels().as_ref());
        labels
            .map(|labels| labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            .unwrap_or_default()
    }
}

/// `ChainID` of the OCI's image specification.
pub(crate) fn chain<'a>(diff_ids: impl Iterator<Item = &'a DiffId>) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::new();
    for diff_id in diff_ids {
        chain.push(match chain.last() {
            None => diff_id.0.clone(),
            Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
        });
    }
    chain
}

/// The diffids that a configuration names, bottom first.
fn diff_ids(config: &ImageConfiguration) -> Result<Vec<DiffId>, ImageError> {
    config.rootfs().diff_ids().iter().map(|text| text.parse().map_err(ImageError::DiffId)).collect()
}

impl Store {
    /// Records an image once all of it is on the disk. Names are given apart, by [`Store::tag`].
    pub fn put_image(&self, new: NewImage<'_>) -> Result<std::sync::Arc<Image>, ImageError> {
        let config = ImageConfiguration::from_reader(new.config).map_err(ImageError::Config)?;
        let diff_ids = diff_ids(&config)?;
        if !new.blobs.is_empty() && new.blobs.len() != diff_ids.len() {
            return Err(ImageError::LayerCount { diffs: diff_ids.len(), blobs: new.blobs.len() });
        }
        let config_digest = crate::digest::Digest::of(new.config);
        let _held = self.hold(
            std::iter::once(config_digest)
                .chain(diff_ids.iter().map(|diff_id| diff_id.0.clone()))
                .chain(new.blobs.iter().flatten().map(|blob| blob.digest.clone()))
                .chain(new.manifest.iter().map(|(manifest, _)| manifest.digest.clone())),
        );
        let mut size = 0;
        for diff_id in &diff_ids {
            size += self.layer_size(diff_id).ok_or_else(|| ImageError::LayerMissing(diff_id.clone()))?;
        }
        let id = ImageId(self.put_blob(new.config).map_err(ImageError::Blob)?);
        if let Some((_, bytes)) = &new.manifest {
            self.put_blob(bytes).map_err(ImageError::Blob)?;
        }
        let blobs = match new.blobs.is_empty() {
            true => diff_ids.iter().map(|diff_id| self.layer_blob(diff_id)).collect::<Vec<_>>(),
            false => new.blobs,
        };
        let layers = diff_ids.into_iter().zip(blobs).map(|(diff_id, blob)| Layer { diff_id, blob }).collect();
        let image = Image {
            id,
            config,
            raw: new.config.to_vec(),
            manifest: new.manifest.map(|(descriptor, _)| descriptor),
            layers,
            size,
            tagged_at: now(),
            parent: None,
        };
        self.flush().map_err(ImageError::Write)?;
        self.write_record(&image, Durability::Flushed)?;
        self.add_image(image, Durability::Flushed).map_err(ImageError::Index)
    }

    /// Records the image of a build's step: its layers are here already. Nothing waits for the disk; after a power cut
    /// the image is forgotten, unless [`settle`](Self::settle) was done before.
    pub fn put_step(
        &self,
        config: &[u8],
        parent: Option<&ImageId>,
    ) -> Result<std::sync::Arc<Image>, ImageError> {
        let parsed = ImageConfiguration::from_reader(config).map_err(ImageError::Config)?;
        let mut layers = Vec::new();
        let mut size = 0;
        let diff_ids = diff_ids(&parsed)?;
        let config_digest = crate::digest::Digest::of(config);
        let _held =
            self.hold(std::iter::once(config_digest).chain(diff_ids.iter().map(|diff_id| diff_id.0.clone())));
        for diff_id in diff_ids {
            size += self.layer_size(&diff_id).ok_or_else(|| ImageError::LayerMissing(diff_id.clone()))?;
            let blob = self.layer_blob(&diff_id);
            layers.push(Layer { diff_id, blob });
        }
        let id = ImageId(self.put_blob(config).map_err(ImageError::Blob)?);
        if let Some(known) = self.image(&id).map_err(ImageError::Index)? {
            return Ok(known);
        }
        let image = Image {
            id,
            config: parsed,
            raw: config.to_vec(),
            manifest: None,
            layers,
            size,
            tagged_at: now(),
            parent: parent.cloned(),
        };
        self.write_record(&image, Durability::Volatile)?;
        self.add_image(image, Durability::Volatile).map_err(ImageError::Index)
    }

    /// Records which image another was made from: `docker commit` and every step of a build.
    pub fn set_parent(&self, id: &ImageId, parent: &ImageId) -> Result<(), ImageError> {
        let missing = || ImageError::Index(crate::refs::IndexError::NoImage(id.clone()));
        let image = self.image(id).map_err(ImageError::Index)?.ok_or_else(missing)?;
        let image = Image { parent: Some(parent.clone()), ..Image::clone(&image) };
        self.write_record(&image, Durability::Flushed)?;
        self.replace_image(image).map_err(ImageError::Index)
    }

    /// A name was given to the image just now.
    pub fn touch(&self, id: &ImageId) -> Result<(), ImageError> {
        let Some(image) = self.image(id).map_err(ImageError::Index)? else { return Ok(()) };
        let image = Image { tagged_at: now(), ..Image::clone(&image) };
        self.write_record(&image, Durability::Volatile)?;
        self.replace_image(image).map_err(ImageError::Index)
    }

    /// The images that were made from this one.
    pub fn children(&self, id: &ImageId) -> Result<Vec<ImageId>, crate::refs::IndexError> {
        let images = self.images()?;
        Ok(images
            .iter()
            .filter(|image| image.parent.as_ref() == Some(id))
            .map(|image| image.id.clone())
            .collect())
    }

    fn write_record(&self, image: &Image, durability: Durability) -> Result<(), ImageError> {
        let record = Record {
            manifest: image.manifest.clone(),
            layers: image.layers.clone(),
            size: image.size,
            tagged_at: image.tagged_at,
            parent: image.parent.clone(),
        };
        let path = self.root().join("images").join(image.id.0.hex()).with_extension("json");
        let bytes = serde_json::to_vec(&record).map_err(|error| ImageError::Write(error.into()))?;
        crate::file::replace(&path, &bytes, &self.tmp(), durability).map_err(ImageError::Write)
    }

    pub(crate) fn read_image(&self, id: &ImageId) -> Result<Image, ImageError> {
        let path = self.root().join("images").join(id.0.hex()).with_extension("json");
        let bytes = fs::read(path).map_err(|source| ImageError::Read { id: id.clone(), source })?;
        let record: Record =
            serde_json::from_slice(&bytes).map_err(|source| ImageError::Record { id: id.clone(), source })?;
        let raw = self.read_blob(&id.0).map_err(ImageError::Blob)?;
        let config = ImageConfiguration::from_reader(raw.as_slice()).map_err(ImageError::Config)?;
        Ok(Image {
            id: id.clone(),
            config,
            raw,
            manifest: record.manifest,
            layers: record.layers,
            size: record.size,
            tagged_at: record.tagged_at,
            parent: record.parent,
        })
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map(|duration| duration.as_secs() as i64).unwrap_or_default()
}
