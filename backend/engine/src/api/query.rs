//! Query strings, read as moby reads them.

use std::collections::HashMap;

use serde_json::Value;

use crate::error::ApiError;

/// All parameters of a request.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Parameters(HashMap<String, String>);

impl Parameters {
    /// The parameter, unless it is missing or empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|text| !text.is_empty())
    }

    /// Anything but the words for "no" is yes.
    pub fn flag(&self, name: &str) -> bool {
        let value = self.0.get(name).map(|text| text.trim().to_ascii_lowercase()).unwrap_or_default();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    pub fn flag_or(&self, name: &str, default: bool) -> bool {
        if self.0.contains_key(name) { self.flag(name) } else { default }
    }

    pub fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.text(name)
            .map(|text| {
                let bad = |_| ApiError::invalid(format!("strconv.Atoi: parsing \"{text}\": invalid syntax"));
                text.parse().map_err(bad)
            })
            .transpose()
    }

    pub fn filters(&self) -> Result<Filters, ApiError> {
        Filters::parse(self.text("filters").unwrap_or_default())
    }
}

/// `?filters={"name":["a"]}`, or the older `{"name":{"a":true}}`.
#[derive(Clone, Debug, Default)]
pub struct Filters(HashMap<String, Vec<String>>);

impl Filters {
    fn parse(text: &str) -> Result<Self, ApiError> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let bad = || ApiError::invalid("invalid filter");
        let Value::Object(fields) = serde_json::from_str(text).map_err(|_| bad())? else { return Err(bad()) };
        let mut filters = HashMap::new();
        for (key, values) in fields {
            let values = match values {
                Value::Array(values) => {
                    values.iter().filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
                }
                Value::Object(set) => set.into_iter().map(|(value, _)| value).collect(),
                _ => return Err(bad()),
            };
            if !values.is_empty() {
                filters.insert(key, values);
            }
        }
        Ok(Self(filters))
    }

    /// Refuses names that mean nothing here.
    pub fn only(&self, known: &[&str]) -> Result<(), ApiError> {
        match self.0.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(ApiError::invalid(format!("invalid filter '{key}'"))),
            None => Ok(()),
        }
    }

    /// For who reads them by other rules.
    pub fn into_map(self) -> std::collections::BTreeMap<String, Vec<String>> {
        self.0.into_iter().collect()
    }

    pub fn get(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// No such filter, or one of its values passes.
    pub fn any(&self, name: &str, passes: impl Fn(&str) -> bool) -> bool {
        let values = self.get(name);
        values.is_empty() || values.iter().any(|value| passes(value))
    }

    /// No such filter, or all of its values pass.
    pub fn every(&self, name: &str, passes: impl Fn(&str) -> bool) -> bool {
        self.get(name).iter().all(|value| passes(value))
    }

    /// `label=key` or `label=key=value`, all of them; and none of `label!`.
    pub fn labels(&self, labels: &std::collections::BTreeMap<String, String>) -> bool {
        let matches = |wanted: &str| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        };
        self.every("label", matches) && self.every("label!", |wanted| !matches(wanted))
    }

    /// The same, where anything but a word for yes or no is refused.
    pub fn yes_or_no(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.get(name) {
            [] => Ok(None),
            [word] if matches!(word.as_str(), "1" | "true") => Ok(Some(true)),
            [word] if matches!(word.as_str(), "0" | "false") => Ok(Some(false)),
            words => Err(ApiError::invalid(format!("invalid filter '{name}=[{}]'", words.join(" ")))),
        }
    }

    /// A filter that is `true` or `false`; `None` without it.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name).first().map(|value| matches!(value.as_str(), "1" | "true" | "True"))
    }
}

/// `since` and `until`: seconds with a fraction, RFC 3339, or a duration before now. Nanoseconds since 1970.
pub fn moment(text: &str) -> Result<Option<i128>, ApiError> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let bad = || ApiError::invalid(format!("invalid value for time: {text}"));
    if let Ok(time) = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339) {
        return Ok(Some(time.unix_timestamp_nanos()));
    }
    if let Some(seconds) = duration_s(text) {
        let now = time::OffsetDateTime::now_utc().unix_timestamp_nanos();
        return Ok(Some(now - (seconds * 1e9) as i128));
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i128 = seconds.parse().map_err(|_| bad())?;
    let nanos: i128 =
        format!("{fraction:0<9}").get(..9).and_then(|digits| digits.parse().ok()).ok_or_else(bad)?;
    Ok(Some(seconds * 1_000_000_000 + nanos))
}

/// Go's `1h30m`, in seconds.
pub fn duration_s(text: &str) -> Option<f64> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 1e-3,
                "us" | "µs" => 1e-6,
                "ns" => 1e-9,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_filters_are_read() {
        for text in [r#"{"label":["a=b"]}"#, r#"{"label":{"a=b":true}}"#] {
            let filters = Filters::parse(text).expect(text);
            assert_eq!(filters.get("label"), ["a=b"]);
        }
        assert!(Filters::parse("[]").is_err());
        assert!(Filters::parse(r#"{"nonsense":["x"]}"#).expect("filters").only(&["label"]).is_err());
    }

    #[test]
    fn moments_have_three_forms() {
        assert_eq!(moment("10.5").expect("seconds"), Some(10_500_000_000));
        assert_eq!(moment("1970-01-01T00:00:01Z").expect("a time"), Some(1_000_000_000));
        let ago = moment("1h30m").expect("a duration").expect("some");
        assert!(ago < time::OffsetDateTime::now_utc().unix_timestamp_nanos() - 5_000_000_000_000);
        assert!(moment("yesterday").is_err());
    }
}
