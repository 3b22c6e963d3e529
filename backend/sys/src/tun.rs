//! TUN links: what the kernel routes into one is read from a descriptor, and what is written to it arrives on the link.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

const DEVICE: &str = "/dev/net/tun";
/// `TUNSETIFF` of `linux/if_tun.h`.
const SET_LINK: libc::c_ulong = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`: IP packets, nothing before them.
const PACKETS_ALONE: libc::c_short = 0x0001 | 0x1000;
/// `IFF_TUN_EXCL`: an error where the link is there already.
const NEW: libc::c_short = i16::MIN;

/// Makes the link `name` (at most 15 bytes) in the calling thread's network namespace. It is down and goes with the descriptor, which no
/// program that is executed inherits. Reads and writes are of one packet each and do not block.
pub fn create(name: &str) -> io::Result<OwnedFd> {
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(DEVICE)?;
    // SAFETY: `ifreq` consists of integers, arrays and pointers; all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (slot, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *slot = byte.cast_signed();
    }
    request.ifr_ifru.ifru_flags = PACKETS_ALONE | NEW;
    // SAFETY: `request` is a live `struct ifreq`, which TUNSETIFF reads and writes.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_LINK, &raw mut request) };
    if result == 0 { Ok(device.into()) } else { Err(io::Error::last_os_error()) }
}
