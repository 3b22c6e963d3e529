//! The folders that all others are in: there before anything else is begun.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::golang::os_error;

/// In dockerd's words.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    #[error("Unable to get the full path to root ({path}): canonical path points to a file '{path}'", path = .0.display())]
    IsFile(PathBuf),
    #[error(
        "Unable to get the full path to root ({at}): failed to canonicalise path for {at}: {}", os_error(.source),
        at = .path.display()
    )]
    NoPath { path: PathBuf, source: io::Error },
    #[error("mkdir {}: {}", .path.display(), os_error(.source))]
    Make { path: PathBuf, source: io::Error },
}

/// Makes the data root and the exec root.
pub fn prepare(config: &Config) -> Result<(), FolderError> {
    let root = &config.data_root;
    match std::fs::metadata(root) {
        Ok(facts) if !facts.is_dir() => return Err(FolderError::IsFile(root.clone())),
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(FolderError::NoPath { path: root.clone(), source });
        }
        _ => {}
    }
    make(root)?;
    let exec = &config.exec_root;
    if std::fs::metadata(exec).is_ok_and(|facts| !facts.is_dir()) {
        let source = io::Error::from(rustix::io::Errno::NOTDIR);
        return Err(FolderError::Make { path: exec.clone(), source });
    }
    make(exec)
}

fn make(path: &Path) -> Result<(), FolderError> {
    std::fs::create_dir_all(path).map_err(|source| FolderError::Make { path: path.to_owned(), source })
}
