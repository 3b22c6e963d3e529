//! Instants as milliseconds since 1970 (JavaScript's clock), read from RFC 3339 and shown as a countdown.

/// Below this a countdown warns, milliseconds.
pub const SOON: i64 = 5 * 60 * 1000;

/// Milliseconds since 1970 of an RFC 3339 time; `None` when `text` is not one.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone_at);
    let mut parts = time.splitn(3, ':');
    let hour: i64 = parts.next()?.parse().ok()?;
    let minute: i64 = parts.next()?.parse().ok()?;
    let (second, fraction) = parts.next().map(|part| part.split_once('.').unwrap_or((part, "0")))?;
    let second: i64 = second.parse().ok()?;
    // Three digits of the fraction, and zeroes where it has fewer.
    let milliseconds =
        fraction.bytes().chain(*b"00").take(3).fold(0, |sum, digit| sum * 10 + i64::from(digit & 15));
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
        - zone_seconds(zone)?;
    Some(seconds * 1_000 + milliseconds)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = zone[1..].split_once(':')?;
    Some(sign * (hours.parse::<i64>().ok()? * 3_600 + minutes.parse::<i64>().ok()? * 60))
}

/// Proleptic Gregorian, years counted from March so that the leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// `3:07:05`, `12:09`, `0:00`.
pub fn countdown(remaining: i64) -> String {
    let seconds = remaining.max(0) / 1_000;
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// `just now`, `5 min ago`, `3 h ago`, `2 days ago`.
pub fn ago(elapsed: i64) -> String {
    match elapsed.max(0) / 60_000 {
        0 => "just now".to_owned(),
        minutes @ 1..60 => format!("{minutes} min ago"),
        minutes @ 60..2_880 => format!("{} h ago", minutes / 60),
        minutes => format!("{} days ago", minutes / 1_440),
    }
}

/// `45 min`, `4 h`, `1 h 30 min`.
pub fn duration(seconds: u64) -> String {
    match (seconds / 3_600, seconds / 60 % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_with_fractions_and_zones() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T02:50:11Z", Some(1_795_229_411_000)),
            ("2026-11-21T02:50:11.25Z", Some(1_795_229_411_250)),
            ("2026-11-21T03:50:11+01:00", Some(1_795_229_411_000)),
            ("2024-02-29T23:59:59Z", Some(1_709_251_199_000)),
            ("2024-02-29", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_rfc3339(text), expected, "{text}");
        }
    }

    #[test]
    fn times_read_well() {
        assert_eq!(countdown(3_600_000 + 61_000), "1:01:01");
        assert_eq!(countdown(59_999), "0:59");
        assert_eq!(countdown(-5), "0:00");
        assert_eq!(ago(0), "just now");
        assert_eq!(ago(3 * 3_600_000), "3 h ago");
        assert_eq!(ago(49 * 3_600_000), "2 days ago");
        assert_eq!(duration(14_400), "4 h");
        assert_eq!(duration(5_400), "1 h 30 min");
    }
}
