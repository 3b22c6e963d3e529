//! An append-only file of sealed frames.
//!
//! ```text
//! frame = mark (4) │ length (4, LE) │ number (8, LE) │ sealed bytes
//! ```
//!
//! Whatever is appended at once is one frame, and only the last frame can be torn by a crash: nobody was told that it is on disk. A
//! frame that does not open is therefore dropped when nothing valid follows it, and is a damaged file when something does: the number,
//! which the seal is bound to, tells.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::identity::SealKey;

const MARK: [u8; 4] = *b"frm1";
const HEADER: usize = 16;

/// Why a file of frames cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("cannot {step} {path}")]
    Io {
        step: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{path} is damaged at byte {offset}, or sealed with another key")]
    Damaged { path: PathBuf, offset: usize },
}

/// The open file. Not shared: one writer, no readers beside it.
#[derive(Debug)]
pub struct Frames {
    path: PathBuf,
    file: File,
    key: SealKey,
    length: u64,
    next_number: u64,
}

impl Frames {
    /// Opens or creates the file and hands each frame's bytes to `take`, oldest first. A torn tail is cut off.
    pub fn open(path: &Path, key: SealKey, mut take: impl FnMut(Vec<u8>)) -> Result<Self, FrameError> {
        let failed = |step| move |cause| FrameError::Io { step, path: path.to_owned(), cause };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("create the folder of"))?;
        }
        let mut file = options().open(path).map_err(failed("open"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed("read"))?;
        let (mut offset, mut number) = (0, 0);
        while let Some((plain, length)) = frame_at(&bytes[offset..], &key, |found| found == number) {
            take(plain);
            offset += length;
            number += 1;
        }
        if offset < bytes.len() {
            if has_later_frame(&bytes[offset..], &key, number) || (offset == 0 && is_whole(&bytes)) {
                return Err(FrameError::Damaged { path: path.to_owned(), offset });
            }
            file.set_len(offset as u64)
                .and_then(|()| file.sync_all())
                .map_err(failed("cut the torn end of"))?;
        }
        let length = offset as u64;
        file.seek(SeekFrom::Start(length)).map_err(failed("seek in"))?;
        Ok(Self { path: path.to_owned(), file, key, length, next_number: number })
    }

    /// Appends one frame and waits for the disk. When it fails, nothing of the frame remains.
    pub fn append(&mut self, plain: &[u8]) -> Result<(), FrameError> {
        let frame = encode(&self.key, self.next_number, plain);
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        if let Err(cause) = written {
            self.take_back();
            return Err(self.failed("append to", cause));
        }
        self.length += frame.len() as u64;
        self.next_number += 1;
        Ok(())
    }

    /// Replaces everything by `frames`, sealed with `key`: the old file stands until the new one is whole.
    pub fn rewrite<'a>(
        &mut self,
        key: SealKey,
        frames: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), FrameError> {
        let next = self.path.with_extension("next");
        let build = || -> io::Result<(File, u64, u64)> {
            let mut file = options().truncate(true).open(&next)?;
            let (mut length, mut number) = (0, 0);
            for plain in frames {
                let frame = encode(&key, number, plain);
                file.write_all(&frame)?;
                length += frame.len() as u64;
                number += 1;
            }
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            sync_folder(&self.path)?;
            Ok((file, length, number))
        };
        let (file, length, next_number) = match build() {
            Ok(built) => built,
            Err(cause) => {
                // What is left of it only takes room.
                let _ = fs::remove_file(&next);
                return Err(self.failed("rewrite", cause));
            }
        };
        (self.file, self.key, self.length, self.next_number) = (file, key, length, next_number);
        Ok(())
    }

    /// Whether so many bytes beside the file reach the disk. They are taken back.
    pub fn try_room(&self, bytes: usize) -> Result<(), FrameError> {
        let path = self.path.with_extension("room");
        let write = || -> io::Result<()> {
            let mut file = options().truncate(true).open(&path)?;
            file.write_all(&vec![0; bytes])?;
            file.sync_all()
        };
        let written = write();
        let _ = fs::remove_file(&path);
        written.map_err(|cause| self.failed("append to", cause))
    }

    /// Bytes in the file.
    pub fn len(&self) -> u64 {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn key(&self) -> &SealKey {
        &self.key
    }

    /// A disk that has no room for a frame has room for a shorter file.
    fn take_back(&mut self) {
        let cut = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        if let Err(error) = cut {
            tracing::error!(%error, path = %self.path.display(), "a half-written frame stays until the next start");
        }
    }

    fn failed(&self, step: &'static str, cause: io::Error) -> FrameError {
        FrameError::Io { step, path: self.path.clone(), cause }
    }
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    options
}

/// A rename is on disk when its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn encode(key: &SealKey, number: u64, plain: &[u8]) -> Vec<u8> {
    let sealed = key.seal(&number.to_le_bytes(), plain);
    let mut frame = Vec::with_capacity(HEADER + sealed.len());
    frame.extend_from_slice(&MARK);
    frame.extend_from_slice(&(sealed.len() as u32).to_le_bytes());
    frame.extend_from_slice(&number.to_le_bytes());
    frame.extend_from_slice(&sealed);
    frame
}

/// The frame at the start of `bytes`, when it is whole and its number is wanted: its bytes and its length in the file.
fn frame_at(bytes: &[u8], key: &SealKey, is_wanted: impl Fn(u64) -> bool) -> Option<(Vec<u8>, usize)> {
    let header = bytes.get(..HEADER)?;
    let length = u32::from_le_bytes(header[4..8].try_into().ok()?) as usize;
    let number = u64::from_le_bytes(header[8..16].try_into().ok()?);
    if header[..4] != MARK || !is_wanted(number) {
        return None;
    }
    let sealed = bytes.get(HEADER..HEADER.checked_add(length)?)?;
    let plain = key.open(&number.to_le_bytes(), sealed).ok()?;
    Some((plain, HEADER + length))
}

/// Whether the file holds all of its first frame: when that does not open, the key is another one.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(length) = bytes.get(4..8).and_then(|length| <[u8; 4]>::try_from(length).ok()) else {
        return false;
    };
    bytes.starts_with(&MARK) && bytes.len() >= HEADER + u32::from_le_bytes(length) as usize
}

fn has_later_frame(bytes: &[u8], key: &SealKey, number: u64) -> bool {
    let marks = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.skip(1).any(|(offset, _)| frame_at(&bytes[offset..], key, |found| found > number).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Shelf {
        folder: tempfile::TempDir,
        key: SealKey,
    }

    impl Shelf {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap(), key: SealKey::generate() }
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("log")
        }

        fn open(&self) -> Result<(Frames, Vec<Vec<u8>>), FrameError> {
            let mut seen = Vec::new();
            let frames = Frames::open(&self.path(), self.key.clone(), |plain| seen.push(plain))?;
            Ok((frames, seen))
        }

        fn filled() -> Self {
            let shelf = Self::new();
            let (mut frames, _) = shelf.open().unwrap();
            for plain in [&b"one"[..], b"two", b"three"] {
                frames.append(plain).unwrap();
            }
            shelf
        }
    }

    #[test]
    fn frames_come_back_in_order_and_nothing_of_them_is_readable_on_disk() {
        let shelf = Shelf::filled();
        assert_eq!(shelf.open().unwrap().1, [&b"one"[..], b"two", b"three"]);
        let bytes = fs::read(shelf.path()).unwrap();
        assert!(!bytes.windows(5).any(|window| window == b"three"));
    }

    #[test]
    fn a_tail_torn_at_any_byte_loses_only_the_last_frame() {
        let whole = fs::read(Shelf::filled().path()).unwrap().len();
        let last = HEADER + 12 + 5 + 16;
        for cut in 1..=last {
            let shelf = Shelf::filled();
            let file = OpenOptions::new().write(true).open(shelf.path()).unwrap();
            file.set_len((whole - cut) as u64).unwrap();
            let (mut frames, seen) = shelf.open().unwrap();
            assert_eq!(seen, [&b"one"[..], b"two"], "{cut} bytes short");
            frames.append(b"four").unwrap();
            assert_eq!(shelf.open().unwrap().1, [&b"one"[..], b"two", b"four"]);
        }
    }

    #[test]
    fn a_tail_of_zeros_is_torn_too() {
        let shelf = Shelf::filled();
        let length = fs::metadata(shelf.path()).unwrap().len();
        OpenOptions::new().write(true).open(shelf.path()).unwrap().set_len(length + 4096).unwrap();
        assert_eq!(shelf.open().unwrap().1.len(), 3);
    }

    #[test]
    fn a_damaged_frame_before_a_good_one_is_not_passed_over() {
        let shelf = Shelf::filled();
        let mut bytes = fs::read(shelf.path()).unwrap();
        bytes[HEADER + 20] ^= 1;
        fs::write(shelf.path(), bytes).unwrap();
        assert!(matches!(shelf.open(), Err(FrameError::Damaged { .. })));
    }

    #[test]
    fn another_key_does_not_empty_the_file() {
        let shelf = Shelf::filled();
        let before = fs::read(shelf.path()).unwrap();
        let other = Frames::open(&shelf.path(), SealKey::generate(), |_| {});
        assert!(matches!(other, Err(FrameError::Damaged { .. })));
        assert_eq!(fs::read(shelf.path()).unwrap(), before);
    }

    #[test]
    fn a_rewrite_may_change_the_key() {
        let shelf = Shelf::filled();
        let (mut frames, seen) = shelf.open().unwrap();
        let next = SealKey::generate();
        frames.rewrite(next.clone(), seen[1..].iter().map(Vec::as_slice)).unwrap();
        frames.append(b"four").unwrap();
        let mut again = Vec::new();
        Frames::open(&shelf.path(), next, |plain| again.push(plain)).unwrap();
        assert_eq!(again, [&b"two"[..], b"three", b"four"]);
    }
}
