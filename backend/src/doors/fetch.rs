//! Fetches a file for a student from the Internet, and from nowhere else: the server's own networks stay out of
//! reach, whatever a name resolves to, now or at the second look. Each host is resolved once, checked, and connected
//! to at the addresses that were checked; each redirect anew.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header;
use reqwest::{Client, Response, Url, redirect};

use super::refusal::Refusal;

const REDIRECTS: usize = 5;
const CONNECT: Duration = Duration::from_secs(10);
const WHOLE: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error("`url` is not an http or https address")]
    Address,
    #[error("{host} cannot be resolved")]
    Resolve { host: String, source: std::io::Error },
    #[error("{host} is not on the Internet: this server fetches no private address")]
    Private { host: String },
    #[error("it cannot be fetched")]
    Exchange(#[source] reqwest::Error),
    #[error("its server answered {0}")]
    Status(reqwest::StatusCode),
    #[error("it redirects more than {REDIRECTS} times")]
    Redirects,
}

impl From<FetchError> for Refusal {
    fn from(error: FetchError) -> Self {
        Self::bad_request(crate::playground::create::chain(&error))
    }
}

pub struct Download {
    /// The last part of the address.
    pub name: String,
    pub body: Pin<Box<dyn Stream<Item = Result<Bytes, FetchError>> + Send>>,
}

pub async fn open(address: &str) -> Result<Download, FetchError> {
    let mut url = Url::parse(address).map_err(|_| FetchError::Address)?;
    for _ in 0..=REDIRECTS {
        let response = get(&url).await?;
        if response.status().is_redirection() {
            let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
            url = location.and_then(|location| url.join(location).ok()).ok_or(FetchError::Address)?;
            continue;
        }
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default().to_owned();
        let body = response.bytes_stream().map(|piece| piece.map_err(FetchError::Exchange));
        return Ok(Download { name, body: Box::pin(body) });
    }
    Err(FetchError::Redirects)
}

async fn get(url: &Url) -> Result<Response, FetchError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(FetchError::Address);
    }
    let host = url.host_str().ok_or(FetchError::Address)?;
    let port = url.port_or_known_default().ok_or(FetchError::Address)?;
    let addresses = resolve(host, port).await?;
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .resolve_to_addrs(host, &addresses)
        .build()
        .map_err(FetchError::Exchange)?
        .get(url.clone())
        .send()
        .await
        .map_err(FetchError::Exchange)
}

/// The public addresses of a host, which may be an address itself.
async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, FetchError> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let found: Vec<SocketAddr> = tokio::net::lookup_host((bare, port))
        .await
        .map_err(|source| FetchError::Resolve { host: host.to_owned(), source })?
        .collect();
    // One private address among public ones is an attempt, not an accident.
    match found.iter().all(|address| is_public(address.ip())) && !found.is_empty() {
        true => Ok(found),
        false => Err(FetchError::Private { host: host.to_owned() }),
    }
}

/// Whether an address is on the Internet, by IANA's special-purpose registries.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19)))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Global unicast, less documentation and the tunnels that carry IPv4 addresses within.
    (a & 0xe000) == 0x2000 && !(a == 0x2001 && (b < 0x0200 || b == 0x0db8)) && a != 0x2002 && a != 0x3fff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_internet_is_public() {
        for (address, public) in [
            ("1.1.1.1", true),
            ("93.184.216.34", true),
            ("2606:4700::1111", true),
            ("127.0.0.1", false),
            ("10.64.0.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("192.0.0.8", false),
            ("192.0.2.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::", false),
            ("2001:0:7f00:1::", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[tokio::test]
    async fn no_spelling_of_this_machine_is_fetched() {
        for url in [
            "http://127.0.0.1/",
            "http://localhost/",
            "http://[::1]/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(matches!(open(url).await, Err(FetchError::Private { .. })), "{url}");
        }
        for url in ["file:///etc/passwd", "ftp://a/", "gopher://a/", "nonsense"] {
            assert!(matches!(open(url).await, Err(FetchError::Address)), "{url}");
        }
    }
}
