//! Taking an HTTP connection over: `101 UPGRADED` for clients that ask to upgrade. For those that do not, the answer's
//! body is the stream, and there is no way back.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::http::hangup::Hangup;
use crate::http::version::ApiVersion;

/// What a client has to read the head of an answer before the stream follows, where the kernel does not tell.
const HEAD_START: std::time::Duration = std::time::Duration::from_millis(5);

/// Raw bytes of a terminal, or frames of several streams: clients from API 1.42 on are told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Raw,
    Multiplexed,
}

/// The client's side of the stream, once the answer is sent.
#[derive(Debug)]
pub enum Client {
    Upgrade(OnUpgrade, Option<Hangup>),
    Body(DuplexStream),
}

/// Both directions of a client's connection.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// The answer to send, and where the stream will be.
pub fn hijack(request: &mut Request, kind: Kind) -> (Response, Client) {
    let version = request.extensions().get::<ApiVersion>().copied();
    let told = kind == Kind::Multiplexed && version.is_none_or(|version| !version.is_before(42));
    let wants_upgrade = request.headers().contains_key(header::UPGRADE);
    // Who asks for no upgrade is told nothing of frames, though there are some.
    let content = HeaderValue::from_static(if told && wants_upgrade {
        "application/vnd.docker.multiplexed-stream"
    } else {
        "application/vnd.docker.raw-stream"
    });
    if wants_upgrade && let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
        let peer = request.extensions().get::<Hangup>().cloned();
        return (response, Client::Upgrade(upgrade, peer));
    }
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let mut response = Response::new(Body::from_stream(tokio_util::io::ReaderStream::new(theirs)));
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    (response, Client::Body(ours))
}

impl Client {
    /// Waits until the client has the answer's head and the connection is ours. Some clients, docker-py among them,
    /// read the head through a buffer that they then drop, with whatever of the stream came in the same piece. Moby
    /// never sends so soon: its processes take longer to start.
    pub async fn open(self) -> Result<Box<dyn ReadWrite>, hyper::Error> {
        Ok(match self {
            Self::Upgrade(upgrade, peer) => {
                let stream = TokioIo::<Upgraded>::new(upgrade.await?);
                match peer {
                    Some(peer) => peer.has_read().await,
                    None => tokio::time::sleep(HEAD_START).await,
                }
                Box::new(stream)
            }
            Self::Body(stream) => Box::new(stream),
        })
    }

    /// A client without an upgrade cannot send; its silence is no end of input.
    pub const fn can_send(&self) -> bool {
        matches!(self, Self::Upgrade(..))
    }
}
