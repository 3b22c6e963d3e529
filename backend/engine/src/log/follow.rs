//! `docker logs`: what is there, and with `-f` what comes, until the container ends.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

use super::entry::{Filter, Options};
use super::files::{LogFiles, Opened, Plain};
use super::read::{Entries, Wanted, cut_to_tail};
use crate::container::Container;

const CHUNK: usize = 64 << 10;

type Sender = mpsc::Sender<Result<Bytes, io::Error>>;

/// Sends the log's bytes until it is through, or the client is gone.
pub async fn send(container: Arc<Container>, files: LogFiles, options: Options, to: Sender) {
    if let Err(error) = run(&container, &files, &options, &to).await {
        tracing::warn!(container.id = %container.id, %error, "read the log");
    }
}

async fn run(container: &Container, files: &LogFiles, options: &Options, to: &Sender) -> io::Result<()> {
    let mut phase = container.phase();
    let (running, run) = {
        let phase = phase.borrow_and_update();
        (phase.running, phase.exits)
    };
    // Watched before it is read: nothing written in between is missed.
    let watch = if options.follow && running { Some(Watch::new(&files.path)?) } else { None };
    let mut reader = Reader {
        files,
        entries: Entries::new(files.format),
        filter: Filter::new(options),
        to,
        current: None,
    };
    if reader.begin_all(options).await? == Wanted::Nothing {
        return Ok(());
    }
    let Some(watch) = watch else { return Ok(()) };
    loop {
        // A container that was started again meanwhile has ended all the same, and so has the log of its run.
        let over = {
            let phase = phase.borrow_and_update();
            !phase.running || phase.exits != run
        };
        if reader.catch_up().await? == Wanted::Nothing || over {
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
    files: &'a LogFiles,
    entries: Entries,
    filter: Filter<'a>,
    to: &'a Sender,
    /// The newest file, read to its present end.
    current: Option<Plain>,
}

impl Reader<'_> {
    /// Reads what is there.
    async fn begin_all(&mut self, options: &Options) -> io::Result<Wanted> {
        let opened = self.files.open(options.since)?;
        let Some(tail) = options.tail else { return self.begin_each(opened).await };
        for file in cut_to_tail(self.files, opened, tail)? {
            if self.begin(file).await? == Wanted::Nothing {
                return Ok(Wanted::Nothing);
            }
        }
        Ok(Wanted::More)
    }

    /// One after the other: of those that are compressed only one is unpacked at a time.
    async fn begin_each(&mut self, opened: Vec<Opened>) -> io::Result<Wanted> {
        for file in opened {
            if self.begin(self.files.plain(file)?).await? == Wanted::Nothing {
                return Ok(Wanted::Nothing);
            }
        }
        Ok(Wanted::More)
    }

    /// Reads another file, which is the newest from now on.
    async fn begin(&mut self, mut opened: Plain) -> io::Result<Wanted> {
        self.entries.begin_file();
        let wanted = self.drain(&mut opened.file).await;
        self.current = Some(opened);
        wanted
    }

    /// Reads a file to its present end.
    async fn drain(&mut self, file: &mut File) -> io::Result<Wanted> {
        let mut buffer = vec![0; CHUNK];
        loop {
            // A log is a local file in the page cache: a read of it does not wait.
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Wanted::More);
            }
            let mut out = Vec::with_capacity(count);
            let wanted = self.entries.take(&buffer[..count], &mut self.filter, &mut out);
            if !out.is_empty() && self.to.send(Ok(Bytes::from(out))).await.is_err() {
                return Ok(Wanted::Nothing);
            }
            if wanted == Wanted::Nothing {
                return Ok(Wanted::Nothing);
            }
        }
    }

    /// Reads what was written since; goes on to the next files when this one was rotated away.
    async fn catch_up(&mut self) -> io::Result<Wanted> {
        let inode = match self.current.take() {
            None => 0,
            Some(mut opened) => {
                let rotated = !std::fs::metadata(&self.files.path).is_ok_and(|now| now.ino() == opened.inode);
                // Drained after that was asked: nothing is written to a file that was moved away.
                let wanted = self.drain(&mut opened.file).await?;
                let inode = opened.inode;
                self.current = Some(opened);
                if wanted == Wanted::Nothing || !rotated {
                    return Ok(wanted);
                }
                inode
            }
        };
        let newer = self.files.open_after(self.entries.last_time, inode)?;
        self.begin_each(newer).await
    }
}

/// Wakes when something in the log's folder changes.
struct Watch {
    inotify: pipe::Receiver,
}

impl Watch {
    fn new(path: &Path) -> io::Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
        let folder = path.parent().unwrap_or(path);
        // The folder, for a log that is rotated or not there yet.
        let flags = AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        inotify.add_watch(folder, flags)?;
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
