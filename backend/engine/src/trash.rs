//! What is cleared away behind the caller: the folders of removed containers, and their file systems.
//!
//! A removal is one rename into `trash/`, after which nothing finds the container any more; unlinking its files and
//! freeing its overlay (which flushes the file system below) would cost the caller more than the rest of
//! `docker rm`. One thread does it, so that many removals at once leave the processors to containers. What a killed
//! engine left in `trash/` is cleared at the next start.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use drydock_images::Detached;

#[derive(Debug)]
pub struct Trash {
    /// `DATA_ROOT/trash` and `EXEC_ROOT/trash`: a rename stays within one file system.
    folders: Vec<PathBuf>,
    queue: mpsc::Sender<Junk>,
    number: AtomicU64,
}

#[derive(Debug)]
enum Junk {
    Folder(PathBuf),
    Root(Detached),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("create {path}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("start the thread that empties the trash")]
    Thread(#[source] io::Error),
}

impl Trash {
    /// A trash in each of `roots`, which is emptied of what is left from before.
    pub fn open(roots: [&Path; 2]) -> Result<Self, OpenError> {
        let (queue, junk) = mpsc::channel();
        let folders: Vec<PathBuf> = roots.iter().map(|root| root.join("trash")).collect();
        for path in &folders {
            let at = |source| OpenError::Folder { path: path.clone(), source };
            std::fs::create_dir_all(path).map_err(at)?;
            for left in std::fs::read_dir(path).map_err(at)? {
                // The receiver lives as long as the thread, which is about to begin.
                let _ = queue.send(Junk::Folder(left.map_err(at)?.path()));
            }
        }
        std::thread::Builder::new()
            .name("trash".to_owned())
            .stack_size(256 << 10)
            .spawn(move || junk.into_iter().for_each(clear))
            .map_err(OpenError::Thread)?;
        // Numbers go on above any that a crash may have left.
        let start = std::time::UNIX_EPOCH.elapsed().map_or(0, |age| age.as_nanos() as u64);
        Ok(Self { folders, queue, number: AtomicU64::new(start) })
    }

    /// Takes a folder out of sight and removes it later; one that is not there is no error.
    pub fn take(&self, path: &Path) -> io::Result<()> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        for folder in &self.folders {
            let place = folder.join(number.to_string());
            match std::fs::rename(path, &place) {
                Ok(()) => {
                    self.clear_later(Junk::Folder(place));
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {}
                Err(error) => return Err(error),
            }
        }
        std::fs::remove_dir_all(path)
    }

    /// Frees a file system later.
    pub fn free(&self, root: Detached) {
        self.clear_later(Junk::Root(root));
    }

    fn clear_later(&self, junk: Junk) {
        // Without the thread it is cleared here and now.
        if let Err(mpsc::SendError(junk)) = self.queue.send(junk) {
            clear(junk);
        }
    }
}

fn clear(junk: Junk) {
    match junk {
        Junk::Root(root) => drop(root),
        Junk::Folder(path) => {
            if let Err(error) = std::fs::remove_dir_all(&path) {
                tracing::error!(path = %path.display(), %error, "empty the trash");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_gone_at_once_and_what_was_left_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let [data, exec, thing] = ["data", "exec", "data/thing"].map(|name| folder.path().join(name));
        for path in [&thing, &exec, &data.join("trash/left")] {
            std::fs::create_dir_all(path).unwrap();
        }
        std::fs::write(thing.join("file"), "x").unwrap();
        let trash = Trash::open([&data, &exec]).unwrap();
        trash.take(&thing).unwrap();
        assert!(!thing.exists());
        trash.take(&thing).unwrap();
        while std::fs::read_dir(data.join("trash")).unwrap().next().is_some() {
            std::thread::yield_now();
        }
    }
}
