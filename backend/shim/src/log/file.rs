//! A log file that is begun anew when it is full: `path` → `path.1` → `path.2` …, compressed where asked (moby's
//! `loggerutils/logfile.go`).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use drydock_shim::config::LogFile;
use drydock_shim::entry::Entry;

use super::compress::SUBCOMMAND;

/// Entries are kept until this many bytes of them are there, or the end of what was read.
const BATCH: usize = 64 * 1024;

#[derive(Debug)]
pub struct RotatedFile {
    settings: LogFile,
    file: File,
    size: u64,
    /// Encoded, not yet written.
    batch: Vec<u8>,
    /// The newest entry's time, for the head of a compressed file.
    last_time: i64,
    /// Compresses the file before this one. The next rotation waits for it.
    compressor: Option<Child>,
}

impl RotatedFile {
    pub fn open(settings: &LogFile) -> io::Result<Self> {
        if let Some(folder) = settings.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = append_to(&settings.path)?;
        let size = file.metadata()?.len();
        Ok(Self { settings: settings.clone(), file, size, batch: Vec::new(), last_time: 0, compressor: None })
    }

    /// Opens the path anew, after somebody moved or removed the file.
    pub fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.settings.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }

    /// Takes an entry, encoded by `encode`. It is on its way to the disk after the next [`flush`](Self::flush).
    pub fn put(&mut self, entry: &Entry<'_>, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        if self.settings.max_size.is_some_and(|limit| self.size + self.batch.len() as u64 >= limit) {
            self.flush()?;
            self.rotate()?;
        }
        encode(&mut self.batch);
        self.last_time = entry.time_nano;
        if self.batch.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// One write for all that came. What does not go onto the disk whole is taken off it again: a reader must not find
    /// half an entry before the next.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.batch);
        match &written {
            Ok(()) => self.size += self.batch.len() as u64,
            Err(_) => self.file.set_len(self.size)?,
        }
        self.batch.clear();
        self.batch.shrink_to(4096);
        written
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.await_compressor();
        let LogFile { path, max_file, compress, .. } = &self.settings;
        if *max_file < 2 {
            // Not emptied: somebody may still be reading it.
            ignore_missing(std::fs::remove_file(path))?;
            return self.reopen();
        }
        let end = if *compress { ".gz" } else { "" };
        for number in (1..max_file - 1).rev() {
            ignore_missing(std::fs::rename(numbered(path, number, end), numbered(path, number + 1, end)))?;
        }
        let elder = numbered(path, 1, "");
        ignore_missing(std::fs::rename(path, &elder))?;
        if *compress {
            self.compressor = Some(start_compressor(&elder, self.last_time)?);
        }
        self.reopen()
    }

    fn await_compressor(&mut self) {
        if let Some(mut child) = self.compressor.take()
            && let Err(error) = child.wait()
        {
            eprintln!("drydock-shim: wait for the log's compressor: {error}");
        }
    }

    /// Reaps a compressor that is done.
    pub fn reap(&mut self) {
        if self.compressor.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
            self.compressor = None;
        }
    }
}

impl Drop for RotatedFile {
    fn drop(&mut self) {
        if let Err(error) = self.flush() {
            eprintln!("drydock-shim: write the container's log: {error}");
        }
    }
}

/// In a process of its own: this one must stay small, and must not stop for it.
fn start_compressor(path: &Path, last_time: i64) -> io::Result<Child> {
    Command::new("/proc/self/exe")
        .arg(SUBCOMMAND)
        .arg(path)
        .arg(last_time.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
}

pub fn numbered(path: &Path, number: u32, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{end}"));
    PathBuf::from(name)
}

fn append_to(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use drydock_shim::entry::Source;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("drydock-logfile-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&dir);
            Self(dir)
        }

        fn log(&self, max_size: Option<u64>, max_file: u32) -> RotatedFile {
            let path = self.0.join("x.log");
            RotatedFile::open(&LogFile { path, max_size, max_file, compress: false }).unwrap()
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.0.join(name)).unwrap_or_default()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn put(log: &mut RotatedFile, word: &str) {
        let entry = Entry { source: Source::Stdout, time_nano: 1, line: b"", partial: None };
        log.put(&entry, |out| out.extend_from_slice(word.as_bytes())).unwrap();
    }

    #[test]
    fn a_full_file_is_moved_on_and_the_oldest_forgotten() {
        let folder = Folder::new("rotate");
        let mut log = folder.log(Some(6), 3);
        for word in ["first-", "second", "third-", "fourth", "5"] {
            put(&mut log, word);
        }
        log.flush().unwrap();
        let kept = ["x.log", "x.log.1", "x.log.2", "x.log.3"].map(|name| folder.read(name));
        assert_eq!(kept, ["5", "fourth", "third-", ""]);
    }

    #[test]
    fn the_only_file_is_begun_anew_and_its_readers_keep_the_old_one() {
        let folder = Folder::new("only");
        let mut log = folder.log(Some(6), 1);
        put(&mut log, "first-");
        log.flush().unwrap();
        let mut reader = File::open(folder.0.join("x.log")).unwrap();
        put(&mut log, "second");
        log.flush().unwrap();
        let mut seen = String::new();
        io::Read::read_to_string(&mut reader, &mut seen).unwrap();
        assert_eq!((seen.as_str(), folder.read("x.log").as_str()), ("first-", "second"));
        assert!(!folder.0.join("x.log.1").exists());
    }

    #[test]
    fn a_log_goes_on_where_it_ended() {
        let folder = Folder::new("again");
        for word in ["one", "two"] {
            put(&mut folder.log(None, 1), word);
        }
        assert_eq!(folder.read("x.log"), "onetwo");
    }
}
