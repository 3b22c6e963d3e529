//! The engine's own log on standard error: lines as logrus writes them, which tools that read dockerd's log know.

use std::fmt::Write;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::LogFormat;
use crate::container::record::now;
use crate::golang::quote;

/// Others' rooms speak only when something is wrong. To boringtun a quiet link is an error.
const OTHERS: &str = "boringtun=off,h2=warn,hyper=warn,hyper_util=warn,openraft=warn,reqwest=warn,rustls=warn,tonic=warn,tower=warn";

/// Changes how much is said.
pub struct Level {
    /// Without `--debug`.
    base: String,
    change: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl std::fmt::Debug for Level {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Level").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Level {
    pub fn set_debug(&self, debug: bool) {
        (self.change)(filter(if debug { "debug" } else { &self.base }));
    }
}

/// Begins to log. `level` is dockerd's word.
pub fn begin(level: &str, debug: bool, format: LogFormat) -> Level {
    let base = match level {
        "" => "info",
        // Nothing here ends the process by saying so.
        "fatal" | "panic" => "off",
        other => other,
    };
    let first = if debug { "debug" } else { base };
    let (filter, handle) = tracing_subscriber::reload::Layer::new(filter(first));
    let lines = tracing_subscriber::fmt::layer().event_format(Logrus(format)).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    Level { base: base.to_owned(), change: changer(handle) }
}

fn changer<S: 'static>(handle: Handle<EnvFilter, S>) -> Box<dyn Fn(EnvFilter) + Send + Sync>
where
    Handle<EnvFilter, S>: Send + Sync,
{
    Box::new(move |filter| {
        if let Err(error) = handle.reload(filter) {
            tracing::error!(%error, "change the logging level");
        }
    })
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::builder().parse_lossy(format!("{level},{OTHERS}"))
}

struct Logrus(LogFormat);

impl<S, N> FormatEvent<S, N> for Logrus
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => "error",
            tracing::Level::WARN => "warning",
            tracing::Level::INFO => "info",
            tracing::Level::DEBUG => "debug",
            tracing::Level::TRACE => "trace",
        };
        writeln!(out, "{}", line(self.0, &now(), level, fields))
    }
}

#[derive(Debug, Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, String)>,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.take(field, format!("{value:?}"));
    }
}

impl Fields {
    fn take(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            name => self.others.push((name, value)),
        }
    }
}

fn line(format: LogFormat, time: &str, level: &str, mut fields: Fields) -> String {
    fields.others.sort_unstable();
    match format {
        LogFormat::Text => {
            let mut text = format!("time=\"{time}\" level={level} msg={}", word(&fields.message));
            for (name, value) in fields.others {
                let _ = write!(text, " {name}={}", word(&value));
            }
            text
        }
        LogFormat::Json => {
            let own = [("level", level), ("msg", &fields.message), ("time", time)];
            let all =
                own.into_iter().chain(fields.others.iter().map(|(name, value)| (*name, value.as_str())));
            let all: std::collections::BTreeMap<&str, &str> = all.collect();
            serde_json::to_string(&all).unwrap_or_default()
        }
    }
}

/// In quotes where it needs them.
fn word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-._/@^+".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) { text.to_owned() } else { quote(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_logruss() {
        let fields = || Fields {
            message: "API listen on /run/d.sock".into(),
            others: vec![("path", "/x".into()), ("error", "no \"luck\"".into())],
        };
        assert_eq!(
            line(LogFormat::Text, "T", "info", fields()),
            r#"time="T" level=info msg="API listen on /run/d.sock" error="no \"luck\"" path=/x"#
        );
        assert_eq!(
            line(LogFormat::Json, "T", "info", fields()),
            r#"{"error":"no \"luck\"","level":"info","msg":"API listen on /run/d.sock","path":"/x","time":"T"}"#
        );
    }
}
