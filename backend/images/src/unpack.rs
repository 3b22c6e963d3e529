//! A layer's tar archive → a folder that overlayfs can take as it is.
//!
//! Layers come from strangers, and this runs as root. Three rules keep one inside its folder: no path and no symbolic
//! link may lead out of it by its words; a path's parent is opened by `openat2` with `RESOLVE_IN_ROOT`, so that a symbolic link (absolute or
//! not) is followed inside the folder only; and the last name is created or removed by `*at` calls that
//! never follow a link.
//!
//! Deletions (`.wh.NAME`) become character devices 0/0 and opaque folders (`.wh..wh..opq`) get
//! `overlay.opaque`, as `trusted.` for mounts by the host's root and as `user.` for those in a user namespace:
//! one unpacked layer serves both (`Documentation/filesystems/overlayfs.rst`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags, makedev,
};
use rustix::io::Errno;
use tar::EntryType;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Large enough that the price of a call does not show.
const BUFFER: usize = 256 << 10;

/// A layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("open {path}")]
    Open { path: PathBuf, source: io::Error },
    #[error("read the archive")]
    Archive(#[source] io::Error),
    #[error("cannot overwrite directory {0:?} with non-directory")]
    OverFolder(PathBuf),
    #[error("cannot overwrite non-directory {0:?} with directory")]
    OverFile(PathBuf),
    #[error("{0:?} is outside of the layer")]
    Escapes(PathBuf),
    #[error("invalid symlink {path:?} -> {target:?}")]
    Symlink { path: PathBuf, target: PathBuf },
    #[error("create {path:?}")]
    Create { path: PathBuf, source: io::Error },
    #[error("write {path:?}")]
    Write { path: PathBuf, source: io::Error },
    #[error("link {path:?} to {target:?}")]
    Link { path: PathBuf, target: PathBuf, source: io::Error },
    #[error("set the owner of {path:?} to {uid}:{gid}{hint}", hint = owner_hint(.source))]
    Owner { path: PathBuf, uid: u64, gid: u64, source: io::Error },
    #[error("set the attributes of {path:?}")]
    Attributes { path: PathBuf, source: io::Error },
}

fn owner_hint(error: &io::Error) -> &'static str {
    // The kernel's answer to an id that the user namespace does not map.
    if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
        ", which this user namespace lacks"
    } else {
        ""
    }
}

/// Unpacks `archive` into the existing folder `target`; answers the bytes of all files, a symbolic link's being its
/// target's name.
pub fn unpack(archive: impl Read, target: &Path) -> Result<u64, UnpackError> {
    let root = rustix::fs::openat(
        CWD,
        target,
        OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW,
        Mode::empty(),
    )
    .map_err(|error| UnpackError::Open { path: target.to_owned(), source: error.into() })?;
    run(archive, root, Form::Layer, None)
}

/// Unpacks an archive that is no layer into the folder `root`: names that mean deletion in a layer are plain names, and
/// the folder itself stays as it is. What is in the way of an entry is replaced, unless both are folders.
pub fn extract(archive: impl Read, root: OwnedFd) -> Result<u64, UnpackError> {
    run(archive, root, Form::Archive, None)
}

/// [`extract`] that refuses to put a file where a folder is, or a folder where a file is.
pub fn copy_in(archive: impl Read, root: OwnedFd) -> Result<u64, UnpackError> {
    run(archive, root, Form::Copy, None)
}

/// [`extract`], and tells the digest of every regular file's content while it passes.
pub fn extract_hashed(archive: impl Read, root: OwnedFd, seen: Seen<'_>) -> Result<u64, UnpackError> {
    run(archive, root, Form::Archive, Some(seen))
}

/// Hears of a file that was written: its path in the archive, its content's digest.
pub type Seen<'a> = &'a mut dyn FnMut(&Path, crate::digest::Digest);

/// Unpacks a layer onto the tree that it is for: what it deletes is removed at once.
pub(crate) fn apply(archive: impl Read, root: OwnedFd) -> Result<u64, UnpackError> {
    run(archive, root, Form::Onto, None)
}

/// What the names in an archive mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Layer,
    Archive,
    /// An archive that replaces files by files alone.
    Copy,
    Onto,
}

impl Form {
    const fn is_plain(self) -> bool {
        matches!(self, Self::Archive | Self::Copy)
    }
}

fn run(archive: impl Read, root: OwnedFd, form: Form, seen: Option<Seen<'_>>) -> Result<u64, UnpackError> {
    let mut unpacking = Unpacking {
        form,
        seen,
        root,
        parent: None,
        folders: BTreeMap::new(),
        made: std::collections::BTreeSet::new(),
        in_user_namespace: in_user_namespace(),
        buffer: vec![0; BUFFER],
        size: 0,
    };
    let mut archive = tar::Archive::new(crate::headers::Checked::new(archive));
    for entry in archive.entries().map_err(UnpackError::Archive)? {
        match entry {
            Ok(entry) => unpacking.entry(entry)?,
            // The docker CLI ends some archives right after the last file. A file that is cut itself is an error before.
            Err(error) if form.is_plain() && is_cut_padding(&error) => break,
            Err(error) => return Err(UnpackError::Archive(error)),
        }
    }
    unpacking.date_folders()?;
    Ok(unpacking.size)
}

/// Whether an archive ended in what fills up the block after a file.
fn is_cut_padding(error: &io::Error) -> bool {
    // The `tar` crate has no kind of its own for it.
    error.to_string() == "unexpected EOF during skip"
}

/// Whether ids are mapped, so that devices cannot be made and `trusted.` attributes not be set.
pub(crate) fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

struct Unpacking<'a> {
    form: Form,
    seen: Option<Seen<'a>>,
    root: OwnedFd,
    /// The parent of the last entry: most entries lie beside their predecessor.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Times of folders, set last because every entry made in one changes it.
    folders: BTreeMap<PathBuf, Timestamps>,
    /// What a layer made that is unpacked onto the tree it is for: a whiteout deletes what lower layers have, not its own
    /// siblings.
    made: std::collections::BTreeSet<PathBuf>,
    in_user_namespace: bool,
    /// Contents on their way.
    buffer: Vec<u8>,
    size: u64,
}

/// What an entry's header and its PAX records say.
struct Attributes {
    uid: u64,
    gid: u64,
    mode: Mode,
    times: Timestamps,
    extended: Vec<(String, Vec<u8>)>,
}

impl Unpacking<'_> {
    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<(), UnpackError> {
        let path = inside(Path::new(std::ffi::OsStr::from_bytes(&entry.path_bytes())))?;
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let attributes = attributes(&mut entry).map_err(UnpackError::Archive)?;
        let Some(name) = path.file_name().map(|name| name.as_bytes().to_vec()) else {
            return if self.form.is_plain() { Ok(()) } else { self.root_folder(&attributes) };
        };
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if self.form.is_plain() {
            self.refuse_exchange(&path, &folder, kind)?;
            return self.create(&path, &folder, kind, &mut entry, &attributes);
        }
        if name == OPAQUE {
            return self.opaque(&folder);
        }
        if let Some(deleted) = name.strip_prefix(WHITEOUT) {
            // aufs kept its own files under this name; they mean nothing here.
            if deleted.starts_with(WHITEOUT) {
                return Ok(());
            }
            return self.whiteout(&folder, deleted);
        }
        self.create(&path, &folder, kind, &mut entry, &attributes)
    }

    fn refuse_exchange(&mut self, path: &Path, folder: &Path, kind: EntryType) -> Result<(), UnpackError> {
        if self.form != Form::Copy {
            return Ok(());
        }
        let parent = self.open_parent(folder)?;
        let name = path.file_name().unwrap_or_default();
        let there = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
        let Ok(there) = there.map(|stat| FileType::from_raw_mode(stat.st_mode)) else { return Ok(()) };
        match (there == FileType::Directory, kind == EntryType::Directory) {
            (true, false) => Err(UnpackError::OverFolder(path.to_owned())),
            (false, true) => Err(UnpackError::OverFile(path.to_owned())),
            _ => Ok(()),
        }
    }

    fn create(
        &mut self,
        path: &Path,
        folder: &Path,
        kind: EntryType,
        entry: &mut tar::Entry<'_, impl Read>,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let name = path.file_name().unwrap_or_default();
        match kind {
            EntryType::Directory => {
                let parent = self.open_parent(folder)?;
                make_folder(parent, name).map_err(|source| created(path, source))?;
                self.folders.insert(path.to_owned(), attributes.times.clone());
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                return self.file(path, folder, entry, attributes);
            }
            EntryType::Link => return self.hard_link(path, folder, entry),
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default().into_owned();
                let target = Path::new(std::ffi::OsStr::from_bytes(&target)).to_owned();
                if !self.form.is_plain() && leaves(folder, &target) {
                    return Err(UnpackError::Symlink { path: path.to_owned(), target });
                }
                let parent = self.open_parent(folder)?;
                in_place_of(parent, name, |parent, name| rustix::fs::symlinkat(&target, parent, name))
                    .map_err(|source| created(path, source))?;
                self.size += target.as_os_str().len() as u64;
            }
            EntryType::Char | EntryType::Block | EntryType::Fifo => {
                if !self.device(path, folder, kind, entry)? {
                    return Ok(());
                }
            }
            // Kinds that Docker, too, does not know: sockets have none, the rest are vendors'.
            _ => return Ok(()),
        }
        self.note(path);
        let parent = self.open_parent(folder)?;
        settle(parent, path, kind, attributes)
    }

    fn file(
        &mut self,
        path: &Path,
        folder: &Path,
        entry: &mut tar::Entry<'_, impl Read>,
        attributes: &Attributes,
    ) -> Result<(), UnpackError> {
        let name = path.file_name().unwrap_or_default();
        let parent = self.open_parent(folder)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = in_place_of(parent, name, |parent, name| {
            rustix::fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR)
        })
        .map_err(|source| created(path, source))?;
        let mut file = File::from(file);
        let failed_write = |source| UnpackError::Write { path: path.to_owned(), source };
        let announced = entry.size();
        let mut hasher = self.seen.as_ref().map(|_| crate::digest::Hasher::default());
        let written = copy(entry, &mut file, &mut self.buffer, hasher.as_mut()).map_err(failed_write)?;
        if let (Some(seen), Some(hasher)) = (&mut self.seen, hasher) {
            seen(path, hasher.finish());
        }
        if written < announced {
            return Err(failed_write(io::ErrorKind::UnexpectedEof.into()));
        }
        self.size += written;
        self.note(path);
        let failed = |source: Errno| UnpackError::Attributes { path: path.to_owned(), source: source.into() };
        let owner = rustix::fs::fchown(&file, Some(uid(attributes.uid)), Some(gid(attributes.gid)));
        owner.map_err(|source| owner_error(path, attributes, source))?;
        // After the owner: changing it clears set-user-id bits and capabilities.
        rustix::fs::fchmod(&file, attributes.mode).map_err(failed)?;
        for (name, value) in &attributes.extended {
            set_attribute(&file, name, value).map_err(failed)?;
        }
        rustix::fs::futimens(&file, &attributes.times).map_err(failed)
    }

    fn hard_link(
        &mut self,
        path: &Path,
        folder: &Path,
        entry: &tar::Entry<'_, impl Read>,
    ) -> Result<(), UnpackError> {
        let target = entry.link_name_bytes().unwrap_or_default().into_owned();
        let target = inside(Path::new(std::ffi::OsStr::from_bytes(&target)))?;
        let linked =
            |source: io::Error| UnpackError::Link { path: path.to_owned(), target: target.clone(), source };
        let Some(target_name) = target.file_name() else { return Err(UnpackError::Escapes(target)) };
        let target_parent = resolve(self.root.as_fd(), target.parent().unwrap_or(Path::new("")))
            .map_err(|source| linked(source.into()))?;
        let parent = self.open_parent(folder)?;
        in_place_of(parent, path.file_name().unwrap_or_default(), |parent, name| {
            rustix::fs::linkat(&target_parent, target_name, parent, name, AtFlags::empty())
        })
        .map_err(|source| linked(source.into()))?;
        self.note(path);
        Ok(())
    }

    /// Makes a device or a pipe. In a user namespace devices are left out, as rootless engines do: the kernel
    /// would refuse both to make and to open them.
    fn device(
        &mut self,
        path: &Path,
        folder: &Path,
        kind: EntryType,
        entry: &tar::Entry<'_, impl Read>,
    ) -> Result<bool, UnpackError> {
        let file_type = match kind {
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        if self.in_user_namespace && kind != EntryType::Fifo {
            tracing::debug!(path = %path.display(), "device left out in a user namespace");
            return Ok(false);
        }
        let device = if kind == EntryType::Fifo { 0 } else { device_number(entry.header())? };
        let parent = self.open_parent(folder)?;
        in_place_of(parent, path.file_name().unwrap_or_default(), |parent, name| {
            rustix::fs::mknodat(parent, name, file_type, Mode::RUSR | Mode::WUSR, device)
        })
        .map_err(|source| created(path, source))?;
        Ok(true)
    }

    fn whiteout(&mut self, folder: &Path, deleted: &[u8]) -> Result<(), UnpackError> {
        let path = folder.join(std::ffi::OsStr::from_bytes(deleted));
        if matches!(deleted, b"" | b"." | b"..") {
            return Err(UnpackError::Escapes(path));
        }
        if self.made.contains(&path) {
            return Ok(());
        }
        let is_onto = self.form == Form::Onto;
        let parent = self.open_parent(folder)?;
        let name = std::ffi::OsStr::from_bytes(deleted);
        // In a folder that was empty before, whatever is there this layer made.
        if !is_onto && rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Ok(());
        }
        if is_onto {
            return match remove(parent, std::ffi::OsStr::from_bytes(deleted)) {
                Ok(()) | Err(Errno::NOENT) => Ok(()),
                Err(source) => Err(created(&path, source)),
            };
        }
        in_place_of(parent, std::ffi::OsStr::from_bytes(deleted), |parent, name| {
            rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0)
        })
        .map_err(|source| created(&path, source))
    }

    fn opaque(&mut self, folder: &Path) -> Result<(), UnpackError> {
        let failed = |source: io::Error| UnpackError::Attributes { path: folder.to_owned(), source };
        self.open_parent(folder)?;
        let folder_fd = rustix::fs::openat2(
            &self.root,
            nonempty(folder),
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT,
        )
        .map_err(|source| failed(source.into()))?;
        if self.form == Form::Onto {
            return empty(&folder_fd).map_err(|source| failed(source.into()));
        }
        mark_opaque(&folder_fd, self.in_user_namespace).map_err(|source| failed(source.into()))
    }

    /// Remembers what was made, where a later entry may ask.
    fn note(&mut self, path: &Path) {
        if self.form == Form::Onto {
            self.made.insert(path.to_owned());
        }
    }

    fn root_folder(&mut self, attributes: &Attributes) -> Result<(), UnpackError> {
        let failed =
            |source: Errno| UnpackError::Attributes { path: PathBuf::from("/"), source: source.into() };
        let owner = rustix::fs::fchown(&self.root, Some(uid(attributes.uid)), Some(gid(attributes.gid)));
        owner.map_err(|source| owner_error(Path::new("/"), attributes, source))?;
        rustix::fs::fchmod(&self.root, attributes.mode).map_err(failed)?;
        self.folders.insert(PathBuf::new(), attributes.times.clone());
        Ok(())
    }

    /// The folder an entry lies in, made when the archive left it out.
    fn open_parent(&mut self, folder: &Path) -> Result<&OwnedFd, UnpackError> {
        if self.parent.as_ref().is_none_or(|(path, _)| path != folder) {
            let opened = match resolve(self.root.as_fd(), folder) {
                Err(Errno::NOENT) => make_parents(self.root.as_fd(), folder),
                other => other,
            };
            let opened = opened.map_err(|source| created(folder, source))?;
            self.parent = Some((folder.to_owned(), opened));
        }
        // Just set where it was not.
        self.parent.as_ref().map(|(_, fd)| fd).ok_or_else(|| created(folder, Errno::NOENT))
    }

    fn date_folders(&mut self) -> Result<(), UnpackError> {
        for (path, times) in std::mem::take(&mut self.folders) {
            // A later entry may have put something else in its place.
            let Ok(folder) = resolve(self.root.as_fd(), &path) else { continue };
            rustix::fs::utimensat(&folder, ".", &times, AtFlags::empty())
                .map_err(|source| UnpackError::Attributes { path, source: source.into() })?;
        }
        Ok(())
    }
}

/// Copies a file's content; what is all zeros becomes a hole.
fn copy(
    from: &mut impl Read,
    to: &mut File,
    buffer: &mut [u8],
    mut hasher: Option<&mut crate::digest::Hasher>,
) -> io::Result<u64> {
    let (mut size, mut is_hole) = (0, false);
    loop {
        let count = fill(from, buffer)?;
        if count == 0 {
            break;
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..count]);
        }
        is_hole = count == buffer.len() && buffer.iter().all(|byte| *byte == 0);
        if is_hole {
            io::Seek::seek_relative(to, count as i64)?;
        } else {
            io::Write::write_all(to, &buffer[..count])?;
        }
        size += count as u64;
    }
    if is_hole {
        to.set_len(size)?;
    }
    Ok(size)
}

/// Reads until the buffer is full or nothing is left.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Sets owner, mode, attributes and time of what is not a regular file, never through a link.
fn settle(
    parent: &OwnedFd,
    path: &Path,
    kind: EntryType,
    attributes: &Attributes,
) -> Result<(), UnpackError> {
    let name = path.file_name().unwrap_or_default();
    let failed = |source: Errno| UnpackError::Attributes { path: path.to_owned(), source: source.into() };
    let owner = Some(uid(attributes.uid));
    rustix::fs::chownat(parent, name, owner, Some(gid(attributes.gid)), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|source| owner_error(path, attributes, source))?;
    if kind == EntryType::Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(parent, name, flags, Mode::empty()).map_err(failed)?;
        rustix::fs::fchmod(&folder, attributes.mode).map_err(failed)?;
        for (name, value) in &attributes.extended {
            set_attribute(&folder, name, value).map_err(failed)?;
        }
        return Ok(());
    }
    if kind != EntryType::Symlink {
        // The name was made just now by us, in a folder that nobody else writes: it is no link.
        rustix::fs::chmodat(parent, name, attributes.mode, AtFlags::empty()).map_err(failed)?;
    }
    rustix::fs::utimensat(parent, name, &attributes.times, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)
}

/// Marks a folder as hiding what lower layers have in it.
pub(crate) fn mark_opaque(folder: impl AsFd, in_user_namespace: bool) -> Result<(), Errno> {
    rustix::fs::fsetxattr(&folder, "user.overlay.opaque", b"y", XattrFlags::empty())?;
    if !in_user_namespace {
        rustix::fs::fsetxattr(&folder, "trusted.overlay.opaque", b"y", XattrFlags::empty())?;
    }
    Ok(())
}

/// Attributes that the file system or the namespace does not allow are left out, as Docker does.
fn set_attribute(file: impl AsFd, name: &str, value: &[u8]) -> Result<(), Errno> {
    let ours = name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.");
    if ours {
        return Ok(());
    }
    match rustix::fs::fsetxattr(file, name, value, XattrFlags::empty()) {
        Err(Errno::NOTSUP | Errno::PERM) => {
            tracing::debug!(attribute = name, "extended attribute left out");
            Ok(())
        }
        other => other,
    }
}

fn attributes(entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Attributes> {
    let mut extended = Vec::new();
    let mut precise = None;
    if let Some(records) = entry.pax_extensions()? {
        for record in records {
            let record = record?;
            let key = String::from_utf8_lossy(record.key_bytes()).into_owned();
            if let Some(name) = key.strip_prefix("SCHILY.xattr.") {
                extended.push((name.to_owned(), record.value_bytes().to_vec()));
            } else if key == "mtime" {
                precise = std::str::from_utf8(record.value_bytes()).ok().and_then(pax_time);
            }
        }
    }
    let header = entry.header();
    let modified =
        precise.unwrap_or(Timespec { tv_sec: header.mtime().unwrap_or_default() as i64, tv_nsec: 0 });
    Ok(Attributes {
        uid: number(&header.as_old().uid, header.uid())?,
        gid: number(&header.as_old().gid, header.gid())?,
        mode: Mode::from_raw_mode(number(&header.as_old().mode, header.mode())? & 0o7777),
        times: Timestamps { last_access: modified, last_modification: modified },
        extended,
    })
}

/// A field that was left empty is zero; one that is no number is an error.
fn number<T: Default>(field: &[u8], parsed: io::Result<T>) -> io::Result<T> {
    let is_empty = field.iter().all(|byte| matches!(byte, 0 | b' '));
    if is_empty { Ok(T::default()) } else { parsed }
}

/// `1700000000.123456789`
fn pax_time(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some(Timespec { tv_sec: seconds.parse().ok()?, tv_nsec: digits.parse().ok()? })
}

/// The path relative to the layer's root, without `.`, `..` and empty parts; one that leads out is refused.
fn inside(path: &Path) -> Result<PathBuf, UnpackError> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        let is_in = match component {
            Component::Normal(name) => {
                clean.push(name);
                true
            }
            Component::RootDir | Component::CurDir => true,
            Component::ParentDir => clean.pop(),
            Component::Prefix(_) => false,
        };
        if !is_in {
            return Err(UnpackError::Escapes(path.to_owned()));
        }
    }
    Ok(clean)
}

/// Whether a link in a folder names, by its words alone, something outside: moby takes no such layer.
fn leaves(folder: &Path, target: &Path) -> bool {
    if target.is_absolute() {
        return false;
    }
    let mut depth = folder.components().count();
    for component in target.components() {
        match component {
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
            _ => {}
        }
    }
    false
}

/// An empty path means the root itself, which `openat2` wants as `.`.
fn nonempty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

fn resolve(root: impl AsFd, folder: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(root, nonempty(folder), flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

fn make_parents(root: impl AsFd, folder: &Path) -> Result<OwnedFd, Errno> {
    let mut reached = PathBuf::new();
    let mut opened = resolve(&root, &reached)?;
    for component in folder.components() {
        reached.push(component);
        opened = match resolve(&root, &reached) {
            Err(Errno::NOENT) => {
                rustix::fs::mkdirat(&opened, component.as_os_str(), Mode::from_raw_mode(0o755))?;
                resolve(&root, &reached)?
            }
            other => other?,
        };
    }
    Ok(opened)
}

fn device_number(header: &tar::Header) -> Result<u64, UnpackError> {
    let major = header.device_major().map_err(UnpackError::Archive)?;
    let minor = header.device_minor().map_err(UnpackError::Archive)?;
    Ok(makedev(major.unwrap_or_default(), minor.unwrap_or_default()))
}

/// A folder that is there already stays, with what is in it.
fn make_folder(parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<(), Errno> {
    let make = |parent: &OwnedFd, name: &std::ffi::OsStr| rustix::fs::mkdirat(parent, name, Mode::RWXU);
    if is_folder(parent, name) { Ok(()) } else { in_place_of(parent, name, make) }
}

fn is_folder(parent: &OwnedFd, name: &std::ffi::OsStr) -> bool {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

/// Makes something under a name; what an earlier entry made there goes first.
fn in_place_of<T>(
    parent: &OwnedFd,
    name: &std::ffi::OsStr,
    make: impl Fn(&OwnedFd, &std::ffi::OsStr) -> Result<T, Errno>,
) -> Result<T, Errno> {
    match make(parent, name) {
        Err(Errno::EXIST) => {
            remove(parent, name)?;
            make(parent, name)
        }
        other => other,
    }
}

fn remove(parent: &OwnedFd, name: &std::ffi::OsStr) -> Result<(), Errno> {
    if !is_folder(parent, name) {
        return rustix::fs::unlinkat(parent, name, AtFlags::empty());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    empty(&folder)?;
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes all that is in a folder.
fn empty(folder: &OwnedFd) -> Result<(), Errno> {
    let entries: Vec<_> = rustix::fs::Dir::read_from(folder)?.collect::<Result<_, _>>()?;
    for entry in entries {
        let entry_name = std::ffi::OsStr::from_bytes(entry.file_name().to_bytes());
        if !matches!(entry_name.as_bytes(), b"." | b"..") {
            remove(folder, entry_name)?;
        }
    }
    Ok(())
}

fn created(path: &Path, source: Errno) -> UnpackError {
    UnpackError::Create { path: path.to_owned(), source: source.into() }
}

fn owner_error(path: &Path, attributes: &Attributes, source: Errno) -> UnpackError {
    UnpackError::Owner {
        path: path.to_owned(),
        uid: attributes.uid,
        gid: attributes.gid,
        source: source.into(),
    }
}

fn uid(id: u64) -> Uid {
    Uid::from_raw(id as u32)
}

fn gid(id: u64) -> Gid {
    Gid::from_raw(id as u32)
}
