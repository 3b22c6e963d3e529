//! A container's file system as it sees it itself, with its volumes: for `docker cp`.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::container::mounts::clean;
use crate::container::{Container, Record};
use crate::engine::Engine;
use crate::image::RootfsError;

/// Held while files are read or written. Unmounts again what it mounted.
#[derive(Debug)]
pub struct View {
    engine: Arc<Engine>,
    container: Arc<Container>,
    record: Record,
    root: PathBuf,
    mounted: bool,
}

impl View {
    pub fn open(engine: &Arc<Engine>, container: &Arc<Container>) -> Result<Self, RootfsError> {
        let record = container.record().clone();
        let live = record.state.status.is_live();
        let root = if live {
            // The kernel's own picture of the running container, mounts and all.
            PathBuf::from(format!("/proc/{}/root", record.state.pid))
        } else {
            engine.images.mount_rootfs(container.id.as_str())?
        };
        Ok(Self { engine: engine.clone(), container: container.clone(), record, root, mounted: !live })
    }

    /// Opens a place without following a link at its end, unless `follow`.
    pub fn open_place(&self, path: &str, follow: bool) -> rustix::io::Result<OwnedFd> {
        let (root, path) = self.below(path);
        let root = rustix::fs::open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        let flags = OFlags::PATH | OFlags::CLOEXEC | if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
        rustix::fs::openat2(&root, &path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
    }

    /// The mount a path of a stopped container is in, and the rest of the path.
    fn below(&self, path: &str) -> (PathBuf, String) {
        let path = clean(path);
        let dot = |rest: &str| if rest.is_empty() { ".".to_owned() } else { rest.to_owned() };
        let points = self.record.mounts.iter().filter(|point| self.mounted && !point.source.is_empty());
        let inside = points.filter_map(|point| {
            let rest = path.strip_prefix(&point.destination)?;
            (rest.is_empty() || rest.starts_with('/')).then_some((point, rest))
        });
        match inside.max_by_key(|(point, _)| point.destination.len()) {
            Some((point, rest)) => (PathBuf::from(&point.source), dot(rest.trim_start_matches('/'))),
            None => (self.root.clone(), dot(path.trim_start_matches('/'))),
        }
    }

    /// Where a path leads when every link is followed, as the container names the place.
    pub fn where_it_leads(&self, path: &str) -> Option<String> {
        let place = self.open_place(path, true).ok()?;
        let real = std::fs::read_link(path_of(&place)).ok()?;
        // Of a running container the kernel says the path in its own root already, of a stopped one in ours.
        let root = if self.mounted { std::fs::canonicalize(&self.root).ok()? } else { PathBuf::from("/") };
        Some(clean(&real.strip_prefix(root).ok()?.to_string_lossy()))
    }

    /// What forbids writing there by the container's own settings.
    pub fn read_only(&self, path: &str) -> Option<&'static str> {
        let path = clean(path);
        let point = self
            .record
            .mounts
            .iter()
            .filter(|point| Path::new(&path).starts_with(&point.destination))
            .max_by_key(|point| point.destination.len());
        match point {
            Some(point) => (!point.writable).then_some("mounted volume"),
            None => self.record.host_config.readonly_rootfs.unwrap_or(false).then_some("container rootfs"),
        }
    }
}

/// The path of an open place, for calls that take none.
pub fn path_of(place: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", place.as_raw_fd()))
}

impl Drop for View {
    fn drop(&mut self) {
        // A container that was started meanwhile needs its root file system.
        let idle = self.container.run.try_lock();
        if self.mounted && idle.is_ok() && !self.container.status().is_live() {
            let _ = self.engine.images.unmount_rootfs(self.container.id.as_str());
        }
    }
}
