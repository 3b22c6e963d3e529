//! Files below a root that is not ours: an image's, or a build's context.
//!
//! Everything in it may come from strangers, links above all. Paths are walked name by name from the root's descriptor and
//! never through the kernel's own idea of `..` or of a link's target: a link is read and its target walked from the root
//! again, so that no path leads out (what `RESOLVE_IN_ROOT` does, and folders can be made on the way).

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;

/// As many links as the kernel follows.
const MOST_LINKS: usize = 40;

/// Who owns what is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    pub uid: u32,
    pub gid: u32,
}

/// A place: a folder's descriptor and a name in it that is no link. Without a name it is the root.
#[derive(Debug)]
pub struct Place {
    pub folder: OwnedFd,
    pub name: Option<OsString>,
    /// Its path with every link resolved; no leading slash.
    pub path: String,
    /// What is there.
    pub found: Option<Stat>,
}

impl Place {
    pub fn kind(&self) -> Option<FileType> {
        self.found.as_ref().map(|stat| FileType::from_raw_mode(stat.st_mode))
    }

    pub fn is_folder(&self) -> bool {
        self.kind() == Some(FileType::Directory)
    }

    /// The name as the calls want it: the root is `.` of itself.
    pub fn name(&self) -> &OsStr {
        self.name.as_deref().unwrap_or(OsStr::new("."))
    }

    /// Opens a folder, to read it and to make files in it.
    pub fn open_folder(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, self.name(), flags, Mode::empty())
    }

    /// Opens a regular file to read it.
    pub fn open_file(&self) -> rustix::io::Result<std::fs::File> {
        // A pipe must not hold us up.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.folder, self.name(), flags, Mode::empty()).map(std::fs::File::from)
    }
}

/// Whether missing folders on the way are made, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Stop,
    Make(Owner),
}

/// Whether a link at the very end is the place, or what it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    Follow,
    Keep,
}

/// Finds a path below `root`.
pub fn find(root: BorrowedFd<'_>, path: &str, missing: Missing, last: Last) -> rustix::io::Result<Place> {
    Walk::new(root, path.as_bytes())?.run(missing, last)
}

/// Makes a folder and those above it; answers whether it was made just now.
pub fn make_folders(root: BorrowedFd<'_>, path: &str, owner: Owner) -> rustix::io::Result<bool> {
    let place = find(root, path, Missing::Make(owner), Last::Follow)?;
    match place.kind() {
        Some(FileType::Directory) => Ok(false),
        Some(_) => Err(Errno::NOTDIR),
        None => make_folder(place.folder.as_fd(), place.name(), owner).map(|()| true),
    }
}

fn make_folder(parent: BorrowedFd<'_>, name: &OsStr, owner: Owner) -> rustix::io::Result<()> {
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    // The mask of the process is not the image's.
    rustix::fs::chmodat(parent, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
    set_owner(parent, name, owner)
}

pub fn set_owner(parent: BorrowedFd<'_>, name: &OsStr, owner: Owner) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(owner.uid), Gid::from_raw(owner.gid));
    rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

/// The names in a folder, sorted.
pub fn names(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(folder)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort();
    Ok(names)
}

pub fn stat(folder: impl AsFd, name: &OsStr) -> rustix::io::Result<Stat> {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
}

struct Walk {
    root: OwnedFd,
    /// The folders entered so far, by name; the last is the current one.
    entered: Vec<(OsString, OwnedFd)>,
    /// Names still to walk, the next one last.
    ahead: Vec<OsString>,
    links: usize,
}

impl Walk {
    fn new(root: BorrowedFd<'_>, path: &[u8]) -> rustix::io::Result<Self> {
        let root = rustix::io::fcntl_dupfd_cloexec(root, 0)?;
        let mut walk = Self { root, entered: Vec::new(), ahead: Vec::new(), links: 0 };
        walk.push(path);
        Ok(walk)
    }

    fn push(&mut self, path: &[u8]) {
        let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
        let parts: Vec<OsString> = parts.map(|part| OsStr::from_bytes(part).to_owned()).collect();
        self.ahead.extend(parts.into_iter().rev());
    }

    fn current(&self) -> &OwnedFd {
        self.entered.last().map_or(&self.root, |(_, folder)| folder)
    }

    fn run(mut self, missing: Missing, last: Last) -> rustix::io::Result<Place> {
        while let Some(name) = self.ahead.pop() {
            if name == ".." {
                self.entered.pop();
                continue;
            }
            let is_last = self.ahead.is_empty();
            let found = match stat(self.current(), &name) {
                Ok(found) => found,
                Err(Errno::NOENT) if is_last => return self.end(name, None),
                Err(Errno::NOENT) => {
                    let Missing::Make(owner) = missing else { return Err(Errno::NOENT) };
                    make_folder(self.current().as_fd(), &name, owner)?;
                    stat(self.current(), &name)?
                }
                Err(error) => return Err(error),
            };
            match FileType::from_raw_mode(found.st_mode) {
                FileType::Symlink if !(is_last && last == Last::Keep) => self.follow(&name)?,
                _ if is_last => return self.end(name, Some(found)),
                FileType::Directory => self.enter(name)?,
                _ => return Err(Errno::NOTDIR),
            }
        }
        // The path ended in `..` or in a link to a folder's parent: the current folder is the place.
        match self.entered.pop() {
            Some((name, _)) => {
                let found = stat(self.current(), &name)?;
                self.end(name, Some(found))
            }
            None => {
                let found = rustix::fs::fstat(&self.root)?;
                Ok(Place { folder: self.root, name: None, path: String::new(), found: Some(found) })
            }
        }
    }

    fn enter(&mut self, name: OsString) -> rustix::io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = rustix::fs::openat(self.current(), &name, flags, Mode::empty())?;
        self.entered.push((name, folder));
        Ok(())
    }

    fn follow(&mut self, name: &OsStr) -> rustix::io::Result<()> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Errno::LOOP);
        }
        let target = rustix::fs::readlinkat(self.current(), name, Vec::new())?.into_bytes();
        if target.starts_with(b"/") {
            self.entered.clear();
        }
        self.push(&target);
        Ok(())
    }

    fn end(mut self, name: OsString, found: Option<Stat>) -> rustix::io::Result<Place> {
        let mut path = String::new();
        for (folder, _) in &self.entered {
            path.push_str(&folder.to_string_lossy());
            path.push('/');
        }
        path.push_str(&name.to_string_lossy());
        let folder = self.entered.pop().map_or(self.root, |(_, folder)| folder);
        Ok(Place { folder, name: Some(name), path, found })
    }
}
