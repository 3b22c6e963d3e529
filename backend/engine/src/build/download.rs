//! Files by URL: `ADD`'s, and contexts.

use std::io::Write;
use std::path::{Path, PathBuf};

use drydock_builder::host::{Download, HostError};
use futures_util::StreamExt;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderMap, LAST_MODIFIED};

use super::output::Lines;

/// A fetched file.
#[derive(Debug)]
pub struct Fetched {
    pub path: PathBuf,
    pub headers: HeaderMap,
    /// The server calls it text: a Dockerfile of its own.
    pub is_text: bool,
}

/// Fetches into a new file of `folder`.
pub fn fetch(
    runtime: &tokio::runtime::Handle,
    url: &str,
    folder: &Path,
    lines: &Lines,
) -> Result<Fetched, HostError> {
    let progress = crate::image::progress::Progress::new(lines.sender());
    runtime.block_on(get(url, &folder.join("download"), &progress)).map_err(HostError::new)
}

async fn get(url: &str, path: &Path, progress: &crate::image::progress::Progress) -> Result<Fetched, String> {
    let failed =
        |error: reqwest::Error| format!("Get {url:?}: {}", crate::error::chain(&error.without_url()));
    let response = reqwest::get(url).await.map_err(failed)?;
    let status = response.status();
    if status.as_u16() >= 400 {
        return Err(format!(
            "failed to GET {url} with status {} {}",
            status.as_u16(),
            status.canonical_reason().unwrap_or_default()
        ));
    }
    let headers = response.headers().clone();
    let total = response.content_length();
    let mut file =
        std::fs::File::create(path).map_err(|error| format!("create {}: {error}", path.display()))?;
    let mut body = response.bytes_stream();
    let mut read = 0_u64;
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(failed)?;
        read += chunk.len() as u64;
        file.write_all(&chunk).map_err(|error| format!("write {}: {error}", path.display()))?;
        if let Some(total) = total {
            progress.bar("", "Downloading", read, total);
        }
    }
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_text = kind.starts_with("text/plain");
    Ok(Fetched { path: path.to_owned(), headers, is_text })
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
