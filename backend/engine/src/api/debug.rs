//! `GET /debug/vars`: what the engine's process is, as Go's `expvar` tells it. There are no profiles of a Go runtime here.

use std::sync::Arc;

use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use http::header;
use serde_json::json;

use crate::config::masked;
use crate::engine::Engine;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new().route("/debug/vars", get(vars))
}

async fn vars() -> impl IntoResponse {
    let command: Vec<String> = std::env::args().map(|word| hidden(&word)).collect();
    let body = json!({ "cmdline": command, "memstats": { "Sys": resident_bytes() } });
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], Json(body))
}

/// Without the password of a proxy.
fn hidden(word: &str) -> String {
    match word.split_once('=') {
        Some((flag, value)) if flag.starts_with("--") => format!("{flag}={}", masked(value)),
        _ => masked(word),
    }
}

pub fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_password_is_told() {
        for word in ["--http-proxy=http://u:p@h:1/x", "http://u:p@h:1/x"] {
            assert!(!super::hidden(word).contains("u:p"), "{word}");
        }
        assert_eq!(super::hidden("--label=a=b"), "--label=a=b");
    }
}
