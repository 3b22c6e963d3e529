//! Session keyrings.

use std::io;

/// Gives the calling process a new, anonymous session keyring, so that it cannot read its parent's keys.
///
/// Where keyrings are not built in, forbidden, or the user's quota of them is used up, nothing changes and nothing fails:
/// the process then has no keys to protect, or none to add.
pub fn join_new_session() -> io::Result<()> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_ulong = 1;
    // SAFETY: a null name asks for an anonymous keyring; no memory is passed.
    let result = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0usize) };
    if result >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EACCES | libc::EDQUOT) => Ok(()),
        _ => Err(error),
    }
}
