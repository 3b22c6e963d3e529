//! A terminal as a browser has it, in either server's dialect.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use drydock_wire::terminal::{ClientFrame, ServerFrame};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Between acknowledgements, bytes; the page's own pace.
const ACK_EVERY: u64 = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    Drydock,
    /// A tag byte, `0` for input and output, and the bytes.
    Ttyd,
}

pub struct Screen {
    dialect: Dialect,
    socket: WebSocketStream<TcpStream>,
    pub received: u64,
    acknowledged: u64,
    pub lost: u64,
    /// The last bytes, to look for words in.
    tail: Vec<u8>,
}

impl Screen {
    pub async fn open(url: &str, dialect: Dialect) -> Result<Self> {
        let mut request = url.replacen("http", "ws", 1).into_client_request()?;
        if dialect == Dialect::Ttyd {
            request.headers_mut().insert("Sec-WebSocket-Protocol", "tty".parse()?);
        }
        let stream = TcpStream::connect(request.uri().authority().context("no host")?.as_str()).await?;
        stream.set_nodelay(true)?;
        // Cleared before every read: the default of 128 KiB costs more than a keystroke.
        let buffers = WebSocketConfig::default().read_buffer_size(32 * 1024);
        let (mut socket, _) =
            tokio_tungstenite::client_async_with_config(request, stream, Some(buffers)).await?;
        if dialect == Dialect::Ttyd {
            socket.send(Message::binary(&br#"{"AuthToken":"","columns":80,"rows":24}"#[..])).await?;
        }
        Ok(Self { dialect, socket, received: 0, acknowledged: 0, lost: 0, tail: Vec::new() })
    }

    pub async fn type_in(&mut self, bytes: &[u8]) -> Result<()> {
        let message = match self.dialect {
            Dialect::Drydock => ClientFrame::Input(bytes).encode(),
            Dialect::Ttyd => [b"0", bytes].concat(),
        };
        Ok(self.socket.send(Message::binary(message)).await?)
    }

    /// Takes one message.
    pub async fn receive(&mut self) -> Result<()> {
        let message = self.socket.next().await.context("the socket ended")??;
        let Message::Binary(message) = message else { return Ok(()) };
        match self.dialect {
            Dialect::Drydock => self.frame(&message)?,
            Dialect::Ttyd => match message.split_first() {
                Some((b'0', data)) => {
                    self.received += data.len() as u64;
                    self.keep(data);
                }
                _ => return Ok(()),
            },
        }
        if self.dialect == Dialect::Drydock && self.received - self.acknowledged >= ACK_EVERY {
            self.acknowledged = self.received;
            let drawn = ClientFrame::Ack { offset: self.received }.encode();
            self.socket.send(Message::binary(drawn)).await?;
        }
        Ok(())
    }

    fn frame(&mut self, message: &[u8]) -> Result<()> {
        match ServerFrame::decode(message).ok().context("an unknown frame")? {
            ServerFrame::Hello { .. } | ServerFrame::Resized { .. } => {}
            ServerFrame::Output { offset, data } => {
                self.lost += offset.saturating_sub(self.received);
                self.received = offset + data.len() as u64;
                self.keep(data);
            }
            ServerFrame::Gap { resume } => {
                self.lost += resume.saturating_sub(self.received);
                self.received = resume;
            }
            other => bail!("{other:?}"),
        }
        Ok(())
    }

    fn keep(&mut self, data: &[u8]) {
        const KEPT: usize = 64;
        self.tail.extend_from_slice(&data[data.len().saturating_sub(KEPT)..]);
        self.tail.drain(..self.tail.len().saturating_sub(KEPT));
    }

    pub async fn until(&mut self, word: &[u8]) -> Result<()> {
        while !self.tail.windows(word.len()).any(|part| part == word) {
            self.receive().await?;
        }
        Ok(())
    }

    /// Waits for the prompt.
    pub async fn until_something(&mut self) -> Result<()> {
        while self.received == 0 {
            self.receive().await?;
        }
        Ok(())
    }

    /// Runs a command that says nothing and waits until the terminal is quiet.
    pub async fn run(&mut self, command: &str) -> Result<()> {
        self.settle().await?;
        self.type_in(format!("{command}\r").as_bytes()).await?;
        self.settle().await
    }

    pub async fn settle(&mut self) -> Result<()> {
        while let Ok(received) = tokio::time::timeout(Duration::from_millis(300), self.receive()).await {
            received?;
        }
        Ok(())
    }
}
