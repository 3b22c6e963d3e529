//! Why a build ended without an image.

use crate::copy::sources::SourceError;
use crate::copy::write::WriteError;
use crate::dockerfile::ParseError;
use crate::dockerfile::mount::MountError;
use crate::expand::ExpandError;
use crate::host::HostError;
use crate::patterns::BadPattern;
use crate::ports::PortError;

/// Each text is moby's.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("target stage {} could not be found", drydock_golang::quote(.0))]
    Target(String),
    #[error("{0} stage name already used")]
    StageTaken(String),
    #[error("base name ({0}) should not be blank")]
    BlankBase(String),
    #[error("failed to process arguments for platform {platform}: {source}")]
    PlatformArgument { platform: String, source: ExpandError },
    #[error("failed to parse platform {platform}: {source}")]
    Platform { platform: String, source: drydock_images::PlatformError },
    #[error("{0}")]
    Expand(#[from] ExpandError),
    #[error("{0}")]
    Host(#[from] HostError),
    #[error("No image was generated. Is your Dockerfile empty?")]
    NoImage,
    #[error("Build cancelled")]
    Cancelled,
    #[error("onbuild trigger should be a single expression")]
    Trigger,
    #[error("VOLUME specified can not be an empty string")]
    EmptyVolume,
    #[error("cannot normalize nothing")]
    EmptyWorkdir,
    #[error("{0}")]
    Port(#[from] PortError),
    #[error("invalid signal: {0}")]
    Signal(String),
    #[error("invalid from flag value {name}: {problem}")]
    From { name: String, problem: String },
    #[error("{instruction} failed: {source}")]
    Source { instruction: &'static str, source: SourceError },
    #[error("{instruction} failed: missing build context")]
    NoContext { instruction: &'static str },
    #[error("source can't be a URL for COPY")]
    Url,
    #[error("cannot determine filename for source {0}")]
    UrlName(String),
    #[error("invalid checksum digest format: {0}")]
    ChecksumForm(String),
    #[error("digest mismatch {received}: {expected}")]
    Checksum { expected: String, received: String },
    #[error(
        "When using {0} with more than one source file, the destination must be a directory and end with a /"
    )]
    SeveralSources(&'static str),
    #[error("invalid chmod parameter: '{0}'. it should be octal string and between 0 and 07777")]
    Mode(String),
    #[error("unable to convert uid/gid chown string to host mapping: {0}")]
    Owner(String),
    #[error("failed to copy files: {0}")]
    Write(#[from] WriteError),
    #[error("invalid exclude pattern: {0}")]
    Exclude(#[from] BadPattern),
    #[error("failed to create the working directory {path}")]
    Workdir { path: String, source: std::io::Error },
    #[error("keep a file of the build in {path}")]
    Scratch { path: String, source: std::io::Error },
    #[error("{0}")]
    Mount(#[from] MountError),
    #[error("secret {0}: not found")]
    Secret(String),
    #[error("unset invalid SSH agent: no SSH key {0:?} forwarded from the client")]
    Ssh(String),
    #[error("invalid mount target {}", drydock_golang::quote(.0))]
    MountTarget(String),
    #[error("The command '{command}' returned a non-zero code: {code}")]
    Exit { command: String, code: i32 },
}

impl BuildError {
    /// The number in `errorDetail`.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Exit { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the request was wrong, rather than what the build did.
    pub fn is_invalid(&self) -> bool {
        matches!(self, Self::Parse(_) | Self::Target(_))
    }
}
