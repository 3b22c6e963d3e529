//! Why a registry did not give what was asked for; the texts are those of Docker's engine.

use drydock_images::{Digest, DigestError};
use http::StatusCode;

/// A request to a registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login': {detail}"
    )]
    Denied { repository: String, detail: String },
    #[error("manifest for {reference} not found: {detail}")]
    ManifestUnknown { reference: String, detail: String },
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoPlatform { platform: String },
    #[error("unsupported manifest media type {0:?}")]
    MediaType(String),
    #[error("Get \"{url}\": {detail}")]
    Unreachable { url: String, detail: String, source: reqwest::Error },
    #[error("Get \"{url}\": unauthorized: {detail}")]
    Unauthorized { url: String, detail: String },
    #[error("received unexpected HTTP status: {status}: {detail}")]
    Status { url: String, status: StatusCode, detail: String },
    #[error("toomanyrequests: {0}")]
    TooManyRequests(String),
    #[error("{expected} does not match what {url} sent ({received})")]
    Mismatch { url: String, expected: Digest, received: Digest },
    #[error("{url} sent a manifest that is not valid")]
    Manifest { url: String, source: serde_json::Error },
    #[error("{url} sent a digest that is not valid")]
    Digest { url: String, source: DigestError },
    #[error("{url} sent no token")]
    Token { url: String },
    #[error("set up TLS for {host}")]
    Tls { host: String, source: reqwest::Error },
    #[error("read {path}")]
    Certificate { path: std::path::PathBuf, source: std::io::Error },
}

impl RegistryError {
    /// Whether another endpoint may do better: this one could not be reached or does not have it.
    pub(crate) fn may_try_next(&self) -> bool {
        !matches!(self, Self::NoPlatform { .. } | Self::Mismatch { .. } | Self::Certificate { .. })
    }

    /// Whether nothing listens there, or nothing that speaks the protocol.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Tls { .. })
    }

    pub(crate) fn unreachable(url: &str, source: reqwest::Error) -> Self {
        Self::Unreachable { url: url.to_owned(), detail: root_cause(&source), source }
    }
}

/// `dial tcp …: connection refused` lies at the bottom of the client's errors.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "net/http: request canceled while waiting for connection (Client.Timeout exceeded)"
            .to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The first error of a registry's JSON answer: `denied: requested access to the resource is denied`.
pub(crate) fn detail(body: &[u8]) -> Option<(String, String)> {
    #[derive(serde::Deserialize)]
    struct Answer {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        code: String,
        #[serde(default)]
        message: String,
    }
    let first = serde_json::from_slice::<Answer>(body).ok()?.errors.into_iter().next()?;
    Some((first.code, first.message))
}

/// A code as Docker prints it: `MANIFEST_UNKNOWN` → `manifest unknown`.
pub(crate) fn words(code: &str) -> String {
    code.to_ascii_lowercase().replace('_', " ")
}
