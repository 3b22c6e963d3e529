//! Image references, read as Docker reads them (distribution's reference grammar and its familiar names).

use std::fmt;

use crate::digest::Digest;

/// A repository with a tag, a digest, both or neither: `docker.io/library/alpine:3.22@sha256:…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Named {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// What a person may write where an image is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    Named(Named),
    /// 64 digits or `sha256:` and 64 digits: an image's id.
    Id(Digest),
}

/// The texts are Docker's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("invalid reference format")]
    Format,
    #[error("invalid tag format")]
    Tag,
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    #[error("invalid reference format: repository name must not be more than 255 characters")]
    TooLong,
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    #[error("invalid reference format: repository name is missing")]
    Empty,
    #[error("unsupported digest algorithm")]
    Digest,
}

impl Reference {
    /// A name, or an id in full.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_hex64(text) {
            return format!("sha256:{text}").parse().map(Self::Id).map_err(|_| ReferenceError::Digest);
        }
        if let Ok(digest) = text.parse() {
            return Ok(Self::Id(digest));
        }
        Named::parse(text).map(Self::Named)
    }
}

impl Named {
    /// `alpine` → docker.io/library/alpine, without a tag; [`Named::or_latest`] adds the usual one.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        if is_hex64(text) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(|_| digest_error(digest))?)),
            None => (text, None),
        };
        // A colon after the last slash begins a tag; before it, a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        let (domain, path) = split_domain(name);
        check_name(&domain, &path)?;
        if let Some(tag) = tag
            && !is_tag(tag)
        {
            return Err(ReferenceError::Format);
        }
        Ok(Self { domain, path, tag: tag.map(str::to_owned), digest })
    }

    /// The registry's host and port: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository in its registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// With the tag `latest` when it has neither tag nor digest.
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with another tag, and no digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Tag);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository by digest, and no tag.
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// The repository alone.
    pub fn repository(&self) -> Self {
        Self { tag: None, digest: None, ..self.clone() }
    }

    /// `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// As `docker images` shows it: `alpine`, `traefik/whoami`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != "docker.io" {
            return self.name();
        }
        match self.path.strip_prefix("library/") {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// [`Named::familiar_name`] with tag and digest.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.suffix())
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|digest| format!("@{digest}")).unwrap_or_default();
        tag + &digest
    }
}

/// The whole name: `docker.io/library/alpine:latest`.
impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.domain, self.path, self.suffix())
    }
}

/// The first part is a registry when it could not be a part of a Docker Hub name.
fn split_domain(name: &str) -> (String, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => ("docker.io", name),
    };
    let domain = if domain == "index.docker.io" { "docker.io" } else { domain };
    let path = if domain == "docker.io" && !path.contains('/') {
        format!("library/{path}")
    } else {
        path.to_owned()
    };
    (domain.to_owned(), path)
}

fn check_name(domain: &str, path: &str) -> Result<(), ReferenceError> {
    if path.chars().any(|character| character.is_ascii_uppercase()) {
        return Err(ReferenceError::Uppercase(path.to_owned()));
    }
    if !is_domain(domain) || !path.split('/').all(is_component) {
        return Err(ReferenceError::Format);
    }
    if domain.len() + 1 + path.len() > 255 {
        return Err(ReferenceError::TooLong);
    }
    Ok(())
}

fn digest_error(text: &str) -> ReferenceError {
    match text.split_once(':') {
        Some((algorithm, digits)) if algorithm != "sha256" && digits.len() >= 32 => ReferenceError::Digest,
        _ => ReferenceError::Format,
    }
}

/// `host`, `host:port` or `[v6]:port`.
fn is_domain(domain: &str) -> bool {
    if let Some(rest) = domain.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':')
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = domain.split_once(':').map_or((domain, None), |(host, port)| (host, Some(port)));
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Letters and digits, with single separators between them: `.`, `_`, `__` or any number of `-`.
fn is_component(component: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = component.as_bytes();
    let edges =
        bytes.first().is_some_and(|byte| letter(*byte)) && bytes.last().is_some_and(|byte| letter(*byte));
    edges
        && component
            .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
            .all(|gap| matches!(gap, "" | "." | "_" | "__") || gap.bytes().all(|byte| byte == b'-'))
}

fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || matches!(byte, b'.' | b'-'))
}

fn is_hex64(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn names_are_completed_and_shortened_as_docker_does() {
        for (written, whole, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.22", "docker.io/library/alpine:3.22", "alpine:3.22"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("traefik/whoami", "docker.io/traefik/whoami:latest", "traefik/whoami:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
            ("10.0.0.1:5000/a/b", "10.0.0.1:5000/a/b:latest", "10.0.0.1:5000/a/b:latest"),
            ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
            ("quay.io/x/y-z__w", "quay.io/x/y-z__w:latest", "quay.io/x/y-z__w:latest"),
        ] {
            let named = Named::parse(written).unwrap().or_latest();
            assert_eq!(named.to_string(), whole);
            assert_eq!(named.familiar(), familiar);
        }
        let both = Named::parse(&format!("alpine:3@{DIGEST}")).unwrap().or_latest();
        assert_eq!(both.to_string(), format!("docker.io/library/alpine:3@{DIGEST}"));
        assert_eq!(Reference::parse(&DIGEST[7..]), Ok(Reference::Id(DIGEST.parse().unwrap())));
    }

    #[test]
    fn wrong_names_are_refused_with_dockers_words() {
        for (written, text) in [
            ("", "invalid reference format: repository name is missing"),
            ("Alpine", "invalid reference format: repository name (library/Alpine) must be lowercase"),
            ("alpine:", "invalid reference format"),
            (":tag", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("a_b__c___d", "invalid reference format"),
            ("-a", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a:t@sha256:1", "invalid reference format"),
            ("../a", "invalid reference format"),
        ] {
            assert_eq!(Named::parse(written).unwrap_err().to_string(), text, "{written}");
        }
        assert!(matches!(Named::parse(&DIGEST[7..]), Err(ReferenceError::LooksLikeId(_))));
        assert_eq!(Named::parse("a/".repeat(200).trim_end_matches('/')), Err(ReferenceError::TooLong));
    }
}
