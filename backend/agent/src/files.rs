//! Files: written beside their place and renamed into it, read, listed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use drydock_agent::frame::{self, Frames, to_agent, to_client};
use drydock_agent::protocol::{EntryKind, Parents, TreeEntry, WriteRequest};
use drydock_agent::socket::{Reader, Writer};
use rustix::fs::OFlags;

use crate::door::{Refused, reply};

const PIECE: usize = 64 * 1024;

/// Entries of one listing; their JSON stays below one frame.
const MOST_ENTRIES: usize = 4000;
const LONGEST_LISTING: usize = 512 * 1024;

/// What a relative path is relative to.
const HOME: &str = "/root";

/// A file without its final name; removed when dropped.
struct Partial {
    path: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already once it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes the contents from `INPUT` frames; the first reply says that they may come, the second that the file is there.
pub async fn write(
    request: &WriteRequest,
    mut frames: Frames<Reader>,
    writer: &mut Writer,
) -> Result<(), Refused> {
    let path = Path::new(HOME).join(&request.path);
    let failed = |error: &io::Error| Refused::from_io(&format!("cannot write {}", path.display()), error);
    let (partial, mut file) = begin(&path, request).map_err(|error| failed(&error))?;
    reply(writer, &()).await?;
    while let Some(frame) = frames.next().await.map_err(Refused::gone)? {
        match frame.kind {
            to_agent::INPUT => file.write_all(&frame.payload).map_err(|error| failed(&error))?,
            to_agent::END => {
                fs::rename(&partial.path, &path).map_err(|error| failed(&error))?;
                return reply(writer, &()).await;
            }
            other => return Err(Refused::invalid(format!("unexpected frame of type {other}"))),
        }
    }
    Ok(())
}

fn begin(path: &Path, request: &WriteRequest) -> io::Result<(Partial, File)> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    if request.parents == Parents::Create {
        fs::create_dir_all(parent)?;
    }
    let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut partial_name = std::ffi::OsString::from(".");
    partial_name.push(name);
    // Two writers of one name must not share a partial file.
    partial_name.push(format!(".{:x}", unique()));
    let partial = parent.join(partial_name);
    let file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
    let partial = Partial { path: partial };
    file.set_permissions(Permissions::from_mode(request.mode & 0o7777))?;
    Ok((partial, file))
}

fn unique() -> u32 {
    static LAST: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Sends a regular file.
pub async fn read(path: &str, writer: &mut Writer) -> Result<(), Refused> {
    let path = Path::new(HOME).join(path);
    let failed = |error: &io::Error| Refused::from_io(&format!("cannot read {}", path.display()), error);
    // A fifo would block the open, and with it the whole agent.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file =
        OpenOptions::new().read(true).custom_flags(flags).open(&path).map_err(|error| failed(&error))?;
    if !file.metadata().map_err(|error| failed(&error))?.is_file() {
        return Err(Refused::invalid(format!("{} is no regular file", path.display())));
    }
    reply(writer, &()).await?;
    let mut piece = vec![0; PIECE];
    loop {
        let count = file.read(&mut piece).map_err(|error| failed(&error))?;
        if count == 0 {
            return frame::write(writer, to_client::END, &[]).await.map_err(Refused::gone);
        }
        frame::write(writer, to_client::STDOUT, &[&piece[..count]]).await.map_err(Refused::gone)?;
    }
}

/// Everything below `path`, sorted, parents first, not following links.
pub async fn tree(path: &str, depth: u32) -> Result<Vec<TreeEntry>, Refused> {
    let root = Path::new(HOME).join(path);
    let failed = format!("cannot list {}", root.display());
    // A deep tree takes long, and terminals must not wait for it.
    let listing = tokio::task::spawn_blocking(move || {
        let mut listing = Listing { root: &root, entries: Vec::new(), length: 0 };
        listing.add(&root, depth).map(|()| listing.entries)
    });
    let listing = listing.await.unwrap_or_else(|panic| Err(io::Error::other(panic)));
    listing.map_err(|error| Refused::from_io(&failed, &error))
}

struct Listing<'a> {
    root: &'a Path,
    entries: Vec<TreeEntry>,
    length: usize,
}

impl Listing<'_> {
    fn add(&mut self, directory: &Path, depth: u32) -> io::Result<()> {
        let mut names: Vec<PathBuf> =
            fs::read_dir(directory)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        names.sort_unstable();
        for path in names {
            if self.entries.len() >= MOST_ENTRIES || self.length >= LONGEST_LISTING {
                return Ok(());
            }
            // What vanished meanwhile, or has no UTF-8 name, is left out.
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let Some(relative) = path.strip_prefix(self.root).ok().and_then(Path::to_str) else { continue };
            self.length += relative.len() + 48;
            self.entries.push(TreeEntry {
                path: relative.to_owned(),
                kind: kind(&metadata),
                size: metadata.size(),
            });
            if metadata.is_dir() && depth > 1 {
                // A directory one may not read is listed, its contents are not.
                let _ = self.add(&path, depth - 1);
            }
        }
        Ok(())
    }
}

fn kind(metadata: &fs::Metadata) -> EntryKind {
    match metadata.file_type() {
        kind if kind.is_file() => EntryKind::File,
        kind if kind.is_dir() => EntryKind::Directory,
        kind if kind.is_symlink() => EntryKind::Link,
        _ => EntryKind::Other,
    }
}
