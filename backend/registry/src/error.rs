//! Why a registry did not give what was asked for; the texts are those of Docker's engine.

use drydock_images::{Digest, DigestError};
use http::{Method, StatusCode};

use crate::answer::{Faults, Refusal};
use crate::platform::Platform;

/// A request to a registry failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry answered, and not with what was asked for.
    #[error("{0}")]
    Refused(Refusal),
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login': {faults}"
    )]
    Denied { repository: String, faults: Faults },
    #[error("manifest for {reference} not found: {faults}")]
    ManifestUnknown { reference: String, faults: Faults },
    #[error("repository {repository} not found: {faults}")]
    NameUnknown { repository: String, faults: Faults },
    /// Nothing was heard: no connection, or one that broke.
    #[error("{} {url:?}: {detail}", verb(.method))]
    Unreachable { method: Method, url: String, detail: String },
    /// The connection went silent.
    #[error("{} {url:?}: net/http: timeout awaiting response", verb(.method))]
    Stalled { method: Method, url: String },
    #[error("{} {url:?}: no basic auth credentials", verb(.method))]
    NoCredentials { method: Method, url: String },
    /// The token server did not give a token for the request.
    #[error("{} {url:?}: {source}", verb(.method))]
    Token { method: Method, url: String, source: Box<RegistryError> },
    /// What broke a transfer, without the request that it was part of.
    #[error("{0}")]
    Broken(String),
    #[error("authorization server did not include a token in the response")]
    NoToken,
    #[error("unable to decode token response: {0}")]
    TokenAnswer(String),
    #[error("no matching manifest for {platform} in the manifest list entries")]
    NoPlatform { platform: Platform },
    #[error("unsupported media type {0}")]
    MediaType(String),
    #[error("Encountered remote {0:?}(unknown) when fetching")]
    Class(String),
    #[error("AI models are not yet supported by the Engine, please use \"docker model pull/run\" instead")]
    Model,
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of {0} to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    Schema1(String),
    #[error("manifest verification failed for digest {0}")]
    Manifest(Digest),
    #[error("image config verification failed for digest {0}")]
    Config(Digest),
    #[error("filesystem layer verification failed for digest {0}")]
    Layer(Digest),
    #[error("error pulling image configuration: download failed after attempts={attempts}: {source}")]
    ConfigPull { attempts: u32, source: Box<RegistryError> },
    #[error("{url} sent a manifest that is not valid: {source}")]
    Parse { url: String, source: serde_json::Error },
    #[error("{url} sent a digest that is not valid")]
    Digest { url: String, source: DigestError },
    /// A registry ignored the range that was asked for, or sent another.
    #[error("expected HTTP 206 from byte range request")]
    Range,
    #[error("no endpoints found for {0}")]
    NoEndpoint(String),
    #[error("unable to parse server address: parse {address:?}: {why}")]
    Address { address: String, why: String },
    #[error("login attempt to {url} failed with status: {} {}", .status.as_u16(), .status.canonical_reason().unwrap_or_default())]
    Login { url: String, status: StatusCode },
    #[error(transparent)]
    Search(#[from] crate::search::SearchError),
    #[error(transparent)]
    Certificates(#[from] crate::certificates::CertificateError),
}

/// Go's client begins an error with the method in this form.
fn verb(method: &Method) -> String {
    let name = method.as_str();
    let (first, rest) = name.split_at(1.min(name.len()));
    format!("{first}{}", rest.to_ascii_lowercase())
}

impl RegistryError {
    /// What moby's API answers with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Refused(Refusal::Faults(faults)) => faults.status(),
            Self::Denied { .. } | Self::ManifestUnknown { .. } | Self::NameUnknown { .. } => {
                StatusCode::NOT_FOUND
            }
            Self::MediaType(_)
            | Self::Class(_)
            | Self::Model
            | Self::Schema1(_)
            | Self::Address { .. }
            | Self::Certificates(_) => StatusCode::BAD_REQUEST,
            Self::Search(error) => error.status(),
            Self::Token { source, .. } => source.status(),
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether nothing listens there, or nothing that speaks the protocol.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Stalled { .. })
    }

    /// Whether asking again may help: the connection failed, or the registry had a bad moment.
    pub(crate) fn may_try_again(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Range => true,
            Self::Refused(Refusal::Status(_)) => true,
            Self::Refused(Refusal::Faults(faults)) => !matches!(
                faults.first.code,
                "UNAUTHORIZED"
                    | "UNSUPPORTED"
                    | "DENIED"
                    | "TOOMANYREQUESTS"
                    | "NAME_UNKNOWN"
                    | "BLOB_UNKNOWN"
                    | "MANIFEST_UNKNOWN"
            ),
            Self::Token { source, .. } => source.is_unreachable(),
            _ => false,
        }
    }

    /// The error that a push ends with: of a request, what went wrong with it, and of several errors the first.
    pub(crate) fn innermost(self) -> Self {
        match self {
            Self::Refused(Refusal::Faults(faults)) => {
                Self::Refused(Refusal::Faults(Faults { first: faults.first, more: Vec::new() }))
            }
            Self::Token { source, .. } => source.innermost(),
            Self::NoCredentials { .. } => Self::Broken("no basic auth credentials".to_owned()),
            Self::Unreachable { detail, .. } => Self::Broken(detail),
            other => other,
        }
    }
}
