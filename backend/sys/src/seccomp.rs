//! Installing a compiled seccomp filter.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// One BPF instruction (`struct sock_filter`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    pub jump_true: u8,
    pub jump_false: u8,
    pub value: u32,
}

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

/// Flags of `SECCOMP_SET_MODE_FILTER`.
pub const FILTER_FLAG_TSYNC: u32 = 1;
pub const FILTER_FLAG_LOG: u32 = 1 << 1;
pub const FILTER_FLAG_SPEC_ALLOW: u32 = 1 << 2;
/// With a listener: a notified call that was received waits through everything but a kill.
pub const FILTER_FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;
const FILTER_FLAG_NEW_LISTENER: u32 = 1 << 3;

/// Filters every later system call of the calling thread and of what it executes, for ever.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN` in the caller's user namespace. The kernel verifies the
/// program: a malformed one is refused with `EINVAL`.
pub fn install(program: &[Instruction], flags: u32) -> io::Result<()> {
    set_filter(program, flags).map(drop)
}

/// [`install`] for a program that answers some calls with a notification: they wait until somebody answers them
/// through the returned descriptor (`seccomp_unotify(2)`).
pub fn install_listening(program: &[Instruction], flags: u32) -> io::Result<OwnedFd> {
    let fd = set_filter(program, flags | FILTER_FLAG_NEW_LISTENER)?;
    // SAFETY: with SECCOMP_FILTER_FLAG_NEW_LISTENER a success is a new descriptor that nobody owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

fn set_filter(program: &[Instruction], flags: u32) -> io::Result<libc::c_long> {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: `program` points at `length` live instructions laid out as sock_filter; the kernel
    // copies them before it returns.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags as libc::c_ulong, &raw const program)
    };
    if result >= 0 { Ok(result) } else { Err(io::Error::last_os_error()) }
}
