//! The journal's native protocol: one datagram of `FIELD=value` lines per entry, on `/run/systemd/journal/socket`
//! (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>), with moby's field names (`daemon/logger/journald`).

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use drydock_shim::entry::{Entry, Source};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};

use super::outbox::{Carrier, Sent};
use super::stamp::Stamp;

/// syslog's numbers.
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// Writes entries as the journal wants them.
#[derive(Debug)]
pub struct Fields {
    /// Those that are the same for every entry, encoded.
    common: Vec<u8>,
    ordinal: u64,
    stamp: Stamp,
}

impl Fields {
    /// `fields` are the container's own; the epoch tells this run's ordinals from another's.
    pub fn new(fields: &BTreeMap<String, String>) -> Self {
        let mut common = Vec::new();
        for (name, value) in fields {
            append(&mut common, name, value.as_bytes());
        }
        append(&mut common, "CONTAINER_LOG_EPOCH", super::random_id().as_bytes());
        Self { common, ordinal: 0, stamp: Stamp::default() }
    }

    pub fn encode(&mut self, entry: &Entry<'_>) -> Vec<u8> {
        self.ordinal += 1;
        let priority = if entry.source == Source::Stderr { ERROR } else { INFO };
        let mut out = Vec::with_capacity(entry.line.len() + self.common.len() + 160);
        append(&mut out, "PRIORITY", priority.to_string().as_bytes());
        append(&mut out, "MESSAGE", entry.line);
        out.extend_from_slice(&self.common);
        append(&mut out, "SYSLOG_TIMESTAMP", self.stamp.rfc3339(entry.time_nano).as_bytes());
        append(&mut out, "CONTAINER_LOG_ORDINAL", self.ordinal.to_string().as_bytes());
        if let Some(partial) = entry.partial {
            append(&mut out, "CONTAINER_PARTIAL_ID", partial.id.as_bytes());
            append(&mut out, "CONTAINER_PARTIAL_ORDINAL", partial.ordinal.to_string().as_bytes());
            append(&mut out, "CONTAINER_PARTIAL_LAST", partial.last.to_string().as_bytes());
            if !partial.last {
                append(&mut out, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
        }
        out
    }
}

/// A value with a newline is preceded by its length instead of `=`.
fn append(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// A connection to the journal.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    socket: Option<OwnedFd>,
}

impl Journal {
    pub fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), socket: Some(connect(path)?) })
    }

    fn try_send(&self, message: &[u8]) -> Result<(), Errno> {
        let socket = self.socket.as_ref().ok_or(Errno::NOTCONN)?;
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match rustix::io::retry_on_intr(|| rustix::net::send(socket, message, flags)) {
            Err(Errno::MSGSIZE | Errno::NOBUFS) => send_in_memory(socket, message, flags),
            other => other.map(drop),
        }
    }
}

impl Carrier for Journal {
    fn send(&mut self, message: &[u8]) -> Sent {
        match self.try_send(message) {
            Ok(()) => Sent::Yes,
            Err(Errno::AGAIN) => Sent::Wait,
            // The journal was started anew: its socket is another one.
            Err(_) => {
                self.socket = connect(&self.path).ok();
                match self.try_send(message) {
                    Ok(()) => Sent::Yes,
                    Err(Errno::AGAIN) => Sent::Wait,
                    Err(_) => Sent::Lost,
                }
            }
        }
    }

    fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }
}

fn connect(path: &Path) -> io::Result<OwnedFd> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// What is too long for a datagram goes as a sealed file in memory.
fn send_in_memory(socket: &OwnedFd, message: &[u8], flags: SendFlags) -> Result<(), Errno> {
    let file = rustix::fs::memfd_create("journal", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = std::fs::File::from(file);
    file.write_all(message).map_err(|_| Errno::IO)?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL,
    )?;
    let fds = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&fds));
    rustix::io::retry_on_intr(|| rustix::net::sendmsg(socket, &[], &mut control, flags))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use drydock_shim::entry::Partial;

    use super::*;

    #[test]
    fn an_entry_has_mobys_fields() {
        let common = BTreeMap::from([("CONTAINER_NAME".to_owned(), "two\nlines".to_owned())]);
        let mut fields = Fields::new(&common);
        let entry = Entry {
            source: Source::Stderr,
            time_nano: 1_500_000_000,
            line: b"oh",
            partial: Some(Partial { id: "p", ordinal: 2, last: false }),
        };
        let text = String::from_utf8(fields.encode(&entry)).unwrap();
        assert!(text.starts_with(
            "PRIORITY=3\nMESSAGE=oh\nCONTAINER_NAME\n\u{9}\0\0\0\0\0\0\0two\nlines\nCONTAINER_LOG_EPOCH="
        ));
        assert!(text.ends_with(
            "\nSYSLOG_TIMESTAMP=1970-01-01T00:00:01.5Z\nCONTAINER_LOG_ORDINAL=1\nCONTAINER_PARTIAL_ID=p\n\
             CONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n"
        ));
    }

    #[test]
    fn a_journal_that_came_again_is_found_and_a_long_entry_arrives() {
        let dir = std::env::temp_dir().join(format!("drydock-journal-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("socket");
        let receiver = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::connect(&path).unwrap();
        assert_eq!(journal.send(b"MESSAGE=1\n"), Sent::Yes);
        let mut buffer = [0; 64];
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 10);
        drop(receiver);
        assert_eq!(journal.send(b"MESSAGE=2\n"), Sent::Lost);
        std::fs::remove_file(&path).unwrap();
        let receiver = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        assert_eq!(journal.send(b"MESSAGE=3\n"), Sent::Yes);
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 10);
        assert_eq!(journal.send(&vec![b'x'; 1 << 20]), Sent::Yes);
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 0, "the entry is in the file that came with it");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
