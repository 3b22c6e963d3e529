//! What a registry says when it refuses: `errors` of the distribution specification, in the words that Docker's users
//! know (`distribution`'s `errcode` package prints a code in small letters and its message behind it).

use std::fmt;

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;

use crate::auth::parameters;

/// One error of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// `MANIFEST_UNKNOWN`; a code that nobody knows is `UNKNOWN`.
    pub code: &'static str,
    /// `None` when the registry said nothing beside the code: the code is printed alone then.
    pub message: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = self.code.to_ascii_lowercase().replace('_', " ");
        let words = if self.code == "TOOMANYREQUESTS" { "toomanyrequests".to_owned() } else { words };
        match &self.message {
            Some(message) => write!(f, "{words}: {message}"),
            None => f.write_str(&words),
        }
    }
}

/// All errors of an answer; there is at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    pub first: Fault,
    pub more: Vec<Fault>,
}

impl Faults {
    fn one(code: &'static str, message: impl Into<String>) -> Self {
        Self { first: Fault { code, message: Some(message.into()) }, more: Vec::new() }
    }

    /// The status that stands for the first error, whatever the registry sent.
    pub fn status(&self) -> StatusCode {
        known(self.first.code).map_or(StatusCode::INTERNAL_SERVER_ERROR, |(_, status, _)| *status)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.more.is_empty() {
            return self.first.fmt(f);
        }
        writeln!(f, "errors:\n{}", self.first)?;
        self.more.iter().try_for_each(|fault| writeln!(f, "{fault}"))
    }
}

/// An answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    Faults(Faults),
    /// A body that should have been errors and is not.
    Body {
        status: StatusCode,
        why: String,
        body: String,
    },
    /// Neither a success nor the client's fault.
    Status(StatusCode),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Faults(faults) => faults.fmt(f),
            Self::Body { status, why, body } => {
                write!(f, "error parsing HTTP {} response body: {why}: {body:?}", status.as_u16())
            }
            Self::Status(status) => {
                let reason = status.canonical_reason().unwrap_or_default();
                write!(f, "received unexpected HTTP status: {} {reason}", status.as_u16())
            }
        }
    }
}

impl Refusal {
    /// Reads an answer whose status is no success.
    pub(crate) fn read(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        if !status.is_client_error() {
            return Self::Status(status);
        }
        let said = Self::read_body(status, headers, body);
        match bearer_fault(headers) {
            Some(first) => {
                let more = match said {
                    Self::Faults(faults) => std::iter::once(faults.first).chain(faults.more).collect(),
                    _ => Vec::new(),
                };
                Self::Faults(Faults { first, more })
            }
            None => match said {
                Self::Body { .. } if status == StatusCode::UNAUTHORIZED => {
                    Self::Faults(Faults::one("UNAUTHORIZED", "authentication required"))
                }
                said => said,
            },
        }
    }

    fn read_body(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            details: String,
            #[serde(default)]
            errors: Vec<Value>,
        }
        let text = String::from_utf8_lossy(body).into_owned();
        let kind =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if kind != "application/json" && kind != "application/vnd.api+json" {
            return Self::Faults(Faults::one(code_of(status), text));
        }
        match serde_json::from_slice::<Answer>(body) {
            Ok(answer) if !answer.details.is_empty() => {
                Self::Faults(Faults::one(code_of(status), answer.details))
            }
            Ok(answer) => {
                let mut faults = answer.errors.iter().map(fault);
                match faults.next() {
                    Some(first) => Self::Faults(Faults { first, more: faults.collect() }),
                    None => {
                        let why = "no error details found in HTTP response body".to_owned();
                        Self::Body { status, why, body: text }
                    }
                }
            }
            Err(_) => Self::Body { status, why: "invalid JSON".to_owned(), body: text },
        }
    }
}

fn fault(value: &Value) -> Fault {
    let code = value["code"].as_str().unwrap_or_default();
    let (code, _, usual) = known(code).unwrap_or(&CODES[0]);
    let message = value["message"].as_str().unwrap_or_default();
    let is_bare = value["detail"].is_null() && (message.is_empty() || message == *usual);
    Fault { code, message: (!is_bare).then(|| message.to_owned()) }
}

/// RFC 6750: why a bearer token does not do stands in the challenge, not in the body.
fn bearer_fault(headers: &HeaderMap) -> Option<Fault> {
    headers.get_all(header::WWW_AUTHENTICATE).iter().find_map(|value| {
        let (scheme, rest) = value.to_str().ok()?.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut found = parameters(rest);
        let code = match found.remove("error")?.as_str() {
            "invalid_token" => "UNAUTHORIZED",
            "insufficient_scope" => "DENIED",
            _ => return None,
        };
        let usual = known(code).map(|(_, _, usual)| (*usual).to_owned());
        Some(Fault { code, message: found.remove("error_description").or(usual) })
    })
}

fn code_of(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "UNAUTHORIZED",
        StatusCode::FORBIDDEN => "DENIED",
        StatusCode::TOO_MANY_REQUESTS => "TOOMANYREQUESTS",
        _ => "UNKNOWN",
    }
}

fn known(code: &str) -> Option<&'static (&'static str, StatusCode, &'static str)> {
    CODES.iter().find(|(name, _, _)| *name == code)
}

/// Codes with the status and the message that belong to them.
const CODES: [(&str, StatusCode, &str); 20] = [
    ("UNKNOWN", StatusCode::INTERNAL_SERVER_ERROR, "unknown error"),
    ("UNSUPPORTED", StatusCode::METHOD_NOT_ALLOWED, "The operation is unsupported."),
    ("UNAUTHORIZED", StatusCode::UNAUTHORIZED, "authentication required"),
    ("DENIED", StatusCode::FORBIDDEN, "requested access to the resource is denied"),
    ("UNAVAILABLE", StatusCode::SERVICE_UNAVAILABLE, "service unavailable"),
    ("TOOMANYREQUESTS", StatusCode::TOO_MANY_REQUESTS, "too many requests"),
    ("DIGEST_INVALID", StatusCode::BAD_REQUEST, "provided digest did not match uploaded content"),
    ("SIZE_INVALID", StatusCode::BAD_REQUEST, "provided length did not match content length"),
    ("RANGE_INVALID", StatusCode::RANGE_NOT_SATISFIABLE, "invalid content range"),
    ("NAME_INVALID", StatusCode::BAD_REQUEST, "invalid repository name"),
    ("TAG_INVALID", StatusCode::BAD_REQUEST, "manifest tag did not match URI"),
    ("NAME_UNKNOWN", StatusCode::NOT_FOUND, "repository name not known to registry"),
    ("MANIFEST_UNKNOWN", StatusCode::NOT_FOUND, "manifest unknown"),
    ("MANIFEST_INVALID", StatusCode::BAD_REQUEST, "manifest invalid"),
    ("MANIFEST_UNVERIFIED", StatusCode::BAD_REQUEST, "manifest failed signature verification"),
    ("MANIFEST_BLOB_UNKNOWN", StatusCode::BAD_REQUEST, "blob unknown to registry"),
    ("BLOB_UNKNOWN", StatusCode::NOT_FOUND, "blob unknown to registry"),
    ("BLOB_UPLOAD_UNKNOWN", StatusCode::NOT_FOUND, "blob upload unknown to registry"),
    ("BLOB_UPLOAD_INVALID", StatusCode::NOT_FOUND, "blob upload invalid"),
    ("PAGINATION_NUMBER_INVALID", StatusCode::BAD_REQUEST, "invalid number of results requested"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn read(status: u16, headers: &[(http::HeaderName, &str)], body: &str) -> (String, Option<u16>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, value.parse().unwrap());
        }
        let refusal = Refusal::read(StatusCode::from_u16(status).unwrap(), &map, body.as_bytes());
        let code = match &refusal {
            Refusal::Faults(faults) => Some(faults.status().as_u16()),
            _ => None,
        };
        (refusal.to_string(), code)
    }

    #[test]
    fn refusals_read_as_dockers_do() {
        let json = (header::CONTENT_TYPE, "application/json; charset=utf-8");
        let manifest =
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        assert_eq!(
            read(404, std::slice::from_ref(&json), manifest),
            ("manifest unknown: manifest unknown".to_owned(), Some(404))
        );
        let bare = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
        assert_eq!(read(404, std::slice::from_ref(&json), bare).0, "manifest unknown");
        let other = r#"{"errors":[{"code":"NEW_CODE","message":"hm"}]}"#;
        assert_eq!(read(404, std::slice::from_ref(&json), other).0, "unknown: hm");
        assert_eq!(read(404, &[], "gone"), ("unknown: gone".to_owned(), Some(500)));
        assert_eq!(read(429, &[], "slow down"), ("toomanyrequests: slow down".to_owned(), Some(429)));
        assert_eq!(
            read(401, std::slice::from_ref(&json), r#"{"details":"who are you"}"#).0,
            "unauthorized: who are you"
        );
        assert_eq!(
            read(401, std::slice::from_ref(&json), "{}").0,
            "unauthorized: authentication required",
            "an empty body of a 401 says what every 401 says"
        );
        assert_eq!(
            read(404, std::slice::from_ref(&json), "{}").0,
            "error parsing HTTP 404 response body: no error details found in HTTP response body: \"{}\""
        );
        assert_eq!(read(502, &[], "").0, "received unexpected HTTP status: 502 Bad Gateway");
        let scope = (
            header::WWW_AUTHENTICATE,
            r#"Bearer realm="r",service="s",scope="repository:x:pull",error="insufficient_scope""#,
        );
        let body =
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required","detail":[{}]}]}"#;
        let (text, code) = read(401, &[json, scope], body);
        assert_eq!(
            text,
            "errors:\ndenied: requested access to the resource is denied\nunauthorized: authentication required\n"
        );
        assert_eq!(code, Some(403));
    }
}
