//! *Push*: a store's image into a registry.
//!
//! ```text
//! push ─ one future per layer, top layer first, five at a time (`upload`)
//!      └ configuration, then the manifest under its tag
//! ```

use std::collections::BTreeMap;

use drydock_images::{BlobError, Descriptor, Digest, Image, IndexError, Layer, LayerError, Named, Store};
use http::{Method, header};
use tokio::sync::Semaphore;

use crate::auth::Credentials;
use crate::client::{Attempts, Client, Source, refused};
use crate::error::RegistryError;
use crate::manifest::{DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, OCI_MANIFEST, docker_manifest};
use crate::upload::{Content, Upload};

/// Other repositories that are tried for a mount.
const MOUNTS: usize = 3;
/// moby waits this long before it sends for the second time, twice as long before the third.
const STEP_S: u64 = 5;

/// An image could not be pushed.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("read what is to be pushed")]
    Blob(#[source] BlobError),
    #[error("look for other names of the image")]
    Index(#[source] IndexError),
    #[error("read the layer")]
    Layer(#[source] LayerError),
    #[error("{url} named no place to upload to")]
    NoLocation { url: String },
}

/// Where a layer is on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushState {
    Preparing,
    Waiting,
    Pushing {
        current: u64,
        total: u64,
    },
    Retrying {
        seconds: u64,
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

/// Who hears of each layer, by its diffid.
pub type Progress<'a> = &'a (dyn Fn(&Digest, PushState) + Send + Sync);

/// Brings `image` to the registry under `name`.
pub async fn push(
    client: &Client,
    store: &Store,
    image: &Image,
    name: &Named,
    credentials: Option<&Credentials>,
    progress: Progress<'_>,
) -> Result<Pushed, PushError> {
    let sources = client.sources(name, credentials, "push,pull").await?;
    let source = reachable(client, name, sources).await?;
    let mut layers: Vec<&Layer> = Vec::new();
    for layer in image.layers.iter().rev() {
        progress(&layer.diff_id.0, PushState::Preparing);
        if !layers.iter().any(|other| other.diff_id == layer.diff_id) {
            layers.push(layer);
        }
    }
    let transfer = Transfer { client, store, image, source: &source, name, progress };
    let outcome = transfer.run(&layers).await;
    outcome.map_err(|error| match error {
        PushError::Registry(error) => error.innermost().into(),
        other => other,
    })
}

/// The endpoint that answers. Asked before anything is sent, so that what is sent once need not be sent again.
async fn reachable(client: &Client, name: &Named, sources: Vec<Source>) -> Result<Source, RegistryError> {
    let mut attempts = Attempts::default();
    for source in sources {
        if !attempts.may_ask(&source) {
            continue;
        }
        match client.ping(&source.endpoint).await {
            Ok(_) => return Ok(source),
            Err(error) => attempts.failed(&source, error)?,
        }
    }
    Err(attempts.end(name))
}

struct Transfer<'a> {
    client: &'a Client,
    store: &'a Store,
    image: &'a Image,
    source: &'a Source,
    name: &'a Named,
    progress: Progress<'a>,
}

impl Transfer<'_> {
    async fn run(&self, layers: &[&Layer]) -> Result<Pushed, PushError> {
        let turns = Semaphore::new(self.client.options.uploads.max(1));
        for layer in layers.iter().skip(self.client.options.uploads) {
            (self.progress)(&layer.diff_id.0, PushState::Waiting);
        }
        let sent = layers.iter().map(|layer| self.layer(layer, &turns));
        let sent = futures_util::future::try_join_all(sent).await?;
        let blobs: BTreeMap<&Digest, Descriptor> =
            layers.iter().map(|layer| &layer.diff_id.0).zip(sent).collect();
        let in_order = self.image.layers.iter().filter_map(|layer| blobs.get(&layer.diff_id.0).cloned());
        let config = Descriptor {
            media_type: DOCKER_CONFIG.to_owned(),
            digest: self.image.id.0.clone(),
            size: self.image.raw.len() as u64,
        };
        let content = Content::Bytes(config.clone(), self.image.raw.clone());
        self.upload(&[], &|_| {}).run(&content).await?;
        let (kind, bytes) = self.manifest(&config, &in_order.collect::<Vec<_>>())?;
        let url = self.source.url(&format!("manifests/{}", self.name.tag().unwrap_or("latest")));
        let prepare = |request: reqwest::RequestBuilder| {
            request.header(header::CONTENT_TYPE, &kind).body(bytes.clone())
        };
        let response = self.client.send(self.source, Method::PUT, &url, prepare).await?;
        if !response.status().is_success() {
            return Err(refused(response).await.into());
        }
        Ok(Pushed { digest: Digest::of(&bytes), size: bytes.len() as u64 })
    }

    fn upload<'a>(
        &'a self,
        elsewhere: &'a [String],
        heard: &'a (dyn Fn(PushState) + Send + Sync),
    ) -> Upload<'a> {
        Upload { client: self.client, store: self.store, source: self.source, elsewhere, heard }
    }

    /// One layer, sent again when the connection fails, as often and as late as moby does.
    async fn layer(&self, layer: &Layer, turns: &Semaphore) -> Result<Descriptor, PushError> {
        // The semaphore is never closed.
        let _turn = turns.acquire().await;
        let heard = |state| (self.progress)(&layer.diff_id.0, state);
        let elsewhere = self.elsewhere(layer)?;
        let content = self.content(layer);
        let mut attempt = 1;
        loop {
            let error = match self.upload(&elsewhere, &heard).run(&content).await {
                Err(PushError::Registry(error)) if error.may_try_again() => error,
                other => return other,
            };
            if attempt >= self.client.options.attempts {
                return Err(error.into());
            }
            for left in (1..=u64::from(attempt) * STEP_S).rev() {
                heard(PushState::Retrying { seconds: left });
                tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            }
            attempt += 1;
        }
    }

    /// The blob that the layer came as, where the manifest names it or a new one can: all that Docker's own manifest knows
    /// is gzip.
    fn content(&self, layer: &Layer) -> Content {
        let fits = |blob: &Descriptor| self.image.manifest.is_some() || blob.media_type.ends_with("gzip");
        match layer.blob.clone().filter(|blob| fits(blob) && self.store.has_blob(&blob.digest)) {
            Some(blob) => Content::Blob(blob),
            None => Content::Layer(layer.clone(), self.store.compressed(&layer.diff_id)),
        }
    }

    /// Other repositories of the same registry that are known to have the layer: those that images with it were pulled
    /// from or pushed to. The most like this one come first.
    fn elsewhere(&self, layer: &Layer) -> Result<Vec<String>, PushError> {
        let images = self.store.images().map_err(PushError::Index)?;
        let names = self.store.references().map_err(PushError::Index)?;
        let has = |id: &drydock_images::ImageId| {
            let image = images.iter().find(|image| image.id == *id);
            image.is_some_and(|image| image.layers.iter().any(|one| one.diff_id == layer.diff_id))
        };
        let mut found: Vec<String> = names
            .iter()
            .filter(|(other, id)| other.digest().is_some() && other.domain() == self.name.domain() && has(id))
            .map(|(other, _)| other.path().to_owned())
            .filter(|path| path != self.name.path())
            .collect();
        found.sort();
        found.dedup();
        let alike = |path: &String| {
            path.split('/').zip(self.name.path().split('/')).take_while(|(one, other)| one == other).count()
        };
        found.sort_by_key(|path| std::cmp::Reverse(alike(path)));
        found.truncate(MOUNTS);
        Ok(found)
    }

    /// The manifest as it was pulled, so that its digest stays; else a new one.
    fn manifest(&self, config: &Descriptor, layers: &[Descriptor]) -> Result<(String, Vec<u8>), PushError> {
        if let Some(manifest) = &self.image.manifest {
            let bytes = self.store.read_blob(&manifest.digest).map_err(PushError::Blob)?;
            let kind = if manifest.media_type.is_empty() { OCI_MANIFEST } else { &manifest.media_type };
            return Ok((kind.to_owned(), bytes));
        }
        let compressed: Vec<Descriptor> = layers
            .iter()
            .map(|layer| Descriptor { media_type: DOCKER_LAYER.to_owned(), ..layer.clone() })
            .collect();
        Ok((DOCKER_MANIFEST.to_owned(), docker_manifest(config, &compressed)))
    }
}
