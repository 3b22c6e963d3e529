//! The one clone of a container's first process, whichever namespaces it gets or joins.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use drydock_sys::namespaces::{self, CloneFlags};
use drydock_sys::process::{self, Cloned, clone_self};
use rustix::process::Pid;

use crate::namespaces::Namespaces;

#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    #[error("clone a process into {flags:?}")]
    Clone {
        flags: CloneFlags,
        #[source]
        source: io::Error,
    },
    #[error("remember the caller's own {0:?} namespace")]
    Own(CloneFlags, #[source] io::Error),
    #[error("join the {0:?} namespace")]
    Join(CloneFlags, #[source] io::Error),
    #[error("return from the {0:?} namespace")]
    Return(CloneFlags, #[source] io::Error),
    #[error("clone by way of the joined user namespace")]
    Relay(#[source] io::Error),
}

/// Clones the calling process. In the child everything that must precede the clone has happened.
pub fn spawn(wanted: &Namespaces, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, SpawnError> {
    if let Some(user) = &wanted.joined_user {
        return relay(user, wanted, cgroup);
    }
    // A pid namespace is entered only by children. The others are joined before the clone when the child will be in
    // a new user namespace, from which it could no longer join them.
    let mut visited: Vec<(CloneFlags, &OwnedFd)> = Vec::new();
    visited.extend(wanted.joined_pid.as_ref().map(|fd| (CloneFlags::CLONE_NEWPID, fd)));
    if wanted.new_user() {
        visited.extend(wanted.joined.iter().map(|(kind, fd)| (*kind, fd)));
    }
    let visits = visited
        .into_iter()
        .map(|(kind, fd)| Visit::enter(kind, fd.as_fd()))
        .collect::<Result<Vec<_>, _>>()?;
    let cloned =
        clone_self(wanted.new, cgroup).map_err(|source| SpawnError::Clone { flags: wanted.new, source })?;
    if matches!(cloned, Cloned::Parent { .. }) {
        visits.into_iter().try_for_each(Visit::leave)?;
    }
    Ok(cloned)
}

/// The caller is in another namespace, and will go home.
pub struct Visit {
    kind: CloneFlags,
    home: OwnedFd,
}

impl Visit {
    /// Enters the namespace of `kind` behind `fd`, a namespace file or a pidfd.
    pub fn enter(kind: CloneFlags, fd: BorrowedFd<'_>) -> Result<Self, SpawnError> {
        let name = match kind {
            CloneFlags::CLONE_NEWPID => "pid",
            CloneFlags::CLONE_NEWNET => "net",
            CloneFlags::CLONE_NEWIPC => "ipc",
            CloneFlags::CLONE_NEWUTS => "uts",
            CloneFlags::CLONE_NEWCGROUP => "cgroup",
            CloneFlags::CLONE_NEWNS => "mnt",
            _ => "time",
        };
        let home = std::fs::File::open(format!("/proc/self/ns/{name}"))
            .map_err(|source| SpawnError::Own(kind, source))?;
        namespaces::enter(fd, kind).map_err(|source| SpawnError::Join(kind, source))?;
        Ok(Self { kind, home: home.into() })
    }

    pub fn leave(self) -> Result<(), SpawnError> {
        namespaces::enter(&self.home, self.kind).map_err(|source| SpawnError::Return(self.kind, source))
    }
}

/// There is no way back out of a user namespace, so another process goes in and clones from there; `CLONE_PARENT` makes
/// the result a child of ours all the same.
fn relay(user: &OwnedFd, wanted: &Namespaces, cgroup: Option<BorrowedFd<'_>>) -> Result<Cloned, SpawnError> {
    let (mut reader, mut writer) = io::pipe().map_err(SpawnError::Relay)?;
    match clone_self(CloneFlags::empty(), None).map_err(SpawnError::Relay)? {
        Cloned::Child => {
            drop(reader);
            match inside(user, wanted, cgroup) {
                Ok(Cloned::Child) => Ok(Cloned::Child),
                Ok(Cloned::Parent { pid, .. }) => {
                    let _ = writer.write_all(&pid.as_raw_nonzero().get().to_ne_bytes());
                    process::exit_now(0)
                }
                Err(error) => {
                    let code = error.raw_os_error().unwrap_or(0);
                    let _ = writer.write_all(&(-code).to_ne_bytes());
                    process::exit_now(1)
                }
            }
        }
        Cloned::Parent { pidfd, .. } => {
            drop(writer);
            let mut answer = [0; 4];
            let heard = reader.read_exact(&mut answer);
            process::wait(&pidfd).map_err(SpawnError::Relay)?;
            heard.map_err(SpawnError::Relay)?;
            adopt(i32::from_ne_bytes(answer)).map_err(SpawnError::Relay)
        }
    }
}

fn inside(user: &OwnedFd, wanted: &Namespaces, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    // Those that belong to the outside are joined from the outside.
    if let Some(pid) = &wanted.joined_pid {
        namespaces::enter(pid, CloneFlags::CLONE_NEWPID)?;
    }
    namespaces::enter(user, CloneFlags::CLONE_NEWUSER)?;
    clone_self(wanted.new | CloneFlags::CLONE_PARENT, cgroup)
}

fn adopt(answer: i32) -> io::Result<Cloned> {
    if answer <= 0 {
        return Err(io::Error::from_raw_os_error(-answer));
    }
    let pid = Pid::from_raw(answer).ok_or(io::ErrorKind::InvalidData)?;
    // A child of ours that nobody has waited for: its number cannot have been given away.
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?;
    Ok(Cloned::Parent { pid, pidfd })
}
