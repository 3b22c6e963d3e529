//! `go-units` and `time`: sizes and durations.

use super::numbers::{NumberError, parse_float};
use super::quote;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    #[error("invalid size: '{0}'")]
    Size(String),
    #[error("invalid suffix: '{0}'")]
    Suffix(String),
    #[error(transparent)]
    Number(#[from] NumberError),
}

/// `units.RAMInBytes`: `1k` is 1024.
pub fn ram_in_bytes(text: &str) -> Result<i64, SizeError> {
    parse_size(text, 1024.0)
}

/// `units.FromHumanSize`: `1k` is 1000.
pub fn from_human_size(text: &str) -> Result<i64, SizeError> {
    parse_size(text, 1000.0)
}

fn parse_size(text: &str, base: f64) -> Result<i64, SizeError> {
    let invalid = || SizeError::Size(text.to_owned());
    let end = text
        .rfind(|letter: char| letter.is_ascii_digit() || matches!(letter, '.' | ' '))
        .ok_or_else(invalid)?;
    let suffix = &text[end + 1..];
    let number = if text.as_bytes()[end] == b' ' { &text[..end] } else { &text[..=end] };
    let size = parse_float(number)?;
    if size < 0.0 {
        return Err(invalid());
    }
    let suffix = suffix.to_lowercase();
    let factor = match suffix.as_str() {
        "" | "b" => 0,
        _ => {
            let bad = || SizeError::Suffix(suffix.clone());
            let power = "kmgtp".find(&suffix[..suffix.chars().next().map_or(0, char::len_utf8)]);
            let power = power.ok_or_else(bad)? + 1;
            if !matches!(&suffix[1..], "" | "b" | "ib") {
                return Err(bad());
            }
            power as i32
        }
    };
    Ok((size * base.powi(factor)) as i64)
}

/// `units.BytesSize`: `64MiB`.
pub fn bytes_size(size: i64) -> String {
    const UNITS: [&str; 9] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"];
    let mut value = size as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < UNITS.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    // `%.4g`: four digits that count.
    let whole = (value.abs().log10().floor() as i32 + 1).max(1);
    let digits = usize::try_from(4 - whole).unwrap_or(0);
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", UNITS[unit])
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error("time: invalid duration {}", quote(.0))]
    Invalid(String),
    #[error("time: missing unit in duration {}", quote(.0))]
    NoUnit(String),
    #[error("time: unknown unit {} in duration {}", quote(.1), quote(.0))]
    Unit(String, String),
}

/// `time.ParseDuration`; nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits =
            rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        let nanos = match &rest[..end] {
            "" => return Err(DurationError::NoUnit(text.to_owned())),
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            unit => return Err(DurationError::Unit(text.to_owned(), unit.to_owned())),
        };
        total += number * nanos;
        rest = &rest[end..];
    }
    // 2⁶³ nanoseconds are as much as Go's type holds.
    if total >= 9.223_372_036_854_775e18 { Err(invalid()) } else { Ok((sign * total) as i64) }
}

/// `%v` of a duration of so many nanoseconds: `1m30s`, `1.5s`, `0s`.
pub fn print_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let total = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64| {
        let rest = format!("{:0width$}", value % unit, width = unit.ilog10() as usize);
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() || unit == 1 {
            (value / unit).to_string()
        } else {
            format!("{}.{rest}", value / unit)
        }
    };
    match total {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{total}ns"),
        1_000..1_000_000 => format!("{sign}{}µs", fraction(total, 1_000)),
        1_000_000..1_000_000_000 => format!("{sign}{}ms", fraction(total, 1_000_000)),
        _ => {
            let (hours, rest) = (total / 3_600_000_000_000, total % 3_600_000_000_000);
            let (minutes, rest) = (rest / 60_000_000_000, rest % 60_000_000_000);
            let seconds = fraction(rest, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}s"),
                (0, minutes) => format!("{sign}{minutes}m{seconds}s"),
                (hours, minutes) => format!("{sign}{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_carry_their_unit() {
        for (text, ram, human) in [
            ("64M", 64 << 20, 64_000_000),
            ("1g", 1 << 30, 1_000_000_000),
            ("100", 100, 100),
            ("2kb", 2048, 2000),
            ("3MiB", 3 << 20, 3_000_000),
            ("1.5 k", 1536, 1500),
            ("7b", 7, 7),
        ] {
            assert_eq!((ram_in_bytes(text), from_human_size(text)), (Ok(ram), Ok(human)), "{text}");
        }
        for (text, complaint) in [
            ("lots", "invalid size: 'lots'"),
            ("", "invalid size: ''"),
            ("-1", "invalid size: '-1'"),
            ("1q", "invalid suffix: 'q'"),
            ("1kx", "invalid suffix: 'kx'"),
            ("1ä", "invalid suffix: 'ä'"),
            ("x1", "strconv.ParseFloat: parsing \"x1\": invalid syntax"),
        ] {
            assert_eq!(ram_in_bytes(text).unwrap_err().to_string(), complaint, "{text}");
        }
    }

    #[test]
    fn sizes_are_printed_with_four_digits() {
        for (size, text) in
            [(64 << 20, "64MiB"), (1500, "1.465KiB"), (0, "0B"), (1023, "1023B"), (1 << 40, "1TiB")]
        {
            assert_eq!(bytes_size(size), text);
        }
    }

    #[test]
    fn durations_are_gos() {
        for (text, nanos) in [("1h30m", 5400e9), ("1.5s", 1.5e9), ("-2ms", -2e6), ("0", 0.0), ("3µs", 3e3)] {
            assert_eq!(parse_duration(text), Ok(nanos as i64), "{text}");
        }
        for (text, complaint) in [
            ("x", "time: invalid duration \"x\""),
            ("", "time: invalid duration \"\""),
            ("5", "time: missing unit in duration \"5\""),
            ("5y", "time: unknown unit \"y\" in duration \"5y\""),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), complaint);
        }
        assert!(parse_duration("2562048h").is_err());
        for (nanoseconds, text) in [
            (3_600_000_000_000, "1h0m0s"),
            (100_000_000, "100ms"),
            (1_500_000_000, "1.5s"),
            (0, "0s"),
            (61_000_000_000, "1m1s"),
            (1_500_000, "1.5ms"),
            (7, "7ns"),
            (-2_000_000_000, "-2s"),
        ] {
            assert_eq!(print_duration(nanoseconds), text);
        }
    }
}
