//! Authentication: basic, or a bearer token from the realm that the registry names.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
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
        (!self.username.is_empty()).then(|| format!("Basic {}", STANDARD.encode(pair)))
    }
}

/// A `WWW-Authenticate` header that can be answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    pub fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = parameters(rest);
        Some(Self::Bearer {
            realm: parameters.remove("realm")?,
            service: parameters.remove("service"),
            scope: parameters.remove("scope"),
        })
    }
}

/// `key="value",…`; a value may hold commas (`scope="repository:a:pull,push"`).
fn parameters(text: &str) -> BTreeMap<String, String> {
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

/// The answer of a token server.
#[derive(Deserialize)]
pub(crate) struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl TokenAnswer {
    pub fn into_token(self) -> Option<String> {
        [self.token, self.access_token].into_iter().find(|token| !token.is_empty())
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
            scope: Some("repository:a/b:pull,push".to_owned()),
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
}
