//! `GET /events`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::response::Response;
use http::{HeaderValue, header};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::api::query::{Filters, Parameters};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::events::Message;

/// Actions with more behind them (`exec_create: sh`, `health_status: healthy`): who asks for one without gets all.
const OPEN: [&str; 3] = ["health_status", "exec_create", "exec_start"];
/// Filters by the beginning of an actor's id or name, whatever the actor is.
const ACTORS: [&str; 9] =
    ["daemon", "container", "plugin", "volume", "network", "node", "service", "secret", "config"];

/// What `docker events --filter` takes. As in moby, a filter nobody knows takes everything.
struct Wanted {
    filters: Filters,
    since: Option<i128>,
    until: Option<i128>,
}

impl Wanted {
    fn takes(&self, message: &Message) -> bool {
        let actor = &message.actor;
        let name = actor.attributes.get("name").map_or("", String::as_str);
        let begins = |wanted: &str| actor.id.starts_with(wanted) || name.starts_with(wanted);
        self.since.is_none_or(|since| i128::from(message.time_nano) >= since)
            && self.until.is_none_or(|until| i128::from(message.time_nano) <= until)
            && self.filters.any("type", |kind| kind == message.kind)
            && self.takes_action(&message.action)
            && self.filters.any("scope", |scope| scope == message.scope)
            && self.filters.labels(&actor.attributes)
            && ACTORS.iter().all(|kind| self.filters.any(kind, begins))
            && self.takes_image(message)
    }

    fn takes_action(&self, action: &str) -> bool {
        let open = self.filters.get("event").iter().any(|event| OPEN.contains(&event.as_str()));
        self.filters.any("event", |event| if open { action.starts_with(event) } else { action == event })
    }

    /// An image by id or name, with or without its tag; of a container's events those of its image.
    fn takes_image(&self, message: &Message) -> bool {
        let of = if message.kind == "container" { "image" } else { "name" };
        let name = message.actor.attributes.get(of).map_or("", String::as_str);
        self.filters.any("image", |wanted| {
            [message.actor.id.as_str(), name].iter().any(|own| *own == wanted || without_tag(own) == wanted)
        })
    }
}

/// `host:5000/name` of `host:5000/name:tag`.
fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => before,
        _ => name,
    }
}

/// `seconds` or `seconds.fraction` since 1970, in nanoseconds.
fn time(text: Option<&str>) -> ApiResult<Option<i128>> {
    let Some(text) = text else { return Ok(None) };
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let number = |digits: &str| {
        let bad = |_| ApiError::internal(format!("strconv.ParseInt: parsing {digits:?}: invalid syntax"));
        digits.parse::<i64>().map(i128::from).map_err(bad)
    };
    let nanos = if fraction.is_empty() { 0 } else { number(&format!("{fraction:0<9.9}"))? };
    Ok(Some(number(seconds)? * 1_000_000_000 + nanos))
}

pub async fn events(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult {
    let filters = query.filters()?;
    let (since, until) = (time(query.text("since"))?, time(query.text("until"))?);
    if let (Some(after), Some(before)) = (since, until)
        && after > before
    {
        let text = |name| query.text(name).unwrap_or_default();
        return Err(ApiError::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            text("since"),
            text("until")
        )));
    }
    // Counted from here by a clock that nobody sets.
    let end =
        until.map(|until| Instant::now() + Duration::from_nanos(u64::try_from(until - now()).unwrap_or(0)));
    let wanted = Wanted { filters, since, until };
    let (past, live) = engine.events.subscribe();
    // Without `since` only what comes is asked for.
    let past = if since.is_some() || until.is_some_and(|until| until <= now()) { past } else { Vec::new() };
    let past: Vec<_> =
        past.into_iter().filter(|message| wanted.takes(message)).map(|message| line(&message)).collect();
    let first = futures_util::stream::iter(past);
    let rest = futures_util::stream::unfold((live, wanted, end), async |(mut live, wanted, end)| {
        loop {
            let message = match end {
                Some(end) => tokio::time::timeout_at(end, live.recv()).await.ok()?,
                None => live.recv().await,
            };
            match message {
                Ok(message) if wanted.takes(&message) => return Some((line(&message), (live, wanted, end))),
                // A reader too slow for its place in the queue goes on with what is there.
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let stream = futures_util::StreamExt::chain(first, rest);
    let mut response = Response::new(Body::from_stream(stream));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

fn now() -> i128 {
    time::OffsetDateTime::now_utc().unix_timestamp_nanos()
}

fn line(message: &Message) -> Result<Bytes, serde_json::Error> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_with_a_fraction() {
        assert_eq!(time(Some("10.5")).expect("a time"), Some(10_500_000_000));
        assert_eq!(time(Some("7")).expect("a time"), Some(7_000_000_000));
        assert_eq!(time(None).expect("no time"), None);
        let error = time(Some("x")).expect_err("no number");
        assert_eq!(error.message, "strconv.ParseInt: parsing \"x\": invalid syntax");
    }

    #[test]
    fn a_tag_is_told_from_a_port() {
        for (name, without) in [("nginx:1", "nginx"), ("host:5000/a", "host:5000/a"), ("h:5/a:b", "h:5/a")] {
            assert_eq!(without_tag(name), without);
        }
    }
}
