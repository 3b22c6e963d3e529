//! Where a container's output goes beside attached clients: to a file, to the journal, or to a remote driver's process.
//!
//! ```text
//!   output ─▶ copier ─▶ entries ─▶ driver   json-file, local: a file that is rotated
//!                              │            journald: a datagram each
//!                              │            syslog, gelf, splunk, fluentd: messages to a process of their own
//!                              └─▶ cache    a `local` file beside a driver that cannot be read back
//! ```
//!
//! No driver ever blocks the shim's loop. One that is not to lose anything holds the container back instead:
//! [`Sink::holds_back`].

pub mod compress;
mod copier;
mod file;
mod helper;
mod journald;
mod json;
mod outbox;
mod stamp;

use std::io;
use std::os::fd::BorrowedFd;

use drydock_shim::config::{Log, LogFile};
use drydock_shim::entry::{Entry, Source, encode, encode_framed};

use copier::Copier;
use file::RotatedFile;
use helper::Helper;
use journald::Journal;
use json::JsonLines;
use outbox::Outbox;

/// An open log.
#[derive(Debug)]
pub struct Sink {
    copier: Copier,
    driver: Driver,
    cache: Option<RotatedFile>,
    /// The disk did not take the last entry; said once.
    failing: bool,
}

#[derive(Debug)]
enum Driver {
    JsonFile(RotatedFile, JsonLines),
    Local(RotatedFile),
    Journald(Outbox<Journal>, journald::Fields),
    Remote(Outbox<Helper>),
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open the log file {path}: {source}")]
    File { path: std::path::PathBuf, source: io::Error },
    /// In moby's words.
    #[error("journald is not enabled on this host")]
    Journal(io::Error),
    #[error(transparent)]
    Helper(#[from] helper::StartError),
}

impl Sink {
    /// Nothing to write to: `None`.
    pub fn open(log: &Log) -> Result<Option<Self>, OpenError> {
        let (driver, cache) = match log {
            Log::None => return Ok(None),
            Log::JsonFile { file, attrs } => (Driver::JsonFile(open(file)?, JsonLines::new(attrs)), None),
            Log::Local { file } => (Driver::Local(open(file)?), None),
            Log::Journald { socket, fields, delivery, cache } => {
                let journal = Journal::connect(socket).map_err(OpenError::Journal)?;
                (
                    Driver::Journald(Outbox::new(journal, *delivery), journald::Fields::new(fields)),
                    cache.as_ref(),
                )
            }
            Log::Remote { helper, delivery, cache } => {
                (Driver::Remote(Outbox::new(Helper::start(helper)?, *delivery)), cache.as_ref())
            }
        };
        let cache = cache.map(open).transpose()?;
        Ok(Some(Self { copier: Copier::default(), driver, cache, failing: false }))
    }

    /// Takes what a stream printed.
    pub fn take(&mut self, source: Source, bytes: &[u8]) {
        let Self { copier, driver, cache, failing } = self;
        copier.take(source, bytes, |entry| deliver(driver, cache, failing, entry));
        self.flush();
    }

    /// The stream has ended.
    pub fn finish(&mut self, source: Source) {
        let Self { copier, driver, cache, failing } = self;
        copier.finish(source, |entry| deliver(driver, cache, failing, entry));
        self.flush();
    }

    /// Writes and sends as much as is taken now.
    pub fn flush(&mut self) {
        let written = match &mut self.driver {
            Driver::JsonFile(file, _) | Driver::Local(file) => file.flush(),
            Driver::Journald(outbox, _) => {
                outbox.flush();
                Ok(())
            }
            Driver::Remote(outbox) => {
                outbox.flush();
                Ok(())
            }
        };
        report(&mut self.failing, written);
        if let Some(cache) = &mut self.cache {
            report(&mut self.failing, cache.flush());
        }
    }

    /// The container's output is not to be read until [`blocked`](Self::blocked) is writable and was flushed.
    pub fn holds_back(&self) -> bool {
        match &self.driver {
            Driver::JsonFile(..) | Driver::Local(_) => false,
            Driver::Journald(outbox, _) => outbox.holds_back(),
            Driver::Remote(outbox) => outbox.holds_back(),
        }
    }

    pub fn blocked(&self) -> Option<BorrowedFd<'_>> {
        match &self.driver {
            Driver::JsonFile(..) | Driver::Local(_) => None,
            Driver::Journald(outbox, _) => outbox.blocked(),
            Driver::Remote(outbox) => outbox.blocked(),
        }
    }

    fn files(&mut self) -> impl Iterator<Item = &mut RotatedFile> {
        let own = match &mut self.driver {
            Driver::JsonFile(file, _) | Driver::Local(file) => Some(file),
            Driver::Journald(..) | Driver::Remote(_) => None,
        };
        own.into_iter().chain(self.cache.as_mut())
    }

    /// Begins the files anew at their paths: they were moved or removed.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.files().try_for_each(RotatedFile::reopen)
    }

    /// Reaps what compressed a rotated file.
    pub fn reap(&mut self) {
        self.files().for_each(RotatedFile::reap);
    }
}

fn open(file: &LogFile) -> Result<RotatedFile, OpenError> {
    RotatedFile::open(file).map_err(|source| OpenError::File { path: file.path.clone(), source })
}

fn deliver(driver: &mut Driver, cache: &mut Option<RotatedFile>, failing: &mut bool, entry: &Entry<'_>) {
    match driver {
        Driver::JsonFile(file, lines) => {
            let written = file.put(entry, |out| lines.encode(entry, out));
            report(failing, written);
        }
        Driver::Local(file) => report(failing, file.put(entry, |out| encode_framed(entry, out))),
        Driver::Journald(outbox, fields) => outbox.put(fields.encode(entry), entry.line.len()),
        Driver::Remote(outbox) => {
            let mut message = Vec::with_capacity(entry.line.len() + 128);
            encode(entry, &mut message);
            outbox.put(message, entry.line.len());
        }
    }
    if let Some(cache) = cache {
        report(failing, cache.put(entry, |out| encode_framed(entry, out)));
    }
}

/// A log that cannot be written must not stop the container.
fn report(failing: &mut bool, written: io::Result<()>) {
    match written {
        Ok(()) => *failing = false,
        Err(error) => {
            if !std::mem::replace(failing, true) {
                eprintln!("drydock-shim: write the container's log: {error}");
            }
        }
    }
}

/// 64 hexadecimal digits, as moby names things.
fn random_id() -> String {
    use std::fmt::Write;
    use std::io::Read;
    let mut bytes = [0u8; 32];
    if let Ok(mut source) = std::fs::File::open("/dev/urandom") {
        // Without it the id is that of all others, which costs no line.
        let _ = source.read_exact(&mut bytes);
    }
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
