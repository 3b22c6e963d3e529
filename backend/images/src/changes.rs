//! What a container changed in its image: `docker diff`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::pack::is_whiteout;
use crate::snapshot::{Snapshot, SnapshotError};

/// Docker's numbers for the kinds, as its API sends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Modified = 0,
    Added = 1,
    Deleted = 2,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Absolute inside the container.
    pub path: PathBuf,
    pub kind: Kind,
}

impl Snapshot {
    /// What the container changed, by path; a changed file's folders count as modified.
    pub fn changes(&self) -> Result<Vec<Change>, SnapshotError> {
        self.layer()?;
        let mut found = BTreeMap::new();
        self.walk(Path::new(""), &mut found)
            .map_err(|source| SnapshotError::Read { path: self.upper.clone(), source })?;
        Ok(found.into_iter().map(|(path, kind)| Change { path: Path::new("/").join(path), kind }).collect())
    }

    fn walk(&self, folder: &Path, found: &mut BTreeMap<PathBuf, Kind>) -> io::Result<()> {
        for entry in fs::read_dir(self.upper.join(folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                other => other?,
            };
            let kind = match self.is_below(&path) {
                _ if is_whiteout(&meta) => Kind::Deleted,
                true => Kind::Modified,
                false => Kind::Added,
            };
            found.insert(path.clone(), kind);
            if meta.is_dir() {
                if kind == Kind::Modified && crate::pack::is_opaque(&self.upper.join(&path)) {
                    self.hidden(&path, found)?;
                }
                self.walk(&path, found)?;
            }
        }
        Ok(())
    }

    /// A folder that was removed and made again hides what the image has in it; what is there again is found later.
    fn hidden(&self, folder: &Path, found: &mut BTreeMap<PathBuf, Kind>) -> io::Result<()> {
        for layer in &self.lower {
            let Ok(entries) = fs::read_dir(layer.join(folder)) else { continue };
            for entry in entries {
                let path = folder.join(entry?.file_name());
                if self.is_below(&path) {
                    found.insert(path, Kind::Deleted);
                }
            }
        }
        Ok(())
    }

    /// Whether the image has the path: the topmost layer that knows it decides.
    fn is_below(&self, path: &Path) -> bool {
        self.below(path).is_some()
    }

    /// Where the layers below have a path.
    pub(crate) fn below(&self, path: &Path) -> Option<PathBuf> {
        for layer in &self.lower {
            let place = layer.join(path);
            if let Ok(meta) = fs::symlink_metadata(&place) {
                return Some(place).filter(|_| !is_whiteout(&meta));
            }
            // A folder above it that hides or is deleted in this layer ends the search.
            let hidden = path.ancestors().skip(1).filter(|up| !up.as_os_str().is_empty()).any(|up| {
                let place = layer.join(up);
                fs::symlink_metadata(&place).is_ok_and(|meta| is_whiteout(&meta) || !meta.is_dir())
                    || crate::pack::is_opaque(&place)
            });
            if hidden {
                return None;
            }
        }
        None
    }
}
