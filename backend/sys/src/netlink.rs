//! Netlink sockets: open one, send a buffer of messages, read what the kernel queued.
//!
//! A socket belongs for ever to the network namespace of the thread that opened it, whatever
//! that thread does later; so one opened inside a namespace may be used from anywhere.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The kernel subsystem behind the socket (`NETLINK_*` in `linux/netlink.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subsystem {
    /// Links, addresses, routes, neighbours.
    Route,
    /// nf_tables and connection tracking.
    Netfilter,
}

/// A request socket. Replies are queued by the kernel before `send` returns.
#[derive(Debug)]
pub struct NetlinkSocket {
    fd: OwnedFd,
}

impl NetlinkSocket {
    /// Opens a socket in the calling thread's network namespace.
    pub fn open(subsystem: Subsystem) -> io::Result<Self> {
        let protocol = match subsystem {
            Subsystem::Route => libc::NETLINK_ROUTE,
            Subsystem::Netfilter => libc::NETLINK_NETFILTER,
        };
        let protocol =
            u32::try_from(protocol).ok().and_then(std::num::NonZeroU32::new).map(Protocol::from_raw);
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        // The kernel's own words for what it refused; and no copy of our request in the answer.
        set_flag(&fd, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1)?;
        set_flag(&fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)?;
        // A dump of the kernel is pushed through while we read it: more room, fewer calls.
        set_flag(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 20)?;
        set_flag(&fd, libc::SOL_SOCKET, libc::SO_SNDBUF, 1 << 20)?;
        Ok(Self { fd })
    }

    /// Sends one buffer holding one or more whole messages.
    pub fn send(&self, messages: &[u8]) -> io::Result<()> {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, messages, SendFlags::empty()))?;
        if sent != messages.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        Ok(())
    }

    /// Reads one datagram (one or more whole messages) into `buffer`; `None` when nothing is queued.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let received = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.fd, &mut *buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC)
        });
        match received {
            Ok((stored, whole)) if whole > stored => {
                Err(io::Error::new(io::ErrorKind::InvalidData, "netlink answer cut short"))
            }
            Ok((stored, _)) => Ok(Some(stored)),
            Err(rustix::io::Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn set_flag(fd: &OwnedFd, level: i32, option: i32, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, a live c_int, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
