//! Leaving nothing behind.

use crate::bundle::{Bundle, ContainerId};
use crate::cgroup::CgroupError;
use crate::hooks::{HookError, Side, Subject};
use crate::namespaces::has_mount_namespace;
use crate::rootfs::{self, RootfsError};
use crate::signal::{self, SignalError};
use crate::state::{State, StateDir, StateError, Status};

#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped { id: ContainerId, status: Status },
    #[error("end the container")]
    Kill(#[from] SignalError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error(transparent)]
    Root(#[from] RootfsError),
    #[error(transparent)]
    Hook(#[from] HookError),
}

/// Whether a container that still runs is ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Force {
    No,
    Yes,
}

/// Removes the cgroups and the state of a container. Goes on after a failure and reports the first.
pub fn delete(dir: &StateDir, state: &State, force: Force) -> Result<(), DeleteError> {
    let status = dir.status(state);
    match (status, force) {
        (Status::Stopped, _) => {}
        // A container never started has no program to lose.
        (Status::Created, _) | (_, Force::Yes) => end(dir, state)?,
        (status, Force::No) => return Err(DeleteError::NotStopped { id: state.id.clone(), status }),
    }
    // Whatever the first process left running in its cgroups, where no pid namespace ended it.
    let killed = state.cgroup.kill_all().map_err(DeleteError::from);
    let removed = state.cgroup.remove().map_err(DeleteError::from);
    // A container that failed while being made has no copy of its configuration: no mounts to detach, no hooks to run.
    let bundle = dir.config(state).ok();
    let detached = bundle.as_ref().map_or(Ok(()), |bundle| detach(bundle, state));
    let hooks = bundle.as_ref().map_or(Ok(()), |bundle| poststop(bundle, state));
    let forgotten = dir.remove().map_err(DeleteError::from);
    removed.and(killed).and(detached).and(hooks).and(forgotten)
}

fn end(dir: &StateDir, state: &State) -> Result<(), DeleteError> {
    // Opened while it is known to be ours; the descriptor becomes readable when the process ends.
    let pidfd = rustix::process::Pid::from_raw(state.pid)
        .and_then(|pid| rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok());
    match signal::send(dir, state, 9, signal::Whom::First) {
        Err(SignalError::NotRunning) => return Ok(()),
        other => other?,
    }
    if state.cgroup.frozen() {
        state.cgroup.freeze(false)?;
    }
    if let Some(pidfd) = pidfd {
        let mut waiting = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
        let limit = rustix::event::Timespec { tv_sec: 10, tv_nsec: 0 };
        // A timeout shows as a cgroup that cannot be removed.
        let _ = rustix::io::retry_on_intr(|| rustix::event::poll(&mut waiting, Some(&limit)));
    }
    Ok(())
}

fn detach(bundle: &Bundle, state: &State) -> Result<(), DeleteError> {
    match has_mount_namespace(&bundle.linux) {
        true => Ok(()),
        false => Ok(rootfs::detach(&state.rootfs)?),
    }
}

fn poststop(bundle: &Bundle, state: &State) -> Result<(), DeleteError> {
    let hooks = bundle.spec.hooks().as_ref().and_then(|hooks| hooks.poststop().as_deref());
    let (status, side) = (Status::Stopped, Side::Runtime);
    let subject = Subject { id: &state.id, bundle, pid: 0, status, side };
    Ok(subject.run("poststop", hooks)?)
}
