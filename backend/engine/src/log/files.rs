//! A log's files: the one that is written, and its elders, of which the older may be compressed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::entry::{Format, Found};
use super::setup::{Places, configured, is_cached};
use crate::container::Record;
use crate::golang::numbers::atoi;

/// How often a log may be rotated under our hands before we read what we have.
const ATTEMPTS: usize = 8;
/// More than this no option can have meant.
const MOST_FILES: u32 = 10_000;
const DEFAULT_LOCAL_FILES: u32 = 5;

/// Where the log of a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    pub format: Format,
    pub path: PathBuf,
    /// How many there may be.
    pub count: u32,
}

/// One of them, opened at its beginning.
#[derive(Debug)]
pub struct Opened {
    pub file: File,
    pub inode: u64,
    /// Its newest entry's time, where its head says so.
    last_time: Option<i128>,
}

impl LogFiles {
    /// What can be read of a container's log; `None`: nothing is kept on this machine.
    pub fn of(record: &Record, places: &Places<'_>) -> Option<Self> {
        let (driver, options) = configured(record);
        let count = |key: &str, default: u32| {
            let count = options.get(key).and_then(|text| u32::try_from(atoi(text).ok()?).ok());
            count.unwrap_or(default).clamp(1, MOST_FILES)
        };
        match driver.as_str() {
            "" | "json-file" => {
                let path = places.json_file.clone();
                Some(Self { format: Format::Json, path, count: count("max-file", 1) })
            }
            "local" => {
                let count = count("max-file", DEFAULT_LOCAL_FILES);
                Some(Self { format: Format::Local, path: places.local_file(), count })
            }
            "none" => None,
            _ if is_cached(&options) => {
                let count = count("cache-max-file", DEFAULT_LOCAL_FILES);
                Some(Self { format: Format::Local, path: places.cache_file(), count })
            }
            _ => None,
        }
    }

    /// Opens all there are, oldest first. `since`: those known to end before may be left out.
    pub fn open(&self, since: Option<i128>) -> io::Result<Vec<Opened>> {
        let mut before = self.inodes();
        for _ in 0..ATTEMPTS {
            let opened = self.try_open(since)?;
            let after = self.inodes();
            if before == after {
                return Ok(opened);
            }
            // Somebody moved files on meanwhile: one may be missing, or be there twice.
            before = after;
        }
        self.try_open(since)
    }

    fn candidates(&self) -> impl Iterator<Item = (PathBuf, bool)> {
        let elders = (1..self.count).rev().flat_map(|number| {
            [(numbered(&self.path, number, ".gz"), true), (numbered(&self.path, number, ""), false)]
        });
        elders.chain([(self.path.clone(), false)])
    }

    fn inodes(&self) -> Vec<Option<u64>> {
        self.candidates().map(|(path, _)| Some(std::fs::metadata(path).ok()?.ino())).collect()
    }

    fn try_open(&self, since: Option<i128>) -> io::Result<Vec<Opened>> {
        let mut opened: Vec<Opened> = Vec::new();
        for (path, compressed) in self.candidates() {
            // Of an elder that is being compressed the whole file is the one to read.
            if compressed && path.with_extension("").exists() {
                continue;
            }
            let file = match File::open(&path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let inode = file.metadata()?.ino();
            if !compressed {
                opened.push(Opened { file, inode, last_time: None });
            } else if let Some(file) = decompress(file, inode, self.folder(), since)? {
                opened.push(file);
            }
        }
        Ok(opened)
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Those with entries after `last`, without the file `inode`, which was read to its end.
    pub fn open_after(&self, last: Option<i128>, inode: u64) -> io::Result<Vec<Opened>> {
        let mut newer = Vec::new();
        for mut file in self.open(last)? {
            if file.inode != inode && file.begins_after(self.format, last)? {
                newer.push(file);
            }
        }
        Ok(newer)
    }
}

impl Opened {
    /// All entries of one file are older or newer than those of another.
    fn begins_after(&mut self, format: Format, last: Option<i128>) -> io::Result<bool> {
        let Some(last) = last else { return Ok(true) };
        if let Some(own) = self.last_time {
            return Ok(own > last);
        }
        let mut bytes = vec![0; 64 << 10];
        let length = read_full(&mut self.file, &mut bytes)?;
        self.file.seek(SeekFrom::Start(0))?;
        Ok(match format.find(&bytes[..length]) {
            Found::Entry(entry, _) => entry.time_nano() > last,
            // Nothing is in it yet, or nothing that says its time.
            Found::Nonsense(_) | Found::Nothing | Found::Broken => true,
        })
    }
}

fn read_full(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Into a file without a name: it must be read from its end, too. `None` when all of it is before `since`.
fn decompress(file: File, inode: u64, folder: &Path, since: Option<i128>) -> io::Result<Option<Opened>> {
    let mut decoder = GzDecoder::new(io::BufReader::new(file));
    let last_time = decoder.header().and_then(|header| last_time(header.extra()?));
    if let (Some(last), Some(since)) = (last_time, since)
        && last < since
    {
        return Ok(None);
    }
    let mut plain = tempfile::tempfile_in(folder)?;
    io::copy(&mut decoder, &mut plain)?;
    plain.seek(SeekFrom::Start(0))?;
    Ok(Some(Opened { file: plain, inode, last_time }))
}

/// `{"lastTime":"…"}` in the head of a compressed file.
fn last_time(extra: &[u8]) -> Option<i128> {
    #[derive(serde::Deserialize)]
    struct Extra<'a> {
        #[serde(rename = "lastTime", borrow)]
        last_time: std::borrow::Cow<'a, str>,
    }
    let extra: Extra<'_> = serde_json::from_slice(extra).ok()?;
    Some(OffsetDateTime::parse(&extra.last_time, &Rfc3339).ok()?.unix_timestamp_nanos())
}

fn numbered(path: &Path, number: u32, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}{end}"));
    PathBuf::from(name)
}

#[cfg(test)]
pub mod tests {
    use std::io::Write;

    use super::*;

    pub fn json(numbers: std::ops::Range<u32>) -> String {
        let line = |n| {
            format!("{{\"log\":\"{n}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:{n:02}Z\"}}\n")
        };
        numbers.map(line).collect()
    }

    pub fn compressed(text: &str, last: &str) -> Vec<u8> {
        let extra = format!("{{\"lastTime\":\"{last}\"}}");
        let mut encoder =
            flate2::GzBuilder::new().extra(extra).write(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).expect("compress");
        encoder.finish().expect("compress")
    }

    fn content(opened: Vec<Opened>) -> Vec<String> {
        let read = |mut opened: Opened| {
            let mut text = String::new();
            opened.file.read_to_string(&mut text).expect("read");
            text
        };
        opened.into_iter().map(read).collect()
    }

    #[test]
    fn elders_come_first_compressed_or_not_and_gaps_do_not_end_the_row() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = LogFiles { format: Format::Json, path: dir.path().join("x.log"), count: 5 };
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("write");
        write("x.log.4.gz", &compressed(&json(0..2), "2026-01-01T00:00:01Z"));
        write("x.log.2.gz", &compressed(&json(2..4), "2026-01-01T00:00:03Z"));
        write("x.log.1", json(4..6).as_bytes());
        write("x.log.1.gz", b"half of it");
        write("x.log", json(6..7).as_bytes());
        let all = content(files.open(None).expect("open"));
        assert_eq!(all, [json(0..2), json(2..4), json(4..6), json(6..7)]);
        let third = 1_767_225_603_000_000_000;
        assert_eq!(content(files.open(Some(third)).expect("open")).len(), 3);
        let inode = |name: &str| std::fs::metadata(dir.path().join(name)).expect("stat").ino();
        let newer = files.open_after(Some(third), inode("x.log.2.gz")).expect("open");
        assert_eq!(content(newer), [json(4..6), json(6..7)]);
        // Whoever had read the file that is compressed by now is told by its time.
        let newer = files.open_after(Some(third), 0).expect("open");
        assert_eq!(content(newer), [json(4..6), json(6..7)]);
    }
}
