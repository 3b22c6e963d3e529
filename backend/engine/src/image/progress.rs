//! Progress as the docker CLI draws it: one JSON object per line.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use drydock_images::Digest;
use futures_util::{Stream, StreamExt, stream};
use http::header;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::error::ApiError;

/// Bars are redrawn no more often than this, each on its own line.
const REDRAW: Duration = Duration::from_millis(100);

/// Where a verb says how far it is.
#[derive(Debug)]
pub struct Progress {
    lines: mpsc::UnboundedSender<Bytes>,
    drawn: Mutex<HashMap<String, Instant>>,
}

impl Progress {
    /// For a verb that is part of another one, whose lines these are.
    pub fn new(lines: mpsc::UnboundedSender<Bytes>) -> Self {
        Self { lines, drawn: Mutex::default() }
    }

    /// A line for the whole verb: `Status: Downloaded newer image for …`.
    pub fn say(&self, status: &str) {
        self.send(&json!({ "status": status }));
    }

    /// A line that belongs to `id`, and replaces what that said before.
    pub fn at(&self, id: &str, status: &str) {
        self.send(&json!({"status": status, "progressDetail": {}, "id": id}));
    }

    /// [`Progress::at`] without a place for a bar.
    pub fn head(&self, id: &str, status: &str) {
        self.send(&json!({"status": status, "id": id}));
    }

    /// A bar; most are dropped, the last one is not.
    pub fn bar(&self, id: &str, status: &str, current: u64, total: u64) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = drawn.get(id).is_none_or(|last| last.elapsed() >= REDRAW);
        if is_due || current == total {
            drawn.insert(id.to_owned(), Instant::now());
            self.send(&json!({
                "status": status,
                "progressDetail": {"current": current, "total": total},
                "progress": bar(current, total),
                "id": id,
            }));
        }
    }

    /// What `docker load` prints.
    pub fn stream(&self, text: &str) {
        self.send(&json!({ "stream": text }));
    }

    /// A result for programs, not shown.
    pub fn aux(&self, value: Value) {
        self.send(&json!({"progressDetail": {}, "aux": value}));
    }

    fn send(&self, line: &Value) {
        // The client may be gone; the verb is about to be dropped then.
        let _ = self.lines.send(Bytes::from(format!("{line}\r\n")));
    }
}

/// The bar that old clients print as it is.
fn bar(current: u64, total: u64) -> String {
    let done = (current.min(total) * 50).checked_div(total).unwrap_or(50) as usize;
    let head = if done < 50 { ">" } else { "" };
    let open = 50_usize.saturating_sub(done + head.len());
    format!("[{}{head}{}] {:>8}/{}", "=".repeat(done), " ".repeat(open), human(current), human(total))
}

/// Bytes in Docker's decimal units with at most four digits.
fn human(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            let digits = if unit == "B" || value >= 1000.0 {
                0
            } else {
                (3 - (value.max(1.0).log10() as usize)).min(3)
            };
            return format!("{value:.digits$}{unit}");
        }
        value /= 1000.0;
    }
    format!("{value:.1}TB")
}

/// The first twelve digits: how the CLI names layers and images.
pub fn short(digest: &Digest) -> &str {
    &digest.hex()[..12]
}

/// [`respond`], for a verb that reads the request's body while it speaks: every failure is a last line.
pub fn respond_while<F>(verb: impl FnOnce(Progress) -> F) -> Response
where
    F: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    written(said(verb))
}

/// Runs a verb and answers with its lines. A failure before the first line is a plain answer with its status;
/// after it, a last line. Nothing is spawned: when the client goes away, the verb is dropped.
pub async fn respond<F>(verb: impl FnOnce(Progress) -> F) -> Response
where
    F: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let mut all = said(verb);
    let first = match all.next().await {
        Some(Err(error)) => return error.into_response(),
        Some(Ok(first)) => Some(Ok(first)),
        None => None,
    };
    written(Box::pin(stream::iter(first).chain(all)))
}

type Said = Pin<Box<dyn Stream<Item = Result<Bytes, ApiError>> + Send>>;

/// What a verb says, and then how it failed.
fn said<F>(verb: impl FnOnce(Progress) -> F) -> Said
where
    F: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let (lines, mut receiver) = mpsc::unbounded_channel();
    let mut work = Some(Box::pin(verb(Progress { lines, drawn: Mutex::default() })));
    let mut failure = None;
    Box::pin(stream::poll_fn(move |context| {
        loop {
            // What was said comes before how it ended, even when both are there at once.
            if let Poll::Ready(Some(line)) = receiver.poll_recv(context) {
                return Poll::Ready(Some(Ok(line)));
            }
            let Some(running) = &mut work else { return Poll::Ready(failure.take().map(Err)) };
            let Poll::Ready(outcome) = running.as_mut().poll(context) else { return Poll::Pending };
            failure = outcome.err();
            work = None;
        }
    }))
}

fn written(said: Said) -> Response {
    let lines = said.map(|line| {
        Ok::<_, std::convert::Infallible>(line.unwrap_or_else(|error| {
            let message = &error.message;
            Bytes::from(format!("{}\r\n", json!({"errorDetail": {"message": message}, "error": message})))
        }))
    });
    ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(lines)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_read_as_dockers_do() {
        assert_eq!(bar(0, 100), format!("[>{}]       0B/100B", " ".repeat(49)));
        assert_eq!(bar(100, 100), format!("[{}]     100B/100B", "=".repeat(50)));
        assert_eq!(human(1_234), "1.234kB");
        assert_eq!(human(12_345_678), "12.35MB");
    }

    #[tokio::test]
    async fn a_failure_before_the_first_line_has_a_status() {
        let answer = respond(async |_progress| Err(ApiError::not_found("No such image: x"))).await;
        assert_eq!(answer.status(), http::StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn a_failure_after_the_first_line_is_the_last_line() {
        let answer = respond(async |progress: Progress| {
            progress.say("begun");
            tokio::task::yield_now().await;
            Err(ApiError::internal("broken"))
        })
        .await;
        assert_eq!(answer.status(), http::StatusCode::OK);
        let body = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(
            text.starts_with("{\"status\":\"begun\"}\r\n") && text.contains("\"error\":\"broken\""),
            "{text}"
        );
    }
}
