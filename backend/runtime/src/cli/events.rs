//! `events`: a container's statistics as JSON lines.

use std::process::ExitCode;
use std::time::Duration;

use drydock_runtime::state::Status;
use serde_json::json;

use super::Outcome;
use super::options::{Global, Ids, UsageError, Word, Words};
use super::statistics::statistics;

#[derive(Debug, thiserror::Error)]
enum EventsError {
    #[error("container with id {0} is not running")]
    NotRunning(String),
    #[error("duration interval must be greater than 0")]
    NoInterval,
}

pub fn events(global: &Global, words: &mut Words) -> Outcome {
    let (mut ids, mut once, mut interval) = (Ids::new("events"), false, Duration::from_secs(5));
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) => ids.take(value),
            Word::Option(name) => match name.as_str() {
                "stats" => once = words.switch(),
                "interval" => {
                    let text = words.text()?;
                    let parsed = duration(&text);
                    interval = parsed.ok_or(UsageError::Number { flag: "--interval", value: text })?;
                }
                other => return Err(words.unexpected(other).into()),
            },
        }
    }
    if interval.is_zero() {
        return Err(EventsError::NoInterval.into());
    }
    let (dir, state) = global.open(&ids.only()?)?;
    if dir.status(&state) == Status::Stopped {
        return Err(EventsError::NotRunning(state.id.to_string()).into());
    }
    let print =
        || println!("{}", json!({"type": "stats", "id": state.id.as_str(), "data": statistics(&state)}));
    if once {
        print();
        return Ok(ExitCode::SUCCESS);
    }
    while dir.status(&state) != Status::Stopped {
        print();
        std::thread::sleep(interval);
    }
    Ok(ExitCode::SUCCESS)
}

/// As Go writes durations: `1m30s`, `1.5s`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 6] =
        [("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let letters = rest[digits..].find(|c: char| !c.is_ascii_alphabetic());
        let end = letters.map_or(rest.len(), |length| digits + length);
        let unit = UNITS.iter().find(|(name, _)| *name == &rest[digits..end])?;
        seconds += rest[..digits].parse::<f64>().ok()? * unit.1;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (text, millis) in
            [("5s", 5000), ("1m30s", 90_000), ("1.5s", 1500), ("250ms", 250), ("1h", 3_600_000)]
        {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "5x", "-1s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
