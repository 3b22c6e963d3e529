//! Programs the configuration wants run at points of a container's life, with its state on their stdin.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use oci_spec::runtime::Hook;
use serde::Serialize;

use crate::bundle::{Bundle, ContainerId};
use crate::cgroup::wait_until;
use crate::state::{OCI_VERSION, Status};

#[derive(Debug, thiserror::Error)]
pub enum HookError {
    #[error("{point} hook {path}: start")]
    Start {
        point: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{point} hook {path}: wait")]
    Wait {
        point: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{point} hook {path}: {status}")]
    Failed { point: &'static str, path: PathBuf, status: ExitStatus },
    #[error("{point} hook {path}: still running after {seconds} s")]
    Timeout { point: &'static str, path: PathBuf, seconds: i64 },
}

/// The specification's state, as hooks get it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HookState<'a> {
    oci_version: &'a str,
    id: &'a ContainerId,
    status: Status,
    pid: i32,
    bundle: &'a std::path::Path,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: &'a Option<std::collections::HashMap<String, String>>,
}

/// The container the hooks of one point are run for.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub id: &'a ContainerId,
    pub bundle: &'a Bundle,
    pub pid: i32,
    pub status: Status,
    pub side: Side,
}

/// Which side of the container runs a hook, and so whose environment it has if the configuration gives it none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This program's.
    Runtime,
    /// That of the container's process.
    Container,
}

impl Subject<'_> {
    /// Runs the hooks of `point` in order; the first failure ends it.
    pub fn run(&self, point: &'static str, hooks: Option<&[Hook]>) -> Result<(), HookError> {
        hooks.unwrap_or_default().iter().try_for_each(|hook| self.run_one(point, hook))
    }

    pub(crate) fn state(&self) -> HookState<'_> {
        HookState {
            oci_version: OCI_VERSION,
            id: self.id,
            status: self.status,
            pid: self.pid,
            bundle: &self.bundle.dir,
            annotations: self.bundle.spec.annotations(),
        }
    }

    fn run_one(&self, point: &'static str, hook: &Hook) -> Result<(), HookError> {
        let path = || hook.path().clone();
        let mut child =
            self.start(hook).map_err(|source| HookError::Start { point, path: path(), source })?;
        let status = match hook.timeout() {
            Some(seconds) if seconds > 0 => {
                let limit = Duration::from_secs(seconds.unsigned_abs());
                if !wait_until(limit, || !matches!(child.try_wait(), Ok(None))) {
                    // It is our own unreaped child; killing cannot fail in a way that matters.
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(HookError::Timeout { point, path: path(), seconds });
                }
                child.wait()
            }
            _ => child.wait(),
        };
        let status = status.map_err(|source| HookError::Wait { point, path: path(), source })?;
        if status.success() { Ok(()) } else { Err(HookError::Failed { point, path: path(), status }) }
    }

    fn start(&self, hook: &Hook) -> io::Result<Child> {
        let mut command = Command::new(hook.path());
        if let Some((name, rest)) = hook.args().as_deref().and_then(<[String]>::split_first) {
            command.arg0(name).args(rest);
        }
        let given = match (hook.env(), self.side) {
            (Some(given), _) => Some(given),
            (None, Side::Container) => self.bundle.process.env().as_ref(),
            (None, Side::Runtime) => None,
        };
        if let Some(given) = given {
            command.env_clear().envs(given.iter().filter_map(|variable| variable.split_once('=')));
        }
        command.stdin(Stdio::piped());
        let mut child = command.spawn()?;
        let text = serde_json::to_vec(&self.state())?;
        if let Some(mut stdin) = child.stdin.take() {
            match stdin.write_all(&text) {
                // A hook that does not read its state is free not to.
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error),
                _ => {}
            }
        }
        Ok(child)
    }
}
