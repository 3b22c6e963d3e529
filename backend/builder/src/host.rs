//! What the builder needs of the world: images and their files, and somewhere to run things. The engine gives it.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::dockerfile::Network;
use crate::image::{Config, ImageFile};

/// An image that there is.
#[derive(Clone, Debug)]
pub struct Image {
    /// `sha256:…`
    pub id: String,
    pub file: ImageFile,
}

/// Something the world refused, in the words that the user sees.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    pub message: String,
    /// What did not exist; the door answers 404.
    pub is_missing: bool,
}

impl HostError {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), is_missing: false }
    }
}

/// Whether a registry is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// The image was made in this build.
    Never,
    #[default]
    WhenMissing,
    Always,
}

/// Where a build prints. Calls come one at a time.
pub trait Output: Sync {
    fn stdout(&self, text: &str);
    fn stderr(&self, text: &str);
    /// The id of a stage's image, for programs.
    fn image(&self, id: &str);
}

/// The engine, as the builder sees it. Everything blocks until it is done.
pub trait Host: Sync {
    /// RFC 3339 with nanoseconds.
    fn now(&self) -> String;

    /// 64 random hexadecimal digits.
    fn new_id(&self) -> String;

    /// `DockerVersion` of images made here.
    fn version(&self) -> &str;

    /// `linux/amd64`, or what else runs here.
    fn platform(&self) -> &Platform;

    /// The user went away: the build ends before its next step.
    fn is_cancelled(&self) -> bool;

    /// Ends what runs: a stage has failed, and nobody wants the others.
    fn cancel(&self);

    /// Finds an image by name or id.
    fn image(
        &self,
        name: &str,
        pull: Pull,
        platform: Option<&Platform>,
        output: &dyn Output,
    ) -> Result<Arc<Image>, HostError>;

    /// Images made here from `parent`, or from nothing.
    fn children(&self, parent: Option<&str>) -> Result<Vec<Arc<Image>>, HostError>;

    /// The image that an image was made from here.
    fn parent(&self, image: &str) -> Option<String>;

    /// Records an image.
    fn add_image(&self, file: &ImageFile, parent: Option<&str>) -> Result<Arc<Image>, HostError>;

    /// A root file system of these layers that can be written to.
    fn draft(&self, layers: &[String]) -> Result<Box<dyn Draft>, HostError>;

    /// A folder of the host as a root file system: what is written to it does not reach the folder.
    fn draft_over(&self, folder: &Path) -> Result<Box<dyn Draft>, HostError>;

    /// The layers above `base` in one.
    fn squash(&self, layers: &[String], base: usize) -> Result<String, HostError>;

    /// Runs a process over an image and takes what it wrote.
    fn run(&self, run: &RunRequest, output: &dyn Output) -> Result<Ran, RunError>;

    /// Makes a container of an image that is never started: what `--rm=false` leaves of steps without a process.
    fn leave_container(&self, image: &str, config: &Config) -> Result<String, HostError>;

    /// Removes a container of [`Host::run`].
    fn remove_container(&self, id: &str) -> Result<(), HostError>;

    /// Fetches a URL into a file of `folder`.
    fn download(&self, url: &str, folder: &Path, output: &dyn Output) -> Result<Download, HostError>;

    /// The folder of `RUN --mount=type=cache,id=…`, made if missing.
    fn cache(&self, id: &str) -> Result<PathBuf, HostError>;
}

/// `os/architecture[/variant]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    pub variant: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(formatter, "/{}", self.variant) }
    }
}

/// A root file system on its way to become a layer. Dropped, it leaves nothing.
pub trait Draft {
    /// Its root, merged with what lies below.
    fn root(&self) -> BorrowedFd<'_>;

    /// Where it is mounted on the host.
    fn path(&self) -> &Path;

    /// Makes a layer of what was written; answers its diffid, unless nothing was.
    fn keep(self: Box<Self>) -> Result<Option<String>, HostError>;
}

/// One `RUN`.
#[derive(Clone, Debug)]
pub struct RunRequest {
    /// The image's id.
    pub image: String,
    pub config: Config,
    pub network: Option<Network>,
    pub insecure: bool,
    pub mounts: Vec<RunMount>,
    /// The container stays, so that what it wrote is copied and not moved.
    pub keep_container: bool,
}

/// A mount of one `RUN`, with its source found.
#[derive(Debug, Clone)]
pub struct RunMount {
    pub target: String,
    pub read_only: bool,
    pub source: MountSource,
}

#[derive(Debug, Clone)]
pub enum MountSource {
    /// A path on the host.
    Path(PathBuf),
    /// Memory, of at most so many bytes (0: no limit).
    Memory(i64),
}

/// What a `RUN` came to.
#[derive(Clone, Debug)]
pub struct Ran {
    pub container: String,
    pub layer: Option<String>,
}

/// A `RUN` that made no layer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error("the process ended with code {code}")]
    Exit { container: String, code: i32 },
    #[error(transparent)]
    Host(HostError),
    /// It could not be started; there may be a container.
    #[error("{error}")]
    Start { container: String, error: HostError },
    #[error("Build cancelled")]
    Cancelled { container: String },
}

/// A fetched file.
#[derive(Clone, Debug)]
pub struct Download {
    /// What the URL or the server calls it; empty when nobody does.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Seconds since 1970, when the server knows.
    pub modified: Option<i64>,
}

/// `--build-arg` and the like: what `POST /build` asks of the builder.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The name of the Dockerfile in the context.
    pub dockerfile: String,
    pub arguments: BTreeMap<String, Option<String>>,
    pub labels: BTreeMap<String, String>,
    pub target: String,
    pub no_cache: bool,
    pub cache_from: Vec<String>,
    pub pull: bool,
    pub remove: bool,
    pub force_remove: bool,
    pub squash: bool,
    pub platform: Option<Platform>,
}
