//! `--log`: the file in which callers of an OCI runtime look for its last error.

use std::io::Write;

use super::options::{Global, LogFormat};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Error,
}

/// Appends one line in logrus's form. A log that cannot be written must not fail what it is about.
pub fn write(global: &Global, level: Level, message: &str) {
    let Some(path) = global.log.as_ref().filter(|_| level == Level::Error || global.debug) else { return };
    let format = time::format_description::well_known::Rfc3339;
    let now = time::OffsetDateTime::now_utc().format(&format).unwrap_or_default();
    let level = if level == Level::Error { "error" } else { "debug" };
    let line = match global.log_format {
        LogFormat::Json => serde_json::json!({"level": level, "msg": message, "time": now}).to_string(),
        LogFormat::Text => format!("time={now:?} level={level} msg={message:?}"),
    };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let _ = file.and_then(|mut file| writeln!(file, "{line}"));
}
