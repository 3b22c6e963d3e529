//! TUN links: what the kernel routes into one is read from a descriptor, and what is written to it arrives on the link.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

const DEVICE: &str = "/dev/net/tun";
/// `TUNSETIFF` of `linux/if_tun.h`.
const SET_LINK: libc::c_ulong = 0x4004_54ca;
/// `TUNSETOFFLOAD`.
const SET_OFFLOAD: libc::c_ulong = 0x4004_54d0;
/// `IFF_TUN | IFF_NO_PI | IFF_VNET_HDR`: IP packets, and before each the header of virtio.
const PACKETS: libc::c_short = 0x0001 | 0x1000 | 0x4000;
/// `IFF_TUN_EXCL`: an error where the link is there already.
const NEW: libc::c_short = i16::MIN;
/// `TUN_F_CSUM | TUN_F_USO4 | TUN_F_USO6`: since Linux 6.2.
const DATAGRAMS_TOGETHER: libc::c_ulong = 0x01 | 0x20 | 0x40;

/// Bytes before each packet.
pub const HEADER: usize = 10;

/// `struct virtio_net_hdr` of `linux/virtio_net.h`: says what is left to be done with a packet that is written. All zeroes: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Header {
    pub flags: u8,
    pub kind: u8,
    /// Bytes of the headers of IP and UDP.
    pub headers: u16,
    /// Bytes of payload in each datagram.
    pub size: u16,
    /// Where the checksum begins, and where from there it is written.
    pub checksum_from: u16,
    pub checksum_at: u16,
}

impl Header {
    /// `VIRTIO_NET_HDR_F_NEEDS_CSUM`: the checksum is of the pseudo header alone.
    pub const NEEDS_CHECKSUM: u8 = 1;
    /// `VIRTIO_NET_HDR_GSO_UDP_L4`: a datagram to be cut into several.
    pub const DATAGRAMS: u8 = 5;

    /// As it stands before a packet.
    #[must_use]
    pub fn bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0] = self.flags;
        bytes[1] = self.kind;
        let words = [self.headers, self.size, self.checksum_from, self.checksum_at];
        bytes[2..]
            .chunks_exact_mut(2)
            .zip(words)
            .for_each(|(to, word)| to.copy_from_slice(&word.to_ne_bytes()));
        bytes
    }
}

/// Makes the link `name` (at most 15 bytes) in the calling thread's network namespace. It is down and goes with the descriptor, which no
/// program that is executed inherits. Reads and writes are of one [`Header`] and packet each and do not block.
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
    request.ifr_ifru.ifru_flags = PACKETS | NEW;
    // SAFETY: `request` is a live `struct ifreq`, which TUNSETIFF reads and writes.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), SET_LINK, &raw mut request) };
    if result == 0 { Ok(device.into()) } else { Err(io::Error::last_os_error()) }
}

/// Whether the kernel takes [`Header::DATAGRAMS`]: one that could read such a packet from a link could write one too. It is not asked to.
pub fn takes_datagrams_together(device: BorrowedFd<'_>) -> bool {
    let set = |what: libc::c_ulong| {
        // SAFETY: the argument of TUNSETOFFLOAD is a number, no address.
        unsafe { libc::ioctl(device.as_raw_fd(), SET_OFFLOAD, what) == 0 }
    };
    set(DATAGRAMS_TOGETHER) && set(0)
}
