//! Handing the listener of a seccomp filter to the agent the configuration names (`linux.seccomp.listenerPath`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use serde::Serialize;

use crate::channel;
use crate::hooks::{HookState, Subject};
use crate::state::OCI_VERSION;

#[derive(Debug, thiserror::Error)]
pub enum ListenerError {
    #[error("the seccomp filter has SCMP_ACT_NOTIFY but no listenerPath")]
    NoPath,
    #[error("describe the container to the seccomp agent")]
    Describe(#[source] serde_json::Error),
    #[error("hand the seccomp listener to {path}")]
    Send {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The specification's container process state.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    /// What each descriptor beside the message is.
    fds: [&'a str; 1],
    /// Of the process that has the filter.
    pid: i32,
    metadata: &'a str,
    state: HookState<'a>,
}

/// Sends `listener`, of the process `pid` in the container `subject`, to the agent.
pub fn hand_over(subject: &Subject<'_>, pid: i32, listener: &OwnedFd) -> Result<(), ListenerError> {
    let seccomp = subject.bundle.linux.seccomp().as_ref();
    let path = seccomp.and_then(|seccomp| seccomp.listener_path().clone()).ok_or(ListenerError::NoPath)?;
    let metadata = seccomp.and_then(|seccomp| seccomp.listener_metadata().as_deref()).unwrap_or_default();
    let state =
        ProcessState { oci_version: OCI_VERSION, fds: ["seccompFd"], pid, metadata, state: subject.state() };
    let text = serde_json::to_vec(&state).map_err(ListenerError::Describe)?;
    let send = || -> io::Result<()> {
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&path)?)?;
        channel::send(socket.as_fd(), &text, Some(listener.as_fd()))
    };
    send().map_err(|source| ListenerError::Send { path: path.clone(), source })
}
