//! Headers that keep a page what it is: no foreign script, no frame around it, no sniffing, no referrer (session
//! pages carry the session's id in their address).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderName, HeaderValue, header};

use super::origin::host;

/// Nothing inline, styles neither: what the terminal computes goes through the object model (`web/terminal/js/styles.js`).
fn policy(host: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
         img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{host} wss://{host}; \
         worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
}

/// Adds them to every answer of the playground.
pub async fn headers(request: Request, next: Next) -> Response {
    let host = host(request.headers()).filter(|host| is_plain(host)).unwrap_or("localhost");
    let policy = HeaderValue::from_str(&policy(host));
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Whether a host can stand in the policy without adding a word to it.
fn is_plain(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".:-[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_adds_no_directive() {
        for (host, plain) in [
            ("localhost:8080", true),
            ("[::1]:8080", true),
            ("a.b-c.example", true),
            ("", false),
            ("x; script-src *", false),
            ("x 'unsafe-eval'", false),
        ] {
            assert_eq!(is_plain(host), plain, "{host}");
        }
    }
}
