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

/// More than this no option can have meant.
const MOST_FILES: u32 = 10_000;
const DEFAULT_LOCAL_FILES: u32 = 5;
/// Where a first entry is looked for: most are short, and none is longer, escaped or not.
const FIRST: [usize; 2] = [4 << 10, 128 << 10];

/// Where the log of a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFiles {
    pub format: Format,
    pub path: PathBuf,
    /// How many there may be.
    pub count: u32,
}

/// One of them.
#[derive(Debug)]
pub struct Opened {
    file: File,
    compressed: bool,
    inode: u64,
    /// The time of one of its entries. Those of one file are all older or all newer than those of another.
    age: i128,
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

    /// Opens all there are, oldest first. `since`: those known to end before are left out.
    ///
    /// The log may be rotated meanwhile. From the newest to the oldest nothing can slip past, and what is met twice is
    /// known by its inode, or, compressed by now, by standing after a file that is not.
    pub fn open(&self, since: Option<i128>) -> io::Result<Vec<Opened>> {
        let mut opened: Vec<Opened> = Vec::new();
        for number in 0..self.count {
            let Some(file) = self.open_one(number)? else { continue };
            let is_known = opened.iter().any(|other| other.inode == file.inode);
            let is_wanted = !file.compressed || since.is_none_or(|since| file.age >= since);
            if !is_known && is_wanted {
                opened.push(file);
            }
        }
        opened.reverse();
        opened.sort_by_key(|file| file.age);
        let plain = opened.iter().position(|file| !file.compressed).unwrap_or(opened.len());
        let mut index = 0;
        opened.retain(|file| {
            index += 1;
            index <= plain || !file.compressed
        });
        Ok(opened)
    }

    fn open_one(&self, number: u32) -> io::Result<Option<Opened>> {
        let path = |end: &str| match number {
            0 => self.path.clone(),
            number => numbered(&self.path, number, end),
        };
        // Of an elder that is being compressed the whole file is the one to read.
        if let Some(mut file) = open_if_there(&path(""))? {
            let age = first_time(&mut file, self.format)?.unwrap_or(i128::MAX);
            let inode = file.metadata()?.ino();
            return Ok(Some(Opened { file, compressed: false, inode, age }));
        }
        if number == 0 {
            return Ok(None);
        }
        let Some(mut file) = open_if_there(&path(".gz"))? else { return Ok(None) };
        let last = GzDecoder::new(&mut file).header().and_then(|header| last_time(header.extra()?));
        file.seek(SeekFrom::Start(0))?;
        let inode = file.metadata()?.ino();
        // One that does not say its time was not written by this engine: its number tells its age.
        let age = last.unwrap_or(i128::MIN + i128::from(self.count - number));
        Ok(Some(Opened { file, compressed: true, inode, age }))
    }

    /// Those with entries after `last`, without the file `inode`, which was read to its end.
    pub fn open_after(&self, last: Option<i128>, inode: u64) -> io::Result<Vec<Opened>> {
        let mut opened = self.open(last)?;
        opened.retain(|file| file.inode != inode && last.is_none_or(|last| file.age > last));
        Ok(opened)
    }

    /// The file at its first entry. A compressed one becomes a file without a name: it must be read from its end, too.
    pub fn plain(&self, opened: Opened) -> io::Result<Plain> {
        let Opened { mut file, compressed, inode, .. } = opened;
        if compressed {
            let folder = self.path.parent().unwrap_or(Path::new("/"));
            let mut plain = tempfile::tempfile_in(folder)?;
            io::copy(&mut GzDecoder::new(io::BufReader::new(file)), &mut plain)?;
            file = plain;
        }
        file.seek(SeekFrom::Start(0))?;
        Ok(Plain { file, inode })
    }
}

/// A file to read entries from.
#[derive(Debug)]
pub struct Plain {
    pub file: File,
    /// Of the file it was made from.
    pub inode: u64,
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first entry's time; `None` when nothing whole is in the file yet.
fn first_time(file: &mut File, format: Format) -> io::Result<Option<i128>> {
    for size in FIRST {
        let mut bytes = vec![0; size];
        file.seek(SeekFrom::Start(0))?;
        let length = read_full(file, &mut bytes)?;
        let time = find_time(&bytes[..length], format);
        if time.is_some() || length < size {
            return Ok(time);
        }
    }
    Ok(None)
}

fn find_time(mut bytes: &[u8], format: Format) -> Option<i128> {
    loop {
        match format.find(bytes) {
            Found::Entry(entry, _) => return Some(entry.time_nano()),
            Found::Nonsense(used) => bytes = &bytes[used..],
            Found::Nothing | Found::Broken => return None,
        }
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

    fn content(files: &LogFiles, opened: Vec<Opened>) -> Vec<String> {
        let read = |opened: Opened| {
            let mut text = String::new();
            files.plain(opened).expect("plain").file.read_to_string(&mut text).expect("read");
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
        let all = content(&files, files.open(None).expect("open"));
        assert_eq!(all, [json(0..2), json(2..4), json(4..6), json(6..7)]);
        let third = 1_767_225_603_000_000_000;
        assert_eq!(files.open(Some(third)).expect("open").len(), 3);
        let inode = |name: &str| std::fs::metadata(dir.path().join(name)).expect("stat").ino();
        let newer = files.open_after(Some(third), inode("x.log.2.gz")).expect("open");
        assert_eq!(content(&files, newer), [json(4..6), json(6..7)]);
        // Whoever had read the file that is compressed by now is told by its time.
        let newer = files.open_after(Some(third), 0).expect("open");
        assert_eq!(content(&files, newer), [json(4..6), json(6..7)]);
    }

    #[test]
    fn what_was_moved_on_between_two_looks_is_read_once_and_in_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = LogFiles { format: Format::Json, path: dir.path().join("x.log"), count: 4 };
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("x.log"), json(4..5)).expect("write");
        // Met first under its old name, and again under the new one, compressed.
        std::fs::write(at("x.log.1"), json(2..4)).expect("write");
        std::fs::write(at("x.log.2.gz"), compressed(&json(2..4), "2026-01-01T00:00:03Z")).expect("write");
        std::fs::hard_link(at("x.log"), at("x.log.3")).expect("link");
        let all = content(&files, files.open(None).expect("open"));
        assert_eq!(all, [json(2..4), json(4..5)]);
    }
}
