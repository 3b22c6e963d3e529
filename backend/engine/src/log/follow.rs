//! `docker logs`: what is there, and with `-f` what comes, until the container ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::entry::Options;
use super::read::{Lines, open_from_tail};
use crate::container::Container;

const CHUNK: usize = 64 << 10;

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

/// Sends the log's bytes until it is through, or the client is gone.
pub async fn send(container: Arc<Container>, options: Options, to: Sender) {
    if let Err(error) = run(&container, &options, &to).await {
        tracing::warn!(container.id = %container.id, %error, "read the log");
    }
}

async fn run(container: &Container, options: &Options, to: &Sender) -> io::Result<()> {
    let path = container.log_path();
    // Watched before it is read: nothing written in between is missed.
    let watch = if options.follow { Some(Watch::new(&path)?) } else { None };
    let mut phase = container.phase();
    let mut reader = Reader { lines: Lines::default(), options, to, last: None };
    for file in open_from_tail(&path, options.tail)? {
        if !reader.drain(file).await? {
            return Ok(());
        }
    }
    let Some(watch) = watch else { return Ok(()) };
    loop {
        let running = phase.borrow_and_update().running;
        if !reader.catch_up(&path).await? || !running {
            return Ok(());
        }
        tokio::select! {
            changed = watch.changed() => changed?,
            gone = phase.changed() => if gone.is_err() { return Ok(()) },
            () = to.closed() => return Ok(()),
        }
    }
}

struct Reader<'a> {
    lines: Lines,
    options: &'a Options,
    to: &'a Sender,
    /// The newest file, read to its present end.
    last: Option<File>,
}

impl Reader<'_> {
    /// Reads a file to its end; `false`: no more is wanted.
    async fn drain(&mut self, mut file: File) -> io::Result<bool> {
        let mut buffer = vec![0; CHUNK];
        loop {
            // A log is a local file in the page cache: a read of it does not wait.
            let count = file.read(&mut buffer)?;
            if count == 0 {
                self.last = Some(file);
                return Ok(true);
            }
            let mut out = Vec::with_capacity(count);
            let more = self.lines.take(&buffer[..count], self.options, &mut out);
            if !out.is_empty() && self.to.send(Ok(Bytes::from(out))).await.is_err() {
                return Ok(false);
            }
            if !more {
                return Ok(false);
            }
        }
    }

    /// Reads what was written since; goes on to the next file when this one was rotated away.
    async fn catch_up(&mut self, path: &Path) -> io::Result<bool> {
        if let Some(file) = self.last.take() {
            let before = file.metadata()?.ino();
            if !self.drain(file).await? {
                return Ok(false);
            }
            match std::fs::metadata(path) {
                Ok(now) if now.ino() != before => {}
                _ => return Ok(true),
            }
        }
        match File::open(path) {
            Ok(file) => self.drain(file).await,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Wakes when something in the log's folder changes.
struct Watch {
    inotify: pipe::Receiver,
}

impl Watch {
    fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let folder: PathBuf = path.parent().unwrap_or(path).to_owned();
        // The folder, for a log that is rotated or not there yet.
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(&folder, flags)?;
        // A descriptor to poll and read, like a pipe's end, which it is not.
        let descriptor = inotify.as_fd().try_clone_to_owned()?;
        Ok(Self { inotify: pipe::Receiver::from_owned_fd_unchecked(descriptor)? })
    }

    async fn changed(&self) -> io::Result<()> {
        self.inotify.readable().await?;
        // What changed is found by reading the log; the events themselves say nothing new.
        match self.inotify.try_read(&mut [0; 4096]) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }
}
