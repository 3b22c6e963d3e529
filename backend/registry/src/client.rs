//! Asking registries.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use drydock_images::{Digest, Named};
use futures_util::{Stream, TryStreamExt};
use http::{Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};

use crate::auth::{Challenge, Credentials, TokenAnswer};
use crate::endpoint::{Endpoint, endpoints};
use crate::error::{RegistryError, detail, words};
use crate::manifest::{ACCEPTED, Content, Manifest, Platform, select};

/// How registries are reached.
#[derive(Clone, Debug)]
pub struct Options {
    /// Base addresses asked before Docker Hub, in order.
    pub mirrors: Vec<String>,
    /// `host`, `host:port` or an address range that may speak plain HTTP or have any certificate.
    pub insecure: Vec<String>,
    /// Where `HOST:PORT/ca.crt` lies.
    pub certificates: PathBuf,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            certificates: PathBuf::from("/etc/docker/certs.d"),
            connect_timeout: Duration::from_secs(5),
        }
    }
}

/// Speaks to any registry; keeps connections and tokens. One per process is enough.
#[derive(Debug)]
pub struct Client {
    options: Options,
    /// By host, since each may have certificates of its own.
    connections: Mutex<BTreeMap<(String, bool), reqwest::Client>>,
    tokens: Mutex<BTreeMap<Grant, String>>,
}

/// What a token was given for: endpoint, scope, and all of the credentials, since who knows only a name is nobody.
type Grant = (String, String, Option<Credentials>);

/// A repository at the endpoint that answered for it.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: String,
    credentials: Option<Credentials>,
    /// `pull` or `pull,push`.
    actions: &'static str,
}

impl Source {
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.endpoint.url, self.path)
    }
}

/// Of two failures the one to tell: an answer says more than that the next endpoint was out of reach.
fn telling(before: Option<RegistryError>, after: RegistryError) -> RegistryError {
    match before {
        Some(before) if !before.is_unreachable() && after.is_unreachable() => before,
        _ => after,
    }
}

impl Client {
    pub fn new(options: Options) -> Self {
        Self { options, connections: Mutex::default(), tokens: Mutex::default() }
    }

    /// The endpoints that may have a repository.
    pub(crate) fn sources(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
        actions: &'static str,
    ) -> Vec<Source> {
        let list = endpoints(name.domain(), &self.options.mirrors, &self.options.insecure).into_iter();
        // Mirrors are read-only.
        let list = list.filter(|endpoint| actions == "pull" || !endpoint.is_mirror);
        list.map(|endpoint| Source {
            credentials: credentials.filter(|_| !endpoint.is_mirror).cloned(),
            path: name.path().to_owned(),
            actions,
            endpoint,
        })
        .collect()
    }

    /// The manifest that `name` means, as it is; also tells who had it.
    pub async fn manifest(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
    ) -> Result<(Source, Manifest), RegistryError> {
        let mut first: Option<RegistryError> = None;
        for source in self.sources(name, credentials, "pull") {
            match self.manifest_from(&source, name).await {
                Ok(manifest) => return Ok((source, manifest)),
                Err(error) if error.may_try_next() => {
                    tracing::debug!(registry.url = source.endpoint.url, error = %error, "next endpoint");
                    first = Some(telling(first, error));
                }
                Err(error) => return Err(error),
            }
        }
        Err(first.unwrap_or_else(|| RegistryError::ManifestUnknown {
            reference: name.familiar(),
            detail: "manifest unknown".to_owned(),
        }))
    }

    /// The manifest for one platform, and the digest under which `name` was found (an index's, where it is one).
    pub async fn image_manifest(
        &self,
        name: &Named,
        platform: &Platform,
        credentials: Option<&Credentials>,
    ) -> Result<(Source, Manifest, Digest), RegistryError> {
        let (source, manifest) = self.manifest(name, credentials).await?;
        let digest = manifest.descriptor.digest.clone();
        let Content::Index(entries) = &manifest.content else { return Ok((source, manifest, digest)) };
        let chosen = select(entries, platform)
            .ok_or_else(|| RegistryError::NoPlatform { platform: platform.to_string() })?;
        let inner = self.manifest_from(&source, &name.with_digest(chosen.digest.clone())).await?;
        match inner.content {
            Content::Image { .. } => Ok((source, inner, digest)),
            Content::Index(_) => Err(RegistryError::MediaType(inner.descriptor.media_type)),
        }
    }

    async fn manifest_from(&self, source: &Source, name: &Named) -> Result<Manifest, RegistryError> {
        let wanted = match (name.digest(), name.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let url = source.url(&format!("manifests/{wanted}"));
        let accept = |request: RequestBuilder| request.header(header::ACCEPT, ACCEPTED.join(", "));
        let response = self.send(source, Method::GET, &url, accept).await?;
        if !response.status().is_success() {
            return Err(refused(name, &url, response).await);
        }
        let kind = response.headers().get(header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).map(str::to_owned);
        let bytes =
            response.bytes().await.map_err(|source| RegistryError::unreachable(&url, source))?.to_vec();
        let kind = kind.as_deref().map(|kind| kind.split(';').next().unwrap_or(kind).trim());
        let manifest = Manifest::parse(bytes, kind)
            .map_err(|source| RegistryError::Manifest { url: url.clone(), source })?;
        match name.digest() {
            Some(expected) if *expected != manifest.descriptor.digest => Err(RegistryError::Mismatch {
                url,
                expected: expected.clone(),
                received: manifest.descriptor.digest,
            }),
            _ => Ok(manifest),
        }
    }

    /// A blob's bytes as they come; whoever takes them verifies them.
    pub async fn blob(
        &self,
        source: &Source,
        digest: &Digest,
    ) -> Result<impl Stream<Item = Result<Bytes, RegistryError>> + Send + use<>, RegistryError> {
        let url = source.url(&format!("blobs/{digest}"));
        let response = self.send(source, Method::GET, &url, |request| request).await?;
        if !response.status().is_success() {
            return Err(status_error(&url, response).await);
        }
        Ok(response.bytes_stream().map_err(move |source| RegistryError::unreachable(&url, source)))
    }

    /// A small blob whole, verified.
    pub async fn small_blob(&self, source: &Source, digest: &Digest) -> Result<Bytes, RegistryError> {
        let url = source.url(&format!("blobs/{digest}"));
        let response = self.send(source, Method::GET, &url, |request| request).await?;
        if !response.status().is_success() {
            return Err(status_error(&url, response).await);
        }
        let bytes = response.bytes().await.map_err(|source| RegistryError::unreachable(&url, source))?;
        let received = Digest::of(&bytes);
        if received == *digest {
            Ok(bytes)
        } else {
            Err(RegistryError::Mismatch { url, expected: digest.clone(), received })
        }
    }

    /// Sends a request; when the registry asks who is there, answers and sends it again.
    pub(crate) async fn send(
        &self,
        source: &Source,
        method: Method,
        url: &str,
        prepare: impl Fn(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let connection = self.connection(&source.endpoint)?;
        let scope = format!("repository:{}:{}", source.path, source.actions);
        let key = (source.endpoint.url.clone(), scope.clone(), source.credentials.clone());
        let send = async |authorization: Option<String>| {
            let mut request = prepare(connection.request(method.clone(), url));
            if let Some(value) = authorization {
                request = request.header(header::AUTHORIZATION, value);
            }
            request.send().await.map_err(|source| RegistryError::unreachable(url, source))
        };
        let known = self.tokens().get(&key).cloned();
        let response = send(known).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let challenges = response.headers().get_all(header::WWW_AUTHENTICATE);
        let challenge = challenges.iter().find_map(|value| Challenge::parse(value.to_str().ok()?));
        let Some(authorization) = self.authorize(source, challenge, &scope).await? else {
            return Ok(response);
        };
        self.tokens().insert(key, authorization.clone());
        send(Some(authorization)).await
    }

    async fn authorize(
        &self,
        source: &Source,
        challenge: Option<Challenge>,
        scope: &str,
    ) -> Result<Option<String>, RegistryError> {
        let credentials = source.credentials.as_ref();
        if let Some(token) = credentials.map(|one| &one.registry_token).filter(|token| !token.is_empty()) {
            return Ok(Some(format!("Bearer {token}")));
        }
        let (realm, service) = match challenge {
            None => return Ok(None),
            Some(Challenge::Basic) => return Ok(credentials.and_then(Credentials::basic)),
            Some(Challenge::Bearer { realm, service, .. }) => (realm, service),
        };
        let connection = self.connection(&source.endpoint)?;
        let mut query = vec![("scope", scope.to_owned())];
        query.extend(service.map(|service| ("service", service)));
        let mut request = connection.get(&realm);
        if let Some(credentials) = credentials {
            if !credentials.identity_token.is_empty() {
                // An identity token is exchanged by OAuth2 (docs/spec/auth/oauth.md of distribution).
                query.push(("grant_type", "refresh_token".to_owned()));
                query.push(("refresh_token", credentials.identity_token.clone()));
                query.push(("client_id", "drydock".to_owned()));
                request = connection.post(&realm).form(&query);
                query.clear();
            } else if let Some(basic) = credentials.basic() {
                query.push(("account", credentials.username.clone()));
                request = request.header(header::AUTHORIZATION, basic);
            }
        }
        let request = if query.is_empty() { request } else { request.query(&query) };
        let response = request.send().await.map_err(|source| RegistryError::unreachable(&realm, source))?;
        if !response.status().is_success() {
            let detail = response.text().await.unwrap_or_default();
            let detail =
                detail_text(detail.as_bytes()).unwrap_or_else(|| "authentication required".to_owned());
            return Err(RegistryError::Unauthorized { url: realm, detail });
        }
        let answer: TokenAnswer =
            response.json().await.map_err(|source| RegistryError::unreachable(&realm, source))?;
        let token = answer.into_token().ok_or(RegistryError::Token { url: realm })?;
        Ok(Some(format!("Bearer {token}")))
    }

    /// All tags of a repository.
    pub async fn tags(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            #[serde(default)]
            tags: Option<Vec<String>>,
        }
        let mut failed = None;
        for source in self.sources(name, credentials, "pull") {
            match self.json::<Answer>(&source, &source.url("tags/list"), Some(name)).await {
                Ok(answer) => return Ok(answer.tags.unwrap_or_default()),
                Err(error) => failed = Some(telling(failed, error)),
            }
        }
        Err(failed.unwrap_or_else(|| RegistryError::Token { url: name.name() }))
    }

    /// The repositories that the mirrors list; none where there is no mirror.
    pub async fn catalog(&self) -> Result<Vec<String>, RegistryError> {
        #[derive(serde::Deserialize)]
        struct Answer {
            repositories: Vec<String>,
        }
        let mut names = Vec::new();
        for endpoint in endpoints("docker.io", &self.options.mirrors, &self.options.insecure) {
            if !endpoint.is_mirror {
                continue;
            }
            let url = format!("{}/v2/_catalog", endpoint.url);
            let source = Source { endpoint, path: String::new(), credentials: None, actions: "pull" };
            names.extend(self.json::<Answer>(&source, &url, None).await?.repositories);
        }
        Ok(names)
    }

    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        source: &Source,
        url: &str,
        name: Option<&Named>,
    ) -> Result<T, RegistryError> {
        let response = self.send(source, Method::GET, url, |request| request).await?;
        if !response.status().is_success() {
            return Err(match name {
                Some(name) => refused(name, url, response).await,
                None => status_error(url, response).await,
            });
        }
        response.json().await.map_err(|source| RegistryError::unreachable(url, source))
    }

    /// `docker login`: whether the registry takes these credentials.
    pub async fn login(&self, domain: &str, credentials: &Credentials) -> Result<(), RegistryError> {
        let mut last = None;
        for endpoint in endpoints(domain, &[], &self.options.insecure) {
            let url = format!("{}/v2/", endpoint.url);
            let source = Source {
                endpoint,
                path: String::new(),
                credentials: Some(credentials.clone()),
                actions: "pull",
            };
            match self.send(&source, Method::GET, &url, |request| request).await {
                Ok(response) if response.status().is_success() => return Ok(()),
                Ok(response) if response.status() == StatusCode::UNAUTHORIZED => {
                    let detail = "incorrect username or password".to_owned();
                    return Err(RegistryError::Unauthorized { url, detail });
                }
                Ok(response) => last = Some(status_error(&url, response).await),
                Err(error @ RegistryError::Unauthorized { .. }) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| RegistryError::Token { url: domain.to_owned() }))
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, BTreeMap<Grant, String>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connection(&self, endpoint: &Endpoint) -> Result<reqwest::Client, RegistryError> {
        let key = (endpoint.host.clone(), endpoint.skip_verification);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = connections.get(&key) {
            return Ok(client.clone());
        }
        let mut builder = reqwest::Client::builder()
            .connect_timeout(self.options.connect_timeout)
            .read_timeout(Duration::from_secs(300))
            .user_agent(concat!("docker/28.2.0 drydock/", env!("CARGO_PKG_VERSION")));
        if endpoint.skip_verification {
            builder = builder.danger_accept_invalid_certs(true);
        }
        for certificate in self.certificates(&endpoint.host)? {
            builder = builder.add_root_certificate(certificate);
        }
        let client =
            builder.build().map_err(|source| RegistryError::Tls { host: endpoint.host.clone(), source })?;
        connections.insert(key, client.clone());
        Ok(client)
    }

    /// The authorities that `certs.d` and the system's bundle name for a host.
    fn certificates(&self, host: &str) -> Result<Vec<reqwest::Certificate>, RegistryError> {
        let folder = self.options.certificates.join(host);
        let mut files = vec![PathBuf::from("/etc/ssl/certs/ca-certificates.crt")];
        let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "crt")));
        let mut found = Vec::new();
        for path in files {
            found.extend(bundle(&path, host)?);
        }
        Ok(found)
    }
}

fn bundle(path: &Path, host: &str) -> Result<Vec<reqwest::Certificate>, RegistryError> {
    let bytes = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| RegistryError::Certificate { path: path.to_owned(), source })?,
    };
    reqwest::Certificate::from_pem_bundle(&bytes)
        .map_err(|source| RegistryError::Tls { host: host.to_owned(), source })
}

fn detail_text(body: &[u8]) -> Option<String> {
    let (code, message) = detail(body)?;
    Some(if message.is_empty() { words(&code) } else { format!("{}: {message}", words(&code)) })
}

/// Why there is no manifest.
async fn refused(name: &Named, url: &str, response: Response) -> RegistryError {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    let found = detail(&body);
    let code = found.as_ref().map(|(code, _)| code.as_str()).unwrap_or_default();
    let text = detail_text(&body);
    match status {
        StatusCode::NOT_FOUND if code == "NAME_UNKNOWN" => RegistryError::Denied {
            repository: name.familiar_name(),
            detail: text.unwrap_or_else(|| "name unknown".to_owned()),
        },
        StatusCode::NOT_FOUND => RegistryError::ManifestUnknown {
            reference: name.familiar(),
            detail: text.unwrap_or_else(|| "manifest unknown: manifest unknown".to_owned()),
        },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => RegistryError::Denied {
            repository: name.familiar_name(),
            detail: text.unwrap_or_else(|| "denied: requested access to the resource is denied".to_owned()),
        },
        _ => status_of(url, status, &body),
    }
}

pub(crate) async fn status_error(url: &str, response: Response) -> RegistryError {
    let status = response.status();
    let body = response.bytes().await.unwrap_or_default();
    status_of(url, status, &body)
}

fn status_of(url: &str, status: StatusCode, body: &[u8]) -> RegistryError {
    let detail = detail_text(body).unwrap_or_else(|| url.to_owned());
    match status {
        StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests(detail),
        StatusCode::UNAUTHORIZED => RegistryError::Unauthorized { url: url.to_owned(), detail },
        _ => RegistryError::Status { url: url.to_owned(), status, detail },
    }
}
