//! A network namespace as a value.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use drydock_sys::netns::{self, Inside};

/// An open network namespace; it lives at least as long as this value.
#[derive(Debug)]
pub struct NetNs {
    fd: OwnedFd,
    path: PathBuf,
}

impl NetNs {
    /// Makes a new namespace pinned at `path`, with its loopback up. It belongs to the caller's
    /// user namespace, and lives until [`NetNs::remove`].
    pub fn create(path: &Path) -> io::Result<Self> {
        netns::create_pinned(path)?;
        let made = Self::open(path).and_then(|namespace| {
            namespace.bring_loopback_up()?;
            Ok(namespace)
        });
        if made.is_err() {
            // The first failure is the one to tell.
            let _ = netns::remove_pinned(path);
        }
        made
    }

    /// Opens a pinned namespace.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { fd: netns::open(path)?, path: path.to_owned() })
    }

    /// Opens the namespace of a process.
    pub fn of_process(pid: u32) -> io::Result<Self> {
        Self::open(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// Opens the calling thread's namespace.
    pub fn own() -> io::Result<Self> {
        Ok(Self { fd: netns::open_own()?, path: PathBuf::from("/proc/thread-self/ns/net") })
    }

    /// Unpins the namespace at `path` and removes the file; no error when there is none. The
    /// kernel takes it apart in the background once nothing uses it.
    pub fn remove(path: &Path) -> io::Result<()> {
        netns::remove_pinned(path)
    }

    /// Where it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` with the calling thread inside the namespace. Sockets made in it stay in the
    /// namespace for ever and may be used from anywhere afterwards.
    pub fn run<T>(&self, work: impl FnOnce() -> T) -> io::Result<T> {
        let inside = Inside::enter(self.fd.as_fd())?;
        let result = work();
        drop(inside);
        Ok(result)
    }

    /// Sets the loopback link up.
    pub fn bring_loopback_up(&self) -> io::Result<()> {
        let mut route = crate::netlink::Route::open_in(self).map_err(io::Error::other)?;
        route.bring_loopback_up().map_err(io::Error::other)
    }

    /// A listener inside the namespace, non-blocking: ready for `tokio::net::TcpListener::from_std`.
    pub fn listen_tcp(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let listener = self.run(|| TcpListener::bind(address))??;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    /// A datagram socket inside the namespace, non-blocking.
    pub fn bind_udp(&self, address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = self.run(|| UdpSocket::bind(address))??;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    /// A connection made from inside the namespace. Blocks up to `timeout`; the stream is
    /// blocking. See [`NetNs::tcp_socket`] for tokio.
    pub fn connect_tcp(&self, address: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
        self.run(|| TcpStream::connect_timeout(&address, timeout))?
    }

    /// An unconnected socket inside the namespace, whose `connect` may be awaited outside.
    pub fn tcp_socket(&self, address: SocketAddr) -> io::Result<tokio::net::TcpSocket> {
        self.run(|| match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4(),
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6(),
        })?
    }
}

impl fmt::Display for NetNs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(formatter)
    }
}

impl AsRawFd for NetNs {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
