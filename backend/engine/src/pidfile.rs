//! The file that says which process the engine is, and keeps another from beginning beside it (moby's `pkg/pidfile`).

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::golang::os_error;

#[derive(Debug, thiserror::Error)]
pub enum PidfileError {
    #[error("failed to create pidfile directory: mkdir {}: {}", path.display(), os_error(source))]
    Folder { path: PathBuf, source: io::Error },
    #[error(
        "failed to start daemon, ensure docker is not running or delete {}: process with PID {pid} is still running", path.display()
    )]
    Running { path: PathBuf, pid: i32 },
    #[error(
        "failed to start daemon, ensure docker is not running or delete {}: open {}: {}", path.display(), path.display(),
        os_error(source)
    )]
    Write { path: PathBuf, source: io::Error },
}

/// Removes the file when it is dropped.
#[derive(Debug)]
pub struct Pidfile(PathBuf);

impl Pidfile {
    /// Writes our number, unless the file has that of a process that runs.
    pub fn write(path: &Path) -> Result<Self, PidfileError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| PidfileError::Folder { path: folder.to_owned(), source })?;
        }
        let own = std::process::id();
        let written = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse::<i32>().ok());
        if let Some(pid) = written.filter(|pid| i64::from(*pid) != i64::from(own) && is_alive(*pid)) {
            return Err(PidfileError::Running { path: path.to_owned(), pid });
        }
        std::fs::write(path, own.to_string())
            .map_err(|source| PidfileError::Write { path: path.to_owned(), source })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::error!("remove {}: {}", self.0.display(), os_error(&error));
        }
    }
}

fn is_alive(pid: i32) -> bool {
    pid > 0 && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_process_that_runs_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x/docker.pid");
        for before in ["", "not a number", "0", "-1", "2147483647"] {
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("make");
            std::fs::write(&path, before).expect("write");
            let pidfile = Pidfile::write(&path).expect(before);
            assert_eq!(std::fs::read_to_string(&path).expect("read"), std::process::id().to_string());
            drop(pidfile);
            assert!(!path.exists());
        }
        std::fs::write(&path, "1").expect("write");
        let error = Pidfile::write(&path).expect_err("init runs").to_string();
        let expected = format!(
            "failed to start daemon, ensure docker is not running or delete {}: process with PID 1 is still running",
            path.display()
        );
        assert_eq!(error, expected);
        assert!(path.exists());
    }
}
