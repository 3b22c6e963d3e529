//! What `docker save` and `docker load` agree on: an archive that is an OCI layout and, by its `manifest.json`, what
//! `docker load` of any version reads. Layers are written uncompressed under their diffids, as Docker 25 and later do.

use std::collections::BTreeMap;
use std::io;

use drydock_images::{Digest, DigestError, ImageError, ImportError, IndexError, LayerError, ReferenceError};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::LookupError;
use crate::build::download::FetchError;
use crate::error::{ApiError, plain};

pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An archive could not be written or read; what an archive is refused for is said in moby's words.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Lookup(#[from] LookupError),
    #[error("reference does not exist")]
    NoReference,
    #[error("No such image: {0}")]
    NoImage(String),
    #[error("no suitable export target found for platform {0}")]
    NoTarget(String),
    #[error("write the archive")]
    Write(#[source] io::Error),
    #[error("write a layer")]
    Layer(#[source] LayerError),
    #[error("make room for the archive")]
    Room(#[source] io::Error),
    #[error("{}", go_tar(.0))]
    Unpack(#[source] io::Error),
    #[error("open {path}: no such file or directory")]
    Missing { path: String },
    #[error("{}", go_json(.0))]
    Parse(#[source] serde_json::Error),
    #[error("invalid manifest, manifest cannot be null (but can be [])")]
    Null,
    #[error("invalid manifest, layers length mismatch: expected {expected}, got {got}")]
    LayerCount { expected: usize, got: usize },
    #[error("invalid diffID for layer {layer}: expected \"{expected}\", got \"{got}\"")]
    Diff { layer: usize, expected: Digest, got: Digest },
    #[error("cannot load {0} image on linux")]
    System(String),
    #[error("evalSymlinksInScope: {0} is not in the archive")]
    Escapes(String),
    #[error("{0}")]
    Digest(#[source] DigestError),
    #[error("{0}")]
    Name(#[source] ReferenceError),
    #[error("invalid tag {0:?}")]
    Tag(String),
    #[error("image {parent} is not a valid parent for {image}")]
    Parent { parent: String, image: String },
    #[error("read the layout")]
    Layout(#[source] ImportError),
    #[error("record the image")]
    Image(#[source] ImageError),
    #[error("name the image")]
    Index(#[source] IndexError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl From<ArchiveError> for ApiError {
    fn from(error: ArchiveError) -> Self {
        match error {
            ArchiveError::Lookup(error) => error.into(),
            ArchiveError::NoReference | ArchiveError::NoImage(_) => Self::not_found(error.to_string()),
            ArchiveError::Fetch(FetchError::Status { status, .. })
                if matches!(status.as_u16(), 400 | 401 | 403 | 404) =>
            {
                Self::new(status, error.to_string())
            }
            // Their texts hold their causes already.
            ArchiveError::Unpack(_)
            | ArchiveError::Parse(_)
            | ArchiveError::Digest(_)
            | ArchiveError::Name(_)
            | ArchiveError::Fetch(FetchError::Unreachable(_)) => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
            }
            _ => Self::chain(StatusCode::INTERNAL_SERVER_ERROR, &error),
        }
    }
}

/// What Go's reader of archives says.
fn go_tar(error: &io::Error) -> String {
    let text = error.to_string();
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "unexpected EOF".to_owned(),
        _ if text.contains("failed to read entire block") || text.contains("unexpected EOF") => {
            "unexpected EOF".to_owned()
        }
        io::ErrorKind::Other | io::ErrorKind::InvalidData if error.raw_os_error().is_none() => {
            "archive/tar: invalid tar header".to_owned()
        }
        _ => plain(error),
    }
}

/// What Go's decoder says of a text that ends too early.
fn go_json(error: &serde_json::Error) -> String {
    if error.is_eof() { "unexpected EOF".to_owned() } else { error.to_string() }
}

/// An image in `manifest.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Entry {
    pub config: String,
    #[serde(default)]
    pub repo_tags: Option<Vec<String>>,
    #[serde(default)]
    pub layers: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", skip_deserializing)]
    pub layer_sources: BTreeMap<Digest, Part>,
}

/// A blob as an OCI manifest names it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Part {
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, annotations: BTreeMap::new() }
    }
}

/// Where a blob lies in the archive.
pub(super) fn blob(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_archives_are_refused_in_gos_words() {
        let text = |error: io::Error| ArchiveError::Unpack(error).to_string();
        assert_eq!(text(io::Error::other("failed to read entire block")), "unexpected EOF");
        assert_eq!(text(io::ErrorKind::UnexpectedEof.into()), "unexpected EOF");
        assert_eq!(
            text(io::Error::other("archive header checksum mismatch")),
            "archive/tar: invalid tar header"
        );
        let cut = serde_json::from_str::<Vec<Entry>>("[{").unwrap_err();
        assert_eq!(ArchiveError::Parse(cut).to_string(), "unexpected EOF");
    }
}
