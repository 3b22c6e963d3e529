//! One line of `docker ps`, as the API gives it.

use serde_json::{Value, json};

use crate::container::Record;
use crate::container::record::{NEVER, State, Status};
use crate::container::{inspect, spec};

/// The summary, as of `now`. `image` is the name to show, `names` all that the container has.
pub fn summary(record: &Record, names: &[String], image: &str, now: time::OffsetDateTime) -> Value {
    json!({
        "Id": record.id.as_str(),
        "Names": names.iter().map(|name| format!("/{name}")).collect::<Vec<_>>(),
        "Image": image,
        "ImageID": record.image_id,
        "Command": command(&spec::command(record)),
        "Created": unix(&record.created),
        "Ports": ports(record),
        "Labels": record.config.labels,
        "State": record.state.status.as_str(),
        "Status": status(&record.state, now),
        "HostConfig": { "NetworkMode": record.network_mode() },
        "NetworkSettings": { "Networks": inspect::networks(record) },
        "Mounts": inspect::mounts(record),
    })
}

/// Words with a space are quoted.
fn command(words: &[String]) -> String {
    let quoted = |(index, word): (usize, &String)| match index > 0 && word.contains(' ') {
        true => format!("'{word}'"),
        false => word.clone(),
    };
    words.iter().enumerate().map(quoted).collect::<Vec<_>>().join(" ")
}

pub fn parse(time: &str) -> Option<time::OffsetDateTime> {
    time::OffsetDateTime::parse(time, &time::format_description::well_known::Rfc3339).ok()
}

pub fn unix(time: &str) -> i64 {
    parse(time).map_or(0, time::OffsetDateTime::unix_timestamp)
}

fn ports(record: &Record) -> Vec<Value> {
    let mut ports = Vec::new();
    for (port, bindings) in &record.ports {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let private: u16 = number.parse().unwrap_or(0);
        let bindings = bindings.as_deref().unwrap_or_default();
        if bindings.is_empty() {
            ports.push(json!({ "PrivatePort": private, "Type": protocol }));
        }
        for binding in bindings {
            let public: u16 = binding.host_port.as_deref().and_then(|port| port.parse().ok()).unwrap_or(0);
            ports.push(json!({
                "IP": binding.host_ip.as_deref().unwrap_or("0.0.0.0"),
                "PrivatePort": private,
                "PublicPort": public,
                "Type": protocol,
            }));
        }
    }
    ports
        .sort_by_key(|port| (port["PrivatePort"].as_u64(), port["Type"].to_string(), port["IP"].to_string()));
    ports
}

/// `Up 3 seconds`, `Exited (0) 2 minutes ago`, in moby's words.
pub fn status(state: &State, now: time::OffsetDateTime) -> String {
    let since = |time: &str| parse(time).map_or_else(String::new, |then| human(now - then));
    match state.status {
        Status::Running => match &state.health {
            Some(health) if health.status == "starting" => {
                format!("Up {} (health: starting)", since(&state.started_at))
            }
            Some(health) => format!("Up {} ({})", since(&state.started_at), health.status),
            None => format!("Up {}", since(&state.started_at)),
        },
        Status::Paused => format!("Up {} (Paused)", since(&state.started_at)),
        Status::Restarting => format!("Restarting ({}) {} ago", state.exit_code, since(&state.finished_at)),
        Status::Removing => "Removal In Progress".into(),
        Status::Dead => "Dead".into(),
        Status::Created => "Created".into(),
        Status::Exited if state.finished_at == NEVER => "Created".into(),
        Status::Exited => format!("Exited ({}) {} ago", state.exit_code, since(&state.finished_at)),
    }
}

/// A duration as Docker says it.
fn human(duration: time::Duration) -> String {
    let seconds = duration.whole_seconds();
    let minutes = duration.whole_minutes();
    let hours = (duration.as_seconds_f64() / 3600.0 + 0.5) as i64;
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".into(),
        (1, ..) => "1 second".into(),
        (2..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".into(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".into(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, ..336) => format!("{} days", hours / 24),
        (_, _, ..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, ..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_like_dockers() {
        let cases = [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (150, "2 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (3 * 86400, "3 days"),
            (15 * 86400, "2 weeks"),
            (70 * 86400, "2 months"),
            (800 * 86400, "2 years"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human(time::Duration::seconds(seconds)), text, "{seconds}");
        }
    }

    #[test]
    fn statuses_read_like_dockers() {
        let now = parse("2026-01-01T00:01:00Z").expect("a time");
        let state = |status, exit_code| State {
            status,
            exit_code,
            started_at: "2026-01-01T00:00:57Z".into(),
            finished_at: "2026-01-01T00:00:58Z".into(),
            ..State::default()
        };
        assert_eq!(status(&state(Status::Running, 0), now), "Up 3 seconds");
        assert_eq!(status(&state(Status::Exited, 137), now), "Exited (137) 2 seconds ago");
        assert_eq!(status(&State::default(), now), "Created");
    }
}
