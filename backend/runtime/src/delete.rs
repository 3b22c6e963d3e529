//! Leaving nothing behind.

use crate::bundle::ContainerId;
use crate::cgroup::CgroupError;
use crate::hooks::{HookError, Subject};
use crate::signal::{self, SignalError};
use crate::state::{State, StateDir, StateError, Status};

#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    #[error("cannot delete container {id} that is not stopped: {status:?}")]
    NotStopped { id: ContainerId, status: Status },
    #[error("end the container")]
    Kill(#[from] SignalError),
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    #[error(transparent)]
    State(#[from] StateError),
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
    let hooks = poststop(dir, state);
    let forgotten = dir.remove().map_err(DeleteError::from);
    removed.and(killed).and(hooks).and(forgotten)
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

fn poststop(dir: &StateDir, state: &State) -> Result<(), DeleteError> {
    // A container that failed while being made has no copy of its configuration, and had no hooks to run.
    let Ok(bundle) = dir.config(state) else { return Ok(()) };
    let hooks = bundle.spec.hooks().as_ref().and_then(|hooks| hooks.poststop().as_deref());
    let subject = Subject { id: &state.id, bundle: &bundle, pid: 0, status: Status::Stopped };
    Ok(subject.run("poststop", hooks)?)
}
