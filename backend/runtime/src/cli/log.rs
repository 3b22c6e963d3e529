//! Where callers of an OCI runtime look for its errors: stderr, or the file of `--log`, in logrus's form.

use std::io::Write;

use super::options::{Global, LogFormat};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Writes one line. A log that cannot be written must not fail what it is about.
pub fn write(global: &Global, level: Level, message: &str) {
    if level == Level::Debug && !global.debug {
        return;
    }
    let line = line(global.log_format, level, message);
    match &global.log {
        None => eprintln!("{line}"),
        Some(path) => {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
            let _ = file.and_then(|mut file| writeln!(file, "{line}"));
        }
    }
}

/// Unknown capabilities are no error, but must not go unsaid.
pub fn warn_of_capabilities(global: &Global, ignored: &[String]) {
    if !ignored.is_empty() {
        let names = ignored.join(" ");
        write(global, Level::Warning, &format!("ignoring unknown or unavailable capabilities: [{names}]"));
    }
}

/// The last error. Who named a log reads it on stderr as well, as it is.
pub fn fail(global: &Global, message: &str) {
    write(global, Level::Error, message);
    if global.log.is_some() {
        eprintln!("{message}");
    }
}

fn line(format: LogFormat, level: Level, message: &str) -> String {
    let second = time::OffsetDateTime::now_utc().replace_nanosecond(0).ok();
    let rfc3339 = time::format_description::well_known::Rfc3339;
    let now = second.and_then(|second| second.format(&rfc3339).ok()).unwrap_or_default();
    let level = level.name();
    match format {
        LogFormat::Json => serde_json::json!({"level": level, "msg": message, "time": now}).to_string(),
        LogFormat::Text => format!("time={now:?} level={level} msg={message:?}"),
    }
}
