//! Files that are replaced whole, so that a reader or a crash sees the old content or the new.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::snapshot::Durability;

/// Writes `bytes` into a file of its own in `tmp`, flushes them to the disk, then renames and flushes the folder.
/// Several may replace one file at a time: the last one stays.
pub(crate) fn replace_durably(path: &Path, bytes: &[u8], tmp: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(tmp)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    file.persist(path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Replaces a file whole; flushed, or in memory only until the kernel writes it.
pub(crate) fn replace(path: &Path, bytes: &[u8], tmp: &Path, durability: Durability) -> io::Result<()> {
    if durability == Durability::Flushed {
        return replace_durably(path, bytes, tmp);
    }
    let mut file = tempfile::NamedTempFile::new_in(tmp)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}
