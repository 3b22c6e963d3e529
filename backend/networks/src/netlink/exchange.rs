//! One request and its answers on a socket.

use std::io;

use drydock_sys::netlink::{NetlinkSocket, Subsystem};

use super::message::{Message, answers, attribute, flag, text};

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// `NLMSGERR_ATTR_MSG`: what the kernel says in words.
const ERROR_TEXT: u16 = 1;
/// `NLM_F_ACK_TLVS`: attributes follow the error code.
const HAS_TEXT: u16 = 0x200;
/// Larger than any datagram the kernel makes for a dump (32 KiB).
const BUFFER: usize = 64 * 1024;

/// What went wrong with one request.
#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// No socket: usually a missing namespace or too many descriptors.
    #[error("open a netlink socket: {0}")]
    Open(#[source] io::Error),
    /// The exchange itself failed.
    #[error("{step}: netlink: {source}")]
    Exchange {
        /// What was asked for.
        step: String,
        /// Why it did not get through.
        source: io::Error,
    },
    /// The kernel said no.
    #[error("{step}: {source}{said}")]
    Refused {
        /// What was asked for.
        step: String,
        /// The kernel's error number.
        source: io::Error,
        /// The kernel's explanation, with a leading colon; often empty.
        said: String,
    },
}

impl NetlinkError {
    /// The kernel's error number, when it was the kernel that said no.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether the thing named was not there (`ENODEV`, `ENOENT`, `ESRCH`).
    #[must_use]
    pub fn is_missing(&self) -> bool {
        use nix::errno::Errno;
        self.errno().is_some_and(|errno| {
            [Errno::ENODEV, Errno::ENOENT, Errno::ESRCH, Errno::EADDRNOTAVAIL]
                .contains(&Errno::from_raw(errno))
        })
    }

    /// Whether the thing was there already (`EEXIST`).
    #[must_use]
    pub fn is_existing(&self) -> bool {
        self.errno() == Some(nix::errno::Errno::EEXIST as i32)
    }

    /// Whether the kernel does not know such a thing (`EOPNOTSUPP`, `EAFNOSUPPORT`).
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        use nix::errno::Errno;
        self.errno()
            .is_some_and(|errno| [Errno::EOPNOTSUPP, Errno::EAFNOSUPPORT].contains(&Errno::from_raw(errno)))
    }
}

/// A socket and the sequence numbers on it.
#[derive(Debug)]
pub(crate) struct Exchange {
    socket: NetlinkSocket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A message and the words for it in an error.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub name: String,
    pub message: Message,
}

impl Exchange {
    pub fn open(subsystem: Subsystem) -> Result<Self, NetlinkError> {
        let socket = NetlinkSocket::open(subsystem).map_err(NetlinkError::Open)?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Sends the steps in one buffer and waits for every one to be acknowledged. The kernel
    /// goes on after a step that failed; the first failure is returned.
    pub fn apply(&mut self, steps: Vec<Step>) -> Result<(), NetlinkError> {
        if steps.is_empty() {
            return Ok(());
        }
        let (names, bytes) = self.number(steps, |_, _| flag::ACK);
        self.acknowledged(&names, &bytes, names.len())
    }

    /// Sends the steps in one buffer of which only the last is acknowledged; a failed step
    /// reports itself unasked. For transactions, which may hold thousands of messages.
    pub fn apply_as_one(&mut self, steps: Vec<Step>) -> Result<(), NetlinkError> {
        // The closing bracket cannot be acknowledged before kernel 6.10: the step before it is.
        let last = steps.len().saturating_sub(2);
        let (names, bytes) = self.number(steps, |at, _| if at == last { flag::ACK } else { 0 });
        self.acknowledged(&names, &bytes, 1)
    }

    fn number(&mut self, steps: Vec<Step>, flags: impl Fn(usize, &Step) -> u16) -> (Vec<String>, Vec<u8>) {
        let mut names = Vec::with_capacity(steps.len());
        let mut bytes = Vec::with_capacity(steps.len() * 128);
        for (at, step) in steps.into_iter().enumerate() {
            let flags = flags(at, &step);
            let sequence = self.sequence.wrapping_add(at as u32 + 1);
            bytes.extend_from_slice(&step.message.finish(sequence, flags));
            names.push(step.name);
        }
        (names, bytes)
    }

    fn acknowledged(&mut self, names: &[String], bytes: &[u8], expected: usize) -> Result<(), NetlinkError> {
        let base = self.sequence.wrapping_add(1);
        self.sequence = self.sequence.wrapping_add(names.len() as u32);
        let whole = || names.first().cloned().unwrap_or_default();
        let lost = |source| NetlinkError::Exchange { step: whole(), source };
        self.socket.send(bytes).map_err(lost)?;
        let (mut seen, mut failure) = (0, None);
        while let Some(length) = self.socket.receive(&mut self.buffer).map_err(lost)? {
            for answer in answers(&self.buffer[..length]).filter(|answer| answer.kind == ERROR) {
                seen += 1;
                let at = answer.sequence.wrapping_sub(base) as usize;
                let step = names.get(at).map_or("netlink", String::as_str);
                if let Err(error) = verdict(step, answer.flags, answer.body) {
                    failure.get_or_insert(error);
                }
            }
        }
        match failure {
            Some(error) => Err(error),
            None if seen < expected => Err(lost(io::ErrorKind::UnexpectedEof.into())),
            None => Ok(()),
        }
    }

    /// Asks for one thing or a list; each answer's body is shown to `each`.
    pub fn ask(
        &mut self,
        step: &str,
        message: Message,
        mut each: impl FnMut(u16, &[u8]),
    ) -> Result<(), NetlinkError> {
        let lost = |source| NetlinkError::Exchange { step: step.to_owned(), source };
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&message.finish(self.sequence, 0)).map_err(lost)?;
        // A dump continues in the kernel as it is read; it ends with DONE. A single answer
        // comes alone, so that an empty queue ends it.
        while let Some(length) = self.socket.receive(&mut self.buffer).map_err(lost)? {
            for answer in answers(&self.buffer[..length]) {
                match answer.kind {
                    DONE => return Ok(()),
                    ERROR => verdict(step, answer.flags, answer.body)?,
                    kind => each(kind, answer.body),
                }
            }
        }
        Ok(())
    }
}

/// Reads a `struct nlmsgerr`: an error number, the refused header, and perhaps words.
fn verdict(step: &str, flags: u16, body: &[u8]) -> Result<(), NetlinkError> {
    let code = body.get(..4).and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_ne_bytes);
    if code == 0 {
        return Ok(());
    }
    let said = (flags & HAS_TEXT != 0)
        .then(|| attribute(body.get(20..).unwrap_or_default(), ERROR_TEXT))
        .flatten()
        .map_or_else(String::new, |words| format!(": {}", text(words)));
    Err(NetlinkError::Refused { step: step.to_owned(), source: io::Error::from_raw_os_error(-code), said })
}
