//! A container's root file system: an image's layers below a folder of its own.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use drydock_sys::mount::{Attributes, attach, new_filesystem};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};

use crate::digest::ImageId;
use crate::driver::Driver;
use crate::image::Image;
use crate::store::Store;
use crate::unpack::in_user_namespace;

/// A root file system could not be made, mounted or removed.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("{0:?} is not a container's id")]
    Name(String),
    #[error("no snapshot for container {0}")]
    Missing(String),
    #[error("a layer of image {0} is not in the store")]
    LayerMissing(ImageId),
    #[error("create {path}")]
    Create { path: PathBuf, source: io::Error },
    #[error("read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not valid")]
    Record { path: PathBuf, source: serde_json::Error },
    #[error("open layer {path}")]
    Layer { path: PathBuf, source: io::Error },
    #[error("mount overlay at {path}")]
    Mount { path: PathBuf, source: io::Error },
    #[error("unmount {path}")]
    Unmount { path: PathBuf, source: io::Error },
    #[error("remove {path}")]
    Remove { path: PathBuf, source: io::Error },
}

/// What a power cut may do to what a container wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// `fsync` in the container reaches the disk, and unmounting flushes the file system below.
    #[default]
    Flushed,
    /// Nothing waits for the disk (overlayfs `volatile`): after a power cut, and only then, the layer may be torn.
    /// For containers that no power cut outlives anyway: those removed at their end, and those of a node.
    Volatile,
}

/// A root file system that no path leads to any more. Dropped, it is freed, which may wait for the disk: the kernel
/// flushes the file system below an overlay with its last user.
#[derive(Debug)]
pub struct Detached {
    _root: OwnedFd,
}

/// `snapshots/<container>/`, mounted or not.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub image: ImageId,
    pub driver: Driver,
    pub durability: Durability,
    /// Topmost first.
    pub lower: Vec<PathBuf>,
    pub upper: PathBuf,
    pub work: PathBuf,
    pub merged: PathBuf,
    folder: PathBuf,
}

/// `snapshot.json`: what the snapshot lies over outlives the image's name.
#[derive(Serialize, Deserialize)]
struct Record {
    image: ImageId,
    /// Diffids, topmost first.
    layers: Vec<crate::digest::DiffId>,
    #[serde(default)]
    volatile: bool,
    #[serde(default)]
    driver: Driver,
}

impl Store {
    /// Makes the folders of a container's root file system over `image`; mounts nothing.
    pub fn prepare(&self, container: &str, image: &Image) -> Result<Snapshot, SnapshotError> {
        self.prepare_as(container, image, Durability::Flushed)
    }

    /// [`prepare`](Self::prepare) for every mount of it to come.
    pub fn prepare_as(
        &self,
        container: &str,
        image: &Image,
        durability: Durability,
    ) -> Result<Snapshot, SnapshotError> {
        let folder = self.snapshot_folder(container)?;
        if self.layer_paths(image).len() != image.layers.len() {
            return Err(SnapshotError::LayerMissing(image.id.clone()));
        }
        let layers = image.layers.iter().rev().map(|layer| layer.diff_id.clone()).collect();
        let volatile = durability == Durability::Volatile;
        let record = Record { image: image.id.clone(), layers, volatile, driver: self.driver() };
        let mut snapshot = self.snapshot_at(folder, &record)?;
        for path in [&snapshot.folder, &snapshot.upper, &snapshot.work, &snapshot.merged] {
            make(path)?;
        }
        // The root folder of the merged tree is the upper one: it looks like the image's.
        if let Some(top) = snapshot.lower.first() {
            copy_owner_and_mode(top, &snapshot.upper)
                .map_err(|source| SnapshotError::Create { path: snapshot.upper.clone(), source })?;
        }
        let places = snapshot.folder.join("places");
        make(&places)?;
        snapshot
            .make_places(&places)
            .and_then(|()| snapshot.lower.first().map_or(Ok(()), |top| copy_owner_and_mode(top, &places)))
            .map_err(|source| SnapshotError::Create { path: places.clone(), source })?;
        snapshot.lower.insert(0, places);
        snapshot.fill()?;
        snapshot.write_record(&record)?;
        Ok(snapshot)
    }

    /// The folders of a tree that shows an image and nothing else: no places are made in it for a container's mounts.
    pub fn prepare_image(&self, name: &str, image: &Image) -> Result<Snapshot, SnapshotError> {
        if self.layer_paths(image).len() != image.layers.len() {
            return Err(SnapshotError::LayerMissing(image.id.clone()));
        }
        make(&self.snapshot_folder(name)?)?;
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let snapshot = self.prepare_bare(name, &layers, Durability::Volatile)?;
        snapshot.fill()?;
        Ok(snapshot)
    }

    /// The folders of a root file system over these layers, bottom first, in a folder that is there already: of no
    /// container, and so without the places that one is given.
    pub(crate) fn prepare_bare(
        &self,
        name: &str,
        layers: &[crate::digest::DiffId],
        durability: Durability,
    ) -> Result<Snapshot, SnapshotError> {
        let folder = self.snapshot_folder(name)?;
        let image = ImageId(crate::digest::Digest::of(b""));
        let volatile = durability == Durability::Volatile;
        let layers = layers.iter().rev().cloned().collect();
        let record = Record { image, layers, volatile, driver: self.driver() };
        let snapshot = self.snapshot_at(folder, &record)?;
        for path in [&snapshot.upper, &snapshot.work, &snapshot.merged] {
            make(path)?;
        }
        let top = snapshot.lower.first().map_or(Ok(()), |top| copy_owner_and_mode(top, &snapshot.upper));
        top.map_err(|source| SnapshotError::Create { path: snapshot.upper.clone(), source })?;
        snapshot.write_record(&record)?;
        Ok(snapshot)
    }

    /// A snapshot that was prepared before.
    pub fn snapshot(&self, container: &str) -> Result<Snapshot, SnapshotError> {
        let folder = self.snapshot_folder(container)?;
        let path = folder.join("snapshot.json");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SnapshotError::Missing(container.to_owned()));
            }
            other => other.map_err(|source| SnapshotError::Read { path: path.clone(), source })?,
        };
        let record =
            serde_json::from_slice(&bytes).map_err(|source| SnapshotError::Record { path, source })?;
        self.snapshot_at(folder, &record)
    }

    /// The containers that have a snapshot.
    pub fn snapshots(&self) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(self.root().join("snapshots"))?;
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// The layers that a snapshot lies over; none when it has no record.
    pub(crate) fn snapshot_layers(&self, container: &str) -> Vec<crate::digest::DiffId> {
        let record = self
            .snapshot_folder(container)
            .ok()
            .and_then(|folder| fs::read(folder.join("snapshot.json")).ok());
        let record = record.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
        record.map(|record| record.layers).unwrap_or_default()
    }

    fn snapshot_folder(&self, container: &str) -> Result<PathBuf, SnapshotError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if container.is_empty() || !container.bytes().all(plain) {
            return Err(SnapshotError::Name(container.to_owned()));
        }
        Ok(self.root().join("snapshots").join(container))
    }

    fn snapshot_at(&self, folder: PathBuf, record: &Record) -> Result<Snapshot, SnapshotError> {
        let lower = record.layers.iter().map(|diff_id| self.layer_diff(diff_id));
        let mut lower = lower
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| SnapshotError::LayerMissing(record.image.clone()))?;
        let places = folder.join("places");
        if places.is_dir() {
            lower.insert(0, places);
        }
        if lower.is_empty() {
            // overlayfs wants a lower folder, an image from scratch may have none.
            let empty = self.root().join("empty");
            make(&empty)?;
            lower.push(empty);
        }
        let [upper, work, merged] = ["upper", "work", "merged"].map(|name| folder.join(name));
        let durability = if record.volatile { Durability::Volatile } else { Durability::Flushed };
        let (image, driver) = (record.image.clone(), record.driver);
        Ok(Snapshot { image, driver, durability, lower, upper, work, merged, folder })
    }
}

impl Snapshot {
    fn write_record(&self, record: &Record) -> Result<(), SnapshotError> {
        let path = self.folder.join("snapshot.json");
        let written =
            serde_json::to_vec(record).map_err(io::Error::from).and_then(|bytes| fs::write(&path, bytes));
        written.map_err(|source| SnapshotError::Create { path, source })
    }

    /// Copies the image, where the driver is one that copies. What was begun before is begun again.
    pub(crate) fn fill(&self) -> Result<(), SnapshotError> {
        if self.driver == Driver::Overlay2 {
            return Ok(());
        }
        let failed = |source| SnapshotError::Create { path: self.merged.clone(), source };
        crate::vfs::flatten(&self.lower, &self.merged).map_err(failed)
    }

    /// Where the files that the container sees are written: its own layer, or the whole copy.
    pub(crate) fn written(&self) -> &Path {
        match self.driver {
            Driver::Overlay2 => &self.upper,
            Driver::Vfs => &self.merged,
        }
    }

    /// The container's own layer as it is now, in overlayfs's form.
    pub(crate) fn layer(&self) -> Result<&Path, SnapshotError> {
        if self.driver == Driver::Vfs {
            self.gather()?;
        }
        Ok(&self.upper)
    }

    /// Mounts the root file system unless it is mounted already; answers where.
    pub fn mount(&self) -> Result<&Path, SnapshotError> {
        if self.driver == Driver::Overlay2 && !self.is_mounted()? {
            self.forget_volatile_mount();
            let mounted = self.mount_by_descriptor().or_else(|error| match error.raw_os_error() {
                // Kernels before 6.8 do not know `lowerdir+`.
                Some(number) if number == rustix::io::Errno::INVAL.raw_os_error() => self.mount_by_path(),
                _ => Err(error),
            });
            mounted.map_err(|source| SnapshotError::Mount { path: self.merged.clone(), source })?;
        }
        Ok(&self.merged)
    }

    /// overlayfs refuses a layer that was mounted volatile before, since it cannot know of a power cut in between. We
    /// know what we promised for it.
    fn forget_volatile_mount(&self) {
        // Absent after every other mount; if it cannot be removed the mount says so.
        let _ = fs::remove_dir_all(self.work.join("work/incompat"));
    }

    fn mount_by_descriptor(&self) -> io::Result<()> {
        let text = |path: &Path| path.to_str().map(str::to_owned).ok_or(io::ErrorKind::InvalidInput);
        let mut options = Vec::new();
        for path in &self.lower {
            options.push(("lowerdir+", text(path)?));
        }
        options.push(("upperdir", text(&self.upper)?));
        options.push(("workdir", text(&self.work)?));
        if in_user_namespace() {
            options.push(("userxattr", String::new()));
        }
        if self.durability == Durability::Volatile {
            options.push(("volatile", String::new()));
        }
        let options: Vec<(&str, &str)> = options.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let mount = new_filesystem("overlay", Some("overlay"), &options, Attributes::empty())?;
        attach(mount, &self.merged)
    }

    /// One option string of at most a page: layers are named by descriptors, which are short.
    fn mount_by_path(&self) -> io::Result<()> {
        let open = |path: &PathBuf| {
            rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        };
        let opened = self.lower.iter().map(open).collect::<Result<Vec<OwnedFd>, _>>()?;
        let lower: Vec<String> =
            opened.iter().map(|fd| format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).collect();
        let mut options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.join(":"),
            self.upper.display(),
            self.work.display()
        );
        if in_user_namespace() {
            options.push_str(",userxattr");
        }
        if self.durability == Durability::Volatile {
            options.push_str(",volatile");
        }
        let options = std::ffi::CString::new(options)?;
        Ok(rustix::mount::mount("overlay", &self.merged, "overlay", MountFlags::empty(), options.as_c_str())?)
    }

    /// Whether something is mounted at `merged`; never, where the driver copies.
    pub fn is_mounted(&self) -> Result<bool, SnapshotError> {
        let read = |source| SnapshotError::Read { path: self.merged.clone(), source };
        let device = |path: &Path| match fs::metadata(path) {
            Ok(meta) => Ok(Some(meta.dev())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let (inner, outer) = (device(&self.merged).map_err(read)?, device(&self.folder).map_err(read)?);
        Ok(inner.is_some() && inner != outer)
    }

    /// Unmounts the root file system; nothing happens when it is not mounted. Processes that still use it keep it
    /// until they end.
    pub fn unmount(&self) -> Result<(), SnapshotError> {
        match rustix::mount::unmount(&self.merged, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(SnapshotError::Unmount { path: self.merged.clone(), source: error.into() }),
        }
    }

    /// Unmounts the root file system and leaves to the caller when it is freed; nothing when it is not mounted.
    pub fn detach(&self) -> Result<Option<Detached>, SnapshotError> {
        if !self.is_mounted()? {
            return Ok(None);
        }
        let root =
            rustix::fs::open(&self.merged, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| SnapshotError::Unmount {
                    path: self.merged.clone(),
                    source: error.into(),
                })?;
        self.unmount()?;
        Ok(Some(Detached { _root: root }))
    }

    /// Detaches it; answers the folder too, which is the caller's to remove.
    pub fn abandon(self) -> Result<(PathBuf, Option<Detached>), SnapshotError> {
        let detached = self.detach()?;
        Ok((self.folder, detached))
    }

    /// Unmounts it and removes what the container wrote.
    pub fn remove(self) -> Result<(), SnapshotError> {
        self.unmount()?;
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(SnapshotError::Remove { path: self.folder, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Bytes of the files that the container wrote.
    pub fn size(&self) -> Result<u64, SnapshotError> {
        tree_size(self.layer()?).map_err(|source| SnapshotError::Read { path: self.upper.clone(), source })
    }
}

fn tree_size(folder: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let meta = match entry.metadata() {
            // Gone since it was listed: the container runs on.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other?,
        };
        size += if meta.is_dir() { tree_size(&entry.path())? } else { meta.len() };
    }
    Ok(size)
}

fn make(path: &Path) -> Result<(), SnapshotError> {
    let made = fs::create_dir(path).or_else(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Ok(()),
        _ => Err(error),
    });
    made.map_err(|source| SnapshotError::Create { path: path.to_owned(), source })
}

pub(crate) fn copy_owner_and_mode(from: &Path, to: &Path) -> io::Result<()> {
    let meta = fs::metadata(from)?;
    rustix::fs::chownat(
        CWD,
        to,
        Some(rustix::fs::Uid::from_raw(meta.uid())),
        Some(rustix::fs::Gid::from_raw(meta.gid())),
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )?;
    fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    /// Needs root. 127 is what moby's `overlay2` promises; their paths alone fill more than the page that mount(2) takes.
    #[test]
    fn a_hundred_and_twenty_seven_layers_fit_both_ways_of_mounting() {
        let place = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = place.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let lower: Vec<PathBuf> = (0..127)
            .map(|number| {
                let layer =
                    make(&format!("layer-{number:03}-with-a-name-as-long-as-a-digest-is-in-hexadecimal"));
                fs::write(layer.join(number.to_string()), "x").unwrap();
                fs::write(layer.join("topmost"), number.to_string()).unwrap();
                layer
            })
            .collect();
        assert!(lower.iter().map(|path| path.as_os_str().len()).sum::<usize>() > 2 * 4096);
        let snapshot = Snapshot {
            image: ImageId(Digest::of(b"")),
            driver: Driver::Overlay2,
            durability: Durability::Flushed,
            lower,
            upper: make("upper"),
            work: make("work"),
            merged: make("merged"),
            folder: place.path().to_owned(),
        };
        for mount in [Snapshot::mount_by_descriptor, Snapshot::mount_by_path] {
            mount(&snapshot).unwrap();
            let seen = fs::read_dir(&snapshot.merged).map(Iterator::count);
            let topmost = fs::read_to_string(snapshot.merged.join("topmost"));
            snapshot.unmount().unwrap();
            assert_eq!((seen.unwrap(), topmost.unwrap().as_str()), (128, "0"));
        }
    }
}
