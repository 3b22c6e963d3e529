//! The three streams and the other descriptors a program starts with.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use drydock_sys::fds;

/// Where a program without a terminal reads and writes.
#[derive(Debug, Default)]
pub enum Stdio {
    /// Those of the calling process.
    #[default]
    Inherit,
    Given {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
}

/// Descriptors from 3 on that the program inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// `--preserve-fds`, counted behind those of socket activation.
    pub preserved: u32,
    /// `LISTEN_FDS`: listening sockets from 3 on (`sd_listen_fds(3)`).
    pub listening: u32,
    /// `LISTEN_FDNAMES`.
    pub names: Option<String>,
}

impl Inherited {
    /// What the caller was started with and passes on, by its environment.
    pub fn from_environment(preserved: u32) -> Self {
        let listening = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok());
        let names = std::env::var("LISTEN_FDNAMES").ok();
        Self { preserved, listening: listening.unwrap_or(0), names }
    }

    /// The lowest descriptor the program shall not have.
    pub fn end(&self) -> u32 {
        3 + self.listening + self.preserved
    }

    /// The variables that tell the program. It will be process 1 of its namespace.
    pub fn environment(&self) -> Vec<String> {
        if self.listening == 0 {
            return Vec::new();
        }
        let mut variables = vec![format!("LISTEN_FDS={}", self.listening), "LISTEN_PID=1".to_owned()];
        variables.extend(self.names.as_ref().map(|names| format!("LISTEN_FDNAMES={names}")));
        variables
    }
}

impl Stdio {
    /// Puts the streams at 0, 1 and 2.
    pub fn place(&self) -> io::Result<()> {
        if let Stdio::Given { stdin, stdout, stderr } = self {
            for (number, fd) in [stdin, stdout, stderr].into_iter().enumerate() {
                fds::place(fd, number as i32)?;
            }
        }
        Ok(())
    }
}

/// Gives the streams to the program's user, so that it can open `/dev/stdout` and the like by name.
pub fn give_to(uid: u32, gid: u32) {
    let stdin = std::io::stdin();
    let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
    for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        let Ok(stat) = rustix::fs::fstat(fd) else { continue };
        // Everybody's /dev/null must stay everybody's.
        if stat.st_rdev == rustix::fs::makedev(1, 3) || stat.st_uid == uid {
            continue;
        }
        // A stream that is not ours to give (a file of the host's in a user namespace) works as it is.
        let owner = (rustix::fs::Uid::from_raw(uid), rustix::fs::Gid::from_raw(gid));
        let _ = rustix::fs::fchown(fd, Some(owner.0), Some(owner.1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_activation_is_told_only_when_there_are_sockets() {
        assert!(Inherited { preserved: 2, ..Inherited::default() }.environment().is_empty());
        let inherited = Inherited { preserved: 1, listening: 2, names: Some("a:b".into()) };
        assert_eq!(inherited.environment(), ["LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=a:b"]);
        assert_eq!(inherited.end(), 6);
    }
}
