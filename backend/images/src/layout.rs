//! Import of an OCI image layout: the offline library of `dist/images`, or an archive of `docker save`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use serde::Deserialize;

use crate::digest::{DiffId, Digest, DigestError, ImageId};
use crate::image::{Descriptor, ImageError, NewImage};
use crate::layer::LayerError;
use crate::reference::{Named, ReferenceError};
use crate::refs::IndexError;
use crate::store::Store;

/// The OCI's name, which many writers give the tag alone; containerd's beside it is whole.
const NAME: &str = "org.opencontainers.image.ref.name";
const WHOLE_NAME: &str = "io.containerd.image.name";

/// A layout could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not valid")]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("{expected} of the layout holds {received}")]
    Mismatch { expected: Digest, received: Digest },
    #[error("the layout names {name:?}")]
    Name { name: String, source: ReferenceError },
    #[error("the layout names a layer wrongly")]
    Digest(#[source] DigestError),
    #[error("take a blob of the layout")]
    Blob(#[source] crate::blob::BlobError),
    #[error("take a layer of the layout")]
    Layer(#[source] LayerError),
    #[error("record an image of the layout")]
    Image(#[source] ImageError),
    #[error("name an image of the layout")]
    Index(#[source] IndexError),
}

/// One name of the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    pub name: Named,
    pub id: ImageId,
    /// Whether the name meant another image, or none, before.
    pub is_new: bool,
}

/// One image of a layout, under one of its names if it has any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    pub name: Option<Named>,
    pub id: ImageId,
}

#[derive(Deserialize)]
struct LayoutIndex {
    manifests: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: String,
    digest: Digest,
    size: u64,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    platform: Option<System>,
}

/// What an image in an index runs on.
#[derive(Deserialize)]
struct System {
    os: String,
    architecture: String,
}

impl Entry {
    fn name(&self) -> Option<&String> {
        self.annotations.get(WHOLE_NAME).or_else(|| self.annotations.get(NAME))
    }

    fn is_index(&self) -> bool {
        self.media_type.contains("image.index") || self.media_type.contains("manifest.list")
    }

    fn runs_here(&self) -> bool {
        let here = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        self.platform.as_ref().is_none_or(|system| system.os == "linux" && system.architecture == here)
    }
}

#[derive(Deserialize)]
struct Manifest {
    config: Entry,
    layers: Vec<Entry>,
}

/// One image of the layout with all its names.
struct Found {
    manifest: Descriptor,
    bytes: Vec<u8>,
    config: Vec<u8>,
    layers: Vec<(DiffId, Descriptor)>,
    names: Vec<Named>,
}

impl Store {
    /// Takes every named image of the layout in `folder`. What is in the store already costs a look.
    pub fn import_layout(&self, folder: &Path) -> Result<Vec<Imported>, ImportError> {
        let index: LayoutIndex = parse(&folder.join("index.json"))?;
        let known: BTreeMap<String, ImageId> = self
            .references()
            .map_err(ImportError::Index)?
            .into_iter()
            .map(|(name, id)| (name.to_string(), id))
            .collect();
        let mut imported = Vec::new();
        let mut found: BTreeMap<Digest, Found> = BTreeMap::new();
        for entry in index.manifests {
            let Some(text) = entry.name() else { continue };
            let name = Named::parse(text)
                .map_err(|source| ImportError::Name { name: text.clone(), source })?
                .or_latest();
            let by_digest = name.with_digest(entry.digest.clone());
            let (tagged, pinned) = (known.get(&name.to_string()), known.get(&by_digest.to_string()));
            if let (Some(id), true) = (tagged, tagged == pinned) {
                imported.push(Imported { name, id: id.clone(), is_new: false });
            } else if let Some(image) = found.get_mut(&entry.digest) {
                image.names.push(name);
            } else {
                found.insert(entry.digest.clone(), read_image(folder, entry, vec![name])?);
            }
        }
        self.take_layers(folder, found.values())?;
        for image in found.into_values() {
            imported.extend(self.take_image(image)?.1);
        }
        Ok(imported)
    }

    /// Takes every image of the layout, named or not; of an index the image that runs here. A name that is a tag alone
    /// names nothing.
    pub fn load_layout(&self, folder: &Path) -> Result<Vec<Loaded>, ImportError> {
        let index: LayoutIndex = parse(&folder.join("index.json"))?;
        let mut found: BTreeMap<Digest, Found> = BTreeMap::new();
        for entry in index.manifests {
            let whole = entry.annotations.get(WHOLE_NAME);
            let short = entry.annotations.get(NAME).filter(|name| name.contains([':', '/']));
            let name = whole.or(short).map(|text| {
                let failed = |source| ImportError::Name { name: text.clone(), source };
                Named::parse(text).map(Named::or_latest).map_err(failed)
            });
            let name = name.transpose()?;
            let entry = if entry.is_index() { inner(folder, &entry)? } else { Some(entry) };
            let Some(entry) = entry else { continue };
            match found.get_mut(&entry.digest) {
                Some(image) => image.names.extend(name),
                None => {
                    let image = read_image(folder, entry, name.into_iter().collect())?;
                    found.insert(image.manifest.digest.clone(), image);
                }
            }
        }
        let _held = self.hold(found.values().flat_map(|image| {
            image.layers.iter().flat_map(|(diff_id, blob)| [diff_id.0.clone(), blob.digest.clone()])
        }));
        self.take_layers(folder, found.values())?;
        let mut loaded = Vec::new();
        for image in found.into_values() {
            let is_named = !image.names.is_empty();
            let (id, imported) = self.take_image(image)?;
            loaded.extend((!is_named).then(|| Loaded { name: None, id: id.clone() }));
            loaded.extend(imported.into_iter().map(|one| Loaded { name: Some(one.name), id: id.clone() }));
        }
        Ok(loaded)
    }

    /// Unpacks what is missing, on all processors; the largest layers first, so that none is left for last.
    fn take_layers<'a>(
        &self,
        folder: &Path,
        images: impl Iterator<Item = &'a Found>,
    ) -> Result<(), ImportError> {
        let mut missing: Vec<&(DiffId, Descriptor)> = images.flat_map(|image| &image.layers).collect();
        missing.retain(|(diff_id, blob)| !self.has_layer(diff_id) || !self.has_blob(&blob.digest));
        missing.sort_by(|a, b| (a.1.size, &a.0).cmp(&(b.1.size, &b.0)));
        missing.dedup_by(|a, b| a.0 == b.0);
        let workers = thread::available_parallelism().map_or(1, NonZero::get).min(missing.len());
        let queue = Mutex::new(missing);
        let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop();
        let work = || {
            while let Some((diff_id, blob)) = next() {
                self.take_layer(&blob_path(folder, &blob.digest), diff_id, blob)?;
            }
            Ok(())
        };
        thread::scope(|scope| {
            let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
            let mut joined = running.into_iter().map(|worker| worker.join());
            joined.try_for_each(|outcome| outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })
    }

    fn take_layer(&self, path: &Path, diff_id: &DiffId, blob: &Descriptor) -> Result<(), ImportError> {
        let source =
            File::open(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
        if self.has_layer(diff_id) {
            verify(source, blob, path)?;
        } else {
            self.unpack_reader(source, Some(blob), diff_id, &mut |_| {}).map_err(ImportError::Layer)?;
        }
        self.adopt_blob(path, &blob.digest).map_err(ImportError::Blob)
    }

    fn take_image(&self, image: Found) -> Result<(ImageId, Vec<Imported>), ImportError> {
        let digest = image.manifest.digest.clone();
        let recorded = self
            .put_image(NewImage {
                config: &image.config,
                manifest: Some((image.manifest, &image.bytes)),
                blobs: image.layers.into_iter().map(|(_, blob)| Some(blob)).collect(),
            })
            .map_err(ImportError::Image)?;
        let mut imported = Vec::new();
        for name in image.names {
            self.tag(&name.with_digest(digest.clone()), &recorded.id).map_err(ImportError::Index)?;
            let before = self.tag(&name, &recorded.id).map_err(ImportError::Index)?;
            imported.push(Imported {
                name,
                id: recorded.id.clone(),
                is_new: before.as_ref() != Some(&recorded.id),
            });
        }
        Ok((recorded.id.clone(), imported))
    }
}

/// The image in an index that runs here.
fn inner(folder: &Path, entry: &Entry) -> Result<Option<Entry>, ImportError> {
    let bytes = small_blob(folder, &entry.digest)?;
    let path = blob_path(folder, &entry.digest);
    let index: LayoutIndex =
        serde_json::from_slice(&bytes).map_err(|source| ImportError::Parse { path, source })?;
    Ok(index.manifests.into_iter().find(|one| one.runs_here() && !one.is_index()))
}

fn read_image(folder: &Path, entry: Entry, names: Vec<Named>) -> Result<Found, ImportError> {
    let bytes = small_blob(folder, &entry.digest)?;
    let path = blob_path(folder, &entry.digest);
    let manifest: Manifest =
        serde_json::from_slice(&bytes).map_err(|source| ImportError::Parse { path, source })?;
    let config = small_blob(folder, &manifest.config.digest)?;
    let path = blob_path(folder, &manifest.config.digest);
    let value: serde_json::Value =
        serde_json::from_slice(&config).map_err(|source| ImportError::Parse { path, source })?;
    let diff_ids = value["rootfs"]["diff_ids"].as_array().into_iter().flatten();
    let diff_ids = diff_ids.map(|id| id.as_str().unwrap_or_default().parse::<DiffId>());
    let diff_ids = diff_ids.collect::<Result<Vec<_>, _>>().map_err(ImportError::Digest)?;
    if diff_ids.len() != manifest.layers.len() {
        let (diffs, blobs) = (diff_ids.len(), manifest.layers.len());
        return Err(ImportError::Image(ImageError::LayerCount { diffs, blobs }));
    }
    let layers = diff_ids.into_iter().zip(manifest.layers.into_iter().map(descriptor)).collect();
    Ok(Found { manifest: descriptor(entry), bytes, config, layers, names })
}

fn descriptor(entry: Entry) -> Descriptor {
    Descriptor { media_type: entry.media_type, digest: entry.digest, size: entry.size }
}

fn blob_path(folder: &Path, digest: &Digest) -> PathBuf {
    folder.join("blobs/sha256").join(digest.hex())
}

fn small_blob(folder: &Path, digest: &Digest) -> Result<Vec<u8>, ImportError> {
    let path = blob_path(folder, digest);
    let bytes = fs::read(&path).map_err(|source| ImportError::Read { path, source })?;
    let received = Digest::of(&bytes);
    if received != *digest {
        return Err(ImportError::Mismatch { expected: digest.clone(), received });
    }
    Ok(bytes)
}

fn verify(mut source: File, blob: &Descriptor, path: &Path) -> Result<(), ImportError> {
    let mut hasher = crate::digest::Hasher::default();
    io::copy(&mut source, &mut hasher)
        .map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    let received = hasher.finish();
    if received == blob.digest {
        Ok(())
    } else {
        Err(ImportError::Mismatch { expected: blob.digest.clone(), received })
    }
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, ImportError> {
    let bytes = fs::read(path).map_err(|source| ImportError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| ImportError::Parse { path: path.to_owned(), source })
}
