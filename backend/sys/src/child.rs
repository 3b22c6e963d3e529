//! What a child does between `fork(2)` and `exec(2)`, added to a [`Command`] of the standard library.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::{fds, pty};

/// First descriptor of `sd_listen_fds(3)`.
const FIRST_INHERITED: RawFd = 3;

/// The program leads a new session on `slave` and has it as its stdin, stdout and stderr.
pub fn on_terminal(command: &mut Command, slave: OwnedFd) {
    // SAFETY: the closure makes system calls only (setsid, ioctl, dup2), which may be made
    // between fork and exec; it owns the descriptor it uses.
    unsafe { command.pre_exec(move || pty::take_as_controlling(&slave)) };
}

/// The program runs with these ids and supplementary groups.
pub fn as_user(command: &mut Command, uid: u32, gid: u32, groups: Vec<u32>) {
    let become_user = move || {
        // SAFETY: `groups` is a live array of the given length; the other calls take numbers. The
        // raw calls change this thread only, and the child of a fork has no other.
        let results = unsafe {
            [
                libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()),
                libc::syscall(libc::SYS_setresgid, gid, gid, gid),
                libc::syscall(libc::SYS_setresuid, uid, uid, uid),
            ]
        };
        if results.contains(&-1) { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: system calls only; the array was allocated before the fork.
    unsafe { command.pre_exec(become_user) };
}

/// Descriptors that a program inherits from 3 on, in order.
///
/// They are given to every start of the command, so a supervisor can start it again.
#[derive(Debug)]
pub struct Inherited {
    _placeholders: Vec<OwnedFd>,
}

/// Hands `descriptors` to the program as 3, 4 and so on. Keep the returned value until the command
/// has been started: it makes sure that nothing else of the spawning takes those numbers.
pub fn inherit(command: &mut Command, descriptors: &[OwnedFd]) -> io::Result<Inherited> {
    let end = FIRST_INHERITED + descriptors.len() as RawFd;
    let copies: Vec<OwnedFd> =
        descriptors.iter().map(|fd| duplicate_from(fd, end)).collect::<io::Result<_>>()?;
    let mut placeholders = Vec::new();
    if let Some(any) = copies.first() {
        loop {
            let placeholder = duplicate_from(any, FIRST_INHERITED)?;
            if placeholder.as_raw_fd() >= end {
                break;
            }
            placeholders.push(placeholder);
        }
    }
    let place_all =
        move || (FIRST_INHERITED..).zip(&copies).try_for_each(|(number, copy)| fds::place(copy, number));
    // SAFETY: dup2 only. The numbers replaced are this process's placeholders or older descriptors,
    // of which the child needs none: all but the inherited are closed by its exec anyway.
    unsafe { command.pre_exec(place_all) };
    Ok(Inherited { _placeholders: placeholders })
}

/// A close-on-exec copy with the lowest free number that is at least `first`.
fn duplicate_from(fd: &OwnedFd, first: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_DUPFD_CLOEXEC takes numbers only; `fd` is borrowed and thus open.
    let number = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, first) };
    if number < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call made a new descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
