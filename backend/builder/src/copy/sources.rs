//! What `COPY` and `ADD` name: found in a tree, and hashed by name, mode and content. Times count for nothing.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{FileType, Stat};
use sha2::{Digest, Sha256};

use super::{Item, Tree};
use crate::patterns::{BadPattern, Ignore, Pattern, clean, has_wildcards};
use crate::tree::{self, Last, Missing, Place};

/// Something to copy could not be found or read; moby's words.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("file not found in build context or excluded by .dockerignore: stat {0}: file does not exist")]
    NotInContext(String),
    #[error("stat {0}: file does not exist")]
    NotFound(String),
    #[error("forbidden path outside the build context: {0}")]
    Link(String),
    #[error("no source files were specified")]
    Nothing,
    #[error("{pattern}: {source}")]
    Pattern { pattern: String, source: BadPattern },
    #[error("read {path}")]
    Read { path: String, source: io::Error },
}

/// Who the files of a tree belong to in the layer, as far as hashes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owners {
    /// Everything becomes root's or somebody's: their owners mean nothing.
    Replaced,
    Kept,
}

/// Hashes of files seen before, by tree and path: a build copies the same context more than once.
#[derive(Debug, Default)]
pub struct Hashes {
    known: Mutex<HashMap<(PathBuf, String), String>>,
    /// Digests of the contents of the context's files, by path: taken while they arrived.
    contents: HashMap<String, String>,
}

impl Hashes {
    /// With what is known of the context's files already.
    pub fn with_contents(contents: HashMap<String, String>) -> Self {
        Self { contents, ..Self::default() }
    }
}

/// What to look for.
#[derive(Debug)]
pub struct Search<'a> {
    pub tree: &'a Tree,
    pub owners: Owners,
    pub exclude: Arc<Ignore>,
    pub hashes: &'a Hashes,
    /// The tree is the context: what is missing may have been left out.
    pub is_context: bool,
}

impl Search<'_> {
    /// Finds what one source names: a file, a folder, or all that a pattern matches.
    pub fn find(&self, source: &str) -> Result<Vec<Item>, SourceError> {
        let relative = source.trim_start_matches('/');
        let relative = relative.strip_prefix("./").unwrap_or(relative);
        if has_wildcards(relative) {
            return self.matching(relative);
        }
        self.one(relative).map(|item| item.into_iter().collect())
    }

    /// The item, unless `--exclude` leaves it out.
    fn one(&self, name: &str) -> Result<Option<Item>, SourceError> {
        let place = tree::find(self.tree.root.as_fd(), name, Missing::Stop, Last::Follow);
        let missing = || match self.is_context {
            true => SourceError::NotInContext(name.to_owned()),
            false => SourceError::NotFound(name.to_owned()),
        };
        let place = match place {
            Ok(place) if place.found.is_some() => place,
            Ok(_) | Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Err(missing()),
            Err(rustix::io::Errno::LOOP) => return Err(SourceError::Link(name.to_owned())),
            Err(error) => return Err(SourceError::Read { path: name.to_owned(), source: error.into() }),
        };
        let is_folder = place.is_folder();
        if !is_folder && self.exclude.leaves_out(&clean(name)) {
            return Ok(None);
        }
        let hash = match is_folder {
            true => self.folder_hash(&place)?,
            false => format!("file:{}", self.hash(&place)?),
        };
        Ok(Some(Item {
            tree: self.tree.clone(),
            name: name.to_owned(),
            path: place.path,
            hash,
            is_folder,
            is_plain: false,
            exclude: self.exclude.clone(),
        }))
    }

    fn matching(&self, pattern: &str) -> Result<Vec<Item>, SourceError> {
        let bad = |source| SourceError::Pattern { pattern: pattern.to_owned(), source };
        let matcher = Pattern::shallow(pattern.trim_end_matches('/')).map_err(bad)?;
        let root = tree::find(self.tree.root.as_fd(), "", Missing::Stop, Last::Follow);
        let root = root.map_err(|error| read("", error.into()))?;
        let mut items = Vec::new();
        self.walk(&root, "", &mut |path, _| {
            if matcher.matches(path) {
                items.extend(self.one(path)?);
            }
            Ok(())
        })?;
        Ok(items)
    }

    /// Visits everything below a folder, in the order of names.
    fn walk(
        &self,
        folder: &Place,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &Place) -> Result<(), SourceError>,
    ) -> Result<(), SourceError> {
        let opened = folder.open_folder().map_err(|error| read(prefix, error.into()))?;
        for name in tree::names(&opened).map_err(|error| read(prefix, error))? {
            let path = join(prefix, &name);
            let found = tree::stat(&opened, &name).map_err(|error| read(&path, error.into()))?;
            let copy = opened.try_clone().map_err(|error| read(&path, error))?;
            let place = Place { folder: copy, name: Some(name), path: path.clone(), found: Some(found) };
            visit(&path, &place)?;
            if place.is_folder() {
                self.walk(&place, &path, visit)?;
            }
        }
        Ok(())
    }

    /// Moby's hash of a folder: the sorted hashes of all that is in it.
    fn folder_hash(&self, folder: &Place) -> Result<String, SourceError> {
        let mut hashes = Vec::new();
        if folder.name.is_some() {
            hashes.push(self.hash(folder)?);
        }
        let top = folder.path.len() + usize::from(!folder.path.is_empty());
        self.walk(folder, &folder.path, &mut |path, place| {
            if !self.exclude.leaves_out(path.get(top..).unwrap_or_default()) {
                hashes.push(self.hash(place)?);
            }
            Ok(())
        })?;
        hashes.sort();
        Ok(format!("dir:{}", digest(hashes.join(",").as_bytes())))
    }

    fn hash(&self, place: &Place) -> Result<String, SourceError> {
        let key = (self.tree.path.clone(), place.path.clone());
        if let Some(known) = self.known().get(&key) {
            return Ok(known.clone());
        }
        let stat = match &place.found {
            Some(stat) => stat,
            None => return Err(SourceError::NotFound(place.path.clone())),
        };
        let hash = self.hash_file(place, stat).map_err(|error| read(&place.path, error))?;
        self.known().insert(key, hash.clone());
        Ok(hash)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<(PathBuf, String), String>> {
        self.hashes.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash_file(&self, place: &Place, stat: &Stat) -> io::Result<String> {
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut hasher = Sha256::new();
        let size = if kind == FileType::RegularFile { stat.st_size } else { 0 };
        let owners = match self.owners {
            Owners::Replaced => (0, 0),
            Owners::Kept => (stat.st_uid, stat.st_gid),
        };
        let head = format!(
            "{}\0{:o}\0{}:{}\0{size}\0{}\0",
            place.path, stat.st_mode, owners.0, owners.1, stat.st_rdev
        );
        hasher.update(head.as_bytes());
        match kind {
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&place.folder, place.name(), Vec::new())?;
                hasher.update(target.as_bytes());
            }
            FileType::RegularFile if size > 0 => {
                let known = self.hashes.contents.get(&place.path).filter(|_| self.is_context);
                let content = match known {
                    Some(known) => known.clone(),
                    None => content_digest(place.open_file()?)?,
                };
                hasher.update(content.as_bytes());
            }
            _ => {}
        }
        Ok(hex(&hasher.finalize()))
    }
}

/// Sha-256 of a file, in hexadecimal.
pub fn content_digest(mut file: impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

fn read(path: &str, source: io::Error) -> SourceError {
    SourceError::Read { path: path.to_owned(), source }
}

fn join(prefix: &str, name: &OsStr) -> String {
    let name = name.to_string_lossy();
    if prefix.is_empty() { name.into_owned() } else { format!("{prefix}/{name}") }
}

/// Sha-256 in hexadecimal.
pub fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Tree {
    pub fn open(path: PathBuf) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root: OwnedFd = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self { root: Arc::new(root), path })
    }

    /// A small text file, when it is there.
    pub fn text(&self, path: &str) -> io::Result<Option<String>> {
        let place = match tree::find(self.root.as_fd(), path, Missing::Stop, Last::Follow) {
            Ok(place) if place.found.is_some() => place,
            Ok(_) | Err(rustix::io::Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut bytes = Vec::new();
        place.open_file()?.take(16 << 20).read_to_end(&mut bytes)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Removes a file of the tree.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let place = tree::find(self.root.as_fd(), path, Missing::Stop, Last::Keep)?;
        Ok(rustix::fs::unlinkat(&place.folder, place.name(), rustix::fs::AtFlags::empty())?)
    }
}

/// What the file is called where it is copied to.
pub fn base_name(path: &str) -> &OsStr {
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    OsStr::from_bytes(name.as_bytes())
}
