//! *Pull*: a registry's image into a store.
//!
//! ```text
//! pull ─ manifest, configuration
//!      └ one future per layer that is missing: download (three at a time), then unpack on a blocking thread
//! ```
//! All futures are polled by the caller; dropping the pull ends it and leaves whole layers only.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use drydock_images::{
    BlobError, Descriptor, DiffId, Digest, DigestError, Image, ImageError, IndexError, LayerError, Named,
    NewImage, Store,
};
use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinError;

use crate::auth::Credentials;
use crate::client::{Client, Source};
use crate::error::RegistryError;
use crate::manifest::{Content, Manifest, Platform};

/// Downloads at a time, as Docker's `max-concurrent-downloads`.
const DOWNLOADS: usize = 3;

/// An image could not be pulled.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("the image's configuration is not valid")]
    Config(#[source] serde_json::Error),
    #[error("the image's configuration names a layer wrongly")]
    DiffId(#[source] DigestError),
    #[error("the image's configuration names {diffs} layers, its manifest {blobs}")]
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
}

/// Where a layer is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerState {
    AlreadyExists,
    PullingFsLayer,
    Waiting,
    Downloading { current: u64, total: u64 },
    VerifyingChecksum,
    DownloadComplete,
    Extracting { current: u64, total: u64 },
    PullComplete,
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
struct Wanted<'a> {
    blob: &'a Descriptor,
    diff_id: DiffId,
}

/// Brings `name` (with a tag or a digest) into the store. `progress` hears of each layer by its blob.
pub async fn pull(
    client: &Client,
    store: &Store,
    name: &Named,
    platform: &Platform,
    credentials: Option<&Credentials>,
    progress: &(dyn Fn(&Digest, LayerState) + Send + Sync),
) -> Result<Pulled, PullError> {
    let (source, manifest, digest) = client.image_manifest(name, platform, credentials).await?;
    let Content::Image { config, layers } = &manifest.content else {
        return Err(RegistryError::MediaType(manifest.descriptor.media_type).into());
    };
    // An image that the name means already is up to date, and says no more of its layers.
    let known = store.resolve(name).map_err(PullError::Index)?;
    let is_known = known.is_some_and(|image| image.id.0 == config.digest);
    let config = configuration(client, store, &source, config).await?;
    let wanted = if is_known { Vec::new() } else { wanted(&config, layers)? };
    bring(client, store, &source, &wanted, progress).await?;
    record(store, name, &manifest, digest, config, layers.clone()).await
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
    Ok(client.small_blob(source, &config.digest).await?)
}

fn wanted<'a>(config: &[u8], layers: &'a [Descriptor]) -> Result<Vec<Wanted<'a>>, PullError> {
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
    pairs.map(|(id, blob)| Ok(Wanted { blob, diff_id: id.parse().map_err(PullError::DiffId)? })).collect()
}

async fn bring(
    client: &Client,
    store: &Store,
    source: &Source,
    wanted: &[Wanted<'_>],
    progress: &(dyn Fn(&Digest, LayerState) + Send + Sync),
) -> Result<(), PullError> {
    let mut missing: Vec<&Wanted<'_>> = Vec::new();
    for layer in wanted {
        if store.has_layer(&layer.diff_id) {
            progress(&layer.blob.digest, LayerState::AlreadyExists);
        } else {
            progress(&layer.blob.digest, LayerState::PullingFsLayer);
            // An image may name one layer twice.
            if !missing.iter().any(|other| other.diff_id == layer.diff_id) {
                missing.push(layer);
            }
        }
    }
    let downloads = Semaphore::new(DOWNLOADS);
    for layer in missing.iter().skip(DOWNLOADS) {
        progress(&layer.blob.digest, LayerState::Waiting);
    }
    let brought = missing.iter().map(|layer| bring_layer(client, store, source, layer, &downloads, progress));
    futures_util::future::try_join_all(brought).await.map(drop)
}

async fn bring_layer(
    client: &Client,
    store: &Store,
    source: &Source,
    layer: &Wanted<'_>,
    downloads: &Semaphore,
    progress: &(dyn Fn(&Digest, LayerState) + Send + Sync),
) -> Result<(), PullError> {
    let digest = &layer.blob.digest;
    if !store.has_blob(digest) {
        // The semaphore is never closed.
        let _permit = downloads.acquire().await;
        let body = client.blob(source, digest).await?;
        let total = layer.blob.size;
        let body =
            body.map_ok(counted(|current| progress(digest, LayerState::Downloading { current, total })));
        download(store, digest, Box::pin(body), || progress(digest, LayerState::VerifyingChecksum)).await?;
    }
    progress(digest, LayerState::DownloadComplete);
    unpack(store, layer, progress).await?;
    progress(digest, LayerState::PullComplete);
    Ok(())
}

/// Tells how many bytes have passed.
fn counted(heard: impl Fn(u64)) -> impl FnMut(Bytes) -> Bytes {
    let mut sum = 0;
    move |chunk| {
        sum += chunk.len() as u64;
        heard(sum);
        chunk
    }
}

/// Writes and hashes on a blocking thread what comes in here.
pub(crate) async fn download(
    store: &Store,
    digest: &Digest,
    mut body: impl Stream<Item = Result<Bytes, RegistryError>> + Unpin,
    verifying: impl Fn(),
) -> Result<(), PullError> {
    let (sender, mut receiver) = mpsc::channel::<Bytes>(16);
    let mut writer = store.begin_blob().map_err(PullError::Blob)?;
    let expected = digest.clone();
    let worker = tokio::task::spawn_blocking(move || {
        while let Some(chunk) = receiver.blocking_recv() {
            if chunk.is_empty() {
                return writer.finish(&expected);
            }
            writer
                .write_all(&chunk)
                .map_err(|source| BlobError::Write { digest: expected.clone(), source })?;
        }
        // The stream ended without its last word: the download failed, its error is on its way.
        Ok(())
    });
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if !chunk.is_empty() && sender.send(chunk).await.is_err() {
            break;
        }
    }
    verifying();
    // An empty chunk says that all came; a worker that failed has gone and says why below.
    let _ = sender.send(Bytes::new()).await;
    drop(sender);
    worker.await.map_err(PullError::Worker)?.map_err(PullError::Blob)
}

async fn unpack(
    store: &Store,
    layer: &Wanted<'_>,
    progress: &(dyn Fn(&Digest, LayerState) + Send + Sync),
) -> Result<(), PullError> {
    let (sender, mut heard) = mpsc::channel::<u64>(1);
    let (store, blob, diff_id) = (store.clone(), layer.blob.clone(), layer.diff_id.clone());
    let worker = tokio::task::spawn_blocking(move || {
        // A report that finds the last one unread is dropped.
        store.unpack_blob(&blob, &diff_id, &mut |current| {
            let _ = sender.try_send(current);
        })
    });
    let total = layer.blob.size;
    while let Some(current) = heard.recv().await {
        progress(&layer.blob.digest, LayerState::Extracting { current, total });
    }
    worker.await.map_err(PullError::Worker)?.map_err(PullError::Layer)
}

async fn record(
    store: &Store,
    name: &Named,
    manifest: &Manifest,
    digest: Digest,
    config: Bytes,
    blobs: Vec<Descriptor>,
) -> Result<Pulled, PullError> {
    let (store, name, manifest) = (store.clone(), name.clone(), manifest.clone());
    let worker = tokio::task::spawn_blocking(move || {
        let manifest = Some((manifest.descriptor, manifest.bytes.as_slice()));
        let image =
            store.put_image(NewImage { config: &config, manifest, blobs }).map_err(PullError::Image)?;
        let pinned = store.tag(&name.with_digest(digest.clone()), &image.id).map_err(PullError::Index)?;
        let before = match name.digest() {
            Some(_) => pinned,
            None => store.tag(&name, &image.id).map_err(PullError::Index)?,
        };
        let is_new = before.as_ref() != Some(&image.id);
        Ok(Pulled { image, digest, is_new })
    });
    worker.await.map_err(PullError::Worker)?
}
