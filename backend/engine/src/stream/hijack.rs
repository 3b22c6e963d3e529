//! Taking an HTTP connection over: `101 UPGRADED` for clients that ask to upgrade. For those that do not, the answer's
//! body is the stream, and there is no way back.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};

use crate::http::version::ApiVersion;

/// Raw bytes of a terminal, or frames of several streams: clients from API 1.42 on are told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Raw,
    Multiplexed,
}

/// The client's side of the stream, once the answer is sent.
#[derive(Debug)]
pub enum Client {
    Upgrade(OnUpgrade),
    Body(DuplexStream),
}

/// Both directions of a client's connection.
pub trait ReadWrite: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ReadWrite for T {}

/// The answer to send, and where the stream will be.
pub fn hijack(request: &mut Request, kind: Kind) -> (Response, Client) {
    let version = request.extensions().get::<ApiVersion>().copied();
    let told = kind == Kind::Multiplexed && version.is_none_or(|version| !version.is_before(42));
    let content = HeaderValue::from_static(if told {
        "application/vnd.docker.multiplexed-stream"
    } else {
        "application/vnd.docker.raw-stream"
    });
    let wants_upgrade = request.headers().contains_key(header::UPGRADE);
    if wants_upgrade && let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, content);
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("tcp"));
        return (response, Client::Upgrade(upgrade));
    }
    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let mut response = Response::new(Body::from_stream(tokio_util::io::ReaderStream::new(theirs)));
    response.headers_mut().insert(header::CONTENT_TYPE, content);
    (response, Client::Body(ours))
}

impl Client {
    /// Waits until the answer has left and the connection is ours.
    pub async fn open(self) -> Result<Box<dyn ReadWrite>, hyper::Error> {
        Ok(match self {
            Self::Upgrade(upgrade) => Box::new(TokioIo::<Upgraded>::new(upgrade.await?)),
            Self::Body(stream) => Box::new(stream),
        })
    }

    /// A client without an upgrade cannot send; its silence is no end of input.
    pub const fn can_send(&self) -> bool {
        matches!(self, Self::Upgrade(_))
    }
}
