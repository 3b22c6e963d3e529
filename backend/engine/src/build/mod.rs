//! *Build*: `drydock-builder` with this engine's images and containers.
//!
//! Task tree: one blocking thread per build, owned by its request; it ends when the client goes away.

mod body;
mod context;
pub mod download;
mod host;
mod options;
mod output;
mod run;

use std::path::PathBuf;
use std::sync::Arc;

use drydock_builder::copy::sources::Hashes;
use drydock_builder::dockerfile::Dockerfile;
use drydock_builder::{Build, BuildError, short};
use http::StatusCode;
use tokio_util::sync::CancellationToken;

use crate::engine::Engine;
use crate::error::ApiError;

pub use body::{feed, reader};
pub use context::{ContextError, Source};
pub use options::{OptionsError, Request};
pub use output::{Lines, line};

/// A build made no image.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Build(#[from] BuildError),
    /// A Dockerfile that cannot be read, with the place in it.
    #[error("{text}\n{place}")]
    Dockerfile { text: String, place: String },
    #[error("create a folder for the build in {path}")]
    Folder { path: PathBuf, source: std::io::Error },
    #[error("{0}")]
    Finish(#[source] drydock_builder::host::HostError),
}

impl Failure {
    /// The number in `errorDetail`.
    pub fn code(&self) -> Option<i32> {
        match self {
            Self::Build(error) => error.code(),
            _ => None,
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Context(error) if error.is_invalid() => StatusCode::BAD_REQUEST,
            Self::Dockerfile { .. } => StatusCode::BAD_REQUEST,
            Self::Build(error) if error.is_invalid() => StatusCode::BAD_REQUEST,
            Self::Build(BuildError::Host(error)) if error.is_missing => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Failure> for ApiError {
    fn from(error: Failure) -> Self {
        Self::chain(error.status(), &error)
    }
}

/// Removes what builds of an engine that was killed left behind.
pub fn clear_leftovers(engine: &Engine) {
    let scratch = scratch(engine);
    if let Err(error) = std::fs::remove_dir_all(&scratch)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(path = %scratch.display(), %error, "leftovers of builds");
    }
    if let Err(error) = engine.images.store().clear_drafts() {
        tracing::warn!("leftovers of builds: {}", crate::error::chain(&error));
    }
}

fn scratch(engine: &Engine) -> PathBuf {
    engine.config.data_root.join("builder/tmp")
}

/// Removes the caches of `RUN --mount=type=cache`; answers their names and sizes in all.
pub fn prune(engine: &Engine) -> Result<(Vec<String>, u64), Failure> {
    let folder = engine.config.data_root.join("builder/cache");
    let failed = |source| Failure::Folder { path: folder.clone(), source };
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        other => other.map_err(failed)?,
    };
    let (mut names, mut freed) = (Vec::new(), 0);
    for entry in entries {
        let entry = entry.map_err(failed)?;
        freed += size(&entry.path());
        std::fs::remove_dir_all(entry.path()).map_err(failed)?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    Ok((names, freed))
}

/// Bytes of all files below; what vanishes meanwhile counts for nothing.
fn size(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let one = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.map(one).sum()
}

/// Builds on this thread; answers the image's id. Lines go to `lines` as they come.
pub fn build(
    engine: &Arc<Engine>,
    runtime: &tokio::runtime::Handle,
    request: &Request,
    body: impl std::io::Read,
    lines: &Lines,
    cancel: &CancellationToken,
) -> Result<String, Failure> {
    let folder = scratch(engine);
    let made = std::fs::create_dir_all(&folder).and_then(|()| tempfile::tempdir_in(&folder));
    let scratch = made.map_err(|source| Failure::Folder { path: folder, source })?;
    let source = context::receive(request, body, scratch.path(), runtime, lines, &engine.config.proxies)?;
    let file = Dockerfile::parse(&source.dockerfile)
        .map_err(|error| located(&error, &request.options.dockerfile, &source.dockerfile))?;
    let host = host::EngineHost::new(engine.clone(), runtime.clone(), request, cancel.clone(), lines);
    let build = Build {
        host: &host,
        output: lines,
        options: &request.options,
        context: source.tree,
        scratch: scratch.path(),
        hashes: Hashes::with_contents(source.contents),
    };
    let built = build.run(file);
    drop(build);
    // Nobody waits for unlinking, nor for the disk.
    if let Err(error) = engine.trash.take(&scratch.keep()) {
        tracing::warn!(%error, "the folder of a build");
    }
    if host.made_images() {
        let store = engine.images.store().clone();
        runtime.spawn_blocking(move || {
            if let Err(error) = store.settle() {
                tracing::error!("{}", crate::error::chain(&error));
            }
        });
    }
    let image = built?;
    lines.say(&format!("Successfully built {}\n", short(&image.id)));
    for name in &request.tags {
        host.tag(&image.id, name).map_err(Failure::Finish)?;
        lines.say(&format!("Successfully tagged {}\n", name.familiar()));
    }
    Ok(image.id.clone())
}

/// Moby's text, then the line with its column.
fn located(error: &drydock_builder::dockerfile::ParseError, name: &str, text: &str) -> Failure {
    let (line, column) = (error.at.line, error.at.column);
    let shown = text.lines().nth(line.saturating_sub(1)).unwrap_or_default().trim_end();
    Failure::Dockerfile { text: error.of_file(name), place: format!("{name}:{line}:{column}: {shown}") }
}
