//! `net/url` and `net.SplitHostPort`, as far as addresses in options need them.

use super::quote;

/// The parts of a URL that options look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Url {
    /// In small letters; empty without one.
    pub scheme: String,
    pub user: Option<String>,
    /// With its port.
    pub host: String,
    pub path: String,
    pub query: String,
    pub fragment: String,
    /// `mailto:x`: something other than slashes follows the scheme.
    pub opaque: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parse {}: {why}", quote(.text))]
pub struct UrlError {
    pub text: String,
    pub why: Why,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("missing protocol scheme")]
    NoScheme,
    #[error("first path segment in URL cannot contain colon")]
    Colon,
    #[error("invalid port {} after host", quote(.0))]
    Port(String),
    #[error("missing ']' in host")]
    Bracket,
    #[error("invalid character {} in host name", quote(.0))]
    Character(String),
    #[error("net/url: invalid control character in URL")]
    Control,
    #[error("empty url")]
    Empty,
}

impl Url {
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        Self::read(text).map_err(|why| UrlError { text: text.to_owned(), why })
    }

    fn read(text: &str) -> Result<Self, Why> {
        if text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return Err(Why::Control);
        }
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (scheme, rest) = scheme(rest)?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            query: query.to_owned(),
            fragment: fragment.to_owned(),
            ..Self::default()
        };
        if !rest.starts_with('/') {
            if !url.scheme.is_empty() {
                url.opaque = true;
                return Ok(url);
            }
            if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
                return Err(Why::Colon);
            }
        }
        match rest.strip_prefix("//") {
            Some(rest) => {
                let end = rest.find('/').unwrap_or(rest.len());
                let (user, host) = match rest[..end].rsplit_once('@') {
                    Some((user, host)) => (Some(user.to_owned()), host),
                    None => (None, &rest[..end]),
                };
                check_host(host)?;
                url.user = user;
                url.host = host.to_owned();
                url.path = rest[end..].to_owned();
            }
            None => url.path = rest.to_owned(),
        }
        Ok(url)
    }

    /// Without its port and without brackets.
    pub fn hostname(&self) -> &str {
        let (host, _) = cut_port(&self.host);
        host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
    }

    /// Empty without one.
    pub fn port(&self) -> &str {
        cut_port(&self.host).1
    }
}

fn cut_port(host: &str) -> (&str, &str) {
    let after = host.rfind(']').unwrap_or(0);
    match host[after..].rfind(':') {
        Some(colon) => (&host[..after + colon], &host[after + colon + 1..]),
        None => (host, ""),
    }
}

fn scheme(text: &str) -> Result<(&str, &str), Why> {
    for (index, letter) in text.char_indices() {
        match letter {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return Err(Why::NoScheme),
            ':' => return Ok((&text[..index], &text[index + 1..])),
            _ => return Ok(("", text)),
        }
    }
    Ok(("", text))
}

fn check_host(host: &str) -> Result<(), Why> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or(Why::Bracket)?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) || (!port.is_empty() && !port.starts_with(':')) {
        return Err(Why::Port(port.to_owned()));
    }
    match host
        .chars()
        .find(|letter| matches!(letter, ' ' | '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}'))
    {
        Some(letter) => Err(Why::Character(letter.to_string())),
        None => Ok(()),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostPortError {
    #[error("address {0}: missing port in address")]
    NoPort(String),
    #[error("address {0}: too many colons in address")]
    Colons(String),
    #[error("address {0}: missing ']' in address")]
    Bracket(String),
}

/// `net.SplitHostPort`.
pub fn split_host_port(text: &str) -> Result<(&str, &str), HostPortError> {
    let colon = text.rfind(':').ok_or_else(|| HostPortError::NoPort(text.to_owned()))?;
    if let Some(inner) = text.strip_prefix('[') {
        let end = inner.find(']').ok_or_else(|| HostPortError::Bracket(text.to_owned()))? + 1;
        return match text[end + 1..].strip_prefix(':') {
            Some(port) if end + 1 == colon => Ok((&text[1..end], port)),
            Some(_) => Err(HostPortError::Colons(text.to_owned())),
            None => Err(HostPortError::NoPort(text.to_owned())),
        };
    }
    let host = &text[..colon];
    if host.contains(':') {
        return Err(HostPortError::Colons(text.to_owned()));
    }
    Ok((host, &text[colon + 1..]))
}

/// `net.JoinHostPort`.
pub fn join_host_port(host: &str, port: &str) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("Tcp://u:p@[::1]:514/a?b#c").expect("a URL");
        let parts = (url.scheme.as_str(), url.user.as_deref(), url.hostname(), url.port(), url.path.as_str());
        assert_eq!(parts, ("tcp", Some("u:p"), "::1", "514", "/a"));
        assert_eq!((url.query.as_str(), url.fragment.as_str()), ("b", "c"));
        assert_eq!(Url::parse("unix:///dev/log").expect("a URL").path, "/dev/log");
        let cases = [
            ("127.0.0.1:514", "parse \"127.0.0.1:514\": first path segment in URL cannot contain colon"),
            ("tcp://a:b:c", "parse \"tcp://a:b:c\": invalid port \":c\" after host"),
            ("tcp://a:b", "parse \"tcp://a:b\": invalid port \":b\" after host"),
            ("://x", "parse \"://x\": missing protocol scheme"),
            ("tcp://[::1", "parse \"tcp://[::1\": missing ']' in host"),
            ("tcp://a b", "parse \"tcp://a b\": invalid character \" \" in host name"),
        ];
        for (text, complaint) in cases {
            assert_eq!(Url::parse(text).expect_err(text).to_string(), complaint);
        }
        assert_eq!(Url::parse("localhost:514").expect("opaque").scheme, "localhost");
    }

    #[test]
    fn hosts_and_ports_come_apart_and_together() {
        assert_eq!(split_host_port("a:1"), Ok(("a", "1")));
        assert_eq!(split_host_port("[::1]:2"), Ok(("::1", "2")));
        assert_eq!(split_host_port("a").unwrap_err().to_string(), "address a: missing port in address");
        assert_eq!(
            split_host_port("::1").unwrap_err().to_string(),
            "address ::1: too many colons in address"
        );
        assert_eq!(
            split_host_port("[::1]").unwrap_err().to_string(),
            "address [::1]: missing port in address"
        );
        assert_eq!(join_host_port("::1", "2"), "[::1]:2");
    }
}
