//! A node's disk: a sparse ext4 image, whose size is the node's hard quota.
//!
//! Formatting once per size and copying the few written blocks (about 90 KiB for 10 GiB) costs under a millisecond,
//! so no pool of ready disks is needed. No journal: the disk ends with its node.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{SeekFrom, seek};

#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    #[error("cannot start mkfs.ext4 (Debian package e2fsprogs)")]
    Format { source: io::Error },
    #[error("mkfs.ext4 failed: {message}")]
    Formatting { message: String },
    #[error("cannot make {path}")]
    Template { path: PathBuf, source: io::Error },
    #[error("cannot copy an empty disk to {path}")]
    Copy { path: PathBuf, source: io::Error },
}

/// Makes an empty disk of `bytes` at `path`.
pub fn make(templates: &Path, bytes: u64, path: &Path) -> Result<(), DiskError> {
    let template = template(templates, bytes)?;
    copy_sparse(&template, path).map_err(|source| DiskError::Copy { path: path.to_owned(), source })
}

fn template(folder: &Path, bytes: u64) -> Result<PathBuf, DiskError> {
    let path = folder.join(format!("{bytes}.ext4"));
    if path.exists() {
        return Ok(path);
    }
    // Two nodes may be the first of their size at once; whoever renames last wins, with an equal file.
    let partial = folder.join(format!("{bytes}.{:?}.partial", std::thread::current().id()));
    let failed = |source| DiskError::Template { path: path.clone(), source };
    File::create(&partial).and_then(|file| file.set_len(bytes)).map_err(failed)?;
    format(&partial)?;
    fs::rename(&partial, &path).map_err(failed)?;
    Ok(path)
}

fn format(path: &Path) -> Result<(), DiskError> {
    let output = Command::new("mkfs.ext4")
        // The loop device's blocks; a small disk would get smaller ones, which it cannot read.
        .args(["-q", "-F", "-m", "0", "-i", "16384", "-b", "4096"])
        .args(["-O", "^has_journal,sparse_super2,^resize_inode", "-E", "lazy_itable_init=1,nodiscard"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| DiskError::Format { source })?;
    match output.status.success() {
        true => Ok(()),
        false => {
            Err(DiskError::Formatting { message: String::from_utf8_lossy(&output.stderr).trim().to_owned() })
        }
    }
}

fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    let source = File::open(from)?;
    let length = source.metadata()?.len();
    let copy = OpenOptions::new().write(true).create_new(true).open(to)?;
    copy.set_len(length)?;
    let mut at = 0;
    while at < length {
        at = match seek(&source, SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let hole = seek(&source, SeekFrom::Hole(at))?;
        let mut piece = vec![0; (hole - at) as usize];
        source.read_exact_at(&mut piece, at)?;
        copy.write_all_at(&piece, at)?;
        at = hole;
    }
    Ok(())
}

/// Whether a loop device still has the file open. The kernel's list, since the device's number is
/// nobody's until it is attached.
pub fn is_attached(path: &Path) -> io::Result<bool> {
    for entry in fs::read_dir("/sys/block")? {
        let entry = entry?;
        if !entry.file_name().as_encoded_bytes().starts_with(b"loop") {
            continue;
        }
        // The file is there only while a device is attached.
        let Ok(backing) = fs::read_to_string(entry.path().join("loop/backing_file")) else { continue };
        if Path::new(backing.trim_end()) == path {
            return Ok(true);
        }
    }
    Ok(false)
}
