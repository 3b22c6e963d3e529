//! `--filter` of `docker images` and `docker image prune`.

use std::collections::BTreeMap;

use drydock_images::Named;

use super::describe::{NamedImage, created};
use super::{ImageService, LookupError};

/// Filters as parsed from the query: every key must hold, by any of its values.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    values: BTreeMap<String, Vec<String>>,
}

/// A filter that cannot be understood; the text is moby's.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    #[error("invalid character in filters: {0}")]
    Json(#[source] serde_json::Error),
    #[error("invalid filter '{0}'")]
    Unknown(String),
    #[error("invalid filter '{key}={value}'")]
    Value { key: String, value: String },
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
            let list = match list {
                Values::List(list) => list,
                Values::Map(map) => map.into_iter().filter(|(_, on)| *on).map(|(value, _)| value).collect(),
            };
            values.insert(key, list);
        }
        let filter = Self { values };
        filter.flag("dangling")?;
        Ok(filter)
    }

    /// A filter that is true or false.
    pub fn flag(&self, key: &str) -> Result<Option<bool>, FilterError> {
        let read = |value: &String| match value.to_ascii_lowercase().as_str() {
            "true" | "1" | "t" => Ok(true),
            "false" | "0" | "f" => Ok(false),
            _ => Err(FilterError::Value { key: key.to_owned(), value: value.clone() }),
        };
        self.get(key).first().map(read).transpose()
    }

    /// For prune, where `dangling` means how far to go.
    pub(super) fn ignoring_dangling(&self) -> Self {
        let mut filter = self.clone();
        filter.values.remove("dangling");
        filter
    }

    fn get(&self, key: &str) -> &[String] {
        self.values.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn bounds(&self, images: &ImageService) -> Result<Bounds, LookupError> {
        let of_image = |key: &str| -> Result<Option<i64>, LookupError> {
            let found = self.get(key).iter().map(|name| images.store.find(name).map(|image| created(&image)));
            Ok(found.collect::<Result<Vec<_>, _>>()?.into_iter().next())
        };
        let until = self.get("until").iter().filter_map(|text| moment(text)).min();
        let before = of_image("before")?;
        Ok(Bounds { before: [before, until].into_iter().flatten().min(), since: of_image("since")? })
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
        self.get("label").iter().all(has) && !self.get("label!").iter().any(has)
    }
}

/// A pattern matches a name with its tag, or without.
fn matches(pattern: &str, name: &Named) -> bool {
    glob(pattern.as_bytes(), name.familiar().as_bytes())
        || glob(pattern.as_bytes(), name.familiar_name().as_bytes())
}

/// Go's `path.Match` without classes: `*` and `?` stop at a slash.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            glob(rest, text)
                || text.split_first().is_some_and(|(first, after)| *first != b'/' && glob(pattern, after))
        }
        (Some((b'?', rest)), Some((first, after))) => *first != b'/' && glob(rest, after),
        (Some((wanted, rest)), Some((first, after))) => wanted == first && glob(rest, after),
        _ => false,
    }
}

/// A time before which something was made: seconds since 1970, RFC 3339, or how long ago (`24h`, `10m`).
fn moment(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    if let Ok(time) = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339) {
        return Some(time.unix_timestamp());
    }
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|character: char| character.is_ascii_alphabetic())?;
        let unit_end = rest[end..]
            .find(|character: char| !character.is_ascii_alphabetic())
            .map_or(rest.len(), |at| end + at);
        let factor = match &rest[end..unit_end] {
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 0.001,
            _ => return None,
        };
        total += rest[..end].parse::<f64>().ok()? * factor;
        rest = &rest[unit_end..];
    }
    Some(time::OffsetDateTime::now_utc().unix_timestamp() - total as i64)
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
        ] {
            assert_eq!(
                matches(pattern, &Named::parse(name).unwrap().or_latest()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn filters_are_read_in_both_forms() {
        let list = Filter::parse(Some(r#"{"dangling":["true"]}"#), &["dangling"]).unwrap();
        let map = Filter::parse(Some(r#"{"dangling":{"true":true}}"#), &["dangling"]).unwrap();
        assert_eq!(list.flag("dangling").unwrap(), Some(true));
        assert_eq!(map.flag("dangling").unwrap(), Some(true));
        let wrong = Filter::parse(Some(r#"{"dangling":["maybe"]}"#), &["dangling"]).unwrap_err();
        assert_eq!(wrong.to_string(), "invalid filter 'dangling=maybe'");
        let unknown = Filter::parse(Some(r#"{"colour":["red"]}"#), &["dangling"]).unwrap_err();
        assert_eq!(unknown.to_string(), "invalid filter 'colour'");
    }
}
