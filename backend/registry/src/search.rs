//! `docker search`.
//!
//! Docker Hub answers its old index protocol. Where mirrors are configured, they are asked in place of the hub: a
//! playground has no other way out. A registry that has no index (none of today's has) is asked for its catalogue.

use http::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use crate::auth::Credentials;
use crate::client::{Client, Source};
use crate::dial::unreachable;
use crate::endpoint::{Endpoint, is_hub};
use crate::error::RegistryError;

/// One repository that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    pub star_count: i64,
    pub is_official: bool,
    pub name: String,
    pub is_automated: bool,
    pub description: String,
}

/// Nothing was searched.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error("limit {0} is outside the range of [1, 100]")]
    Limit(i64),
    #[error("invalid repository name: repository name ({0}) should not have a scheme")]
    Scheme(String),
    #[error(
        "invalid registry endpoint {url}: {source}. If this private registry supports only HTTP or HTTPS with an unknown CA certificate, please add `--insecure-registry {host}` to the daemon's arguments. In the case of HTTPS, if you have access to the registry's CA certificate, no need for the flag; simply place the CA certificate at /etc/docker/certs.d/{host}/ca.crt"
    )]
    Endpoint { url: String, host: String, source: Box<RegistryError> },
    #[error("invalid registry endpoint {url:?}. HTTPS attempt: {tls}. HTTP attempt: {plain}")]
    Endpoints { url: String, tls: Box<RegistryError>, plain: Box<RegistryError> },
    #[error("Unexpected status code {0}")]
    Status(u16),
    #[error("error decoding registry search results: {0}")]
    Answer(String),
}

impl SearchError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Status(_) | Self::Answer(_) => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

const USUAL_LIMIT: i64 = 25;

impl Client {
    /// Repositories whose name holds the term, of the registry that the term begins with.
    pub async fn search(
        &self,
        term: &str,
        limit: i64,
        credentials: Option<&Credentials>,
    ) -> Result<Vec<Found>, RegistryError> {
        if term.contains("://") {
            return Err(SearchError::Scheme(term.to_owned()).into());
        }
        let limit = if limit == 0 { USUAL_LIMIT } else { limit };
        let (index, term) = split(term);
        let (endpoint, term) = if is_hub(index) {
            let term = term.strip_prefix("library/").unwrap_or(term);
            if let Some(found) = self.mirrored(term, check(limit)?).await {
                return Ok(found);
            }
            (Endpoint { url: "https://index.docker.io".to_owned(), ..plain_endpoint(index) }, term)
        } else {
            (self.index(index).await?, term)
        };
        let limit = check(limit)?;
        let source = Source { endpoint, path: String::new(), credentials: credentials.cloned(), actions: "" };
        match self.ask_index(&source, term, limit).await {
            Err(RegistryError::Search(SearchError::Status(404))) if !is_hub(index) => {
                let names = self.catalog_of(&source).await.map_err(|_| SearchError::Status(404))?;
                Ok(matching(names, term, limit))
            }
            other => other,
        }
    }

    /// From the mirrors' catalogues; `None` where no mirror answers.
    async fn mirrored(&self, term: &str, limit: usize) -> Option<Vec<Found>> {
        if self.options.mirrors.is_empty() {
            return None;
        }
        let names = self.catalog().await.ok()?;
        Some(matching(names, term, limit))
    }

    /// The repositories that the mirrors list; none where there is no mirror.
    pub async fn catalog(&self) -> Result<Vec<String>, RegistryError> {
        let mut names = Vec::new();
        for endpoint in self.endpoints("docker.io", &self.options.mirrors).await {
            if endpoint.is_mirror {
                let source = Source { endpoint, path: String::new(), credentials: None, actions: "" };
                names.extend(self.catalog_of(&source).await?);
            }
        }
        names.sort();
        names.dedup();
        Ok(names)
    }

    async fn catalog_of(&self, source: &Source) -> Result<Vec<String>, RegistryError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            repositories: Vec<String>,
        }
        let mut names = Vec::new();
        let mut url = Some(format!("{}/v2/_catalog", source.endpoint.url));
        while let Some(page) = url {
            let (answer, next): (Answer, _) = self.page(source, &page).await?;
            names.extend(answer.repositories);
            url = next;
        }
        Ok(names)
    }

    /// Where the index of a registry is: under TLS, or, where that may be, in plain text.
    async fn index(&self, host: &str) -> Result<Endpoint, RegistryError> {
        let mut endpoints = self.endpoints(host, &[]).await.into_iter();
        let Some(secure) = endpoints.next() else { return Err(RegistryError::NoEndpoint(host.to_owned())) };
        let Err(tls) = self.ping_index(&secure).await else { return Ok(secure) };
        let url = format!("{}/v1/", secure.url);
        let Some(plain) = endpoints.next() else {
            return Err(SearchError::Endpoint { url, host: host.to_owned(), source: Box::new(tls) }.into());
        };
        match self.ping_index(&plain).await {
            Ok(()) => Ok(plain),
            Err(error) => {
                let url = format!("{}/v1/", plain.url);
                Err(SearchError::Endpoints { url, tls: Box::new(tls), plain: Box::new(error) }.into())
            }
        }
    }

    /// Any answer will do.
    async fn ping_index(&self, endpoint: &Endpoint) -> Result<(), RegistryError> {
        let url = format!("{}/v1/_ping", endpoint.url);
        match self.connection(endpoint)?.get(&url).send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(unreachable(Method::GET, &url, error).await),
        }
    }

    async fn ask_index(
        &self,
        source: &Source,
        term: &str,
        limit: usize,
    ) -> Result<Vec<Found>, RegistryError> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            results: Vec<Found>,
        }
        let base = format!("{}/v1/search", source.endpoint.url);
        let query = [("q", term.to_owned()), ("n", limit.to_string())];
        let mut request = self.connection(&source.endpoint)?.get(&base).query(&query);
        if let Some(basic) = source.credentials.as_ref().and_then(Credentials::basic) {
            request = request.header(http::header::AUTHORIZATION, basic);
        }
        let built = request.try_clone().and_then(|request| request.build().ok());
        let url = built.map_or(base, |request| request.url().to_string());
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) => return Err(unreachable(Method::GET, &url, error).await),
        };
        if response.status() != StatusCode::OK {
            return Err(SearchError::Status(response.status().as_u16()).into());
        }
        let answer: Answer = response.json().await.map_err(|error| SearchError::Answer(error.to_string()))?;
        Ok(answer.results)
    }
}

fn check(limit: i64) -> Result<usize, SearchError> {
    match usize::try_from(limit) {
        Ok(limit @ 1..=100) => Ok(limit),
        _ => Err(SearchError::Limit(limit)),
    }
}

fn plain_endpoint(host: &str) -> Endpoint {
    Endpoint { url: String::new(), host: host.to_owned(), skip_verification: false, is_mirror: false }
}

fn matching(names: Vec<String>, term: &str, limit: usize) -> Vec<Found> {
    let found = names.into_iter().filter(|name| name.contains(term)).map(|name| {
        let short = name.strip_prefix("library/");
        Found { is_official: short.is_some(), name: short.unwrap_or(&name).to_owned(), ..Found::default() }
    });
    found.take(limit).collect()
}

/// A first part with a dot or a colon, and `localhost`, is a registry.
fn split(term: &str) -> (&str, &str) {
    match term.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
            (if host == "index.docker.io" { "docker.io" } else { host }, rest)
        }
        _ => ("docker.io", term),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_may_begin_with_a_registry() {
        assert_eq!(split("redis"), ("docker.io", "redis"));
        assert_eq!(split("team/redis"), ("docker.io", "team/redis"));
        assert_eq!(split("reg.test/team/redis"), ("reg.test", "team/redis"));
        assert_eq!(split("localhost/redis"), ("localhost", "redis"));
        assert_eq!(split("index.docker.io/redis"), ("docker.io", "redis"));
    }

    #[test]
    fn official_names_are_short_and_the_limit_holds() {
        let names = ["group/app", "library/app", "other"].map(str::to_owned).to_vec();
        let found = matching(names.clone(), "app", 25);
        assert_eq!(found.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["group/app", "app"]);
        assert_eq!(found.iter().map(|one| one.is_official).collect::<Vec<_>>(), [false, true]);
        assert_eq!(matching(names, "", 1).len(), 1);
        assert_eq!(check(101).unwrap_err().to_string(), "limit 101 is outside the range of [1, 100]");
        assert!(check(-1).is_err());
    }
}
