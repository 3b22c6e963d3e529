//! `GET /metrics`, in Prometheus' text form.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header;

use crate::playground::end::Reason;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new().route("/metrics", get(show))
}

#[derive(Debug, Default)]
pub struct Metrics {
    pub sessions_created: Counter,
    sessions_closed: Counter,
    sessions_expired: Counter,
    sessions_orphaned: Counter,
    pub instances_created: Counter,
    pub terminal_bytes: Counter,
    pub port_requests: Counter,
    pub terminal_sockets: Gauge,
    pub event_sockets: Gauge,
    pub capture_sockets: Gauge,
    /// From the request for a node to its engine's first answer.
    pub boot: Histogram,
}

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicU64>);

/// Counts one for as long as it lives.
#[derive(Debug)]
pub struct Held(Gauge);

#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_MS.len()],
    count: AtomicU64,
    sum_us: AtomicU64,
}

const BOUNDS_MS: [u64; 8] = [30, 60, 100, 150, 300, 600, 1500, 5000];

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Gauge {
    pub fn hold(&self) -> Held {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self.clone())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Histogram {
    pub fn observe(&self, duration: Duration) {
        let fits = BOUNDS_MS.iter().position(|bound| duration <= Duration::from_millis(*bound));
        if let Some(bucket) = fits.and_then(|index| self.buckets.get(index)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(duration.as_micros() as u64, Ordering::Relaxed);
    }
}

impl Metrics {
    pub fn session_ended(&self, reason: Reason) {
        match reason {
            Reason::Closed => self.sessions_closed.add(1),
            Reason::Expired => self.sessions_expired.add(1),
            Reason::Orphaned => self.sessions_orphaned.add(1),
        }
    }

    /// As Prometheus reads it.
    fn text(&self, sessions: usize, instances: usize) -> String {
        let mut text = String::new();
        for (name, kind, value) in [
            ("drydock_sessions", "gauge", sessions as u64),
            ("drydock_instances", "gauge", instances as u64),
            ("drydock_terminal_sockets", "gauge", self.terminal_sockets.0.load(Ordering::Relaxed)),
            ("drydock_event_sockets", "gauge", self.event_sockets.0.load(Ordering::Relaxed)),
            ("drydock_capture_sockets", "gauge", self.capture_sockets.0.load(Ordering::Relaxed)),
            ("drydock_sessions_created_total", "counter", self.sessions_created.value()),
            ("drydock_instances_created_total", "counter", self.instances_created.value()),
            ("drydock_terminal_output_bytes_total", "counter", self.terminal_bytes.value()),
            ("drydock_port_requests_total", "counter", self.port_requests.value()),
        ] {
            let _ = writeln!(text, "# TYPE {name} {kind}\n{name} {value}");
        }
        text.push_str("# TYPE drydock_sessions_ended_total counter\n");
        for (reason, counter) in [
            (Reason::Closed, &self.sessions_closed),
            (Reason::Expired, &self.sessions_expired),
            (Reason::Orphaned, &self.sessions_orphaned),
        ] {
            let (reason, value) = (reason.word(), counter.value());
            let _ = writeln!(text, "drydock_sessions_ended_total{{reason=\"{reason}\"}} {value}");
        }
        self.boot.write(&mut text, "drydock_node_boot_seconds");
        text
    }
}

impl Histogram {
    fn write(&self, text: &mut String, name: &str) {
        let _ = writeln!(text, "# TYPE {name} histogram");
        let mut below = 0;
        for (bound, bucket) in BOUNDS_MS.iter().zip(&self.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let seconds = *bound as f64 / 1000.0;
            let _ = writeln!(text, "{name}_bucket{{le=\"{seconds}\"}} {below}");
        }
        let count = self.count.load(Ordering::Relaxed);
        let sum = self.sum_us.load(Ordering::Relaxed) as f64 / 1e6;
        let _ =
            writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_sum {sum}\n{name}_count {count}");
    }
}

async fn show(State(state): State<AppState>) -> Response {
    let sessions = state.playground.sessions();
    let instances = sessions.iter().map(|session| session.instances().len()).sum();
    let text = state.metrics.text(sessions.len(), instances);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up() {
        let metrics = Metrics::default();
        for ms in [20, 59, 61, 70_000] {
            metrics.boot.observe(Duration::from_millis(ms));
        }
        let held = metrics.terminal_sockets.hold();
        let text = metrics.text(2, 3);
        for line in [
            "drydock_sessions 2",
            "drydock_terminal_sockets 1",
            "drydock_node_boot_seconds_bucket{le=\"0.03\"} 1",
            "drydock_node_boot_seconds_bucket{le=\"0.06\"} 2",
            "drydock_node_boot_seconds_bucket{le=\"5\"} 3",
            "drydock_node_boot_seconds_bucket{le=\"+Inf\"} 4",
            "drydock_node_boot_seconds_count 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
        drop(held);
        assert!(metrics.text(0, 0).contains("drydock_terminal_sockets 0\n"));
    }
}
