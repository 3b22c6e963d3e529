//! How the kernel treats the calling process: processor, disk and memory policies, and its execution domain.

use std::io;

/// `struct sched_attr` of `linux/sched/types.h`, its first version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Scheduling {
    /// Of this structure; filled in by [`set_scheduling`].
    pub size: u32,
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    /// Of `SCHED_DEADLINE`, in nanoseconds, as the next two.
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

pub const SCHED_OTHER: u32 = libc::SCHED_OTHER.cast_unsigned();
pub const SCHED_FIFO: u32 = libc::SCHED_FIFO.cast_unsigned();
pub const SCHED_RR: u32 = libc::SCHED_RR.cast_unsigned();
pub const SCHED_BATCH: u32 = libc::SCHED_BATCH.cast_unsigned();
/// Reserved by `linux/sched.h`, and refused by every kernel so far.
pub const SCHED_ISO: u32 = 4;
pub const SCHED_IDLE: u32 = libc::SCHED_IDLE.cast_unsigned();
pub const SCHED_DEADLINE: u32 = libc::SCHED_DEADLINE.cast_unsigned();

/// Changes the calling thread's scheduling; what it executes and forks keeps it.
pub fn set_scheduling(wanted: Scheduling) -> io::Result<()> {
    let wanted = Scheduling { size: size_of::<Scheduling>() as u32, ..wanted };
    // SAFETY: `wanted` is a live sched_attr that tells its own size; the kernel only reads it. 0 is the caller.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const wanted, 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Classes of `ioprio_set(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskClass {
    RealTime = 1,
    BestEffort = 2,
    Idle = 3,
}

/// Sets the calling thread's disk priority; `level` is 0 (first) to 7.
pub fn set_disk_priority(class: DiskClass, level: u8) -> io::Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let value = (class as libc::c_int) << 13 | libc::c_int::from(level);
    // SAFETY: three numbers; 0 is the caller, and a value the kernel does not know is refused.
    let result = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, value) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// `PER_LINUX` of `linux/personality.h`.
pub const DOMAIN_LINUX: libc::c_ulong = 0;
/// `PER_LINUX32`: `uname` tells of a 32-bit machine.
pub const DOMAIN_LINUX32: libc::c_ulong = 8;

/// Sets the calling process's execution domain.
pub fn set_personality(domain: libc::c_ulong) -> io::Result<()> {
    // SAFETY: personality takes one number and only changes how later calls answer this process.
    let result = unsafe { libc::personality(domain) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets where the calling thread's new memory comes from: `mode` with its flags (`linux/mempolicy.h`), and the nodes
/// it names.
pub fn set_memory_policy(mode: u32, nodes: &[u32]) -> io::Result<()> {
    const BITS: usize = u64::BITS as usize;
    let highest = nodes.iter().copied().max();
    let mut mask = vec![0u64; highest.map_or(0, |node| node as usize / BITS + 1)];
    for node in nodes {
        mask[*node as usize / BITS] |= 1 << (*node as usize % BITS);
    }
    // The kernel reads one bit less than it is told.
    let bits = if mask.is_empty() { 0 } else { mask.len() * BITS + 1 };
    let pointer = if mask.is_empty() { std::ptr::null() } else { mask.as_ptr() };
    // SAFETY: the kernel reads `bits - 1` bits from `mask`, which has as many, or nothing where it is empty.
    let result = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
