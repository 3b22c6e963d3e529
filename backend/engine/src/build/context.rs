//! Where a build's files come from: the request's body, a URL, or a git repository.

mod git;

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use drydock_builder::copy::Tree;
use drydock_builder::host::HostError;
use drydock_builder::patterns::Ignore;
use drydock_images::unpack::{UnpackError, extract_hashed};
use drydock_registry::Proxies;

use super::download;
use super::options::Request;
use super::output::Lines;

pub use git::GitError;

/// What there is to build.
#[derive(Debug)]
pub struct Source {
    /// The files; none when the Dockerfile came alone.
    pub tree: Option<Tree>,
    pub dockerfile: String,
    /// Digests of the files' contents by path, as far as they were read already.
    pub contents: HashMap<String, String>,
}

/// The files could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("create {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("read the build context")]
    Read(#[source] io::Error),
    #[error("unpack the build context")]
    Unpack(#[source] UnpackError),
    #[error("Cannot locate specified Dockerfile: {0}")]
    NoDockerfile(String),
    #[error("the Dockerfile ({0}) cannot be empty")]
    EmptyDockerfile(String),
    #[error("unexpected error reading Dockerfile: {0}")]
    Dockerfile(#[source] io::Error),
    #[error("error reading .dockerignore: {0}")]
    Ignore(#[source] io::Error),
    #[error("{0}")]
    Download(#[source] HostError),
    #[error(transparent)]
    Git(#[from] GitError),
}

impl ContextError {
    /// Whether the request was wrong.
    pub const fn is_invalid(&self) -> bool {
        matches!(self, Self::EmptyDockerfile(_))
    }
}

/// Takes the files into a folder of `scratch`.
pub fn receive(
    request: &Request,
    body: impl Read,
    scratch: &Path,
    runtime: &tokio::runtime::Handle,
    lines: &Lines,
    proxies: &Proxies,
) -> Result<Source, ContextError> {
    let name = &request.options.dockerfile;
    match request.remote.as_str() {
        "" => from_archive(body, scratch, name),
        remote if git::is_git(remote) => {
            let folder = git::check_out(remote, scratch)?;
            from_tree(open(&folder)?, name)
        }
        remote => {
            let fetched =
                download::fetch(runtime, remote, scratch, lines, proxies).map_err(ContextError::Download)?;
            if fetched.is_text {
                let dockerfile = std::fs::read(&fetched.path).map_err(ContextError::Dockerfile)?;
                let dockerfile = String::from_utf8_lossy(&dockerfile).into_owned();
                return Ok(Source { tree: None, dockerfile, contents: HashMap::new() });
            }
            let archive = std::fs::File::open(&fetched.path).map_err(ContextError::Read)?;
            from_archive(archive, scratch, name)
        }
    }
}

fn open(folder: &Path) -> Result<Tree, ContextError> {
    Tree::open(folder.to_owned()).map_err(|source| ContextError::Folder { path: folder.to_owned(), source })
}

fn from_archive(archive: impl Read, scratch: &Path, name: &str) -> Result<Source, ContextError> {
    let folder = scratch.join("context");
    std::fs::create_dir(&folder).map_err(|source| ContextError::Folder { path: folder.clone(), source })?;
    let tree = open(&folder)?;
    let plain = drydock_builder::decompress(archive).map_err(ContextError::Read)?;
    let root = tree.root.try_clone().map_err(ContextError::Read)?;
    let mut contents = HashMap::new();
    let mut seen = |path: &Path, digest: drydock_images::Digest| {
        contents.insert(path.to_string_lossy().into_owned(), digest.hex().to_owned());
    };
    extract_hashed(plain, root, &mut seen).map_err(ContextError::Unpack)?;
    Ok(Source { contents, ..from_tree(tree, name)? })
}

fn from_tree(tree: Tree, name: &str) -> Result<Source, ContextError> {
    let read = |name: &str| tree.text(name).map_err(ContextError::Dockerfile);
    let (name, text) = match read(name)? {
        Some(text) => (name, text),
        None if name == "Dockerfile" => match read("dockerfile")? {
            Some(text) => ("dockerfile", text),
            None => return Err(ContextError::NoDockerfile(name.to_owned())),
        },
        None => return Err(ContextError::NoDockerfile(name.to_owned())),
    };
    if text.is_empty() {
        return Err(ContextError::EmptyDockerfile(name.to_owned()));
    }
    leave_out(&tree, name)?;
    Ok(Source { tree: Some(tree), dockerfile: text, contents: HashMap::new() })
}

/// The client sends the Dockerfile and `.dockerignore` even where `.dockerignore` names them: they are for us, not for
/// `COPY`.
fn leave_out(tree: &Tree, dockerfile: &str) -> Result<(), ContextError> {
    let Some(text) = tree.text(".dockerignore").map_err(ContextError::Ignore)? else { return Ok(()) };
    let bad = |error: drydock_builder::patterns::BadPattern| io::Error::other(error.to_string());
    let ignore = Ignore::parse(&text).map_err(bad).map_err(ContextError::Ignore)?;
    for name in [".dockerignore", dockerfile] {
        if ignore.leaves_out(&drydock_builder::patterns::clean(name)) {
            tree.remove(name).map_err(ContextError::Ignore)?;
        }
    }
    Ok(())
}
