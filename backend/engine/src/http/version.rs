//! `/v1.24` to `/v1.51` before a path: taken off, checked, and kept for the doors.

use http::{Request, Uri, uri::PathAndQuery};

use crate::error::ApiError;

/// The API version a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ApiVersion {
    pub major: u32,
    pub minor: u32,
}

pub const NEWEST: ApiVersion = ApiVersion { major: 1, minor: 51 };
pub const OLDEST: ApiVersion = ApiVersion { major: 1, minor: 24 };

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

impl ApiVersion {
    pub const fn is_before(self, minor: u32) -> bool {
        self.major == 1 && self.minor < minor
    }

    pub fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// Takes the version off the request's path and puts it among the request's extensions.
pub fn negotiate<B>(request: &mut Request<B>, oldest: ApiVersion) -> Result<(), ApiError> {
    let path = request.uri().path();
    let (version, rest) = split(path);
    let version = version.unwrap_or(NEWEST);
    if version > NEWEST {
        return Err(ApiError::invalid(format!(
            "client version {version} is too new. Maximum supported API version is {NEWEST}"
        )));
    }
    if version < oldest {
        return Err(ApiError::invalid(format!(
            "client version {version} is too old. Minimum supported API version is {oldest}, \
             please upgrade your client to a newer version"
        )));
    }
    if rest.len() != path.len() {
        let rest = match request.uri().query() {
            Some(query) => format!("{rest}?{query}"),
            None => rest.to_owned(),
        };
        let path_and_query =
            PathAndQuery::try_from(rest).map_err(|error| ApiError::invalid(error.to_string()))?;
        *request.uri_mut() = Uri::from(path_and_query);
    }
    request.extensions_mut().insert(version);
    Ok(())
}

fn split(path: &str) -> (Option<ApiVersion>, &str) {
    let Some(versioned) = path.strip_prefix("/v") else { return (None, path) };
    let end = versioned.find('/').unwrap_or(versioned.len());
    match ApiVersion::parse(&versioned[..end]) {
        Some(version) => (Some(version), if end == versioned.len() { "/" } else { &versioned[end..] }),
        None => (None, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn negotiated(path: &str) -> Result<(String, ApiVersion), ApiError> {
        let mut request = Request::builder().uri(path).body(()).expect("a request");
        negotiate(&mut request, OLDEST)?;
        let version = *request.extensions().get::<ApiVersion>().expect("a version");
        Ok((request.uri().to_string(), version))
    }

    #[test]
    fn a_version_prefix_is_optional_and_taken_off() {
        for (path, rest, minor) in [
            ("/_ping", "/_ping", 51),
            ("/v1.24/_ping", "/_ping", 24),
            ("/v1.41/containers/json?all=1", "/containers/json?all=1", 41),
            ("/volumes", "/volumes", 51),
        ] {
            let (uri, version) = negotiated(path).expect(path);
            assert_eq!((uri.as_str(), version.minor), (rest, minor), "{path}");
        }
    }

    #[test]
    fn versions_out_of_range_are_refused_in_mobys_words() {
        let new = negotiated("/v1.99/_ping").expect_err("too new");
        assert_eq!(new.message, "client version 1.99 is too new. Maximum supported API version is 1.51");
        let old = negotiated("/v1.12/_ping").expect_err("too old");
        assert!(
            old.message.starts_with("client version 1.12 is too old. Minimum supported API version is 1.24")
        );
    }
}
