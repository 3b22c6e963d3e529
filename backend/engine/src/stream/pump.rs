//! Bytes between one docker client and one shim stream, both ways, until either is done.

use std::io;

use drydock_shim::exit::Exit;
use drydock_shim::protocol::{self, Control, FRAME_HEADER, Stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;

use super::detach::{DetachKeys, Typed};
use super::hijack::ReadWrite;

const CHUNK: usize = 32 << 10;

/// How the two sides are joined.
#[derive(Debug)]
pub struct Plan {
    /// A terminal: its bytes go out without frames.
    pub raw: bool,
    /// The client may type.
    pub stdin: bool,
    /// The end of the client's input is the end of the process's.
    pub close_stdin: bool,
    /// Watched for in the input; none: the user cannot detach by typing.
    pub detach: Option<DetachKeys>,
}

/// Why it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The process did; `None` when the shim left without saying how.
    Process(Option<Exit>),
    /// The user typed the detach keys.
    Detached,
    /// The client is gone.
    Client,
}

/// Passes bytes until the process ends, the client leaves or detaches. `first` was read from the shim already.
/// `before_close` is told why before the client sees the end: what it asks next is already true. The shim's stream
/// comes back for those who still want its end; dropped, it tells the shim that nobody listens any more.
pub async fn run(
    client: Box<dyn ReadWrite>,
    shim: UnixStream,
    first: Vec<u8>,
    plan: Plan,
    before_close: impl FnOnce(&End),
) -> (End, Option<ShimReader>) {
    let (from_client, mut to_client) = tokio::io::split(client);
    let (from_shim, mut to_shim) = shim.into_split();
    let mut reader = ShimReader { stream: from_shim, open: None, buffer: first };
    let Plan { raw, stdin, close_stdin, detach } = plan;
    let ended = {
        let output = reader.forward(&mut to_client, raw);
        let input = input(from_client, &mut to_shim, stdin, close_stdin, detach);
        tokio::pin!(output, input);
        let mut input_done = false;
        loop {
            tokio::select! {
                ended = &mut output => break ended,
                typed = &mut input, if !input_done => match typed {
                    InputEnd::Detached => break End::Detached,
                    // Its sending half is closed; it may still read.
                    InputEnd::Closed => input_done = true,
                    InputEnd::ShimGone => input_done = true,
                },
            }
        }
    };
    before_close(&ended);
    let _ = to_client.shutdown().await;
    match ended {
        End::Process(_) => (ended, None),
        _ => {
            reader.open = Some(to_shim);
            (ended, Some(reader))
        }
    }
}

enum InputEnd {
    Closed,
    Detached,
    ShimGone,
}

async fn input(
    mut from: impl AsyncRead + Unpin,
    to: &mut (impl AsyncWrite + Unpin),
    stdin: bool,
    close_stdin: bool,
    mut detach: Option<DetachKeys>,
) -> InputEnd {
    let mut buffer = vec![0; CHUNK];
    let mut frame = Vec::new();
    loop {
        let count = from.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            if stdin && close_stdin {
                frame.clear();
                protocol::encode_frame(&mut frame, Stream::CloseStdin, &[]);
                let _ = to.write_all(&frame).await;
            }
            return InputEnd::Closed;
        }
        let typed = match &mut detach {
            Some(keys) => keys.take(&buffer[..count]),
            None => Typed::Pass(buffer[..count].to_vec()),
        };
        let (Typed::Pass(bytes) | Typed::Detach(bytes)) = &typed;
        if stdin && !bytes.is_empty() {
            frame.clear();
            protocol::encode_frame(&mut frame, Stream::Stdin, bytes);
            if to.write_all(&frame).await.is_err() {
                return InputEnd::ShimGone;
            }
        }
        if matches!(typed, Typed::Detach(_)) {
            return InputEnd::Detached;
        }
    }
}

/// The shim's frames.
#[derive(Debug)]
pub struct ShimReader {
    stream: tokio::net::unix::OwnedReadHalf,
    /// The other half: closing it would end the stream.
    open: Option<tokio::net::unix::OwnedWriteHalf>,
    buffer: Vec<u8>,
}

impl ShimReader {
    async fn forward(&mut self, to: &mut (impl AsyncWrite + Unpin), raw: bool) -> End {
        let mut out = Vec::with_capacity(CHUNK);
        loop {
            out.clear();
            let exit = self.drain(&mut out, raw);
            if !out.is_empty() && (to.write_all(&out).await.is_err() || to.flush().await.is_err()) {
                return End::Client;
            }
            match exit {
                Ok(Some(exit)) => return End::Process(Some(exit)),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!("{}", crate::error::chain(&error));
                    return End::Process(None);
                }
            }
            if !self.more().await.unwrap_or(false) {
                return End::Process(None);
            }
        }
    }

    /// Reads on without a client until the process ends.
    pub async fn to_the_end(self) -> Option<Exit> {
        self.collect(&mut Vec::new(), 0).await
    }

    /// Reads on until the process ends; keeps the first `limit` bytes of its output.
    pub async fn collect(mut self, kept: &mut Vec<u8>, limit: usize) -> Option<Exit> {
        loop {
            let drained = self.drain(kept, true);
            kept.truncate(limit);
            match drained {
                Ok(Some(exit)) => return Some(exit),
                Ok(None) => {}
                Err(_) => return None,
            }
            if !self.more().await.unwrap_or(false) {
                return None;
            }
        }
    }

    pub fn new(stream: UnixStream, buffer: Vec<u8>) -> Self {
        let (stream, open) = stream.into_split();
        Self { stream, open: Some(open), buffer }
    }

    async fn more(&mut self) -> io::Result<bool> {
        self.buffer.reserve(CHUNK);
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    /// Moves whole frames of output into `out`; answers the process's end when its frame is there.
    fn drain(&mut self, out: &mut Vec<u8>, raw: bool) -> Result<Option<Exit>, protocol::ProtocolError> {
        let mut used = 0;
        let mut exit = None;
        while let Some((frame, length)) = protocol::decode_frame(&self.buffer[used..])? {
            match frame.stream {
                Stream::Stdout | Stream::Stderr if raw => out.extend_from_slice(frame.payload),
                // Docker's frames are the shim's frames.
                Stream::Stdout | Stream::Stderr => {
                    out.extend_from_slice(&protocol::frame_header(
                        frame.stream,
                        (length - FRAME_HEADER) as u32,
                    ));
                    out.extend_from_slice(frame.payload);
                }
                Stream::Control => {
                    if let Ok(Control::Exit(ended)) = serde_json::from_slice(frame.payload) {
                        exit = Some(ended);
                    }
                }
                _ => {}
            }
            used += length;
        }
        self.buffer.drain(..used);
        Ok(exit)
    }
}
