//! Signals as a process about to become another program must leave them.

use std::io;

/// Gives every signal its default action and unblocks all: a program starts with what was
/// ignored or blocked in the process that executed it, and containers must not inherit ours.
pub fn reset_all() -> io::Result<()> {
    for number in 1..=64 {
        // SIGKILL and SIGSTOP cannot be changed; 32 and 33 are the C library's own.
        if matches!(number, libc::SIGKILL | libc::SIGSTOP | 32 | 33) {
            continue;
        }
        // SAFETY: SIG_DFL installs no handler, so no code can run on a signal because of it.
        if unsafe { libc::signal(number, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    nix::sys::signal::SigSet::empty().thread_set_mask().map_err(io::Error::from)
}

/// Sends a signal that has no name, such as a real-time one, to a process.
pub fn send_realtime(process: rustix::process::Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill takes two numbers; an invalid signal is refused by the kernel.
    let result = unsafe { libc::kill(process.as_raw_nonzero().get(), signal) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
