//! `-H`: where the API is served (moby's `opts/hosts.go`).

use std::path::PathBuf;

use crate::golang::url::{Url, UrlError, join_host_port};

const SOCKET: &str = "/var/run/docker.sock";
const HOST: &str = "localhost";
const PORT: &str = "2375";
const TLS_HOST: &str = "tcp://localhost:2376";

/// Where one listener is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// `fd://` or `fd://NAME`: sockets inherited by `LISTEN_FDS`.
    Inherited(Option<String>),
    /// `tcp://address:port`.
    Tcp(String),
    /// `unix:///path`.
    Unix(PathBuf),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid bind address ({address}): {why}")]
pub struct HostError {
    address: String,
    why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Why {
    #[error("unsupported proto '{0}'")]
    Proto(String),
    #[error("invalid {proto} address: {address}")]
    Address { proto: &'static str, address: String },
    #[error("should not contain a path element")]
    Path,
    #[error("invalid port: {0}")]
    Port(String),
    #[error(transparent)]
    Url(UrlError),
}

impl std::fmt::Display for Host {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inherited(name) => write!(out, "fd://{}", name.as_deref().unwrap_or_default()),
            Self::Tcp(address) => write!(out, "tcp://{address}"),
            Self::Unix(path) => write!(out, "unix://{}", path.display()),
        }
    }
}

/// An empty address means the default, and is always right.
pub fn check(text: &str) -> Result<(), HostError> {
    match text.trim() {
        "" => Ok(()),
        text => parse(text).map(drop),
    }
}

/// All addresses, each once, in order. Without any: the socket, or with TLS its port on this machine.
pub fn all(texts: &[String], tls: bool) -> Result<Vec<Host>, HostError> {
    let default = [String::new()];
    let texts = if texts.is_empty() { &default[..] } else { texts };
    let one = |text: &String| match text.trim() {
        "" if tls => parse(TLS_HOST),
        "" => Ok(Host::Unix(SOCKET.into())),
        text => parse(text),
    };
    let mut hosts = texts.iter().map(one).collect::<Result<Vec<_>, _>>()?;
    hosts.sort_by_key(ToString::to_string);
    hosts.dedup();
    Ok(hosts)
}

fn parse(text: &str) -> Result<Host, HostError> {
    let wrong = |why| HostError { address: text.to_owned(), why };
    let (proto, address) = text.split_once("://").unwrap_or(("tcp", text));
    match proto {
        "unix" if address.contains("://") => {
            Err(wrong(Why::Address { proto: "unix", address: address.to_owned() }))
        }
        "unix" if address.is_empty() => Ok(Host::Unix(SOCKET.into())),
        "unix" => Ok(Host::Unix(super::absolute(address.into()))),
        "fd" => Ok(Host::Inherited(Some(address.to_owned()).filter(|name| !name.is_empty() && name != "*"))),
        "tcp" => tcp(text).map_err(wrong),
        other => Err(wrong(Why::Proto(other.to_owned()))),
    }
}

fn tcp(text: &str) -> Result<Host, Why> {
    let whole = if text.contains("://") { text.to_owned() } else { format!("tcp://{text}") };
    let url = Url::parse(&whole).map_err(Why::Url)?;
    if !url.path.is_empty() {
        return Err(Why::Path);
    }
    let or = |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
    let port = or(url.port(), PORT);
    if port.bytes().all(|digit| digit == b'0') {
        return Err(Why::Port(port));
    }
    Ok(Host::Tcp(join_host_port(&or(url.hostname(), HOST), &port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_as_dockerd_reads_them() {
        let cases = [
            ("unix:///run/d.sock", Host::Unix("/run/d.sock".into())),
            ("unix://", Host::Unix("/var/run/docker.sock".into())),
            ("tcp://127.0.0.1:2376", Host::Tcp("127.0.0.1:2376".into())),
            ("tcp://:2375", Host::Tcp("localhost:2375".into())),
            ("tcp://", Host::Tcp("localhost:2375".into())),
            ("[::1]:99", Host::Tcp("[::1]:99".into())),
            ("fd://", Host::Inherited(None)),
            ("fd://docker", Host::Inherited(Some("docker".into()))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect(text), expected, "{text}");
        }
        assert_eq!(
            parse("npipe:////./pipe").expect_err("a pipe").to_string(),
            "invalid bind address (npipe:////./pipe): unsupported proto 'npipe'"
        );
        assert_eq!(
            parse("tcp://h:0").expect_err("no port").to_string(),
            "invalid bind address (tcp://h:0): invalid port: 0"
        );
    }

    #[test]
    fn without_an_address_there_is_one_and_none_is_there_twice() {
        assert_eq!(all(&[], false), Ok(vec![Host::Unix("/var/run/docker.sock".into())]));
        assert_eq!(all(&[], true), Ok(vec![Host::Tcp("localhost:2376".into())]));
        let twice = ["unix:///a", "tcp://b", "unix:///a"].map(str::to_owned);
        assert_eq!(all(&twice, false), Ok(vec![Host::Tcp("b:2375".into()), Host::Unix("/a".into())]));
    }
}
