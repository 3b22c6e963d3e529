//! A read-only registry over a store: the offline library, and a cache of the next registry.
//!
//! A name that the store lacks is pulled whole into the store from `upstream` and then served, so that a second
//! node finds every layer unpacked in the store it shares. While the upstream cannot be reached, that is remembered
//! for a minute and answered at once.
//!
//! No tasks are spawned: a request does its own work; several for one name wait for the first.

mod answer;
mod upstream;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use drydock_images::{Digest, Image, Named, Store};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use tokio_util::io::ReaderStream;

use answer::{Failure, tags_page};
pub use upstream::Upstream;

const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// What is served.
#[derive(Debug)]
struct Registry {
    store: Store,
    upstream: Option<Upstream>,
}

/// The registry's routes. Without `upstream`, only what is in the store is served.
pub fn router(store: Store, upstream: Option<Upstream>) -> Router {
    Router::new()
        .route("/v2", get(version))
        .route("/v2/", get(version))
        .route("/v2/_catalog", get(catalog))
        .route("/v2/{*path}", get(repository).fallback(read_only))
        .with_state(Arc::new(Registry { store, upstream }))
}

async fn version() -> Response {
    ([(API_VERSION, "registry/2.0")], axum::Json(serde_json::json!({}))).into_response()
}

async fn read_only() -> Response {
    Failure::Unsupported.into_response()
}

async fn catalog(State(registry): State<Arc<Registry>>) -> Result<Response, Failure> {
    let mut names: Vec<String> = registry.names()?.iter().map(public_path).collect();
    names.sort();
    names.dedup();
    Ok(axum::Json(serde_json::json!({ "repositories": names })).into_response())
}

/// What the path of a repository's resource names.
enum Resource<'a> {
    Manifest(&'a str),
    Blob(&'a str),
    Tags,
}

async fn repository(
    State(registry): State<Arc<Registry>>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    // Repositories hold slashes, so the resource is told from the end.
    let (repository, resource) = split(&path).ok_or(Failure::NameInvalid)?;
    match resource {
        Resource::Tags => registry.tags(repository),
        Resource::Manifest(reference) => registry.manifest(repository, reference, &method).await,
        Resource::Blob(digest) => registry.blob(digest, &method, &headers).await,
    }
}

fn split(path: &str) -> Option<(&str, Resource<'_>)> {
    if let Some(repository) = path.strip_suffix("/tags/list") {
        return Some((repository, Resource::Tags));
    }
    let (rest, last) = path.rsplit_once('/')?;
    if let Some(repository) = rest.strip_suffix("/manifests") {
        return Some((repository, Resource::Manifest(last)));
    }
    rest.strip_suffix("/blobs").map(|repository| (repository, Resource::Blob(last)))
}

/// Names of Docker Hub are served as its mirror would: `library/nginx`, and `nginx` for short.
fn hub_name(repository: &str) -> Option<Named> {
    Named::parse(repository).ok().filter(|name| name.domain() == "docker.io").or_else(|| {
        // A first part with a dot is read as a host; here it is a part of the path.
        Named::parse(&format!("docker.io/{repository}")).ok()
    })
}

fn public_path(name: &Named) -> String {
    if name.domain() == "docker.io" { name.path().to_owned() } else { name.name() }
}

impl Registry {
    fn names(&self) -> Result<Vec<Named>, Failure> {
        let references = self.store.references().map_err(Failure::index)?;
        // The nodes' own image is no part of the library, though a node may have it.
        let is_listed = |name: &Named| name.tag().is_some() && !name.path().starts_with("drydock/");
        Ok(references.into_iter().map(|(name, _)| name).filter(is_listed).collect())
    }

    fn tags(&self, repository: &str) -> Result<Response, Failure> {
        let wanted = hub_name(repository).ok_or(Failure::NameInvalid)?;
        let names = self.names()?;
        let same = names.iter().filter(|name| name.name() == wanted.name());
        let tags: Vec<&str> = same.filter_map(Named::tag).collect();
        if tags.is_empty() {
            Err(Failure::NameUnknown(repository.to_owned()))
        } else {
            Ok(tags_page(repository, &tags))
        }
    }

    async fn manifest(
        &self,
        repository: &str,
        reference: &str,
        method: &Method,
    ) -> Result<Response, Failure> {
        let name = hub_name(repository).ok_or(Failure::NameInvalid)?;
        let name = match reference.parse::<Digest>() {
            Ok(digest) => name.with_digest(digest),
            Err(_) => name.with_tag(reference).map_err(|_| Failure::NameInvalid)?,
        };
        let image = match self.store.resolve(&name).map_err(Failure::index)? {
            Some(image) => image,
            None => self.fetch(&name).await?,
        };
        let manifest = image.manifest.as_ref().ok_or_else(|| self.unknown(&name))?;
        let bytes = self.store.read_blob(&manifest.digest).map_err(Failure::blob)?;
        let headers = [
            (header::CONTENT_TYPE, value(&manifest.media_type)),
            (CONTENT_DIGEST, value(manifest.digest.as_str())),
            (header::CONTENT_LENGTH, value(&manifest.size.to_string())),
            (API_VERSION, HeaderValue::from_static("registry/2.0")),
        ];
        let body = if method == Method::HEAD { Body::empty() } else { Body::from(bytes) };
        Ok((headers, body).into_response())
    }

    async fn fetch(&self, name: &Named) -> Result<Arc<Image>, Failure> {
        let Some(upstream) = &self.upstream else { return Err(self.unknown(name)) };
        match upstream.fetch(&self.store, name).await {
            Ok(image) => Ok(image),
            Err(error) => {
                tracing::debug!(image.name = %name, error = %error, "not upstream either");
                Err(self.unknown(name))
            }
        }
    }

    /// Says what there is, since a student without a network cannot look it up.
    fn unknown(&self, name: &Named) -> Failure {
        let mut library: Vec<String> =
            self.names().unwrap_or_default().iter().map(Named::familiar_name).collect();
        library.sort();
        library.dedup();
        Failure::ManifestUnknown { name: name.familiar(), library }
    }

    async fn blob(&self, digest: &str, method: &Method, headers: &HeaderMap) -> Result<Response, Failure> {
        let digest: Digest = digest.parse().map_err(|_| Failure::DigestInvalid)?;
        let path = self.store.blob_path(&digest).ok_or_else(|| Failure::BlobUnknown(digest.clone()))?;
        let read = |source| Failure::Read { digest: digest.clone(), source };
        let mut file = tokio::fs::File::open(path).await.map_err(read)?;
        let size = file.metadata().await.map_err(read)?.len();
        // A client whose connection broke asks for the rest: `bytes=N-`.
        let begin = headers.get(header::RANGE).and_then(|value| value.to_str().ok());
        let begin =
            begin.and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse::<u64>().ok());
        let begin = begin.filter(|begin| *begin < size);
        if let Some(begin) = begin {
            tokio::io::AsyncSeekExt::seek(&mut file, std::io::SeekFrom::Start(begin)).await.map_err(read)?;
        }
        let rest = size - begin.unwrap_or_default();
        let mut response = if method == Method::HEAD {
            Response::new(Body::empty())
        } else {
            Response::new(Body::from_stream(ReaderStream::with_capacity(file, 128 * 1024)))
        };
        let answer = response.headers_mut();
        answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        answer.insert(header::CONTENT_LENGTH, value(&rest.to_string()));
        answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        answer.insert(CONTENT_DIGEST, value(digest.as_str()));
        if let Some(begin) = begin {
            answer.insert(header::CONTENT_RANGE, value(&format!("bytes {begin}-{}/{size}", size - 1)));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(response)
    }
}

/// Digests, media types and numbers are always fit for a header.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
