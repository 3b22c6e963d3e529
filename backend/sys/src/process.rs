//! Making processes: `clone3(2)` and pidfds.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

/// Which new namespaces the child gets, and whose child it is (`CLONE_*`).
pub use nix::sched::CloneFlags;

/// Which side of [`clone_self`] this is.
#[derive(Debug)]
pub enum Cloned {
    /// In the caller: the child's id as the caller sees it, and a descriptor for it.
    Parent {
        pid: Pid,
        pidfd: OwnedFd,
    },
    Child,
}

/// `struct clone_args` of `linux/sched.h`, version 2 (with `cgroup`).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Copies the calling process, as `fork(2)` does, into the namespaces named by `flags` and, where
/// `cgroup` (an open cgroup2 directory) is given, into that cgroup from its first instruction on.
///
/// Refused with `EBUSY` in a process with more than one thread: the child would have only the
/// calling one, and every lock another thread held would stay locked for ever.
pub fn clone_self(flags: CloneFlags, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Cloned> {
    // CLONE_SETTLS has no name in `CloneFlags`, but any bits can be carried by it.
    const SHARED: CloneFlags = CloneFlags::CLONE_VM
        .union(CloneFlags::CLONE_VFORK)
        .union(CloneFlags::CLONE_THREAD)
        .union(CloneFlags::CLONE_FILES)
        .union(CloneFlags::CLONE_SIGHAND)
        .union(CloneFlags::from_bits_retain(libc::CLONE_SETTLS));
    if flags.intersects(SHARED) || threads()? != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // With CLONE_PARENT the new process is a sibling and takes the caller's own exit signal.
    let exit_signal = if flags.contains(CloneFlags::CLONE_PARENT) { 0 } else { libc::SIGCHLD as u64 };
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: u64::from(flags.bits().cast_unsigned()) | CLONE_PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: memory is copied, not shared (the flags that share were refused above), so the child
    // owns everything it sees; the process has one thread, so no lock is held by a thread the child
    // lacks. `args` has the size given, and `pidfd` outlives the call.
    let mut result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    // A container's filter hides clone3(2), whose flags it cannot see; what needs nothing new of it does without.
    if result == -1 && cgroup.is_none() && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
        let (flags, nothing) = (args.flags | args.exit_signal, 0usize);
        // SAFETY: as above. clone(2) on x86-64 takes flags, stack (none: the copied one), where the pidfd goes,
        // and two pointers that no flag here asks for.
        result = unsafe { libc::syscall(libc::SYS_clone, flags, nothing, &raw mut pidfd, nothing, nothing) };
    }
    match result {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Cloned::Child),
        pid => {
            let pid = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::InvalidData)?;
            // SAFETY: the call succeeded with CLONE_PIDFD, so it stored a new descriptor nobody owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Cloned::Parent { pid, pidfd })
        }
    }
}

/// How many threads the calling process has.
fn threads() -> io::Result<u64> {
    // proc(5): the link count of the task directory is the number of threads plus two.
    Ok(rustix::fs::stat("/proc/self/task")?.st_nlink.saturating_sub(2))
}

/// Replaces the calling process's program. Returns only on failure.
pub fn exec(program: &std::ffi::CStr, args: &[std::ffi::CString], env: &[std::ffi::CString]) -> io::Error {
    match nix::unistd::execve(program, args, env) {
        Ok(never) => match never {},
        Err(error) => error.into(),
    }
}

/// Ends the calling process at once, without running destructors or exit handlers: what a cloned
/// child must do that is not to return into its parent's code.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit takes any status and touches no memory of this process.
    unsafe { libc::_exit(code) }
}

/// How a process ended, as `wait(2)` reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// The exit status a shell would report: 128 plus the signal's number for a killed process.
    pub fn status(self) -> i32 {
        match self {
            Exit::Code(code) => code,
            Exit::Signal(signal) => 128 + signal,
        }
    }
}

/// Waits for the end of a child (or of a sibling made with `CLONE_PARENT`) and reaps it.
pub fn wait(pidfd: impl AsFd) -> io::Result<Exit> {
    loop {
        if let Some(exit) = wait_with(&pidfd, 0)? {
            return Ok(exit);
        }
    }
}

/// [`wait`], but `None` at once when the child still runs.
pub fn try_wait(pidfd: impl AsFd) -> io::Result<Option<Exit>> {
    wait_with(&pidfd, libc::WNOHANG)
}

fn wait_with(pidfd: &impl AsFd, options: i32) -> io::Result<Option<Exit>> {
    loop {
        // SAFETY: siginfo_t is plain data for which all zeroes is a valid value.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is a live siginfo_t the kernel fills; the descriptor is borrowed.
        let result = unsafe {
            libc::waitid(
                libc::P_PIDFD,
                pidfd.as_fd().as_raw_fd() as libc::id_t,
                &raw mut info,
                // __WALL: also children whose exit signal is not SIGCHLD.
                libc::WEXITED | libc::__WALL | options,
            )
        };
        if result != 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                continue;
            }
            return Err(error);
        }
        // SAFETY: waitid filled `info` as for SIGCHLD (or left it zeroed), so pid and status exist.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        return Ok(match info.si_code {
            _ if pid == 0 => None,
            libc::CLD_EXITED => Some(Exit::Code(status)),
            _ => Some(Exit::Signal(status)),
        });
    }
}
