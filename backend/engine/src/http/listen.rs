//! Sockets the API is served on, and one task per connection.
//!
//! Task tree: `serve` owns one accept loop per listener, and one task that waits for quiet; each connection is a task of
//! the [`TaskTracker`].

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::FutureExt;
use http::{HeaderValue, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use crate::config::Host;
use crate::golang::os_error;
use crate::http::hangup::Hangup;
use crate::http::version::{self, ApiVersion};
use crate::quiet::Activity;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    Unix { socket: UnixListener, path: Option<PathBuf> },
    Tcp(TcpListener),
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("can't create unix socket {}: {}", path.display(), os_error(source))]
    Unix { path: PathBuf, source: io::Error },
    #[error("can't create unix socket {}: listen unix {}: bind: {}", path.display(), path.display(), os_error(source))]
    UnixBind { path: PathBuf, source: io::Error },
    #[error("listen tcp {address}: bind: {}", os_error(source))]
    Tcp { address: String, source: io::Error },
    #[error("group {0} not found")]
    Group(String),
    #[error("no sockets found via socket activation: make sure the service was started by systemd")]
    NothingInherited,
    #[error("use inherited socket {name}")]
    Inherited { name: String, source: io::Error },
}

impl Listener {
    /// Binds what `-H` names. A socket file left behind by an earlier process is replaced.
    pub async fn bind(host: &Host, group: Option<&str>) -> Result<Vec<Self>, BindError> {
        match host {
            Host::Unix(path) => Ok(vec![bind_unix(path, group)?]),
            Host::Tcp(address) => {
                // Not by getaddrinfo(3): a static program would load the host's NSS modules.
                let address = address.replace("localhost:", "127.0.0.1:");
                match TcpListener::bind(&address).await {
                    Ok(socket) => Ok(vec![Self::Tcp(socket)]),
                    Err(source) => Err(BindError::Tcp { address, source }),
                }
            }
            Host::Inherited(name) => inherited(name.as_deref()),
        }
    }

    /// Removes the socket file, if this listener made one.
    pub fn remove_file(&self) {
        if let Self::Unix { path: Some(path), .. } = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bind_unix(path: &Path, group: Option<&str>) -> Result<Listener, BindError> {
    let group = group_id(group)?;
    let at = |source| BindError::Unix { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(at)?;
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(at(error)),
        _ => {}
    }
    let bound = UnixListener::bind(path);
    let socket = bound.map_err(|source| BindError::UnixBind { path: path.to_owned(), source })?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).map_err(at)?;
    if let Some(group) = group {
        std::os::unix::fs::chown(path, None, Some(group)).map_err(at)?;
    }
    Ok(Listener::Unix { socket, path: Some(path.to_owned()) })
}

/// The group that may connect: one that was asked for must be there, `docker` need not.
fn group_id(name: Option<&str>) -> Result<Option<u32>, BindError> {
    const DEFAULT: &str = "docker";
    let name = name.unwrap_or(DEFAULT);
    // Not getgrnam(3): a static program would load the host's NSS modules, and some crash in it.
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let own = |line: &str| line.strip_prefix(name)?.strip_prefix(':')?.split(':').nth(1)?.parse().ok();
    match groups.lines().find_map(own).or_else(|| name.parse().ok()) {
        Some(id) => Ok(Some(id)),
        None if name == DEFAULT => Ok(None),
        None => Err(BindError::Group(name.to_owned())),
    }
}

/// Descriptors 3, 4, … as systemd and the agent hand them over; `name` picks by `LISTEN_FDNAMES`.
fn inherited(name: Option<&str>) -> Result<Vec<Listener>, BindError> {
    const FIRST: i32 = 3;
    let meant_for_us = std::env::var("LISTEN_PID").map_or(true, |pid| pid == std::process::id().to_string());
    let count: i32 = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    if !meant_for_us || count == 0 {
        return Err(BindError::NothingInherited);
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let names: Vec<&str> = names.split(':').collect();
    let mut listeners = Vec::new();
    for (index, number) in (FIRST..FIRST + count).enumerate() {
        let own_name = names.get(index).copied().unwrap_or_default();
        if name.is_some_and(|name| name != own_name && name != number.to_string()) {
            continue;
        }
        let at = |source| BindError::Inherited { name: format!("{number} {own_name}"), source };
        listeners.push(adopt(drydock_sys::fds::take_inherited(number).map_err(at)?).map_err(at)?);
    }
    if listeners.is_empty() { Err(BindError::NothingInherited) } else { Ok(listeners) }
}

fn adopt(socket: OwnedFd) -> io::Result<Listener> {
    if let Ok(address) = rustix::net::getsockname(&socket)
        && address.address_family() == rustix::net::AddressFamily::UNIX
    {
        let socket = std::os::unix::net::UnixListener::from(socket);
        socket.set_nonblocking(true)?;
        return Ok(Listener::Unix { socket: UnixListener::from_std(socket)?, path: None });
    }
    let socket = std::net::TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    Ok(Listener::Tcp(TcpListener::from_std(socket)?))
}

/// What is behind every connection.
#[derive(Clone)]
pub struct Door {
    pub router: Router,
    /// The oldest version of the API that is spoken.
    pub oldest: ApiVersion,
    pub activity: Activity,
}

/// Serves on all listeners until `stop`.
pub async fn serve(listeners: Vec<Listener>, door: Door, tls: Option<TlsAcceptor>, stop: CancellationToken) {
    let listeners: Arc<[Listener]> = listeners.into();
    let connections = TaskTracker::new();
    let activity = door.activity.clone();
    let quiet = tokio::spawn(activity.clone().give_memory_back_when_quiet());
    let loops: Vec<_> = (0..listeners.len())
        .map(|index| {
            let (listeners, door) = (listeners.clone(), door.clone());
            let (connections, stop, tls) = (connections.clone(), stop.clone(), tls.clone());
            let activity = activity.clone();
            tokio::spawn(async move {
                accept_loop(&listeners[index], door, tls, (connections, activity), stop).await;
            })
        })
        .collect();
    stop.cancelled().await;
    quiet.abort();
    for accept in loops {
        let _ = accept.await;
    }
    for listener in listeners.iter() {
        listener.remove_file();
    }
}

async fn accept_loop(
    listener: &Listener,
    door: Door,
    tls: Option<TlsAcceptor>,
    (connections, activity): (TaskTracker, Activity),
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            accepted = accept(listener) => accepted,
            () = stop.cancelled() => return,
        };
        activity.noted();
        let noted = activity.clone();
        match accepted {
            Ok(Stream::Unix(stream)) => {
                let hangup = Hangup::of(&stream).ok();
                let served = connection(stream, door.clone(), hangup);
                drop(connections.spawn(served.map(move |()| noted.noted())));
            }
            Ok(Stream::Tcp(stream)) => {
                let _ = stream.set_nodelay(true);
                let served = match tls.clone() {
                    Some(tls) => encrypted(stream, tls, door.clone()).boxed(),
                    None => connection(stream, door.clone(), None).boxed(),
                };
                drop(connections.spawn(served.map(move |()| noted.noted())));
            }
            Err(error) => {
                // Out of descriptors: give connections the time to end rather than spin.
                tracing::warn!(%error, "accept");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

enum Stream {
    Unix(tokio::net::UnixStream),
    Tcp(tokio::net::TcpStream),
}

async fn accept(listener: &Listener) -> io::Result<Stream> {
    match listener {
        Listener::Unix { socket, .. } => socket.accept().await.map(|(stream, _)| Stream::Unix(stream)),
        Listener::Tcp(socket) => socket.accept().await.map(|(stream, _)| Stream::Tcp(stream)),
    }
}

async fn encrypted(stream: tokio::net::TcpStream, tls: TlsAcceptor, door: Door) {
    match tls.accept(stream).await {
        Ok(stream) => connection(stream, door, None).await,
        Err(error) => tracing::info!(%error, "TLS handshake"),
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    door: Door,
    hangup: Option<Hangup>,
) {
    let service = hyper::service::service_fn(move |request| answer(request, door.clone(), hangup.clone()));
    let served = hyper::server::conn::http1::Builder::new()
        // A client may close its sending half and still wait for the answer.
        .half_close(true)
        // As Go writes them; who looks at the bytes compares.
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "connection");
    }
}

async fn answer(
    request: Request<hyper::body::Incoming>,
    door: Door,
    hangup: Option<Hangup>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let mut request = request.map(Body::new);
    if let Some(hangup) = hangup {
        request.extensions_mut().insert(hangup);
    }
    tracing::debug!(http.method = %request.method(), http.path = %request.uri(), "request");
    let mut response = match version::negotiate(&mut request, door.oldest) {
        Ok(()) => door.router.oneshot(request).await?,
        Err(error) => error.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert("api-version", HeaderValue::from_static("1.51"));
    headers.entry("docker-experimental").or_insert(HeaderValue::from_static("false"));
    headers.insert("ostype", HeaderValue::from_static("linux"));
    headers.insert("server", HeaderValue::from_static(SERVER));
    Ok(response)
}

/// The engine release whose API this is.
const SERVER: &str = "Docker/28.5.2 (linux)";
