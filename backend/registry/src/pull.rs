//! *Pull*: a registry's image into a store.
//!
//! ```text
//! pull ─ manifest, configuration
//!      └ one future per layer that is missing: download (three at a time), then unpack on a blocking thread
//! ```
//! All futures are polled by the caller; dropping the pull ends it. Its threads then end by themselves, and what came is
//! thrown away ([`crate::leavings`]).

use std::sync::Arc;

use bytes::Bytes;
use drydock_images::{
    BlobError, Descriptor, DiffId, Digest, DigestError, Image, ImageError, ImageId, IndexError, LayerError,
    Named, NewImage, Store,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinError;

use crate::auth::Credentials;
use crate::client::{Attempts, Client, Source};
use crate::download::download;
use crate::error::RegistryError;
use crate::leavings::Leavings;
use crate::manifest::{Content, Manifest, check_config, check_media_type};
use crate::platform::Platform;
use crate::repository::{Local, pull_error};

/// An image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("error pulling image configuration: {0}")]
    ConfigBlob(#[source] RegistryError),
    #[error("invalid rootfs in image configuration")]
    Config(#[source] serde_json::Error),
    #[error("invalid rootfs in image configuration")]
    DiffId(#[source] DigestError),
    #[error("layers from manifest don't match image configuration")]
    LayerCount { diffs: usize, blobs: usize },
    #[error("store what was downloaded")]
    Blob(#[source] BlobError),
    #[error("failed to register layer")]
    Layer(#[source] LayerError),
    #[error("record the image")]
    Image(#[source] ImageError),
    #[error("name the image")]
    Index(#[source] IndexError),
    #[error("a worker of the pull ended early")]
    Worker(#[source] JoinError),
    #[error("a worker of the pull ended early")]
    Gone,
}

/// Where a layer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    AlreadyExists,
    PullingFsLayer,
    Waiting,
    Downloading { current: u64, total: u64 },
    Retrying { seconds: u64 },
    VerifyingChecksum,
    DownloadComplete,
    Extracting { current: u64, total: u64 },
    PullComplete,
}

/// What a pull tells while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PullEvent<'a> {
    /// The registry has the name.
    Found,
    /// Of a layer, by its blob.
    Layer(&'a Digest, LayerState),
}

/// Who hears it.
pub type Progress<'a> = &'a (dyn Fn(PullEvent<'_>) + Send + Sync);

/// What to pull.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// With a tag or a digest.
    pub name: &'a Named,
    /// `None` for what runs best here.
    pub platform: Option<&'a Platform>,
    pub credentials: Option<&'a Credentials>,
}

/// What a pull brought.
#[derive(Clone, Debug)]
pub struct Pulled {
    pub image: Arc<Image>,
    /// What the name meant in the registry: the digest of the manifest or of the index.
    pub digest: Digest,
    /// Whether the name meant another image, or none, before.
    pub is_new: bool,
}

/// One layer to bring.
struct Missing<'a> {
    blob: &'a Descriptor,
    diff_id: DiffId,
}

/// Brings an image into the store, and gives it the name.
pub async fn pull(
    client: &Client,
    store: &Store,
    wanted: Wanted<'_>,
    progress: Progress<'_>,
) -> Result<Pulled, PullError> {
    let name = wanted.name;
    let local = |digest: &Digest| known_manifest(store, digest);
    let (source, manifest) = find(client, wanted, &local).await.map_err(|error| pull_error(error, name))?;
    progress(PullEvent::Found);
    let digest = manifest.descriptor.digest.clone();
    let chosen = client.image_manifest(&source, name, manifest, wanted.platform, &local).await;
    let manifest = chosen.map_err(|error| pull_error(error, name))?;
    let Content::Image { config, layers } = &manifest.content else {
        return Err(RegistryError::Schema1(name.to_string()).into());
    };
    check_config(&manifest.descriptor, config)?;
    layers.iter().try_for_each(|layer| check_media_type(&layer.media_type))?;
    // Of an image that is here already, under whatever name, there is no more to say.
    let known = store.image(&ImageId(config.digest.clone())).map_err(PullError::Index)?;
    let is_known = known.is_some();
    let config = configuration(client, store, &source, config).await?;
    let missing = missing(&config, layers)?;
    let (leavings, gone) = Leavings::new(store, parts(&missing));
    let mut brought = Ok(());
    if !is_known || missing.iter().any(|layer| !store.has_layer(&layer.diff_id)) {
        brought = bring(client, store, &source, &missing, &leavings, progress).await;
    }
    let pulled = match brought {
        Ok(()) => {
            let named = Arc::clone(&leavings);
            record(store, name, &manifest, digest, config, layers.clone(), named).await
        }
        Err(error) => Err(error),
    };
    match &pulled {
        Ok(_) => leavings.are_named(),
        // Layers that came before another one failed are of no use, and who hears of it may count on the room.
        Err(_) => {
            drop(leavings);
            gone.wait().await;
        }
    }
    pulled
}

/// What the name means, and at which endpoint.
async fn find(
    client: &Client,
    wanted: Wanted<'_>,
    local: Local<'_>,
) -> Result<(Source, Manifest), RegistryError> {
    let mut attempts = Attempts::default();
    for source in client.sources(wanted.name, wanted.credentials, "pull").await? {
        if !attempts.may_ask(&source) {
            continue;
        }
        let found = client.manifest_from(&source, wanted.name, local).await;
        let checked = found.and_then(|manifest| match manifest.config() {
            Some(config) => check_class(&manifest, config).map(|()| manifest),
            None => Ok(manifest),
        });
        match checked {
            Ok(manifest) => return Ok((source, manifest)),
            Err(error) => attempts.failed(&source, error)?,
        }
    }
    Err(attempts.end(wanted.name))
}

fn check_class(manifest: &Manifest, config: &Descriptor) -> Result<(), RegistryError> {
    match check_config(&manifest.descriptor, config) {
        Err(error @ RegistryError::Class(_)) => Err(error),
        _ => Ok(()),
    }
}

fn known_manifest(store: &Store, digest: &Digest) -> Option<(Vec<u8>, String)> {
    let images = store.images().ok()?;
    let manifest =
        images.iter().filter_map(|image| image.manifest.as_ref()).find(|one| one.digest == *digest)?;
    Some((store.read_blob(digest).ok()?, manifest.media_type.clone()))
}

fn parts(missing: &[Missing<'_>]) -> Vec<Digest> {
    missing.iter().flat_map(|layer| [layer.diff_id.0.clone(), layer.blob.digest.clone()]).collect()
}

async fn configuration(
    client: &Client,
    store: &Store,
    source: &Source,
    config: &Descriptor,
) -> Result<Bytes, PullError> {
    if let Ok(bytes) = store.read_blob(&config.digest) {
        return Ok(bytes.into());
    }
    let mut wait = std::time::Duration::from_millis(250);
    let mut attempt = 0;
    loop {
        let error = match client.small_blob(source, &config.digest, config.size).await {
            Ok(bytes) => return Ok(bytes),
            Err(error) => error,
        };
        if matches!(error, RegistryError::Config(_)) {
            return Err(PullError::ConfigBlob(error));
        }
        attempt += 1;
        if !error.may_try_again() || attempt >= client.options.attempts {
            let error = RegistryError::ConfigPull { attempts: attempt, source: Box::new(error) };
            return Err(PullError::Registry(error));
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}

fn missing<'a>(config: &[u8], layers: &'a [Descriptor]) -> Result<Vec<Missing<'a>>, PullError> {
    #[derive(serde::Deserialize)]
    struct Config {
        rootfs: RootFs,
    }
    #[derive(serde::Deserialize)]
    struct RootFs {
        #[serde(default)]
        diff_ids: Vec<String>,
    }
    let config: Config = serde_json::from_slice(config).map_err(PullError::Config)?;
    let diff_ids = config.rootfs.diff_ids;
    if diff_ids.len() != layers.len() {
        return Err(PullError::LayerCount { diffs: diff_ids.len(), blobs: layers.len() });
    }
    let pairs = diff_ids.iter().zip(layers);
    pairs.map(|(id, blob)| Ok(Missing { blob, diff_id: id.parse().map_err(PullError::DiffId)? })).collect()
}

async fn bring(
    client: &Client,
    store: &Store,
    source: &Source,
    layers: &[Missing<'_>],
    leavings: &Arc<Leavings>,
    progress: Progress<'_>,
) -> Result<(), PullError> {
    let mut missing: Vec<&Missing<'_>> = Vec::new();
    for layer in layers {
        // A manifest may name one layer twice.
        if missing.iter().any(|other| other.diff_id == layer.diff_id) {
            continue;
        }
        let is_here = store.has_layer(&layer.diff_id);
        let state = if is_here { LayerState::AlreadyExists } else { LayerState::PullingFsLayer };
        progress(PullEvent::Layer(&layer.blob.digest, state));
        if !is_here {
            missing.push(layer);
        }
    }
    let turns = Turns {
        downloads: Semaphore::new(client.options.downloads.max(1)),
        unpacks: Semaphore::new(
            std::thread::available_parallelism().map_or(2, std::num::NonZero::get).max(2),
        ),
    };
    for layer in missing.iter().skip(client.options.downloads) {
        progress(PullEvent::Layer(&layer.blob.digest, LayerState::Waiting));
    }
    let turns = &turns;
    let brought =
        missing.iter().map(|layer| bring_layer(client, store, source, layer, (turns, leavings), progress));
    futures_util::future::try_join_all(brought).await.map(drop)
}

/// How many go on at a time. Neither is ever closed.
struct Turns {
    downloads: Semaphore,
    unpacks: Semaphore,
}

async fn bring_layer(
    client: &Client,
    store: &Store,
    source: &Source,
    layer: &Missing<'_>,
    (turns, leavings): (&Turns, &Arc<Leavings>),
    progress: Progress<'_>,
) -> Result<(), PullError> {
    let digest = &layer.blob.digest;
    let tell = |state| progress(PullEvent::Layer(digest, state));
    if !store.has_blob(digest) {
        let _turn = turns.downloads.acquire().await;
        download(client, store, source, layer.blob, leavings, &tell).await?;
    }
    tell(LayerState::DownloadComplete);
    let _turn = turns.unpacks.acquire().await;
    unpack(store, layer, leavings, &tell).await?;
    tell(LayerState::PullComplete);
    Ok(())
}

async fn unpack(
    store: &Store,
    layer: &Missing<'_>,
    leavings: &Arc<Leavings>,
    tell: &(dyn Fn(LayerState) + Send + Sync),
) -> Result<(), PullError> {
    let (sender, mut heard) = mpsc::channel::<u64>(1);
    let (store, blob, diff_id) = (store.clone(), layer.blob.clone(), layer.diff_id.clone());
    let leavings = Arc::clone(leavings);
    let worker = tokio::task::spawn_blocking(move || {
        let _leavings = leavings;
        // A report that finds the last one unread is dropped.
        store.unpack_blob(&blob, &diff_id, &mut |current| {
            let _ = sender.try_send(current);
        })
    });
    let total = layer.blob.size;
    while let Some(current) = heard.recv().await {
        tell(LayerState::Extracting { current, total });
    }
    match worker.await.map_err(PullError::Worker)? {
        // What the image's configuration says of the layer is not what the manifest brought.
        Err(LayerError::DiffMismatch { .. }) => Err(PullError::LayerCount { diffs: 1, blobs: 1 }),
        other => other.map_err(PullError::Layer),
    }
}

async fn record(
    store: &Store,
    name: &Named,
    manifest: &Manifest,
    digest: Digest,
    config: Bytes,
    blobs: Vec<Descriptor>,
    leavings: Arc<Leavings>,
) -> Result<Pulled, PullError> {
    let (store, name, manifest) = (store.clone(), name.clone(), manifest.clone());
    let worker = tokio::task::spawn_blocking(move || {
        let manifest = Some((manifest.descriptor, manifest.bytes.as_slice()));
        let image = store
            .put_image(NewImage { config: &config, manifest, blobs: blobs.into_iter().map(Some).collect() })
            .map_err(PullError::Image)?;
        let pinned = store.tag(&name.with_digest(digest.clone()), &image.id).map_err(PullError::Index)?;
        let before = match name.digest() {
            Some(_) => pinned,
            None => store.tag(&name, &image.id).map_err(PullError::Index)?,
        };
        let is_new = before.as_ref() != Some(&image.id);
        leavings.are_named();
        Ok(Pulled { image, digest, is_new })
    });
    worker.await.map_err(PullError::Worker)?
}
