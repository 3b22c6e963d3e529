//! Authentication: basic, or a bearer token from the realm that the registry names.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use drydock_images::Digest;
use http::{HeaderMap, header};
use serde::Deserialize;
use serde_json::Value;

/// What `docker login` stored; the API sends it in `X-Registry-Auth`.
#[derive(Clone, Default, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(from = "serde_json::Map<String, Value>")]
pub struct Credentials {
    pub username: String,
    pub password: String,
    pub identity_token: String,
    pub registry_token: String,
    pub server_address: String,
}

impl From<serde_json::Map<String, Value>> for Credentials {
    /// As Go reads it: names in any case, and `null` (bollard's word for what nobody said) for nothing.
    fn from(fields: serde_json::Map<String, Value>) -> Self {
        let text = |name: &str| {
            let field = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            field.and_then(|(_, value)| value.as_str()).unwrap_or_default().to_owned()
        };
        Self {
            username: text("username"),
            password: text("password"),
            identity_token: text("identitytoken"),
            registry_token: text("registrytoken"),
            server_address: text("serveraddress"),
        }
    }
}

/// Never the secrets.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

impl Credentials {
    /// Reads `X-Registry-Auth`: JSON in URL-safe base64. Nothing useful in it is nobody.
    pub fn from_header(text: &str) -> Option<Self> {
        let bytes = URL_SAFE.decode(text).or_else(|_| STANDARD.decode(text)).ok()?;
        let credentials: Self = serde_json::from_slice(&bytes).ok()?;
        (credentials != Self { server_address: credentials.server_address.clone(), ..Self::default() })
            .then_some(credentials)
    }

    pub(crate) fn basic(&self) -> Option<String> {
        let pair = format!("{}:{}", self.username, self.password);
        let is_empty = self.username.is_empty() || self.password.is_empty();
        (!is_empty).then(|| format!("Basic {}", STANDARD.encode(pair)))
    }

    /// Tells these credentials from all others and gives none of them away: whoever knows a name and no password must
    /// never be given a token that somebody else's password bought.
    pub(crate) fn fingerprint(credentials: Option<&Self>) -> Digest {
        let Some(one) = credentials else { return Digest::of(b"") };
        let parts = [&one.username, &one.password, &one.identity_token, &one.registry_token];
        Digest::of(parts.map(String::as_str).join("\0").as_bytes())
    }
}

/// A `WWW-Authenticate` header that can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

impl Challenge {
    /// What an answer asks for: a token before a password.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let values = headers.get_all(header::WWW_AUTHENTICATE).iter();
        let mut found: Vec<Self> = values.filter_map(|value| Self::parse(value.to_str().ok()?)).collect();
        found.sort_by_key(|challenge| *challenge == Self::Basic);
        found.into_iter().next()
    }

    fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer { realm: parameters.remove("realm")?, service: parameters.remove("service") })
    }
}

/// `key="value",…`; a value may hold commas (`scope="repository:a:pull,push"`).
pub(crate) fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut rest = text;
    while let Some((key, after)) = rest.split_once('=') {
        let (value, next) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(',').unwrap_or((after, "")),
        };
        found.insert(key.trim_matches([' ', ',']).to_ascii_lowercase(), value.to_owned());
        rest = next;
    }
    found
}

/// A token that a server gave, while it is good.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub value: String,
    pub until: Instant,
}

/// The answer of a token server.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TokenAnswer {
    token: String,
    access_token: String,
    pub refresh_token: String,
    expires_in: u64,
}

/// Tokens last at least this long, whatever the server says (docs/spec/auth/token.md of distribution).
const LEAST: Duration = Duration::from_secs(60);

impl TokenAnswer {
    pub fn token(&self) -> Option<Token> {
        let value = [&self.token, &self.access_token].into_iter().find(|token| !token.is_empty())?;
        let lasts = Duration::from_secs(self.expires_in).clamp(LEAST, Duration::from_secs(24 * 3600));
        // What is on its way when the token ends is refused: better a little early.
        Some(Token { value: value.clone(), until: Instant::now() + lasts - Duration::from_secs(5) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_with_commas_in_their_values() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected = Challenge::Bearer {
            realm: "https://auth.docker.io/token".to_owned(),
            service: Some("registry.docker.io".to_owned()),
        };
        assert_eq!(Challenge::parse(header), Some(expected));
        assert_eq!(Challenge::parse("Basic realm=\"r\""), Some(Challenge::Basic));
        assert_eq!(Challenge::parse("Negotiate"), None);
        assert_eq!(Challenge::parse("Bearer service=\"x\""), None);
    }

    #[test]
    fn credentials_come_from_the_clients_header_and_never_show() {
        let said = r#"{"username":"u","Password":"secret","serveraddress":"x","identitytoken":null}"#;
        let header = URL_SAFE.encode(said);
        let credentials = Credentials::from_header(&header).unwrap();
        assert_eq!(credentials.basic().unwrap(), format!("Basic {}", STANDARD.encode("u:secret")));
        assert!(!format!("{credentials:?}").contains("secret"));
        assert_eq!(Credentials::from_header(&URL_SAFE.encode("{}")), None);
        assert_eq!(Credentials::from_header("%"), None);
    }

    #[test]
    fn every_secret_tells_credentials_apart() {
        let of = |username: &str, password: &str| {
            let credentials = Credentials {
                username: username.to_owned(),
                password: password.to_owned(),
                ..Credentials::default()
            };
            Credentials::fingerprint(Some(&credentials))
        };
        assert_ne!(of("u", "right"), of("u", "wrong"));
        assert_ne!(of("u", ""), Credentials::fingerprint(None));
        assert_eq!(of("u", "p"), of("u", "p"));
    }

    #[test]
    fn a_token_lasts_a_minute_at_least() {
        let answer: TokenAnswer = serde_json::from_str(r#"{"access_token":"a","expires_in":1}"#).unwrap();
        let token = answer.token().unwrap();
        assert_eq!(token.value, "a");
        assert!(token.until > Instant::now() + Duration::from_secs(50));
        assert!(TokenAnswer::default().token().is_none());
    }
}
