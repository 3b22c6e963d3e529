//! Asking registries.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use drydock_images::{Digest, Named};
use http::{Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};

use crate::answer::Refusal;
use crate::auth::{Challenge, Credentials, Token, TokenAnswer};
use crate::certificates::Stamp;
use crate::connection::Trust;
use crate::dial::unreachable;
use crate::endpoint::{Endpoint, endpoints, is_insecure};
use crate::error::RegistryError;
use crate::proxies::Proxies;

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
    /// How long a registry may send nothing in the middle of a blob.
    pub stall_timeout: Duration,
    /// Layers of one pull that are downloaded at a time.
    pub downloads: usize,
    /// Layers of one push that are uploaded at a time.
    pub uploads: usize,
    /// How often a layer is asked for before a pull gives up.
    pub attempts: u32,
    /// Through whom registries are asked.
    pub proxies: Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mirrors: Vec::new(),
            insecure: Vec::new(),
            certificates: PathBuf::from("/etc/docker/certs.d"),
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            downloads: 3,
            uploads: 5,
            attempts: 5,
            proxies: Proxies::default(),
        }
    }
}

/// A token server is asked no longer than this.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Speaks to any registry; keeps connections, challenges and tokens. One per process is enough.
#[derive(Debug)]
pub struct Client {
    pub(crate) options: Options,
    /// By endpoint, since each may have certificates of its own; with the stamp of those it was made with.
    pub(crate) connections: Mutex<BTreeMap<Trust, (Stamp, reqwest::Client)>>,
    /// What an endpoint asked for last time.
    challenges: Mutex<BTreeMap<String, Challenge>>,
    tokens: Mutex<BTreeMap<TokenKey, Token>>,
}

/// Whose token it is, where it is good, and for what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct TokenKey {
    realm: String,
    service: Option<String>,
    scopes: Vec<String>,
    credentials: Digest,
}

/// A repository at one endpoint.
#[derive(Clone, Debug)]
pub struct Source {
    pub(crate) endpoint: Endpoint,
    pub(crate) path: String,
    pub(crate) credentials: Option<Credentials>,
    /// `pull` or `push,pull`; nothing for the registry as a whole.
    pub(crate) actions: &'static str,
}

impl Source {
    pub(crate) fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.endpoint.url, self.path)
    }

    fn scopes(&self, url: &str) -> Vec<String> {
        let own = (!self.actions.is_empty()).then(|| format!("repository:{}:{}", self.path, self.actions));
        // Mounting a blob of another repository reads that one.
        let from = url
            .split_once('?')
            .and_then(|(_, query)| query.split('&').find_map(|pair| pair.strip_prefix("from=")));
        own.into_iter().chain(from.map(|from| format!("repository:{from}:pull"))).collect()
    }
}

impl Client {
    pub fn new(options: Options) -> Self {
        Self {
            options,
            connections: Mutex::default(),
            challenges: Mutex::default(),
            tokens: Mutex::default(),
        }
    }

    /// The endpoints that may have a repository.
    pub(crate) async fn sources(
        &self,
        name: &Named,
        credentials: Option<&Credentials>,
        actions: &'static str,
    ) -> Result<Vec<Source>, RegistryError> {
        let mirrors: &[String] = if actions == "pull" { &self.options.mirrors } else { &[] };
        let list = self.endpoints(name.domain(), mirrors).await;
        // A certificate that is missing half is said before anything is asked.
        list.iter().try_for_each(|endpoint| self.connection(endpoint).map(drop))?;
        let of = |endpoint: Endpoint| Source {
            credentials: credentials.filter(|_| !endpoint.is_mirror).cloned(),
            path: name.path().to_owned(),
            actions,
            endpoint,
        };
        Ok(list.into_iter().map(of).collect())
    }

    /// Fails when what `certs.d` has for a name's registry is of no use.
    pub async fn check(&self, name: &Named) -> Result<(), RegistryError> {
        self.sources(name, None, "pull").await.map(drop)
    }

    pub(crate) async fn endpoints(&self, domain: &str, mirrors: &[String]) -> Vec<Endpoint> {
        let mut hosts = vec![domain.to_owned()];
        hosts.extend(mirrors.iter().filter_map(|mirror| {
            let rest = mirror.split_once("://").map_or(mirror.as_str(), |(_, rest)| rest);
            rest.split('/').next().map(str::to_owned)
        }));
        let mut insecure = Vec::new();
        for host in hosts {
            if self.is_insecure(&host).await {
                insecure.push(host);
            }
        }
        endpoints(domain, mirrors, |host| insecure.iter().any(|one| one == host))
    }

    pub(crate) async fn is_insecure(&self, domain: &str) -> bool {
        let host = crate::endpoint::host_of(domain);
        let addresses: Vec<IpAddr> = match host.parse::<IpAddr>() {
            Ok(_) => Vec::new(),
            Err(_) if crate::endpoint::is_hub(domain) => return false,
            Err(_) => {
                let found = tokio::net::lookup_host((host, 0)).await;
                found.map(|list| list.map(|address| address.ip()).collect()).unwrap_or_default()
            }
        };
        is_insecure(domain, &self.options.insecure, |_| addresses)
    }

    /// A small blob whole, verified; never more bytes than were announced.
    pub async fn small_blob(
        &self,
        source: &Source,
        digest: &Digest,
        size: u64,
    ) -> Result<Bytes, RegistryError> {
        let url = source.url(&format!("blobs/{digest}"));
        let mut response = self.send(source, Method::GET, &url, |request| request).await?;
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let most = if size == 0 { 32 << 20 } else { size };
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk(&mut response, &url).await? {
            if (bytes.len() + chunk.len()) as u64 > most {
                return Err(RegistryError::Config(digest.clone()));
            }
            bytes.extend_from_slice(&chunk);
        }
        if Digest::of(&bytes) == *digest {
            Ok(bytes.into())
        } else {
            Err(RegistryError::Config(digest.clone()))
        }
    }

    /// The next bytes of a body, unless the registry has gone silent.
    pub(crate) async fn chunk(
        &self,
        response: &mut Response,
        url: &str,
    ) -> Result<Option<Bytes>, RegistryError> {
        match tokio::time::timeout(self.options.stall_timeout, response.chunk()).await {
            Err(_) => Err(RegistryError::Stalled { method: Method::GET, url: url.to_owned() }),
            Ok(Err(source)) => Err(unreachable(Method::GET, url, source).await),
            Ok(Ok(chunk)) => Ok(chunk),
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
        let mut challenge = self.challenge(&source.endpoint);
        let mut is_fresh = false;
        loop {
            let authorization = match &challenge {
                Some(challenge) => self.authorize(source, challenge, &method, url, is_fresh).await?,
                None => None,
            };
            let prepare = |request| match &authorization {
                Some(value) => prepare(request).header(header::AUTHORIZATION, value),
                None => prepare(request),
            };
            let response = self.ask(&source.endpoint, &method, url, prepare).await?;
            if response.status() != StatusCode::UNAUTHORIZED || is_fresh {
                return Ok(response);
            }
            let Some(asked) = Challenge::of(response.headers()) else { return Ok(response) };
            // A password that was refused is refused again.
            if authorization.is_some() && asked == Challenge::Basic && challenge == Some(Challenge::Basic) {
                return Ok(response);
            }
            self.challenges().insert(source.endpoint.url.clone(), asked.clone());
            challenge = Some(asked);
            is_fresh = true;
        }
    }

    async fn authorize(
        &self,
        source: &Source,
        challenge: &Challenge,
        method: &Method,
        url: &str,
        is_fresh: bool,
    ) -> Result<Option<String>, RegistryError> {
        let credentials = source.credentials.as_ref();
        let Challenge::Bearer { realm, service } = challenge else {
            let basic = credentials.and_then(Credentials::basic);
            let missing = || RegistryError::NoCredentials { method: method.clone(), url: url.to_owned() };
            return basic.map(Some).ok_or_else(missing);
        };
        if let Some(token) = credentials.map(|one| &one.registry_token).filter(|token| !token.is_empty()) {
            return Ok(Some(format!("Bearer {token}")));
        }
        let key = TokenKey {
            realm: realm.clone(),
            service: service.clone(),
            scopes: source.scopes(url),
            credentials: Credentials::fingerprint(credentials),
        };
        if !is_fresh && let Some(token) = self.known_token(&key) {
            return Ok(Some(format!("Bearer {token}")));
        }
        let answer = self.ask_token(source, &key, Access::Online).await.map_err(|error| {
            RegistryError::Token { method: method.clone(), url: url.to_owned(), source: Box::new(error) }
        })?;
        let token = answer.token().ok_or(RegistryError::NoToken)?;
        let value = format!("Bearer {}", token.value);
        self.tokens().insert(key, token);
        Ok(Some(value))
    }

    fn known_token(&self, key: &TokenKey) -> Option<String> {
        let mut tokens = self.tokens();
        let now = Instant::now();
        tokens.retain(|_, token| token.until > now);
        tokens.get(key).map(|token| token.value.clone())
    }

    /// Asks a token server: with an identity token by OAuth2, else with the name and the password, where there are any.
    async fn ask_token(
        &self,
        source: &Source,
        key: &TokenKey,
        access: Access,
    ) -> Result<TokenAnswer, RegistryError> {
        let connection = self.connection_to(&key.realm, &source.endpoint)?;
        let credentials = source.credentials.as_ref();
        let identity = credentials.map(|one| one.identity_token.as_str()).filter(|token| !token.is_empty());
        let (method, url, request) = match identity {
            Some(identity) => {
                let mut form = vec![
                    ("client_id", "docker".to_owned()),
                    ("grant_type", "refresh_token".to_owned()),
                    ("refresh_token", identity.to_owned()),
                    ("scope", key.scopes.join(" ")),
                ];
                form.extend(key.service.clone().map(|service| ("service", service)));
                (Method::POST, key.realm.clone(), connection.post(&key.realm).form(&form))
            }
            None => {
                let basic = credentials.and_then(Credentials::basic);
                let account = credentials.filter(|_| basic.is_some()).map(|one| one.username.clone());
                let mut query: Vec<(&str, String)> = Vec::new();
                // In the order of the names, as Go's encoder writes them.
                query.extend(account.map(|account| ("account", account)));
                if access == Access::Offline {
                    query.push(("client_id", "docker".to_owned()));
                    query.push(("offline_token", "true".to_owned()));
                }
                query.extend(key.scopes.iter().map(|scope| ("scope", scope.clone())));
                query.extend(key.service.clone().map(|service| ("service", service)));
                let mut request = connection.get(&key.realm).query(&query);
                if let Some(basic) = basic {
                    request = request.header(header::AUTHORIZATION, basic);
                }
                let built = request.try_clone().and_then(|request| request.build().ok());
                let url = built.map_or_else(|| key.realm.clone(), |request| request.url().to_string());
                (Method::GET, url, request)
            }
        };
        let response = match request.timeout(TOKEN_TIMEOUT).send().await {
            Ok(response) => response,
            Err(error) => return Err(unreachable(method, &url, error).await),
        };
        if !response.status().is_success() {
            return Err(refused(response).await);
        }
        let bytes = match response.bytes().await {
            Ok(bytes) => bytes,
            Err(error) => return Err(unreachable(method, &url, error).await),
        };
        serde_json::from_slice(&bytes).map_err(|error| RegistryError::TokenAnswer(error.to_string()))
    }

    /// A token that proves who somebody is, for the registry as a whole; answers the identity token, where the server
    /// gives one.
    pub(crate) async fn identify(
        &self,
        source: &Source,
        realm: String,
        service: Option<String>,
    ) -> Result<(Token, String), RegistryError> {
        let credentials = Credentials::fingerprint(source.credentials.as_ref());
        let key = TokenKey { realm, service, scopes: Vec::new(), credentials };
        let answer = self.ask_token(source, &key, Access::Offline).await?;
        let token = answer.token().ok_or(RegistryError::NoToken)?;
        Ok((token, answer.refresh_token))
    }

    fn challenge(&self, endpoint: &Endpoint) -> Option<Challenge> {
        self.challenges().get(&endpoint.url).cloned()
    }

    /// What an endpoint answers to whoever asks without a name; answers whether it wants to know one.
    pub(crate) async fn ping(&self, endpoint: &Endpoint) -> Result<Option<Challenge>, RegistryError> {
        let url = format!("{}/v2/", endpoint.url);
        let response = self.ask(endpoint, &Method::GET, &url, |request| request).await?;
        let challenge = Challenge::of(response.headers());
        match &challenge {
            Some(challenge) => drop(self.challenges().insert(endpoint.url.clone(), challenge.clone())),
            None => drop(self.challenges().remove(&endpoint.url)),
        }
        Ok(challenge)
    }

    fn challenges(&self) -> MutexGuard<'_, BTreeMap<String, Challenge>> {
        self.challenges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tokens(&self) -> MutexGuard<'_, BTreeMap<TokenKey, Token>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Endpoints tried one after another, as moby does: a mirror that fails is followed by the next, a registry that
/// answered is not asked again, and never in plain text what it said under TLS.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    failed: Option<RegistryError>,
    is_tls: bool,
}

impl Attempts {
    pub fn may_ask(&self, source: &Source) -> bool {
        !(source.endpoint.is_plain() && self.is_tls && !source.endpoint.is_mirror)
    }

    /// An endpoint failed; the error comes back when no other is to be asked.
    pub fn failed(&mut self, source: &Source, error: RegistryError) -> Result<(), RegistryError> {
        tracing::debug!(registry.url = source.endpoint.url, %error, "next endpoint");
        if !source.endpoint.is_mirror {
            self.is_tls |= !source.endpoint.is_plain() && !error.is_unreachable();
            if !error.is_unreachable() && !matches!(error, RegistryError::Refused(Refusal::Body { .. })) {
                return Err(error);
            }
        }
        // An answer says more than that another endpoint was out of reach.
        if self.failed.as_ref().is_none_or(|failed| failed.is_unreachable() || !error.is_unreachable()) {
            self.failed = Some(error);
        }
        Ok(())
    }

    /// None is left.
    pub fn end(self, name: &Named) -> RegistryError {
        self.failed.unwrap_or_else(|| RegistryError::NoEndpoint(name.familiar()))
    }
}

/// Whether a token is for this once, or shall prove who somebody is from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Online,
    Offline,
}

/// Why an answer is none.
pub(crate) async fn refused(response: Response) -> RegistryError {
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.bytes().await.unwrap_or_default();
    RegistryError::Refused(Refusal::read(status, &headers, &body))
}
