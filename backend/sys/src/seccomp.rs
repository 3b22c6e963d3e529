//! Installing a compiled seccomp filter.

use std::io;

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

/// Filters every later system call of the calling thread and of what it executes, for ever.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN` in the caller's user namespace. The kernel verifies the
/// program: a malformed one is refused with `EINVAL`.
pub fn install(program: &[Instruction], flags: u32) -> io::Result<()> {
    const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, instructions: program.as_ptr() };
    // SAFETY: `program` points at `length` live instructions laid out as sock_filter; the kernel
    // copies them before it returns.
    let result = unsafe {
        libc::syscall(libc::SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags as libc::c_ulong, &raw const program)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
