//! Letting a created container execute its program.

use std::io;
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::bundle::Bundle;
use crate::channel::{FromChild, FromParent, ToChild};
use crate::create::{Created, short_path};
use crate::failure::ChildFailure;
use crate::hooks::{HookError, Side, Subject};
use crate::init::HOOK_STEP;
use crate::state::{State, StateDir, StateError, Status};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{}", match .0 {
        Status::Stopped => "cannot start a container that has stopped",
        Status::Running => "cannot start an already running container",
        Status::Paused => "cannot start a container in the paused state",
        Status::Creating | Status::Created => "cannot start a container that is still being created",
    })]
    NotCreated(Status),
    #[error("connect to {path}")]
    Connect {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("tell the container to start")]
    Tell(#[source] io::Error),
    #[error(transparent)]
    Child(#[from] ChildFailure),
    #[error("the container did not understand")]
    Protocol,
    #[error(transparent)]
    Config(#[from] StateError),
    #[error(transparent)]
    Hook(#[from] HookError),
}

/// Starts what this process created. Returns when the program runs, or when somebody's signal, which
/// reaches a container from the moment its state is written, has ended it before: its exit tells that.
pub fn start_own(created: &Created, bundle: &Bundle) -> Result<(), StartError> {
    match release(&created.channel) {
        Err(StartError::Tell(error)) if was_killed(&error) => return Ok(()),
        released => released?,
    }
    poststart(bundle, &created.state)
}

fn was_killed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Starts what any process created with [`crate::create::Starter::Anyone`].
pub fn start(dir: &StateDir, state: &State) -> Result<(), StartError> {
    let status = dir.status(state);
    if status != Status::Created {
        return Err(StartError::NotCreated(status));
    }
    let path = dir.start_socket();
    let connected = || -> io::Result<_> {
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let folder = std::fs::File::open(dir.path())?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(short_path(&folder, &path))?)?;
        Ok(ToChild::from_socket(socket))
    };
    let channel = connected().map_err(|source| StartError::Connect { path: path.clone(), source })?;
    let released = release(&channel);
    // Gone or started: either way nobody listens there any more.
    let _ = std::fs::remove_file(&path);
    let bundle = dir.config(state)?;
    match released {
        // As runc has it: for those outside, a container whose own startContainer hook failed had been started.
        Err(StartError::Child(failure)) if failure.step == HOOK_STEP => {
            poststart(&bundle, state)?;
            Err(failure.into())
        }
        released => released.and_then(|()| poststart(&bundle, state)),
    }
}

fn release(channel: &ToChild) -> Result<(), StartError> {
    channel.tell(FromParent::Start).map_err(StartError::Tell)?;
    match channel.hear().map_err(StartError::Tell)? {
        FromChild::Closed => Ok(()),
        FromChild::Failed(failure) => Err(failure.into()),
        _ => Err(StartError::Protocol),
    }
}

fn poststart(bundle: &Bundle, state: &State) -> Result<(), StartError> {
    let hooks = bundle.spec.hooks().as_ref().and_then(|hooks| hooks.poststart().as_deref());
    let (status, side) = (Status::Running, Side::Runtime);
    let subject = Subject { id: &state.id, bundle, pid: state.pid, status, side };
    Ok(subject.run("poststart", hooks)?)
}
