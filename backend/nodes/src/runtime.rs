//! `drydock-runtime` as a program: nodes are started by the same runtime as containers.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::id::NodeId;

#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error("cannot start {program}")]
    Start { program: PathBuf, source: io::Error },
    #[error("`drydock-runtime {verb}` failed ({status}): {message}")]
    Failed { verb: &'static str, status: ExitStatus, message: String },
    #[error("cannot read the pid that drydock-runtime wrote")]
    Pid { source: io::Error },
}

#[derive(Debug, Clone)]
pub struct Runtime {
    pub program: PathBuf,
    /// Its `--root`.
    pub state: PathBuf,
}

impl Runtime {
    /// Creates a container from `bundle`, with `sockets` as descriptors 3 and following and its output in `log`. The
    /// runtime inherits the calling thread's mount namespace. Returns the id of its first process.
    pub fn create(
        &self,
        id: &NodeId,
        bundle: &Path,
        sockets: &[OwnedFd],
        log: &File,
    ) -> Result<u32, RuntimeError> {
        let start = |source| RuntimeError::Start { program: self.program.clone(), source };
        let pid_file = bundle.join("pid");
        let messages = bundle.join("runtime.log");
        let mut command = self.command();
        command.arg("--log").arg(&messages).arg("create").arg("--bundle").arg(bundle);
        command.arg("--pid-file").arg(&pid_file).args(["--preserve-fds", &sockets.len().to_string()]);
        command.arg(id.as_str());
        command.stdout(log.try_clone().map_err(start)?).stderr(log.try_clone().map_err(start)?);
        let inherited = drydock_sys::child::inherit(&mut command, sockets).map_err(start)?;
        let status = command.status().map_err(start)?;
        drop(inherited);
        if !status.success() {
            let message = std::fs::read_to_string(&messages).unwrap_or_default();
            return Err(RuntimeError::Failed { verb: "create", status, message: message.trim().to_owned() });
        }
        let pid = std::fs::read_to_string(&pid_file).map_err(|source| RuntimeError::Pid { source })?;
        let bad = |error| RuntimeError::Pid { source: io::Error::new(io::ErrorKind::InvalidData, error) };
        pid.trim().parse().map_err(bad)
    }

    /// Lets the container's own program begin.
    pub fn start(&self, id: &NodeId) -> Result<(), RuntimeError> {
        self.run("start", self.command().args(["start", id.as_str()]))
    }

    /// Removes what the runtime keeps of a container, killing what is left of it. No error when it knows none.
    pub fn delete(&self, id: &NodeId) -> Result<(), RuntimeError> {
        if !self.state.join(id.as_str()).exists() {
            return Ok(());
        }
        self.run("delete", self.command().args(["delete", "--force", id.as_str()]))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--root").arg(&self.state).stdin(Stdio::null());
        command
    }

    fn run(&self, verb: &'static str, command: &mut Command) -> Result<(), RuntimeError> {
        let output = command
            .output()
            .map_err(|source| RuntimeError::Start { program: self.program.clone(), source })?;
        if output.status.success() {
            return Ok(());
        }
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(RuntimeError::Failed { verb, status: output.status, message })
    }
}
