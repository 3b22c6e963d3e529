//! The layer between an image and what a container writes: the places that a container engine mounts over.
//!
//! moby calls it the init layer. Made here they are neither part of the image nor changes of the container, so
//! `docker diff` does not list and `docker commit` does not keep them.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use crate::snapshot::{Snapshot, copy_owner_and_mode};

enum Place {
    Folder,
    File,
    Link(&'static str),
}

/// moby's list.
const PLACES: [(&str, Place); 10] = [
    ("dev/pts", Place::Folder),
    ("dev/shm", Place::Folder),
    ("dev/console", Place::File),
    ("proc", Place::Folder),
    ("sys", Place::Folder),
    ("etc/hosts", Place::File),
    ("etc/hostname", Place::File),
    ("etc/resolv.conf", Place::File),
    ("etc/mtab", Place::Link("/proc/mounts")),
    (".dockerenv", Place::File),
];

impl Snapshot {
    /// Makes in `folder` those places that the image does not have.
    pub(crate) fn make_places(&self, folder: &Path) -> io::Result<()> {
        for (path, place) in PLACES {
            let path = Path::new(path);
            if self.below(path).is_some() || !self.make_parent(folder, path)? {
                continue;
            }
            let target = folder.join(path);
            match place {
                Place::Folder => fs::create_dir(target)?,
                Place::File => {
                    fs::File::create_new(&target)?;
                    // As moby has them; only `/.dockerenv` is seen, mounts lie over the others.
                    fs::set_permissions(target, fs::Permissions::from_mode(0o755))?;
                }
                Place::Link(text) => symlink(text, target)?,
            }
        }
        Ok(())
    }

    /// The folder a place is in, looking like the image's own, which it will lie over. False where the image has
    /// something else there.
    fn make_parent(&self, folder: &Path, path: &Path) -> io::Result<bool> {
        let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else {
            return Ok(true);
        };
        let target = folder.join(parent);
        if target.is_dir() {
            return Ok(true);
        }
        let Some(known) = self.below(parent) else { return fs::create_dir(target).map(|()| true) };
        let meta = fs::symlink_metadata(&known)?;
        if !meta.is_dir() {
            return Ok(false);
        }
        fs::create_dir(&target)?;
        copy_owner_and_mode(&known, &target)?;
        let times = fs::FileTimes::new().set_accessed(meta.accessed()?).set_modified(meta.modified()?);
        fs::File::open(&target)?.set_times(times)?;
        Ok(true)
    }
}
