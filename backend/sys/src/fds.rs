//! File descriptors of the whole process: which survive an exec, and those that were handed to it.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Marks every descriptor from `first` on close-on-exec, in one call.
pub fn close_from_on_exec(first: u32) -> io::Result<()> {
    // SAFETY: with CLOSE_RANGE_CLOEXEC no descriptor is closed, only marked; no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// How much of what was sent on a Unix stream socket still waits for its other end to read it; zero when all was read
/// (`SIOCOUTQ`, which counts the kernel's buffers, not bytes).
pub fn unread_by_peer(socket: &impl std::os::fd::AsRawFd) -> io::Result<usize> {
    let mut waiting: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (the number of TIOCOUTQ) writes one int to the pointer, which is to a live one.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut waiting) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(usize::try_from(waiting).unwrap_or(0)) }
}

/// Takes ownership of a descriptor this process was started with, or fails with `EBADF`.
///
/// Call it once per descriptor, at the start of `main`, before anything else opens files: from
/// then on the number belongs to the returned value.
pub fn take_inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and by this function's contract nothing else in the process owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes `number` a copy of `fd` that survives an exec, replacing whatever `number` was.
///
/// Meant for a process about to execute a program: nothing in it may still own `number`.
pub fn place(fd: &impl std::os::fd::AsRawFd, number: RawFd) -> io::Result<()> {
    let from = fd.as_raw_fd();
    // SAFETY: dup2 and fcntl pass numbers only; `from` is borrowed and thus open.
    let result = unsafe {
        if from == number { libc::fcntl(from, libc::F_SETFD, 0) } else { libc::dup2(from, number) }
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
