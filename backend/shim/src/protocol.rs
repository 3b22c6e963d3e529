//! What is said on `shim.sock`, as pure functions on byte slices: no input or output happens here.
//!
//! A connection begins with one request. Most are answered by one reply, and the connection then
//! takes the next request. `Attach` and `Exec` turn it into a stream for good:
//!
//! ```text
//!   client → shim   [length u32 BE][Request JSON]
//!   shim → client   [length u32 BE][Reply JSON]           Attached, Started or Failed
//!   shim → client   [stream u8][0 0 0][length u32 BE][payload] …   Docker's own stdcopy frames
//!   client → shim   [stream u8][0 0 0][length u32 BE][payload] …
//! ```
//!
//! Output arrives on streams 1 and 2 (a terminal's on 1) and can be passed to a Docker client as it
//! is; stream 3 carries [`Control`]. The shim closes the connection after the last frame.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use oci_spec::runtime::{LinuxResources, Process};

use crate::config::{Failure, Size};
use crate::exit::Exit;

/// What a client asks.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Request {
    /// Let a held container execute its program. Answer: `Started` or `Failed`.
    Start,
    /// Take part in the container's streams. Answer: `Attached`, then frames.
    Attach { streams: Streams },
    /// Execute a process in the container. Answer: `Started` or `Failed`, then frames. A client may leave
    /// without ending the process.
    Exec(Box<ExecRequest>),
    /// Answer: `Done`.
    Resize {
        #[serde(default)]
        exec_id: Option<String>,
        size: Size,
    },
    /// Send a signal to the container's first process, or to every process in it. Answer: `Done`.
    Kill {
        signal: i32,
        #[serde(default)]
        all: bool,
    },
    /// Send a signal to an executed process. Answer: `Done`.
    KillExec { exec_id: String, signal: i32 },
    /// Freeze all processes. Answer: `Done`.
    Pause,
    /// Answer: `Done`.
    Resume,
    /// Wait for the end of the container or of an executed process. Answer: `Exited`, when it happens.
    Wait {
        #[serde(default)]
        exec_id: Option<String>,
    },
    /// Answer: `State`.
    State,
    /// Change limits. Answer: `Done`.
    Update { resources: Box<LinuxResources> },
    /// Answer: `Pids`, as the shim sees them.
    Pids,
    /// Begin the log file anew at its path: it was moved or removed. Answer: `Done`.
    ReopenLog,
}

/// Which of the three streams a client takes part in. Without stdin, its stream-0 frames are ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Streams {
    #[serde(default)]
    pub stdin: bool,
    #[serde(default)]
    pub stdout: bool,
    #[serde(default)]
    pub stderr: bool,
}

/// A process to execute. It has a terminal when `process.terminal` says so. Streams not asked for are `/dev/null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExecRequest {
    pub id: String,
    pub process: Process,
    #[serde(default)]
    pub streams: Streams,
    #[serde(default)]
    pub size: Option<Size>,
}

/// What the shim answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    Done,
    Attached,
    Started { pid: i32 },
    Exited(Exit),
    State { state: ContainerState, pid: i32 },
    Pids(Vec<i32>),
    Failed(Failure),
}

/// Where the container is in its life, as its shim sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerState {
    Created,
    Running,
    Paused,
    Stopped,
}

/// A payload of stream 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// The attached or executed process ended; no output follows.
    Exit(Exit),
}

/// The meaning of a frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stream {
    /// Client → shim: bytes for standard input.
    Stdin = 0,
    /// Shim → client.
    Stdout = 1,
    /// Shim → client.
    Stderr = 2,
    /// Shim → client: a [`Control`] as JSON.
    Control = 3,
    /// Client → shim: no more standard input. Empty.
    CloseStdin = 4,
    /// Client → shim: a [`Size`] as JSON, for the terminal of this stream.
    Resize = 5,
    /// Client → shim: leave the container as it is. Empty.
    Detach = 6,
}

impl Stream {
    fn from_byte(byte: u8) -> Option<Self> {
        use Stream::{CloseStdin, Control, Detach, Resize, Stderr, Stdin, Stdout};
        [Stdin, Stdout, Stderr, Control, CloseStdin, Resize, Detach].into_iter().find(|s| *s as u8 == byte)
    }
}

/// One frame of a stream, borrowed from the buffer it was found in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    pub stream: Stream,
    pub payload: &'a [u8],
}

/// Requests, replies and frames longer than this are refused.
pub const MAX_MESSAGE: usize = 1 << 20;
/// The bytes before a frame's payload.
pub const FRAME_HEADER: usize = 8;

/// The other side does not speak this protocol; the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum ProtocolError {
    #[error("a message of {0} bytes is longer than {MAX_MESSAGE}")]
    TooLong(usize),
    #[error("the message is not valid JSON of its kind")]
    Json(#[source] serde_json::Error),
    #[error("no stream has the number {0}")]
    UnknownStream(u8),
}

/// Renders a request or a reply with its length before it.
pub fn encode_message(message: &impl Serialize) -> Result<Vec<u8>, ProtocolError> {
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message).map_err(ProtocolError::Json)?;
    let length = bytes.len() - 4;
    if length > MAX_MESSAGE {
        return Err(ProtocolError::TooLong(length));
    }
    bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
    Ok(bytes)
}

/// Reads a request or a reply from the front of `buffer`: the message and how many bytes it took,
/// or `None` when it is not all there yet.
pub fn decode_message<T: DeserializeOwned>(buffer: &[u8]) -> Result<Option<(T, usize)>, ProtocolError> {
    let Some((head, rest)) = buffer.split_first_chunk::<4>() else { return Ok(None) };
    let length = checked_length(*head)?;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    let message = serde_json::from_slice(body).map_err(ProtocolError::Json)?;
    Ok(Some((message, 4 + length)))
}

/// The eight bytes that go before a payload of `length` bytes.
pub fn frame_header(stream: Stream, length: u32) -> [u8; FRAME_HEADER] {
    let [a, b, c, d] = length.to_be_bytes();
    [stream as u8, 0, 0, 0, a, b, c, d]
}

/// Appends a whole frame to `buffer`.
pub fn encode_frame(buffer: &mut Vec<u8>, stream: Stream, payload: &[u8]) {
    buffer.extend_from_slice(&frame_header(stream, payload.len() as u32));
    buffer.extend_from_slice(payload);
}

/// Reads a frame from the front of `buffer`: the frame and how many bytes it took, or `None` when it
/// is not all there yet.
pub fn decode_frame(buffer: &[u8]) -> Result<Option<(Frame<'_>, usize)>, ProtocolError> {
    let Some((head, rest)) = buffer.split_first_chunk::<FRAME_HEADER>() else { return Ok(None) };
    let [stream, _, _, _, a, b, c, d] = *head;
    let stream = Stream::from_byte(stream).ok_or(ProtocolError::UnknownStream(stream))?;
    let length = checked_length([a, b, c, d])?;
    let Some(payload) = rest.get(..length) else { return Ok(None) };
    Ok(Some((Frame { stream, payload }, FRAME_HEADER + length)))
}

fn checked_length(bytes: [u8; 4]) -> Result<usize, ProtocolError> {
    let length = u32::from_be_bytes(bytes) as usize;
    if length > MAX_MESSAGE { Err(ProtocolError::TooLong(length)) } else { Ok(length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cut_anywhere_is_not_yet_there_and_whole_it_is_read_back() {
        let whole = encode_message(&Reply::Started { pid: 7 }).unwrap();
        for cut in 0..whole.len() {
            assert!(decode_message::<Reply>(&whole[..cut]).unwrap().is_none());
        }
        let (reply, used) = decode_message::<Reply>(&whole).unwrap().unwrap();
        assert_eq!((reply, used), (Reply::Started { pid: 7 }, whole.len()));
    }

    #[test]
    fn a_frame_has_dockers_stdcopy_header() {
        let mut buffer = Vec::new();
        encode_frame(&mut buffer, Stream::Stderr, b"oh");
        assert_eq!(buffer, [2, 0, 0, 0, 0, 0, 0, 2, b'o', b'h']);
        for cut in 0..buffer.len() {
            assert!(decode_frame(&buffer[..cut]).unwrap().is_none());
        }
        let (frame, used) = decode_frame(&buffer).unwrap().unwrap();
        assert_eq!((frame, used), (Frame { stream: Stream::Stderr, payload: b"oh" }, 10));
    }

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_its_bytes_arrive() {
        assert!(decode_message::<Reply>(&[0xff; 4]).is_err());
        assert!(decode_frame(&[1, 0, 0, 0, 0xff, 0, 0, 0]).is_err());
        assert!(decode_frame(&[9, 0, 0, 0, 0, 0, 0, 0]).is_err());
    }

    #[test]
    fn requests_survive_the_way() {
        let request = Request::Attach { streams: Streams { stdin: true, stdout: true, stderr: false } };
        let bytes = encode_message(&request).unwrap();
        let (read, _) = decode_message::<Request>(&bytes).unwrap().unwrap();
        assert!(matches!(read, Request::Attach { streams } if streams.stdin && !streams.stderr));
    }
}
