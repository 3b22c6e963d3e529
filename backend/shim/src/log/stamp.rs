//! Times as Go's `time.RFC3339Nano` writes them: no zeros at the end of the fraction.

use time::OffsetDateTime;

/// Writes times one after the other; most differ from the last in their fraction only.
#[derive(Debug, Default)]
pub struct Stamp {
    second: i64,
    /// `2026-01-02T03:04:05`, of `second`.
    head: String,
    text: String,
}

impl Stamp {
    pub fn rfc3339(&mut self, time_nano: i64) -> &str {
        const NANOS: i64 = 1_000_000_000;
        let (second, nanos) = (time_nano.div_euclid(NANOS), time_nano.rem_euclid(NANOS));
        if self.head.is_empty() || second != self.second {
            self.second = second;
            self.head = head(second);
        }
        self.text.clear();
        self.text.push_str(&self.head);
        if nanos > 0 {
            use std::fmt::Write;
            let _ = write!(self.text, ".{nanos:09}");
            self.text.truncate(self.text.trim_end_matches('0').len());
        }
        self.text.push('Z');
        &self.text
    }
}

fn head(second: i64) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let time = OffsetDateTime::from_unix_timestamp(second).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    time.format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::Stamp;

    #[test]
    fn a_fraction_has_as_many_digits_as_it_needs() {
        let mut stamp = Stamp::default();
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (1_500_000_000, "1970-01-01T00:00:01.5Z"),
            (1_000_000_100, "1970-01-01T00:00:01.0000001Z"),
            (1_767_225_600_120_000_000, "2026-01-01T00:00:00.12Z"),
        ] {
            assert_eq!(stamp.rfc3339(nanos), text);
        }
    }
}
