//! *Push*: a store's image into a registry.

use std::io::Write;

use drydock_images::{BlobError, Descriptor, Digest, Image, IndexError, Layer, LayerError, Named, Store};
use futures_util::TryStreamExt;
use http::{Method, StatusCode, header};
use serde_json::json;
use tokio::task::JoinError;
use tokio_util::io::ReaderStream;

use crate::auth::Credentials;
use crate::client::{Client, Source, status_error};
use crate::error::RegistryError;
use crate::manifest::{DOCKER_MANIFEST, OCI_MANIFEST};

const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// An image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{0}")]
    Denied(String),
    #[error("read what is to be pushed")]
    Blob(#[source] BlobError),
    #[error("look for other names of the image")]
    Index(#[source] IndexError),
    #[error("pack layer")]
    Layer(#[source] LayerError),
    #[error("compress layer {digest}")]
    Compress { digest: Digest, source: std::io::Error },
    #[error("{url} named no place to upload to")]
    NoLocation { url: String },
    #[error("a worker of the push ended early")]
    Worker(#[source] JoinError),
}

/// Where a layer is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushState {
    Preparing,
    Pushing {
        current: u64,
        total: u64,
    },
    AlreadyExists,
    /// The registry had it in another repository.
    Mounted {
        from: String,
    },
    Pushed,
}

/// What the registry has now.
#[derive(Clone, Debug)]
pub struct Pushed {
    pub digest: Digest,
    pub size: u64,
}

/// Brings `image` to the registry under `name`. `progress` hears of each layer by its diffid.
pub async fn push(
    client: &Client,
    store: &Store,
    image: &Image,
    name: &Named,
    credentials: Option<&Credentials>,
    progress: &(dyn Fn(&Digest, PushState) + Send + Sync),
) -> Result<Pushed, PushError> {
    for layer in &image.layers {
        progress(&layer.diff_id.0, PushState::Preparing);
    }
    let mut failed = None;
    for source in client.sources(name, credentials, "pull,push") {
        match push_to(client, store, image, name, &source, progress).await {
            Err(PushError::Registry(error)) if error.is_unreachable() => {
                failed.get_or_insert(error);
            }
            other => return other,
        }
    }
    let missing = || RegistryError::Token { url: name.domain().to_owned() };
    Err(failed.unwrap_or_else(missing).into())
}

async fn push_to(
    client: &Client,
    store: &Store,
    image: &Image,
    name: &Named,
    source: &Source,
    progress: &(dyn Fn(&Digest, PushState) + Send + Sync),
) -> Result<Pushed, PushError> {
    let from = elsewhere(store, image, name)?;
    let mut layers = Vec::new();
    for layer in &image.layers {
        let blob = layer_blob(store, layer).await?;
        let digest = &layer.diff_id.0;
        let total = blob.size;
        let heard = |current| progress(digest, PushState::Pushing { current, total });
        progress(digest, upload(client, store, source, &blob, from.as_deref(), &heard).await?);
        layers.push(blob);
    }
    let config = Descriptor {
        media_type: DOCKER_CONFIG.to_owned(),
        digest: image.id.0.clone(),
        size: image.raw.len() as u64,
    };
    upload(client, store, source, &config, from.as_deref(), &|_| {}).await?;
    let (kind, bytes) = manifest(store, image, &config, &layers)?;
    let url = source.url(&format!("manifests/{}", name.tag().unwrap_or("latest")));
    let prepare =
        |request: reqwest::RequestBuilder| request.header(header::CONTENT_TYPE, &kind).body(bytes.clone());
    let response = client.send(source, Method::PUT, &url, prepare).await?;
    if !response.status().is_success() {
        return Err(refused(&url, response).await);
    }
    Ok(Pushed { digest: Digest::of(&bytes), size: bytes.len() as u64 })
}

/// The manifest as it was pulled, so that its digest stays; else a new one.
fn manifest(
    store: &Store,
    image: &Image,
    config: &Descriptor,
    layers: &[Descriptor],
) -> Result<(String, Vec<u8>), PushError> {
    if let Some(manifest) = &image.manifest {
        let bytes = store.read_blob(&manifest.digest).map_err(PushError::Blob)?;
        let kind = if manifest.media_type.is_empty() { OCI_MANIFEST } else { &manifest.media_type };
        return Ok((kind.to_owned(), bytes));
    }
    let entry =
        |one: &Descriptor| json!({"mediaType": one.media_type, "size": one.size, "digest": one.digest});
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": entry(config),
        "layers": layers.iter().map(entry).collect::<Vec<_>>(),
    });
    Ok((DOCKER_MANIFEST.to_owned(), manifest.to_string().into_bytes()))
}

/// The blob that a layer came as; a layer made here is compressed once and kept.
async fn layer_blob(store: &Store, layer: &Layer) -> Result<Descriptor, PushError> {
    if let Some(blob) = layer.blob.clone().filter(|blob| store.has_blob(&blob.digest)) {
        return Ok(blob);
    }
    let (store, layer) = (store.clone(), layer.clone());
    let worker = tokio::task::spawn_blocking(move || {
        let compress = |source| PushError::Compress { digest: layer.diff_id.0.clone(), source };
        let writer = store.begin_blob().map_err(PushError::Blob)?;
        let mut gzip = flate2::write::GzEncoder::new(writer, flate2::Compression::new(4));
        store.write_layer(&layer, &mut gzip).map_err(PushError::Layer)?;
        let mut writer = gzip.finish().map_err(compress)?;
        writer.flush().map_err(compress)?;
        let size = writer.written();
        let digest = writer.finish_any().map_err(PushError::Blob)?;
        Ok(Descriptor { media_type: DOCKER_LAYER.to_owned(), digest, size })
    });
    worker.await.map_err(PushError::Worker)?
}

/// Another repository of the same registry that is known to have the image.
fn elsewhere(store: &Store, image: &Image, name: &Named) -> Result<Option<String>, PushError> {
    let (_, digests) = store.names(&image.id).map_err(PushError::Index)?;
    let other = digests.iter().find(|other| other.domain() == name.domain() && other.path() != name.path());
    Ok(other.map(|other| other.path().to_owned()))
}

/// Sends a blob unless the registry has it, here or in repository `from`; answers how it came there.
async fn upload(
    client: &Client,
    store: &Store,
    source: &Source,
    blob: &Descriptor,
    from: Option<&str>,
    heard: &(dyn Fn(u64) + Send + Sync),
) -> Result<PushState, PushError> {
    let url = source.url(&format!("blobs/{}", blob.digest));
    let response = client.send(source, Method::HEAD, &url, |request| request).await?;
    if response.status().is_success() {
        return Ok(PushState::AlreadyExists);
    }
    let url = match from {
        Some(from) => source.url(&format!("blobs/uploads/?mount={}&from={from}", blob.digest)),
        None => source.url("blobs/uploads/"),
    };
    let begin = |request: reqwest::RequestBuilder| request.header(header::CONTENT_LENGTH, 0);
    let response = client.send(source, Method::POST, &url, begin).await?;
    if let (StatusCode::CREATED, Some(from)) = (response.status(), from) {
        return Ok(PushState::Mounted { from: from.to_owned() });
    }
    if response.status() != StatusCode::ACCEPTED {
        return Err(refused(&url, response).await);
    }
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let place = location.and_then(|location| response.url().join(location).ok());
    let mut place = place.ok_or(PushError::NoLocation { url })?;
    place.query_pairs_mut().append_pair("digest", blob.digest.as_str());
    heard(0);
    let file = store.open_blob(&blob.digest).map_err(PushError::Blob)?;
    let send = |request: reqwest::RequestBuilder| {
        // A second try after a challenge reads the file from its beginning again.
        let file = file.try_clone().and_then(|mut file| std::io::Seek::rewind(&mut file).map(|()| file));
        let stream = futures_util::stream::once(async move { file.map(tokio::fs::File::from_std) });
        let stream = stream.map_ok(|file| ReaderStream::with_capacity(file, 256 * 1024)).try_flatten();
        request
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .header(header::CONTENT_LENGTH, blob.size)
            .body(reqwest::Body::wrap_stream(stream))
    };
    let response = client.send(source, Method::PUT, place.as_str(), send).await?;
    if !response.status().is_success() {
        return Err(refused(place.as_str(), response).await);
    }
    heard(blob.size);
    Ok(PushState::Pushed)
}

async fn refused(url: &str, response: reqwest::Response) -> PushError {
    match response.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            let body = response.bytes().await.unwrap_or_default();
            let detail =
                crate::error::detail(&body).map(|(code, message)| (crate::error::words(&code), message));
            PushError::Denied(match detail {
                Some((code, message)) if code == "unauthorized" => format!("unauthorized: {message}"),
                Some((code, message)) => format!("{code}: {message}"),
                None => "denied: requested access to the resource is denied".to_owned(),
            })
        }
        _ => PushError::Registry(status_error(url, response).await),
    }
}
