//! UDP datagrams in bulk: of one size and between the same two sockets, many pass in one system call, and as one packet through as much of the way
//! as knows of it (`UDP_SEGMENT` and `UDP_GRO` of udp(7)).

use std::io;
use std::mem::size_of;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams that one call may send: `UDP_MAX_SEGMENTS` of kernels before 6.9.
pub const MOST: usize = 64;
/// Bytes that one call may send or receive: what one datagram of IPv4 may have.
pub const MOST_BYTES: usize = 65_507;

/// A message of control with one value, as cmsg(3) lays it out.
#[repr(C)]
struct Control<T> {
    header: libc::cmsghdr,
    /// `CMSG_DATA` is right behind the header, whose size is a multiple of a word.
    value: T,
    padding: [u8; 4],
}

/// Datagrams of one sender that lie one after the other in a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes of all.
    pub length: usize,
    /// Bytes of each, but for a shorter last one.
    pub size: usize,
    pub from: SocketAddrV4,
}

/// From now on [`receive`] gets several datagrams of one sender at a time.
pub fn receive_together(socket: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: `on` is a live integer, and its size is what is said.
    let result = unsafe {
        let length = size_of::<libc::c_int>() as libc::socklen_t;
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_UDP, libc::UDP_GRO, (&raw const on).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends `bytes` as datagrams of `size` bytes, the last of which may be shorter: at most [`MOST`] of them and [`MOST_BYTES`]. `EIO` and `EINVAL` mean
/// that the way there cannot have them at once.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], size: u16, to: SocketAddrV4) -> io::Result<()> {
    let mut address = socket_address(to);
    // Sendmsg only reads what it points to.
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control { header: header::<u16>(libc::UDP_SEGMENT), value: size, padding: [0; 4] };
    let mut message = message(&mut address, &mut part);
    if bytes.len() > usize::from(size) {
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of::<Control<u16>>();
    }
    // SAFETY: address, part and control outlive the call and are as long as is said; the control message is one header with a `u16` behind it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Receives a datagram, or several after [`receive_together`], into a buffer of at least [`MOST_BYTES`].
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Received> {
    let mut address = socket_address(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control { header: header::<libc::c_int>(0), value: 0 as libc::c_int, padding: [0; 4] };
    let mut message = message(&mut address, &mut part);
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control<libc::c_int>>();
    // SAFETY: all that the message points to is live, writable and as long as is said, and nothing else refers to it during the call.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, 0) };
    let length = usize::try_from(length).map_err(|_| io::Error::last_os_error())?;
    let is_told = message.msg_controllen >= control_length::<libc::c_int>()
        && control.header.cmsg_level == libc::SOL_UDP
        && control.header.cmsg_type == libc::UDP_GRO;
    let told = if is_told { usize::try_from(control.value).unwrap_or(0) } else { 0 };
    let from = SocketAddrV4::new(
        Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr)),
        u16::from_be(address.sin_port),
    );
    Ok(Received { length, size: if told == 0 { length } else { told }, from })
}

fn socket_address(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

fn message(address: &mut libc::sockaddr_in, part: &mut libc::iovec) -> libc::msghdr {
    // SAFETY: `msghdr` consists of integers and pointers; all zeroes is a valid value, of an empty message.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = std::ptr::from_mut(address).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message
}

/// `CMSG_LEN`.
const fn control_length<T>() -> usize {
    size_of::<libc::cmsghdr>() + size_of::<T>()
}

fn header<T>(kind: libc::c_int) -> libc::cmsghdr {
    // SAFETY: `cmsghdr` consists of integers; all zeroes is a valid value.
    let mut header: libc::cmsghdr = unsafe { std::mem::zeroed() };
    header.cmsg_len = control_length::<T>();
    header.cmsg_level = libc::SOL_UDP;
    header.cmsg_type = kind;
    header
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn bound() -> (UdpSocket, SocketAddrV4) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(address) = socket.local_addr().unwrap() else { panic!("not IPv4") };
        (socket, address)
    }

    /// All that arrives until so many bytes are there, as the datagrams it came in.
    fn received(socket: &UdpSocket, bytes: usize) -> Vec<Vec<u8>> {
        let (mut buffer, mut datagrams) = (vec![0; MOST_BYTES], Vec::<Vec<u8>>::new());
        while datagrams.iter().map(Vec::len).sum::<usize>() < bytes {
            let got = receive(socket.as_fd(), &mut buffer).unwrap();
            datagrams.extend(buffer[..got.length].chunks(got.size).map(<[u8]>::to_vec));
        }
        datagrams
    }

    #[test]
    fn datagrams_that_are_sent_at_once_arrive_one_by_one() {
        let ((one, from), (two, to)) = (bound(), bound());
        let bytes: Vec<u8> = (0..250).collect();
        send(one.as_fd(), &bytes, 100, to).unwrap();
        let mut buffer = [0; 300];
        for part in bytes.chunks(100) {
            let (length, sender) = two.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], sender), (part, from.into()));
        }
    }

    #[test]
    fn datagrams_of_one_size_are_received_at_once_and_told_apart() {
        let ((one, from), (two, to)) = (bound(), bound());
        receive_together(two.as_fd()).unwrap();
        let bytes: Vec<u8> = (0..250).collect();
        send(one.as_fd(), &bytes, 100, to).unwrap();
        let parts: Vec<Vec<u8>> = bytes.chunks(100).map(<[u8]>::to_vec).collect();
        assert_eq!(received(&two, 250), parts);
        send(one.as_fd(), b"alone", 1000, to).unwrap();
        let mut buffer = vec![0; MOST_BYTES];
        assert_eq!(receive(two.as_fd(), &mut buffer).unwrap(), Received { length: 5, size: 5, from });
    }
}
