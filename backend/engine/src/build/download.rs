//! Files by URL: `ADD`'s, and contexts.

use std::io::Write;
use std::path::{Path, PathBuf};

use drydock_builder::host::{Download, HostError};
use drydock_registry::dial::unreachable;
use drydock_registry::{Proxies, RegistryError};
use futures_util::StreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, LAST_MODIFIED};
use http::{Method, StatusCode};

use super::output::Lines;
use crate::image::progress::Progress;

/// A fetched file.
#[derive(Debug)]
pub struct Fetched {
    pub path: PathBuf,
    pub headers: HeaderMap,
    /// The server calls it text: a Dockerfile of its own.
    pub is_text: bool,
}

/// A URL gave nothing; the texts are moby's.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("Get {url:?}: {why}")]
    Address { url: String, why: String },
    #[error(transparent)]
    Unreachable(RegistryError),
    #[error("failed to GET {url} with status {} {}: {said}", .status.as_u16(), .status.canonical_reason().unwrap_or_default())]
    Status { url: String, status: StatusCode, said: String },
    #[error("write {path}")]
    Write { path: PathBuf, source: std::io::Error },
}

/// Fetches into a new file of `folder`.
pub fn fetch(
    runtime: &tokio::runtime::Handle,
    url: &str,
    folder: &Path,
    lines: &Lines,
    proxies: &Proxies,
) -> Result<Fetched, HostError> {
    let progress = Progress::new(lines.sender());
    let fetched = runtime.block_on(async {
        open(url, proxies).await?.save(&folder.join("download"), "Downloading", &progress).await
    });
    fetched.map_err(|error| HostError::new(crate::error::chain(&error)))
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Opened {
    url: String,
    response: reqwest::Response,
}

/// Asks for a URL.
pub async fn open(url: &str, proxies: &Proxies) -> Result<Opened, FetchError> {
    let parsed = reqwest::Url::parse(url)
        .map_err(|error| FetchError::Address { url: url.to_owned(), why: error.to_string() })?;
    let client = proxies.route(reqwest::Client::builder()).and_then(reqwest::ClientBuilder::build);
    let client = client
        .map_err(|error| FetchError::Address { url: url.to_owned(), why: crate::error::chain(&error) })?;
    let mut response = match client.get(parsed).send().await {
        Ok(response) => response,
        Err(error) => return Err(FetchError::Unreachable(unreachable(Method::GET, url, error).await)),
    };
    let status = response.status();
    if status.as_u16() < 400 {
        return Ok(Opened { url: url.to_owned(), response });
    }
    let mut said = Vec::new();
    while let (true, Ok(Some(chunk))) = (said.len() < MOST_SAID, response.chunk().await) {
        said.extend_from_slice(&chunk);
    }
    said.truncate(MOST_SAID);
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(FetchError::Status { url: url.to_owned(), status, said })
}

/// Of a body that explains a refusal no more is told.
const MOST_SAID: usize = 1 << 20;

impl Opened {
    /// Writes the body into a new file.
    pub async fn save(self, path: &Path, action: &str, progress: &Progress) -> Result<Fetched, FetchError> {
        let headers = self.response.headers().clone();
        let total = self.response.content_length();
        let failed = |source| FetchError::Write { path: path.to_owned(), source };
        let mut file = std::fs::File::create(path).map_err(failed)?;
        let mut body = self.response.bytes_stream();
        let mut read = 0_u64;
        while let Some(chunk) = body.next().await {
            let chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    return Err(FetchError::Unreachable(unreachable(Method::GET, &self.url, error).await));
                }
            };
            read += chunk.len() as u64;
            file.write_all(&chunk).map_err(failed)?;
            if let Some(total) = total {
                progress.bar("", action, read, total);
            }
        }
        let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_text = kind.starts_with("text/plain");
        Ok(Fetched { path: path.to_owned(), headers, is_text })
    }
}

/// The name and the date of a fetched file: by its URL, else by what the server says.
pub fn describe(url: &str, fetched: Fetched) -> Download {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    let header = |name| fetched.headers.get(name).and_then(|value| value.to_str().ok());
    let own = path.rsplit('/').next().unwrap_or_default();
    let name = match own {
        "" => header(CONTENT_DISPOSITION).and_then(file_name).unwrap_or_default(),
        own => own.to_owned(),
    };
    let modified = header(LAST_MODIFIED).and_then(|text| {
        let time = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc2822).ok()?;
        Some(time.unix_timestamp())
    });
    let name = if matches!(name.as_str(), "." | "..") { String::new() } else { name };
    Download { name, path: fetched.path, modified }
}

fn file_name(disposition: &str) -> Option<String> {
    let value = disposition.split(';').find_map(|part| part.trim().strip_prefix("filename="))?;
    let value = value.trim_matches('"');
    value.rsplit('/').next().filter(|name| !name.is_empty()).map(str::to_owned)
}
