//! `--filter` of `docker images` and `docker image prune`.

use std::collections::BTreeMap;

use drydock_images::{FindError, Named};
use http::StatusCode;

use super::describe::{NamedImage, created};
use super::{ImageService, LookupError};
use crate::api::query::moment;
use crate::error::ApiError;

/// Filters as parsed from the query: every key must hold, by any of its values.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    values: BTreeMap<String, Vec<String>>,
}

/// A filter that cannot be understood; the text is moby's.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("invalid filter")]
    Json(#[source] serde_json::Error),
    #[error("invalid filter '{0}'")]
    Unknown(String),
    #[error("invalid filter '{key}=[{values}]'")]
    Value { key: String, values: String },
    #[error("failed to parse value as time or duration: {0:?}")]
    Time(String),
    #[error("more than one until filter specified")]
    Times,
    #[error("syntax error in pattern")]
    Pattern,
}

impl From<FilterError> for ApiError {
    fn from(error: FilterError) -> Self {
        // moby calls a time that it cannot read its own fault.
        let status = match error {
            FilterError::Time(_) | FilterError::Times | FilterError::Pattern => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
            _ => StatusCode::BAD_REQUEST,
        };
        Self::new(status, error.to_string())
    }
}

/// Times that `before`, `since` and `until` stand for.
pub(super) struct Bounds {
    before: Option<i64>,
    since: Option<i64>,
}

impl Filter {
    /// `{"dangling":["true"]}`, or `{"dangling":{"true":true}}` as older clients write it.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, FilterError> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Values {
            List(Vec<String>),
            Map(BTreeMap<String, bool>),
        }
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(Self::default()) };
        let read: BTreeMap<String, Values> = serde_json::from_str(text).map_err(FilterError::Json)?;
        let mut values = BTreeMap::new();
        for (key, list) in read {
            if !known.contains(&key.as_str()) {
                return Err(FilterError::Unknown(key));
            }
            let list: Vec<String> = match list {
                Values::List(list) => list,
                Values::Map(map) => map.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect(),
            };
            if !list.is_empty() {
                values.insert(key, list);
            }
        }
        let filter = Self { values };
        filter.flag("dangling")?;
        Ok(filter)
    }

    /// One more value.
    pub fn add(&mut self, key: &str, value: String) {
        self.values.entry(key.to_owned()).or_default().push(value);
    }

    /// A filter that is true or false; both at once is neither.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FilterError> {
        let values = self.get(key);
        let read = |value: &String| match value.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        let read: Vec<Option<bool>> = values.iter().map(read).collect();
        match read.first() {
            None => Ok(None),
            Some(first @ Some(_)) if read.iter().all(|one| one == first) => Ok(*first),
            _ => Err(FilterError::Value { key: key.to_owned(), values: values.join(" ") }),
        }
    }

    /// For prune, where `dangling` means how far to go.
    pub(super) fn ignoring_dangling(&self) -> Self {
        let mut filter = self.clone();
        filter.values.remove("dangling");
        filter
    }

    pub fn get(&self, key: &str) -> &[String] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// The moment before which something must have been made; for prune there is one at most.
    pub(super) fn single_until(&self) -> Result<(), FilterError> {
        if self.get("until").len() > 1 { Err(FilterError::Times) } else { Ok(()) }
    }

    /// Several images or times stand for the narrowest.
    pub(super) fn bounds(&self, images: &ImageService) -> Result<Bounds, LookupError> {
        let of_images = |key: &str| -> Result<Vec<i64>, LookupError> {
            let found = self.get(key).iter().map(|name| images.store.find(name).map(|image| created(&image)));
            Ok(found.collect::<Result<Vec<i64>, FindError>>()?)
        };
        let before = of_images("before")?;
        let until = self.get("until").iter().map(|text| match moment(text) {
            Ok(time) => Ok(time.map_or(0, |time| (time / 1_000_000_000) as i64)),
            Err(_) => Err(FilterError::Time(text.clone())),
        });
        let until = until.collect::<Result<Vec<_>, _>>()?;
        for pattern in self.get("reference") {
            check_pattern(pattern)?;
        }
        Ok(Bounds {
            before: before.into_iter().chain(until).min(),
            since: of_images("since")?.into_iter().max(),
        })
    }

    /// The image if it passes, with the names that pass.
    pub(super) fn apply(&self, mut one: NamedImage, bounds: &Bounds) -> Option<NamedImage> {
        let created = one.created();
        let in_time = bounds.before.is_none_or(|before| created < before)
            && bounds.since.is_none_or(|since| created > since);
        let is_dangling = one.tags.is_empty();
        let dangling = self.flag("dangling").ok().flatten().is_none_or(|wanted| wanted == is_dangling);
        if !in_time || !dangling || !self.labels(&one) {
            return None;
        }
        let patterns = self.get("reference");
        if !patterns.is_empty() {
            let keep = |name: &Named| patterns.iter().any(|pattern| matches(pattern, name));
            one.tags.retain(keep);
            one.digests.retain(keep);
            if one.tags.is_empty() && one.digests.is_empty() {
                return None;
            }
        }
        Some(one)
    }

    fn labels(&self, one: &NamedImage) -> bool {
        let labels = one.image.labels();
        let has = |wanted: &String| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|one| one == value),
            None => labels.contains_key(wanted),
        };
        let without = self.get("label!");
        self.get("label").iter().all(has) && (without.is_empty() || !without.iter().all(has))
    }
}

/// A pattern matches a name with its tag, or without.
fn matches(pattern: &str, name: &Named) -> bool {
    glob(pattern.as_bytes(), name.familiar().as_bytes())
        || glob(pattern.as_bytes(), name.familiar_name().as_bytes())
}

fn check_pattern(pattern: &str) -> Result<(), FilterError> {
    let mut letters = pattern.bytes();
    while let Some(letter) = letters.next() {
        match letter {
            b'\\' if letters.next().is_none() => return Err(FilterError::Pattern),
            b'[' if !letters.any(|letter| letter == b']') => return Err(FilterError::Pattern),
            _ => {}
        }
    }
    Ok(())
}

/// Go's `path.Match`: `*`, `?` and `[a-z]` stop at a slash; a backslash takes the next letter as it is.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text)
                || text.split_first().is_some_and(|(first, after)| *first != b'/' && glob(pattern, after))
        }
        (Some((b'?', rest)), Some((first, after))) => *first != b'/' && glob(rest, after),
        (Some((b'[', rest)), Some((first, after))) => match class(rest, *first) {
            Some((is_in, rest)) => is_in && *first != b'/' && glob(rest, after),
            None => false,
        },
        (Some((b'\\', rest)), Some((first, after))) => {
            rest.split_first().is_some_and(|(wanted, rest)| wanted == first && glob(rest, after))
        }
        (Some((wanted, rest)), Some((first, after))) => wanted == first && glob(rest, after),
        _ => false,
    }
}

/// Whether a letter is in the class, and what stands behind the class.
fn class(pattern: &[u8], letter: u8) -> Option<(bool, &[u8])> {
    let (is_not, mut rest) = match pattern.split_first()? {
        (b'^', rest) => (true, rest),
        _ => (false, pattern),
    };
    let mut is_in = false;
    let mut is_first = true;
    loop {
        let (low, after) = rest.split_first()?;
        if *low == b']' && !is_first {
            return Some((is_in != is_not, after));
        }
        is_first = false;
        let (high, after) = match after {
            [b'-', high, after @ ..] if *high != b']' => (*high, after),
            _ => (*low, after),
        };
        is_in |= (*low..=high).contains(&letter);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_gos_do() {
        for (pattern, name, expected) in [
            ("alpine", "alpine:3", true),
            ("alp*", "alpine", true),
            ("*:3", "alpine:3", true),
            ("*", "traefik/whoami", false),
            ("*/*", "traefik/whoami:1", true),
            ("alpin?", "alpine:3", true),
            ("debian", "alpine", false),
            ("alpine:[1-3]", "alpine:3", true),
            ("alpine:[^1-3]", "alpine:3", false),
            ("alpine:\\3", "alpine:3", true),
        ] {
            assert_eq!(
                matches(pattern, &Named::parse(name).unwrap().or_latest()),
                expected,
                "{pattern} {name}"
            );
        }
        assert!(
            check_pattern("[a").is_err() && check_pattern("a\\").is_err() && check_pattern("[a]*").is_ok()
        );
    }

    #[test]
    fn filters_are_read_in_both_forms() {
        let list = Filter::parse(Some(r#"{"dangling":["true"]}"#), &["dangling"]).unwrap();
        let map = Filter::parse(Some(r#"{"dangling":{"true":true}}"#), &["dangling"]).unwrap();
        assert_eq!(list.flag("dangling").unwrap(), Some(true));
        assert_eq!(map.flag("dangling").unwrap(), Some(true));
        let fails = |text: &str| Filter::parse(Some(text), &["dangling"]).unwrap_err().to_string();
        assert_eq!(fails(r#"{"dangling":["maybe"]}"#), "invalid filter 'dangling=[maybe]'");
        assert_eq!(fails(r#"{"dangling":["true","false"]}"#), "invalid filter 'dangling=[true false]'");
        assert_eq!(fails(r#"{"colour":["red"]}"#), "invalid filter 'colour'");
        assert_eq!(fails("garbage"), "invalid filter");
    }
}
