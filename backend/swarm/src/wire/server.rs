//! The listening side: TLS, who calls, whether it may, and where the call is answered.
//!
//! ```text
//! accept loop ── one task per connection ── one task per call (hyper)
//! ```
//! All end with the server's token.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::server::Grpc;

use super::codec::{Json, MESSAGE_LIMIT};
use super::peer::{FORWARDED, Gate, Member, Peer};
use super::relay::{Leader, Relay};
use super::status::to_wire;
use super::{At, Call, Caller, Pool, socket};
use crate::identity::Subject;
use crate::{Code, Status};

/// How long a newcomer may take to say who it is.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

type Handler =
    Arc<dyn Fn(Peer, http::Request<Body>) -> BoxFuture<'static, http::Response<Body>> + Send + Sync>;

#[derive(Clone)]
struct Route {
    caller: Caller,
    at: At,
    handler: Handler,
}

/// The calls that a manager answers.
#[derive(Clone, Default)]
pub struct Routes(HashMap<&'static str, Route>);

impl std::fmt::Debug for Routes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Routes {
    /// `answer` answers `C`.
    #[must_use]
    pub fn unary<C, F, A>(mut self, answer: F) -> Self
    where
        C: Call,
        F: Fn(Peer, C::Request) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<C::Response, Status>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |peer, request| {
            let service = Once::<C, F>(peer, answer.clone(), std::marker::PhantomData);
            Box::pin(async move { grpc::<C>().unary(service, request).await })
        });
        self.0.insert(C::PATH, Route { caller: C::CALLER, at: C::AT, handler });
        self
    }

    /// `answer` answers `C` with a stream.
    #[must_use]
    pub fn streaming<C, F, A, S>(mut self, answer: F) -> Self
    where
        C: Call,
        F: Fn(Peer, C::Request) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Result<S, Status>> + Send + 'static,
        S: Stream<Item = Result<C::Response, Status>> + Send + 'static,
    {
        let handler: Handler = Arc::new(move |peer, request| {
            let service = Many::<C, F>(peer, answer.clone(), std::marker::PhantomData);
            Box::pin(async move { grpc::<C>().server_streaming(service, request).await })
        });
        self.0.insert(C::PATH, Route { caller: C::CALLER, at: C::AT, handler });
        self
    }
}

fn grpc<C: Call>() -> Grpc<Json<C::Response, C::Request>> {
    Grpc::new(Json::new()).max_decoding_message_size(MESSAGE_LIMIT).max_encoding_message_size(MESSAGE_LIMIT)
}

struct Once<C, F>(Peer, F, std::marker::PhantomData<fn() -> C>);

impl<C, F, A> tonic::server::UnaryService<C::Request> for Once<C, F>
where
    C: Call,
    F: Fn(Peer, C::Request) -> A,
    A: Future<Output = Result<C::Response, Status>> + Send + 'static,
{
    type Response = C::Response;
    type Future = BoxFuture<'static, Result<tonic::Response<C::Response>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<C::Request>) -> Self::Future {
        let answer = (self.1)(self.0.clone(), request.into_inner());
        Box::pin(async move { answer.await.map(tonic::Response::new).map_err(to_wire) })
    }
}

struct Many<C, F>(Peer, F, std::marker::PhantomData<fn() -> C>);

impl<C, F, A, S> tonic::server::ServerStreamingService<C::Request> for Many<C, F>
where
    C: Call,
    F: Fn(Peer, C::Request) -> A,
    A: Future<Output = Result<S, Status>> + Send + 'static,
    S: Stream<Item = Result<C::Response, Status>> + Send + 'static,
{
    type Response = C::Response;
    type ResponseStream = std::pin::Pin<Box<dyn Stream<Item = Result<C::Response, tonic::Status>> + Send>>;
    type Future = BoxFuture<'static, Result<tonic::Response<Self::ResponseStream>, tonic::Status>>;

    fn call(&mut self, request: tonic::Request<C::Request>) -> Self::Future {
        let answer = (self.1)(self.0.clone(), request.into_inner());
        Box::pin(async move {
            let stream = answer.await.map_err(to_wire)?;
            let stream: Self::ResponseStream = Box::pin(stream.map(|item| item.map_err(to_wire)));
            Ok(tonic::Response::new(stream))
        })
    }
}

/// A manager's listening side.
#[derive(Debug, Clone)]
pub struct Server {
    gate: Gate,
    routes: Arc<Routes>,
    relay: Relay,
}

impl Server {
    pub fn new(gate: Gate, routes: Routes, pool: Pool, leader: watch::Receiver<Leader>) -> Self {
        Self { gate, routes: Arc::new(routes), relay: Relay { pool, leader } }
    }

    /// Serves until `end`; when it returns every connection is closed.
    pub async fn serve(self, listener: TcpListener, end: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = end.cancelled() => break,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let (server, end) = (self.clone(), end.clone());
                    connections.spawn(async move {
                        tokio::select! {
                            () = end.cancelled() => {}
                            () = server.connection(stream, address) => {}
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    // Out of descriptors, as a rule: the next try a moment later, when one may be free.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    async fn connection(self, stream: TcpStream, address: SocketAddr) {
        if let Err(error) = socket::tune(&stream) {
            tracing::debug!(%error, peer.address = %address, "a connection cannot be tuned");
            return;
        }
        let acceptor = TlsAcceptor::from(self.gate.credentials.get().server());
        let Ok(Ok(secured)) = tokio::time::timeout(HANDSHAKE_LIMIT, acceptor.accept(stream)).await else {
            tracing::debug!(peer.address = %address, "a handshake failed");
            return;
        };
        let certificate = secured.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let member =
            certificate.and_then(|der| Subject::of_der(der).ok()).map(|subject| Member::from(&subject));
        let peer = Peer { member, address };
        let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let (server, peer) = (self.clone(), peer.clone());
            async move { Ok::<_, std::convert::Infallible>(server.answer(peer, request.map(Body::new)).await) }
        });
        let connection =
            http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(secured), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, peer.address = %address, "a connection ended");
        }
    }

    async fn answer(mut self, direct: Peer, request: http::Request<Body>) -> http::Response<Body> {
        match self.route(direct, request).await {
            Ok(response) => response,
            Err(status) => to_wire(status).into_http(),
        }
    }

    async fn route(
        &mut self,
        direct: Peer,
        request: http::Request<Body>,
    ) -> Result<http::Response<Body>, Status> {
        let path = request.uri().path();
        let route = self.routes.0.get(path).cloned();
        let route =
            route.ok_or_else(|| Status::new(Code::Unimplemented, format!("unknown method {path}")))?;
        let forwarded = request.headers().get(FORWARDED).and_then(|value| value.to_str().ok());
        let is_forwarded = forwarded.is_some();
        let peer = self.gate.caller(direct, forwarded)?;
        self.gate.admit(&peer, route.caller)?;
        if route.at == At::Leader
            && let Some(address) = self.relay.target(is_forwarded).await?
        {
            return self.relay.forward(&address, &peer, request).await;
        }
        Ok((route.handler)(peer, request).await)
    }
}
