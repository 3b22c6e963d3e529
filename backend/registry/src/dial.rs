//! Why a connection failed, in the words of Go's standard library, which is what Docker's users search the web for.

use std::io;
use std::net::{IpAddr, SocketAddr};

use http::Method;

use crate::endpoint::host_of;
use crate::error::RegistryError;

/// What went wrong with a request that was never answered.
pub async fn unreachable(method: Method, url: &str, source: reqwest::Error) -> RegistryError {
    let detail = detail(&source, url).await;
    // Before the first answer moby only ever asked whether this is a registry. An alert may come after the client's
    // part of a handshake, which is no answer either.
    let is_first = source.is_connect() || detail.starts_with("remote error: tls:");
    let (method, url) = match (is_first, url.find("/v2/")) {
        (true, Some(at)) => (Method::GET, url[..at + 4].to_owned()),
        _ => (method, url.to_owned()),
    };
    if source.is_timeout() && !source.is_connect() {
        return RegistryError::Stalled { method, url };
    }
    RegistryError::Unreachable { method, url, detail }
}

async fn detail(error: &reqwest::Error, url: &str) -> String {
    let (text, kind) = deepest(error);
    if let Some(said) = tls(&text, url) {
        return said;
    }
    if text.contains("lookup address information") {
        return lookup(&text, url);
    }
    let address = address(url).await;
    let dial = |why: &str| format!("dial tcp {address}: {why}");
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => dial("connect: connection refused"),
        Some(io::ErrorKind::NetworkUnreachable) => dial("connect: network is unreachable"),
        Some(io::ErrorKind::HostUnreachable) => dial("connect: no route to host"),
        Some(io::ErrorKind::TimedOut) => dial("i/o timeout"),
        _ if error.is_connect() && error.is_timeout() => dial("i/o timeout"),
        Some(io::ErrorKind::ConnectionReset) => "read: connection reset by peer".to_owned(),
        Some(io::ErrorKind::BrokenPipe) => "write: broken pipe".to_owned(),
        Some(io::ErrorKind::UnexpectedEof) => "unexpected EOF".to_owned(),
        _ if text.contains("connection closed before message completed") => "EOF".to_owned(),
        _ if text.contains("end of file before message length reached") => "unexpected EOF".to_owned(),
        _ => text,
    }
}

/// Whether the connection was gone before the request was written to it.
pub(crate) fn never_sent(error: &reqwest::Error) -> bool {
    let (text, _) = deepest(error);
    ["connection was not ready", "connection closed"].contains(&text.as_str())
}

/// What the innermost cause says, and what kind the innermost error of the system is.
pub(crate) fn deepest(error: &reqwest::Error) -> (String, Option<io::ErrorKind>) {
    let mut cause: &dyn std::error::Error = error;
    let mut kind = None;
    loop {
        kind = cause.downcast_ref::<io::Error>().map(io::Error::kind).or(kind);
        match cause.source() {
            Some(next) => cause = next,
            None => return (cause.to_string(), kind),
        }
    }
}

/// rustls' words → Go's.
fn tls(text: &str, url: &str) -> Option<String> {
    if let Some(alert) = text.strip_prefix("received fatal alert: ") {
        return Some(format!("remote error: tls: {}", words(alert)));
    }
    if text.starts_with("received corrupt message") {
        return Some("http: server gave HTTP response to HTTPS client".to_owned());
    }
    let why = text.strip_prefix("invalid peer certificate: ")?;
    let host = host_of(url.split("://").nth(1)?.split('/').next()?);
    let why = match why {
        _ if why.starts_with("UnknownIssuer") || why.starts_with("CaUsedAsEndEntity") => {
            "certificate signed by unknown authority".to_owned()
        }
        _ if why.starts_with("Expired")
            || why.starts_with("certificate expired")
            || why.starts_with("NotValidYet") =>
        {
            "certificate has expired or is not yet valid".to_owned()
        }
        _ if why.starts_with("NotValidForName") || why.starts_with("certificate not valid for name") => {
            format!("certificate is not valid for {host}")
        }
        _ => why.to_owned(),
    };
    Some(format!("tls: failed to verify certificate: x509: {why}"))
}

/// `BadCertificate` → `bad certificate`; Go says "unknown certificate authority" for `UnknownCA`.
fn words(alert: &str) -> String {
    if alert == "UnknownCA" {
        return "unknown certificate authority".to_owned();
    }
    let mut words = String::new();
    for letter in alert.chars() {
        if letter.is_ascii_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// Go names the server that it asked.
fn lookup(text: &str, url: &str) -> String {
    let host =
        url.split("://").nth(1).and_then(|rest| rest.split('/').next()).map(host_of).unwrap_or_default();
    let configuration = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = configuration.lines().find_map(|line| line.strip_prefix("nameserver")).map(str::trim);
    let on = server.map(|server| format!(" on {server}:53")).unwrap_or_default();
    let why = if text.contains("Temporary failure") { "server misbehaving" } else { "no such host" };
    format!("dial tcp: lookup {host}{on}: {why}")
}

/// Where a URL's host is, as far as it can be told.
async fn address(url: &str) -> String {
    let domain = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let usual = if url.starts_with("http://") { 80 } else { 443 };
    let host = host_of(domain);
    let port = domain.strip_prefix(host).and_then(|rest| rest.strip_prefix(':'));
    let port = port.or_else(|| domain.rsplit_once("]:").map(|(_, port)| port));
    let port = port.and_then(|port| port.parse().ok()).unwrap_or(usual);
    let found = match host.parse::<IpAddr>() {
        Ok(address) => Some(SocketAddr::new(address, port)),
        Err(_) => {
            let resolved = tokio::net::lookup_host((host, port)).await;
            resolved.ok().and_then(|mut addresses| addresses.next())
        }
    };
    found.map_or_else(|| domain.to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_failures_read_as_gos_do() {
        let url = "https://reg.test:5000/v2/";
        for (rustls, go) in [
            ("received fatal alert: BadCertificate", "remote error: tls: bad certificate"),
            ("received fatal alert: UnknownCA", "remote error: tls: unknown certificate authority"),
            ("received fatal alert: CertificateRequired", "remote error: tls: certificate required"),
            (
                "received corrupt message of type InvalidContentType",
                "http: server gave HTTP response to HTTPS client",
            ),
            (
                "invalid peer certificate: UnknownIssuer",
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
            ),
            (
                "invalid peer certificate: certificate not valid for name \"reg.test\"; certificate is only valid for DnsName(\"x\")",
                "tls: failed to verify certificate: x509: certificate is not valid for reg.test",
            ),
        ] {
            assert_eq!(tls(rustls, url).as_deref(), Some(go), "{rustls}");
        }
        assert_eq!(tls("connection refused", url), None);
    }

    #[tokio::test]
    async fn addresses_are_told_with_their_port() {
        assert_eq!(address("http://127.0.0.1:5999/v2/").await, "127.0.0.1:5999");
        assert_eq!(address("https://10.0.0.1/v2/").await, "10.0.0.1:443");
        assert_eq!(address("http://[::1]:5000/v2/").await, "[::1]:5000");
    }
}
