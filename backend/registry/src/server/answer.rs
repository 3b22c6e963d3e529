//! The distribution API's errors as JSON.

use axum::Json;
use axum::response::{IntoResponse, Response};
use drydock_images::{BlobError, Digest, IndexError};
use http::StatusCode;
use serde_json::json;

/// A request that is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("invalid repository name")]
    NameInvalid,
    #[error("repository name not known to registry")]
    NameUnknown(String),
    #[error(
        "manifest unknown: {name} is not in the offline library ({library}), and no registry that has it was reached",
        library = .library.join(", ")
    )]
    ManifestUnknown { name: String, library: Vec<String> },
    #[error("blob unknown to registry")]
    BlobUnknown(Digest),
    #[error("provided digest did not match uploaded content")]
    DigestInvalid,
    #[error("The operation is unsupported: this registry is read-only.")]
    Unsupported,
    #[error("read blob {digest}")]
    Read { digest: Digest, source: std::io::Error },
    #[error("read from the store")]
    Blob(#[source] BlobError),
    #[error("look into the store")]
    Index(#[source] IndexError),
}

impl Failure {
    pub fn index(error: IndexError) -> Self {
        Self::Index(error)
    }

    pub fn blob(error: BlobError) -> Self {
        Self::Blob(error)
    }

    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NameInvalid => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Self::NameUnknown(_) => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Self::ManifestUnknown { .. } => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Self::BlobUnknown(_) => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Self::DigestInvalid => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Self::Unsupported => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Self::Read { .. } | Self::Blob(_) | Self::Index(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN")
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, code) = self.code();
        if status.is_server_error() {
            tracing::error!(error = &self as &dyn std::error::Error, "registry request failed");
        }
        let detail = match &self {
            Self::NameUnknown(name) => json!({ "name": name }),
            Self::ManifestUnknown { name, library } => json!({ "name": name, "library": library }),
            Self::BlobUnknown(digest) => json!({ "digest": digest }),
            _ => json!(null),
        };
        let body = json!({"errors": [{"code": code, "message": self.to_string(), "detail": detail}]});
        (status, [(super::API_VERSION, "registry/2.0")], Json(body)).into_response()
    }
}

pub(super) fn tags_page(repository: &str, tags: &[&str]) -> Response {
    Json(json!({"name": repository, "tags": tags})).into_response()
}
