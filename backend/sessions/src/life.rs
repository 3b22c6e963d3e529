//! How long a session lives.
//!
//! ```text
//!            extend (never past created + longest)
//!              ┌──┐
//!   made ───▶ open ───▶ expired          its time is over
//!              │ └────▶ orphaned         no browser for `orphan_after`
//!              └──────▶ closed           its owner said so
//! ```

use time::{Duration, OffsetDateTime};

use crate::record::Session;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What a session lasts when its maker asks for nothing, and the most he may ask for.
    pub duration: Duration,
    /// The most it may live in all, extensions included.
    pub longest: Duration,
    /// How long it outlives its last browser.
    pub orphan_after: Duration,
}

/// Whether anyone looks at a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Watched,
    AloneSince(OffsetDateTime),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Stays,
    Expired,
    Orphaned,
}

/// What becomes of `session` at `now`.
pub fn fate(session: &Session, presence: Presence, limits: &Limits, now: OffsetDateTime) -> Fate {
    if now >= session.expires {
        return Fate::Expired;
    }
    match presence {
        Presence::AloneSince(since) if now - since >= limits.orphan_after => Fate::Orphaned,
        _ => Fate::Stays,
    }
}

/// The duration of a new session: as asked, within what is offered.
pub fn duration(asked: Option<Duration>, limits: &Limits) -> Duration {
    asked.filter(|asked| *asked > Duration::ZERO).map_or(limits.duration, |asked| asked.min(limits.duration))
}

/// The new expiry when `session`'s owner asks for more time: a whole duration from `now`, up to the longest life.
/// `None` when that is not later than what it has.
pub fn extended(session: &Session, limits: &Limits, now: OffsetDateTime) -> Option<OffsetDateTime> {
    let later = (now + limits.duration).min(session.created + limits.longest);
    (later > session.expires).then_some(later)
}

/// Reads a Go duration (`4h`, `1h30m`, `90s`, `1.5h`), the form play-with-docker's clients send.
pub fn parse_go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        let unit = &rest[digits..];
        let letters = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        seconds += number
            * match &unit[..letters] {
                "h" => 3600.0,
                "m" => 60.0,
                "s" => 1.0,
                "ms" => 0.001,
                _ => return None,
            };
        rest = &unit[letters..];
    }
    // A hundred years: beyond it the sum with a date may overflow.
    (seconds <= 3.2e9).then(|| Duration::seconds_f64(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Label, SessionId};

    const LIMITS: Limits = Limits {
        duration: Duration::hours(4),
        longest: Duration::hours(12),
        orphan_after: Duration::minutes(30),
    };

    fn at(minutes: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::minutes(minutes)
    }

    fn session(expires: i64) -> Session {
        Session {
            id: SessionId::random().unwrap(),
            label: Label::random().unwrap(),
            created: at(0),
            expires: at(expires),
            stack: String::new(),
            stack_name: String::new(),
            image: String::new(),
            lab: None,
        }
    }

    #[test]
    fn a_session_ends_when_its_time_or_its_company_is_over() {
        for (now, presence, expected) in [
            (0, Presence::Watched, Fate::Stays),
            (239, Presence::Watched, Fate::Stays),
            (240, Presence::Watched, Fate::Expired),
            (241, Presence::AloneSince(at(240)), Fate::Expired),
            (29, Presence::AloneSince(at(0)), Fate::Stays),
            (30, Presence::AloneSince(at(0)), Fate::Orphaned),
            (30, Presence::AloneSince(at(1)), Fate::Stays),
            // A clock set back must not end anything.
            (-100, Presence::AloneSince(at(0)), Fate::Stays),
        ] {
            assert_eq!(fate(&session(240), presence, &LIMITS, at(now)), expected, "{now} {presence:?}");
        }
    }

    #[test]
    fn a_new_session_lasts_what_was_asked_within_the_offer() {
        for (asked, minutes) in
            [(None, 240), (Some(60), 60), (Some(500), 240), (Some(0), 240), (Some(-5), 240)]
        {
            assert_eq!(
                duration(asked.map(Duration::minutes), &LIMITS),
                Duration::minutes(minutes),
                "{asked:?}"
            );
        }
    }

    #[test]
    fn extending_counts_from_now_and_stops_at_the_longest_life() {
        for (expires, now, expected) in [
            (240, 0, None),
            (240, 60, Some(300)),
            (240, 239, Some(479)),
            (700, 600, Some(720)),
            (720, 700, None),
        ] {
            assert_eq!(extended(&session(expires), &LIMITS, at(now)), expected.map(at), "{expires} {now}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, seconds) in [
            ("4h", Some(14_400)),
            ("4h0m0s", Some(14_400)),
            ("1h30m", Some(5_400)),
            ("1.5h", Some(5_400)),
            ("90s", Some(90)),
            ("", None),
            ("4", None),
            ("h", None),
            ("4d", None),
            ("-4h", None),
            ("4h garbage", None),
            ("99999999999999h", None),
        ] {
            assert_eq!(parse_go_duration(text), seconds.map(Duration::seconds), "{text}");
        }
    }
}
