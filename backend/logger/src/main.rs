//! `drydock-logger`: its standard input is one end of a `SOCK_SEQPACKET` pair. The first message is its settings, every other a
//! `LogEntry`; at the end it sends what it still has. One line on standard output: `ready`, or why not.
#![forbid(unsafe_code)]

mod fluentd;
mod gelf;

mod http;
mod inbox;
mod msgpack;
mod net;
mod resolve;
mod splunk;
mod syslog;
mod tls;
mod uuid;

use std::io::Write;
use std::process::ExitCode;

use anyhow::Context;
use drydock_logger::settings::{Driver, Settings};
use drydock_shim::config::READY;
use drydock_shim::entry::{self, Entry};

use inbox::{Inbox, Patience};

/// A driver that has reached its receiver, or need not have yet.
trait Deliver {
    /// Sends one entry, or takes it for later. It waits as long as moby's driver would.
    fn log(&mut self, entry: &Entry<'_>) -> Result<(), DeliverError>;
    /// Sends what was kept for later.
    fn close(self: Box<Self>) {}
}

/// Why an entry is lost. Goes to the shim's log.
#[derive(Debug, thiserror::Error)]
enum DeliverError {
    #[error(transparent)]
    Net(#[from] net::NetError),
    #[error("{0}")]
    Refused(String),
    #[error("the receiver was not there a moment ago")]
    Resting,
    #[error("gelf: cannot send GELF message: {0}")]
    Gelf(#[source] gelf::SendError),
    #[error("Maximum reconnection attempts was reached; giving up")]
    Reconnects,
    #[error("fluent#write: {0}")]
    Fluentd(#[source] fluentd::WriteError),
    #[error("fluent#appendBuffer: Buffer full, limit {0}")]
    Full(usize),
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drydock-logger: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let mut inbox = Inbox::new();
    let first = inbox.settings().context("read the settings")?.context("there are no settings")?;
    let settings: Settings = serde_json::from_slice(&first).context("parse the settings")?;
    let mut driver = match open(settings, inbox.patience()) {
        Ok(driver) => driver,
        // Whoever asked is told, and that is all there is to do.
        Err(error) => return answer(&error.to_string()),
    };
    answer(READY)?;
    let mut lost = 0u64;
    while let Some(message) = inbox.next().context("read the output")? {
        let entry = entry::decode(message).context("understand an entry")?;
        if let Err(error) = driver.log(&entry) {
            // A receiver that is gone must not fill the disk with complaints.
            if lost.is_multiple_of(1000) {
                eprintln!("drydock-logger: {error} ({lost} lines were lost before this)");
            }
            lost += 1;
        }
    }
    driver.close();
    Ok(())
}

/// Why a driver cannot be set up, in moby's words.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error(transparent)]
    Net(#[from] net::NetError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("Unix syslog delivery error")]
    NoSyslog,
    #[error("gelf: cannot connect to GELF endpoint: {address} {source}")]
    Gelf { address: String, source: net::NetError },
    #[error(transparent)]
    Splunk(#[from] splunk::VerifyError),
}

fn open(settings: Settings, patience: Patience) -> Result<Box<dyn Deliver>, OpenError> {
    let again = settings.again;
    Ok(match settings.driver {
        Driver::Syslog(settings) => Box::new(syslog::SyslogDriver::open(settings, again)?),
        Driver::Gelf(settings) => Box::new(gelf::GelfDriver::open(settings, again, patience)?),
        Driver::Splunk(settings) => Box::new(splunk::SplunkDriver::open(settings, again)?),
        Driver::Fluentd(settings) => Box::new(fluentd::FluentdDriver::open(settings, again, patience)?),
    })
}

/// One line, and the end of it.
fn answer(line: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    // After a restart nobody reads it.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
    let null = std::fs::File::options().write(true).open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdout(&null).context("close standard output")?;
    Ok(())
}
