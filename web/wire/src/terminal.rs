//! The terminal socket, `GET /sessions/{session}/instances/{instance}/terminals/{terminal}/ws?from={offset}&mode=rw|ro`.
//!
//! Binary WebSocket messages, one frame each: a tag byte, then the fields in network byte order.
//! Output is a byte stream addressed by offset since the terminal was made, so a reconnect is a read
//! from an offset. A browser's WebSocket has no back-pressure of its own: the client acknowledges what
//! its terminal has *drawn*, and the server keeps at most [`WINDOW`] bytes unacknowledged.

/// Bytes the server may send beyond the last acknowledged offset.
pub const WINDOW: u64 = 512 * 1024;

/// The longest `Input` payload, bytes; a longer paste is split by the sender.
pub const MAX_INPUT: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame<'a> {
    /// Keystrokes or pasted bytes, in order. Refused (connection closed) on a read-only socket.
    Input(&'a [u8]),
    /// This viewer's size in cells. The terminal takes the size of whoever typed last.
    Resize { cols: u16, rows: u16 },
    /// Everything before `offset` has been drawn.
    Ack { offset: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerFrame<'a> {
    /// First frame of a connection: where the stream now ends and the terminal's size.
    Hello { end: u64, cols: u16, rows: u16 },
    /// Bytes `offset..offset + data.len()` of the stream.
    Output { offset: u64, data: &'a [u8] },
    /// Bytes from the asked offset up to `resume` are no longer in the scrollback.
    Gap { resume: u64 },
    /// Another viewer changed the size.
    Resized { cols: u16, rows: u16 },
    /// The shell ended (`code`: its exit status, 128 + signal when killed); a new one follows.
    ShellExited { code: i32 },
    /// No more output will come: the terminal, its node or the session is gone.
    Closed { reason: &'a str },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFrame;

const INPUT: u8 = 0;
const RESIZE: u8 = 1;
const ACK: u8 = 2;

const HELLO: u8 = 0;
const OUTPUT: u8 = 1;
const GAP: u8 = 2;
const RESIZED: u8 = 3;
const SHELL_EXITED: u8 = 4;
const CLOSED: u8 = 5;

impl<'a> ClientFrame<'a> {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Input(data) => tagged(INPUT, &[data]),
            Self::Resize { cols, rows } => tagged(RESIZE, &[&cols.to_be_bytes(), &rows.to_be_bytes()]),
            Self::Ack { offset } => tagged(ACK, &[&offset.to_be_bytes()]),
        }
    }

    pub fn decode(message: &'a [u8]) -> Result<Self, BadFrame> {
        let (&tag, rest) = message.split_first().ok_or(BadFrame)?;
        match tag {
            INPUT => Ok(Self::Input(rest)),
            RESIZE => {
                let (cols, rows) = cells(rest)?;
                Ok(Self::Resize { cols, rows })
            }
            ACK => Ok(Self::Ack { offset: u64::from_be_bytes(exact(rest)?) }),
            _ => Err(BadFrame),
        }
    }
}

impl<'a> ServerFrame<'a> {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { end, cols, rows } => {
                tagged(HELLO, &[&end.to_be_bytes(), &cols.to_be_bytes(), &rows.to_be_bytes()])
            }
            Self::Output { offset, data } => tagged(OUTPUT, &[&offset.to_be_bytes(), data]),
            Self::Gap { resume } => tagged(GAP, &[&resume.to_be_bytes()]),
            Self::Resized { cols, rows } => tagged(RESIZED, &[&cols.to_be_bytes(), &rows.to_be_bytes()]),
            Self::ShellExited { code } => tagged(SHELL_EXITED, &[&code.to_be_bytes()]),
            Self::Closed { reason } => tagged(CLOSED, &[reason.as_bytes()]),
        }
    }

    pub fn decode(message: &'a [u8]) -> Result<Self, BadFrame> {
        let (&tag, rest) = message.split_first().ok_or(BadFrame)?;
        match tag {
            HELLO => {
                let (end, size) = offset_and_rest(rest)?;
                let (cols, rows) = cells(size)?;
                Ok(Self::Hello { end, cols, rows })
            }
            OUTPUT => {
                let (offset, data) = offset_and_rest(rest)?;
                Ok(Self::Output { offset, data })
            }
            GAP => Ok(Self::Gap { resume: u64::from_be_bytes(exact(rest)?) }),
            RESIZED => {
                let (cols, rows) = cells(rest)?;
                Ok(Self::Resized { cols, rows })
            }
            SHELL_EXITED => Ok(Self::ShellExited { code: i32::from_be_bytes(exact(rest)?) }),
            CLOSED => Ok(Self::Closed { reason: str::from_utf8(rest).map_err(|_| BadFrame)? }),
            _ => Err(BadFrame),
        }
    }
}

fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    frame.push(tag);
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

fn exact<const N: usize>(bytes: &[u8]) -> Result<[u8; N], BadFrame> {
    bytes.try_into().map_err(|_| BadFrame)
}

fn offset_and_rest(bytes: &[u8]) -> Result<(u64, &[u8]), BadFrame> {
    let (offset, rest) = bytes.split_first_chunk().ok_or(BadFrame)?;
    Ok((u64::from_be_bytes(*offset), rest))
}

fn cells(bytes: &[u8]) -> Result<(u16, u16), BadFrame> {
    let [a, b, c, d] = exact(bytes)?;
    Ok((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_client_frame_survives_the_wire() {
        for frame in [
            ClientFrame::Input("ls\r\u{e9}".as_bytes()),
            ClientFrame::Resize { cols: 120, rows: 40 },
            ClientFrame::Ack { offset: 1 << 40 },
        ] {
            assert_eq!(ClientFrame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn every_server_frame_survives_the_wire() {
        for frame in [
            ServerFrame::Hello { end: 7, cols: 80, rows: 24 },
            ServerFrame::Output { offset: 9, data: b"\xff\x00" },
            ServerFrame::Gap { resume: 3 },
            ServerFrame::Resized { cols: 1, rows: 2 },
            ServerFrame::ShellExited { code: 130 },
            ServerFrame::Closed { reason: "session ended" },
        ] {
            assert_eq!(ServerFrame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn truncated_and_unknown_frames_are_refused() {
        for bytes in [&b""[..], &[9], &[1, 0], &[2, 0, 0]] {
            assert_eq!(ClientFrame::decode(bytes), Err(BadFrame));
        }
    }
}
