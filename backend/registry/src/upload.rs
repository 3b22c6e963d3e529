//! A blob on its way to a registry: asked for, mounted from another repository, or sent; taken up where it was cut.

use std::io::{Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use drydock_images::{Descriptor, Digest, Layer, Store};
use http::{Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};

use crate::client::{Client, Source, refused};
use crate::error::RegistryError;
use crate::manifest::DOCKER_LAYER;
use crate::pour::{self, Sum};
use crate::push::{PushError, PushState};

/// How often it is told how far an upload is.
const TELL: Duration = Duration::from_millis(100);

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// A blob as it lies in the store.
    Blob(Descriptor),
    /// The configuration, which is small.
    Bytes(Descriptor, Vec<u8>),
    /// A layer that was made here and is compressed while it is sent; what it was compressed to before, if it was.
    Layer(Layer, Option<Descriptor>),
}

impl Content {
    fn known(&self) -> Option<&Descriptor> {
        match self {
            Self::Blob(blob) | Self::Bytes(blob, _) => Some(blob),
            Self::Layer(_, known) => known.as_ref(),
        }
    }
}

/// A transfer between the store and one repository.
pub(crate) struct Upload<'a> {
    pub client: &'a Client,
    pub store: &'a Store,
    pub source: &'a Source,
    /// Repositories of the same registry that are known to have it.
    pub elsewhere: &'a [String],
    pub heard: &'a (dyn Fn(PushState) + Send + Sync),
}

enum Mount {
    Mounted,
    /// The registry would rather have it sent.
    Begun(String),
    Refused,
}

impl Upload<'_> {
    /// Sends it unless the registry has it; answers what the registry calls it.
    pub async fn run(&self, content: &Content) -> Result<Descriptor, PushError> {
        let mut begun = None;
        if let Some(known) = content.known() {
            let url = self.source.url(&format!("blobs/{}", known.digest));
            let response = self.client.send(self.source, Method::HEAD, &url, |request| request).await?;
            if response.status().is_success() {
                (self.heard)(PushState::AlreadyExists);
                return Ok(known.clone());
            }
            for from in self.elsewhere {
                match self.mount(known, from).await? {
                    Mount::Mounted => {
                        (self.heard)(PushState::Mounted { from: from.clone() });
                        return Ok(known.clone());
                    }
                    Mount::Begun(place) => {
                        if let Some(older) = begun.replace(place) {
                            self.cancel(&older).await;
                        }
                    }
                    Mount::Refused => {}
                }
            }
        }
        let place = match begun {
            Some(place) => place,
            None => self.begin().await?,
        };
        let sent = match content {
            Content::Blob(blob) => self.send_blob(blob, place).await?,
            Content::Bytes(blob, bytes) => self.send_bytes(blob, bytes, &place).await?,
            Content::Layer(layer, _) => self.send_layer(layer, &place).await?,
        };
        (self.heard)(PushState::Pushed);
        Ok(sent)
    }

    async fn mount(&self, blob: &Descriptor, from: &str) -> Result<Mount, PushError> {
        let url = self.source.url(&format!("blobs/uploads/?mount={}&from={from}", blob.digest));
        let begin = |request: RequestBuilder| request.header(header::CONTENT_LENGTH, 0);
        let response = match self.client.send(self.source, Method::POST, &url, begin).await {
            Ok(response) => response,
            // No token for the other repository: this one may still be written to.
            Err(RegistryError::Token { .. }) => return Ok(Mount::Refused),
            Err(error) => return Err(error.into()),
        };
        match response.status() {
            StatusCode::CREATED => Ok(Mount::Mounted),
            StatusCode::ACCEPTED => Ok(Mount::Begun(place(&response, &url)?)),
            status if status.is_client_error() => Ok(Mount::Refused),
            _ => Err(refused(response).await.into()),
        }
    }

    async fn begin(&self) -> Result<String, PushError> {
        let url = self.source.url("blobs/uploads/");
        let begin = |request: RequestBuilder| request.header(header::CONTENT_LENGTH, 0);
        let response = self.client.send(self.source, Method::POST, &url, begin).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(response).await.into());
        }
        place(&response, &url)
    }

    async fn cancel(&self, place: &str) {
        // Nothing depends on it: registries forget uploads by themselves.
        let _ = self.client.send(self.source, Method::DELETE, place, |request| request).await;
    }

    /// Sends a file, and after a cut what the registry says is missing.
    async fn send_blob(&self, blob: &Descriptor, mut place: String) -> Result<Descriptor, PushError> {
        let (mut offset, mut last) = (0, None);
        loop {
            let error = match self.send_rest(blob, &place, offset).await {
                Ok(next) => {
                    self.commit(&next, &blob.digest).await?;
                    return Ok(blob.clone());
                }
                Err(PushError::Registry(error)) if error.is_unreachable() => error,
                Err(error) => return Err(error),
            };
            let Some((next, arrived)) = self.arrived(&place).await else { return Err(error.into()) };
            // A registry that takes no more is not asked for ever.
            if last == Some(arrived) || arrived < offset || arrived >= blob.size {
                return Err(error.into());
            }
            tracing::debug!(blob.digest = %blob.digest, arrived, "an upload was cut and goes on");
            (place, offset, last) = (next, arrived, Some(arrived));
        }
    }

    async fn send_rest(&self, blob: &Descriptor, place: &str, offset: u64) -> Result<String, PushError> {
        let sent = Arc::new(AtomicU64::new(offset));
        let prepare = |request: RequestBuilder| {
            let (store, digest, sent) = (self.store.clone(), blob.digest.clone(), sent.clone());
            let body = pour::body(move |mut output| {
                let mut file = store.open_blob(&digest).map_err(std::io::Error::other)?;
                file.seek(SeekFrom::Start(offset))?;
                sent.store(offset, Ordering::Relaxed);
                pour::copy(file, &mut output, &sent)
            });
            let request = request
                .header(header::CONTENT_TYPE, "application/octet-stream")
                .header(header::CONTENT_LENGTH, blob.size - offset);
            let request = match offset {
                0 => request,
                _ => request.header(header::CONTENT_RANGE, format!("{offset}-{}", blob.size - 1)),
            };
            request.body(body)
        };
        self.patch(place, prepare, &sent, blob.size).await
    }

    async fn send_bytes(
        &self,
        blob: &Descriptor,
        bytes: &[u8],
        place: &str,
    ) -> Result<Descriptor, PushError> {
        let prepare = |request: RequestBuilder| {
            request.header(header::CONTENT_TYPE, "application/octet-stream").body(bytes.to_vec())
        };
        let next = self.patch(place, prepare, &AtomicU64::new(0), blob.size).await?;
        self.commit(&next, &blob.digest).await?;
        Ok(blob.clone())
    }

    /// Compresses a layer while it is sent: neither end knows its digest before.
    async fn send_layer(&self, layer: &Layer, place: &str) -> Result<Descriptor, PushError> {
        let total = self.store.layer_tar_size(&layer.diff_id).unwrap_or_default();
        let (sent, sum) = (Arc::new(AtomicU64::new(0)), Mutex::new(Sum::default()));
        let last = || sum.lock().unwrap_or_else(PoisonError::into_inner);
        let prepare = |request: RequestBuilder| {
            // A request that is sent again after a challenge is summed from its beginning.
            let (store, layer, sent, sum) = (self.store.clone(), layer.clone(), sent.clone(), Sum::default());
            *last() = sum.clone();
            sent.store(0, Ordering::Relaxed);
            let body = pour::body(move |output| pour::compress(&store, &layer, output, &sum, &sent));
            request.header(header::CONTENT_TYPE, "application/octet-stream").body(body)
        };
        let next = self.patch(place, prepare, &sent, total).await?;
        let (digest, size) = last().finish();
        self.commit(&next, &digest).await?;
        let blob = Descriptor { media_type: DOCKER_LAYER.to_owned(), digest, size };
        self.store.remember_compressed(&layer.diff_id, &blob).map_err(PushError::Layer)?;
        Ok(blob)
    }

    /// Sends a body and tells meanwhile how far it is; answers where the upload goes on.
    async fn patch(
        &self,
        place: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
        sent: &AtomicU64,
        total: u64,
    ) -> Result<String, PushError> {
        let sending = self.client.send(self.source, Method::PATCH, place, prepare);
        tokio::pin!(sending);
        let mut tick = tokio::time::interval(TELL);
        let response = loop {
            tokio::select! {
                response = &mut sending => break response?,
                _ = tick.tick() => {
                    let current = sent.load(Ordering::Relaxed);
                    (self.heard)(PushState::Pushing { current, total });
                }
            }
        };
        if response.status() != StatusCode::ACCEPTED {
            return Err(refused(response).await.into());
        }
        self::place(&response, place)
    }

    /// Where an upload goes on, and how much of it has arrived.
    async fn arrived(&self, place: &str) -> Option<(String, u64)> {
        let response = self.client.send(self.source, Method::GET, place, |request| request).await.ok()?;
        if response.status() != StatusCode::NO_CONTENT {
            return None;
        }
        let range = response.headers().get(header::RANGE)?.to_str().ok()?;
        let (_, last) = range.trim_start_matches("bytes=").split_once('-')?;
        // A registry that has nothing says `0-0`.
        let last: u64 = last.parse().ok()?;
        let arrived = if last == 0 { 0 } else { last + 1 };
        Some((self::place(&response, place).ok()?, arrived))
    }

    async fn commit(&self, place: &str, digest: &Digest) -> Result<(), PushError> {
        let mut url =
            reqwest::Url::parse(place).map_err(|_| PushError::NoLocation { url: place.to_owned() })?;
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let end = |request: RequestBuilder| request.header(header::CONTENT_LENGTH, 0);
        let response = self.client.send(self.source, Method::PUT, url.as_str(), end).await?;
        if response.status().is_success() { Ok(()) } else { Err(refused(response).await.into()) }
    }
}

/// Where an answer says that an upload goes on.
fn place(response: &Response, url: &str) -> Result<String, PushError> {
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    let place = location.and_then(|location| response.url().join(location).ok());
    place.map(String::from).ok_or_else(|| PushError::NoLocation { url: url.to_owned() })
}
