//! Bodies of requests, read as Go reads them: clients rely on it without knowing.
//!
//! Go finds a field whatever the case of its name (docker-py says `detachKeys`), and takes `null` for nothing said.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, header};
use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, Visitor};
use serde_json::{Error, Value};

use crate::error::ApiError;

/// The request's JSON as a `T`; without a body, an empty object.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let headers = request.headers().clone();
        let body = Bytes::from_request(request, &()).await;
        let body = body.map_err(|error| ApiError::invalid(error.to_string()))?;
        read(&headers, &body).map(Self)
    }
}

/// The same for those who have taken the request apart.
pub fn read<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, ApiError> {
    check_type(headers, body)?;
    let value = if body.is_empty() { Value::Object(Default::default()) } else { parse(body)? };
    decode(value)
}

/// A value whose fields were read loosely.
pub fn decode<T: DeserializeOwned>(value: Value) -> Result<T, ApiError> {
    T::deserialize(Loose(value)).map_err(|error| ApiError::invalid(format!("invalid JSON: {error}")))
}

/// A body must say that it is JSON, and an empty one must not say that it is anything else.
fn check_type(headers: &HeaderMap, body: &[u8]) -> Result<(), ApiError> {
    let said = headers.get(header::CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or_default());
    let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => Ok(()),
        "" if body.is_empty() => Ok(()),
        "" => Err(ApiError::invalid(format!("malformed Content-Type header ({said}): mime: no media type"))),
        _ => Err(ApiError::invalid(format!(
            "unsupported Content-Type header ({said}): must be 'application/json'"
        ))),
    }
}

fn parse(body: &[u8]) -> Result<Value, ApiError> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let first = values.next();
    let value = match first {
        None => return Err(ApiError::invalid("invalid JSON: got EOF while reading request body")),
        Some(Err(error)) => {
            return Err(ApiError::invalid(format!("invalid JSON: {}", explain(body, &error))));
        }
        Some(Ok(value)) => value,
    };
    match values.next() {
        None => Ok(value),
        Some(_) => Err(ApiError::invalid("unexpected content after JSON")),
    }
}

/// What Go says of a text that is no JSON.
fn explain(body: &[u8], error: &Error) -> String {
    if error.is_eof() {
        return "unexpected EOF".into();
    }
    let line = body.split(|byte| *byte == b'\n').nth(error.line().saturating_sub(1)).unwrap_or_default();
    let letter = line.get(error.column().saturating_sub(1)).map_or(' ', |byte| char::from(*byte));
    let text = error.to_string();
    let place = [
        ("key must be a string", "looking for beginning of object key string"),
        ("expected `:`", "after object key"),
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
    ];
    let place = place.iter().find(|(ours, _)| text.starts_with(ours));
    let place = place.map_or("looking for beginning of value", |(_, gos)| gos);
    format!("invalid character '{letter}' {place}")
}

/// A value on its way into a Rust shape.
struct Loose(Value);

impl IntoDeserializer<'_, Error> for Loose {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The fields of an object under the names the shape has for them. An exact name goes before one that is alike.
fn fields(object: serde_json::Map<String, Value>, known: &[&'static str]) -> BTreeMap<String, Value> {
    let mut named = BTreeMap::new();
    let (exact, alike): (Vec<_>, Vec<_>) = object
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .partition(|(key, _)| known.contains(&&**key));
    named.extend(exact);
    for (key, value) in alike {
        let field = known.iter().find(|field| field.eq_ignore_ascii_case(&key));
        named.entry(field.map_or(key, |field| (*field).to_owned())).or_insert(value);
    }
    named
}

impl<'de> Deserializer<'de> for Loose {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(values) => visitor.visit_seq(SeqDeserializer::new(values.into_iter().map(Loose))),
            Value::Object(object) => visitor
                .visit_map(MapDeserializer::new(object.into_iter().map(|(key, value)| (key, Loose(value))))),
            value => value.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let object = match self.0 {
            Value::Object(object) => object,
            Value::Null => Default::default(),
            value => return value.deserialize_struct(name, known, visitor),
        };
        let fields = fields(object, known).into_iter().map(|(key, value)| (key, Loose(value)));
        visitor.visit_map(MapDeserializer::new(fields))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq
        tuple tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use bollard_stubs::models::HostConfig;

    use super::*;
    use crate::wire::ContainerConfig;

    fn json() -> HeaderMap {
        HeaderMap::from_iter([(header::CONTENT_TYPE, "application/json".parse().expect("a value"))])
    }

    #[test]
    fn fields_are_found_whatever_their_case() {
        let body = br#"{"cmd":["a"],"ENV":["B=c"],"labels":{"Keep":"Case"},"tty":null,"nonsense":1}"#;
        let config: ContainerConfig = read(&json(), body).expect("a configuration");
        assert_eq!(config.cmd, Some(vec!["a".to_owned()]));
        assert_eq!(config.env, ["B=c"]);
        assert_eq!(config.labels["Keep"], "Case");
        let host: HostConfig =
            read(&json(), br#"{"restartPolicy":{"name":"always"},"memory":4096,"binds":null}"#)
                .expect("a host's");
        assert_eq!(
            host.restart_policy.and_then(|policy| policy.name).map(|name| name.to_string()).as_deref(),
            Some("always")
        );
        assert_eq!(host.memory, Some(4096));
    }

    #[test]
    fn what_is_no_json_is_refused_in_gos_words() {
        let cases: [(&[u8], &str); 5] = [
            (b"{", "invalid JSON: unexpected EOF"),
            (b"  ", "invalid JSON: got EOF while reading request body"),
            (b"<x>", "invalid JSON: invalid character '<' looking for beginning of value"),
            (b"{x}", "invalid JSON: invalid character 'x' looking for beginning of object key string"),
            (b"{}{}", "unexpected content after JSON"),
        ];
        for (body, text) in cases {
            let error = read::<ContainerConfig>(&json(), body).expect_err(text);
            assert_eq!(error.message, text, "{}", String::from_utf8_lossy(body));
        }
    }

    #[test]
    fn a_body_says_what_it_is() {
        assert!(read::<ContainerConfig>(&HeaderMap::new(), b"").is_ok());
        let error = read::<ContainerConfig>(&HeaderMap::new(), b"{}").expect_err("no type");
        assert_eq!(error.message, "malformed Content-Type header (): mime: no media type");
    }
}
