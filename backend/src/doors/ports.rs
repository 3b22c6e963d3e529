//! The port router: requests for a node's port by host name, passed on to that node and nothing else.
//!
//! A student's app is another origin: none of our headers are added to its answers, none of our doors open under its
//! name, and the cookies it sets stay on its own host.
//!
//! Tasks: one per connection to a node, ending with its last response; one per upgraded connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::origin::host;
use super::port_host::{Destination, PortHost, destination};
use crate::playground::Instance;
use crate::state::AppState;

const CONNECT: Duration = Duration::from_secs(10);

/// Between requests for a port and for the playground.
pub async fn divert(State(state): State<AppState>, request: Request, next: Next) -> Response {
    match destination(host(request.headers()).unwrap_or_default()) {
        Destination::Playground => next.run(request).await,
        Destination::Nowhere => nowhere(),
        Destination::Port(target) => match find(&state, &target) {
            None => nowhere(),
            Some(instance) => {
                state.metrics.port_requests.add(1);
                pass(&instance, target.port, request).await
            }
        },
    }
}

/// The instance that has the address, if it is one of the session that the label names.
fn find(state: &AppState, target: &PortHost) -> Option<Arc<Instance>> {
    let session = state.playground.session_by_label(&target.label)?;
    session.instances().into_iter().find(|instance| instance.record.ip == target.ip)
}

async fn pass(instance: &Arc<Instance>, port: u16, mut request: Request) -> Response {
    let stream = match tokio::time::timeout(CONNECT, instance.node.dial(port)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) | Err(_) => return silent(instance, port, &request),
    };
    // A failure to set it costs a little speed only.
    let _ = stream.set_nodelay(true);
    let (mut sender, connection) = match hyper::client::conn::http1::handshake(TokioIo::new(stream)).await {
        Ok(pair) => pair,
        Err(_) => return silent(instance, port, &request),
    };
    // Errors of the connection show at the response and its body.
    tokio::spawn(async move { drop(connection.with_upgrades().await) });

    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    let wanted = upgrade_of(request.headers());
    prepare(&mut request, wanted.as_ref());
    let mut response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) => {
            tracing::debug!(node.id = instance.name(), port, %error, "an app broke off");
            return page(
                StatusCode::BAD_GATEWAY,
                "The app broke off",
                "It closed the connection without an answer.",
                None,
            );
        }
    };
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let theirs = hyper::upgrade::on(&mut response);
        if let Some(ours) = upgrade {
            tokio::spawn(bridge(instance.clone(), ours, theirs));
        }
        return response.map(|_| Body::empty());
    }
    strip_hop_by_hop(response.headers_mut());
    keep_cookies_home(response.headers_mut());
    response.map(Body::new)
}

/// Carries an upgraded connection until either side, or the node, ends.
async fn bridge(instance: Arc<Instance>, ours: OnUpgrade, theirs: OnUpgrade) {
    let Ok((ours, theirs)) = tokio::try_join!(ours, theirs) else { return };
    let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
    let copied = tokio::io::copy_bidirectional(&mut ours, &mut theirs);
    // An end by error is an end.
    let _ = instance.ended.run_until_cancelled(copied).await;
}

/// Makes a request for the node out of one for us.
fn prepare(request: &mut Request, upgrade: Option<&HeaderValue>) {
    let client = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(client)| client.ip());
    let path = request.uri().path_and_query().cloned();
    *request.uri_mut() = path.map_or_else(|| http::Uri::from_static("/"), http::Uri::from);
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    strip_hop_by_hop(headers);
    headers.remove(header::EXPECT);
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade.clone());
    }
    // An operator's proxy in front of us knows the scheme and the client better.
    let host = headers.get(header::HOST).cloned();
    for (name, value) in [
        ("x-forwarded-for", client.and_then(|client| HeaderValue::from_str(&client.to_string()).ok())),
        ("x-forwarded-proto", Some(HeaderValue::from_static("http"))),
        ("x-forwarded-host", host),
    ] {
        if let Some(value) = value {
            headers.entry(HeaderName::from_static(name)).or_insert(value);
        }
    }
}

/// The protocol a request wants to change to.
fn upgrade_of(headers: &HeaderMap) -> Option<HeaderValue> {
    let asked = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|word| word.trim().eq_ignore_ascii_case("upgrade"));
    asked.then(|| headers.get(header::UPGRADE).cloned()).flatten()
}

/// Takes out what concerns one connection only (RFC 9110, 7.6.1).
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
}

/// Cuts `Domain` off cookies: with it one student's app could set cookies for all others and for the playground.
fn keep_cookies_home(headers: &mut HeaderMap) {
    let cookies: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter_map(|cookie| {
            let kept: Vec<&str> = cookie.to_str().ok()?.split(';').filter(|part| !is_domain(part)).collect();
            HeaderValue::from_str(&kept.join(";")).ok()
        })
        .collect();
    headers.remove(header::SET_COOKIE);
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
}

fn is_domain(attribute: &str) -> bool {
    attribute.split('=').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("domain"))
}

fn nowhere() -> Response {
    page(
        StatusCode::NOT_FOUND,
        "No such node",
        "This address names no node of a running session. The session may have ended.",
        None,
    )
}

fn silent(instance: &Instance, port: u16, request: &Request) -> Response {
    let title = format!("Nothing listens on port {port} of {} yet", instance.record.hostname);
    let text = "Start something that does, for example a container with a published port; this page looks again \
                every two seconds.";
    // Only a page that is looked at may ask again by itself.
    let again = (request.method() == http::Method::GET).then_some(2);
    page(StatusCode::BAD_GATEWAY, &title, text, again)
}

/// A page without script; `again` is after how many seconds the browser asks once more.
fn page(status: StatusCode, title: &str, text: &str, again: Option<u32>) -> Response {
    let refresh = again
        .map(|seconds| format!("<meta http-equiv=\"refresh\" content=\"{seconds}\">"))
        .unwrap_or_default();
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">{refresh}\
         <meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>{title}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:20vh auto;\
         padding:0 1.5rem}}h1{{font-size:1.5rem}}</style></head><body><main><h1>{title}</h1><p>{text}</p></main>\
         </body></html>\n"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors *"),
    ];
    (status, headers, html).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn what_concerns_one_connection_is_not_passed_on() {
        let mut given = headers(&[
            ("connection", "keep-alive, X-Private"),
            ("x-private", "1"),
            ("keep-alive", "5"),
            ("transfer-encoding", "chunked"),
            ("content-type", "text/plain"),
            ("cookie", "app=1"),
        ]);
        strip_hop_by_hop(&mut given);
        assert_eq!(given, headers(&[("content-type", "text/plain"), ("cookie", "app=1")]));
    }

    #[test]
    fn a_cookie_stays_on_its_host() {
        let mut given = headers(&[
            ("set-cookie", "a=1; Path=/; Domain=localhost; HttpOnly"),
            ("set-cookie", "b=domain; domain = .example"),
            ("set-cookie", "c=3"),
        ]);
        keep_cookies_home(&mut given);
        assert_eq!(
            given,
            headers(&[
                ("set-cookie", "a=1; Path=/; HttpOnly"),
                ("set-cookie", "b=domain"),
                ("set-cookie", "c=3")
            ])
        );
    }

    #[test]
    fn an_upgrade_is_asked_for_by_both_headers() {
        for (pairs, asked) in [
            (&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")][..], true),
            (&[("upgrade", "websocket")], false),
            (&[("connection", "upgrade")], false),
        ] {
            assert_eq!(upgrade_of(&headers(pairs)).is_some(), asked);
        }
    }
}
