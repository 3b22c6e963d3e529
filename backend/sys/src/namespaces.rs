//! Entering and making namespaces.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

pub use nix::sched::CloneFlags;

/// Moves the calling process into new namespaces (`unshare(2)`).
pub fn unshare(flags: CloneFlags) -> io::Result<()> {
    nix::sched::unshare(flags).map_err(io::Error::from)
}

/// Moves the calling process into the namespace behind `fd` (a `/proc/PID/ns` file), which must
/// be of the kind named by `flags`; or, when `fd` is a pidfd, into all kinds named, at once.
pub fn enter(fd: impl AsFd, flags: CloneFlags) -> io::Result<()> {
    nix::sched::setns(fd, flags).map_err(io::Error::from)
}

/// One line of `/proc/PID/uid_map`: `size` ids from `inside` on are `outside` and following.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    pub inside: u32,
    pub outside: u32,
    pub size: u32,
}

/// Renders ranges the way `/proc/PID/uid_map` takes them; they must be written in one piece.
pub fn id_map(ranges: &[IdRange]) -> String {
    ranges.iter().map(|range| format!("{} {} {}\n", range.inside, range.outside, range.size)).collect()
}

/// A user namespace with the given maps and no process in it: the argument of an idmapped mount.
///
/// Safe to call from a threaded process: see the child's part below.
pub fn user_namespace(uids: &[IdRange], gids: &[IdRange]) -> io::Result<OwnedFd> {
    let child = IdleChild::new()?;
    let proc = format!("/proc/{}", child.pid);
    std::fs::write(format!("{proc}/gid_map"), id_map(gids))?;
    std::fs::write(format!("{proc}/uid_map"), id_map(uids))?;
    Ok(std::fs::File::open(format!("{proc}/ns/user"))?.into())
}

/// A child in a new user namespace that does nothing until it is dropped.
struct IdleChild {
    pid: i32,
    pidfd: OwnedFd,
}

impl IdleChild {
    fn new() -> io::Result<Self> {
        let mut pidfd: libc::c_int = -1;
        let flags = (libc::CLONE_NEWUSER | libc::CLONE_PIDFD) as libc::c_ulong;
        // SAFETY: memory is copied, not shared. The child calls nothing but pause(2), prctl(2) and
        // _exit(2), which are async-signal-safe, so locks held by other threads do not matter to
        // it. No exit signal: SIGCHLD handlers of the caller stay undisturbed.
        let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0usize, &raw mut pidfd, 0usize, 0usize) };
        match pid {
            -1 => Err(io::Error::last_os_error()),
            0 => idle(),
            pid => {
                // SAFETY: clone succeeded with CLONE_PIDFD, so this is a new descriptor.
                let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
                Ok(Self { pid: pid as i32, pidfd })
            }
        }
    }
}

fn idle() -> ! {
    // SAFETY: both calls take plain numbers. The child must not outlive a killed parent.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        loop {
            libc::pause();
        }
    }
}

impl Drop for IdleChild {
    fn drop(&mut self) {
        // It is our own unreaped child: the signal cannot miss it, and it cannot refuse.
        let _ = rustix::process::pidfd_send_signal(&self.pidfd, rustix::process::Signal::KILL);
        let _ = crate::process::wait(&self.pidfd);
    }
}

/// Sets the NIS domain name of the calling process's uts namespace.
pub fn set_domain_name(name: &CStr) -> io::Result<()> {
    // SAFETY: pointer and length describe a live buffer that the kernel only reads.
    let result = unsafe { libc::setdomainname(name.as_ptr(), name.count_bytes()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The kind of namespace behind a descriptor (`ioctl_nsfs(2)`), as one `CLONE_NEW*` flag.
pub fn kind(fd: BorrowedFd<'_>) -> io::Result<CloneFlags> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: NS_GET_NSTYPE takes no argument and writes no memory.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(CloneFlags::from_bits_retain(result))
}
