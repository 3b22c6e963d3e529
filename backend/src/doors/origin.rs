//! Which pages may use the playground: its own, and those of origins the operator named.
//!
//! A browser lets any page open a WebSocket to any host, so every socket asks [`SameOrigin`] first. Programs send no
//! `Origin` at all; they hold no one else's credentials.

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::refusal::Refusal;
use crate::config::Config;
use crate::state::AppState;

/// Proof that the request comes from a page of ours, or from no page.
#[derive(Debug)]
pub struct SameOrigin;

impl FromRequestParts<AppState> for SameOrigin {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Refusal> {
        match is_ours(&parts.headers, &state.config) {
            true => Ok(Self),
            false => Err(Refusal::forbidden("this page's origin may not open a socket here")),
        }
    }
}

fn is_ours(headers: &HeaderMap, config: &Config) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if config.allowed_origins.iter().any(|allowed| allowed == origin) {
        return true;
    }
    let Some(page) = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) else {
        return false;
    };
    match &config.domain {
        Some(domain) => page.eq_ignore_ascii_case(domain),
        None => host(headers).is_some_and(|host| page.eq_ignore_ascii_case(host)),
    }
}

/// The `Host` header, as the client names us.
pub fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// Lets pages of the origins the operator named read our answers.
pub async fn share(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.filter(|origin| {
        state.config.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes())
    });
    let Some(origin) = allowed else { return next.run(request).await };
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = match preflight {
        true => StatusCode::NO_CONTENT.into_response(),
        false => next.run(request).await,
    };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    // There are none, but the SDK sends what there is.
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    if preflight {
        let methods = HeaderValue::from_static("GET, POST, PUT, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static("content-type, x-requested-with");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(host: &str, origin: Option<&str>, domain: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        let config = Config {
            domain: domain.map(str::to_owned),
            allowed_origins: vec!["https://training.example".to_owned()],
            ..Config::default()
        };
        is_ours(&headers, &config)
    }

    #[test]
    fn only_our_own_pages_and_the_named_ones_may_open_sockets() {
        for (host, origin, domain, expected) in [
            ("localhost:8080", Some("http://localhost:8080"), None, true),
            ("localhost:8080", Some("http://LOCALHOST:8080"), None, true),
            ("localhost:8080", Some("https://localhost:8080"), None, true),
            ("localhost:8080", None, None, true),
            ("localhost:8080", Some("https://training.example"), None, true),
            ("localhost:8080", Some("http://training.example"), None, false),
            ("localhost:8080", Some("http://localhost"), None, false),
            ("localhost:8080", Some("http://evil.example"), None, false),
            ("localhost:8080", Some("null"), None, false),
            ("localhost:8080", Some("file://localhost:8080"), None, false),
            // A student's own app is another origin.
            ("localhost:8080", Some("http://ip10-0-0-2-x.direct.localhost:8080"), None, false),
            ("play.example", Some("https://play.example"), Some("play.example"), true),
            // A rebound name: the page's host is the request's, but not ours.
            ("evil.example", Some("http://evil.example"), Some("play.example"), false),
        ] {
            assert_eq!(ours(host, origin, domain), expected, "{host} {origin:?} {domain:?}");
        }
    }
}
