//! The dialling side: one HTTP/2 connection to a manager, and calls over it.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use http::uri::PathAndQuery;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::client::GrpcService;

use super::Call;
use super::codec::{Json, MESSAGE_LIMIT};
use super::socket::{Source, dial};
use super::status::from_wire;
use crate::identity::credentials::manager_name;
use crate::{Code, Status};

/// How long a connection may take to come up.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A connection to a manager; clones share it. It ends when the last clone is dropped and its calls are over.
#[derive(Clone)]
pub struct Channel {
    sender: http2::SendRequest<Body>,
}

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Channel").field("closed", &self.is_closed()).finish()
    }
}

impl Channel {
    /// Dials `address` and checks with `tls` that a manager answers.
    pub async fn connect(address: &str, tls: Arc<ClientConfig>, source: Source) -> Result<Self, Status> {
        match timeout(CONNECT_LIMIT, handshake(address, tls, source)).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(error)) => Err(unreachable_at(address, &error)),
            Err(_) => Err(unreachable_at(address, &io::Error::new(io::ErrorKind::TimedOut, "i/o timeout"))),
        }
    }

    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Asks, and waits no longer than `limit` for the answer.
    pub async fn call<C: Call>(&self, request: C::Request, limit: Duration) -> Result<C::Response, Status> {
        let asking = async {
            let mut grpc = self.grpc();
            grpc.ready().await.map_err(|error| lost(&error))?;
            let codec = Json::<C::Request, C::Response>::new();
            let answer =
                grpc.unary(tonic::Request::new(request), PathAndQuery::from_static(C::PATH), codec).await;
            answer.map(tonic::Response::into_inner).map_err(|status| from_wire(&status))
        };
        timeout(limit, asking).await.unwrap_or_else(|_| Err(deadline()))
    }

    /// Asks for a stream of answers; the stream itself may last for ever.
    pub async fn stream<C: Call>(&self, request: C::Request) -> Result<Incoming<C::Response>, Status> {
        let mut grpc = self.grpc();
        grpc.ready().await.map_err(|error| lost(&error))?;
        let codec = Json::<C::Request, C::Response>::new();
        let request = tonic::Request::new(request);
        let answer = grpc.server_streaming(request, PathAndQuery::from_static(C::PATH), codec).await;
        answer.map(|response| Incoming(response.into_inner())).map_err(|status| from_wire(&status))
    }

    /// Passes a whole request on, body and all.
    pub(super) async fn forward(&self, request: http::Request<Body>) -> Result<http::Response<Body>, Status> {
        let mut sender = self.sender.clone();
        sender.ready().await.map_err(|error| lost(&error))?;
        let response = sender.send_request(request).await.map_err(|error| lost(&error))?;
        Ok(response.map(Body::new))
    }

    fn grpc(&self) -> tonic::client::Grpc<Sending> {
        let origin = http::Uri::from_static("https://swarm-manager");
        tonic::client::Grpc::with_origin(Sending(self.sender.clone()), origin)
            .max_decoding_message_size(MESSAGE_LIMIT)
            .max_encoding_message_size(MESSAGE_LIMIT)
    }
}

/// Answers as they come.
#[derive(Debug)]
pub struct Incoming<T>(tonic::Streaming<T>);

impl<T> Incoming<T> {
    /// The next answer; `None` when the other side closed the stream in order.
    pub async fn next(&mut self) -> Option<Result<T, Status>> {
        let item = self.0.next().await?;
        Some(item.map_err(|status| from_wire(&status)))
    }
}

async fn handshake(address: &str, tls: Arc<ClientConfig>, source: Source) -> io::Result<Channel> {
    let stream = dial(address, source).await?;
    let secured = TlsConnector::from(tls).connect(manager_name(), stream).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(secured))
        .await
        .map_err(io::Error::other)?;
    // Ends with the connection: the last sender dropped, or the other side gone.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to a manager ended");
        }
    });
    Ok(Channel { sender })
}

/// The shape that tonic calls through.
struct Sending(http2::SendRequest<Body>);

impl GrpcService<Body> for Sending {
    type ResponseBody = hyper::body::Incoming;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<http::Response<hyper::body::Incoming>, hyper::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// The words of gRPC in Go, which clients know.
fn unreachable_at(address: &str, error: &io::Error) -> Status {
    let cause = match error.kind() {
        io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
        io::ErrorKind::HostUnreachable => "connect: no route to host".to_owned(),
        io::ErrorKind::NetworkUnreachable => "connect: network is unreachable".to_owned(),
        io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
        _ if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => {
            return Status::new(
                Code::Unavailable,
                format!("connection error: desc = \"transport: authentication handshake failed: {error}\""),
            );
        }
        _ => error.to_string(),
    };
    let words =
        format!("connection error: desc = \"transport: Error while dialing: dial tcp {address}: {cause}\"");
    Status::new(Code::Unavailable, words)
}

fn lost(error: &hyper::Error) -> Status {
    Status::new(Code::Unavailable, format!("transport is closing: {error}"))
}

pub(super) fn deadline() -> Status {
    Status::new(Code::DeadlineExceeded, "context deadline exceeded")
}
