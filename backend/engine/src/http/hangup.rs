//! What the kernel knows of a client: whether it is gone, and whether it has read what it was sent. A client may close its sending half and wait for a long answer, so that the end of its
//! requests says nothing; on a Unix socket the kernel tells the one from the other (`POLLHUP`, `unix(7)`).

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How soon somebody has to notice. The event loop watches the socket for its reader already, and only once.
const PERIOD: Duration = Duration::from_millis(200);

/// Between two looks at what a client has read: the timer's finest.
const READ_PERIOD: Duration = Duration::from_millis(1);
/// A client that has not read by then may be busy for ever.
const READ_PATIENCE: Duration = Duration::from_secs(1);

/// The client's end of a connection; an extension of every request on it.
#[derive(Clone, Debug)]
pub struct Hangup {
    socket: Arc<OwnedFd>,
}

impl Hangup {
    /// Watches a socket beside whoever reads it.
    pub fn of(stream: &tokio::net::UnixStream) -> std::io::Result<Self> {
        Ok(Self { socket: Arc::new(stream.as_fd().try_clone_to_owned()?) })
    }

    /// Returns when the client has closed its side for good.
    pub async fn wait(self) {
        while !self.is_gone() {
            tokio::time::sleep(PERIOD).await;
        }
    }

    /// Returns when the client has read all that was sent so far, or takes too long over it.
    pub async fn has_read(&self) {
        let end = Instant::now() + READ_PATIENCE;
        while drydock_sys::fds::unread_by_peer(&self.socket).is_ok_and(|waiting| waiting > 0)
            && Instant::now() < end
        {
            tokio::time::sleep(READ_PERIOD).await;
        }
    }

    fn is_gone(&self) -> bool {
        // Hang-ups are told without being asked for.
        let mut watched = [PollFd::new(&self.socket, PollFlags::empty())];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut watched, Some(&now)).is_ok()
            && watched[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
    }
}
