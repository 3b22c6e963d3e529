//! Reading entries, and where to begin for the newest of them.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use drydock_shim::entry::LENGTH;

use super::entry::{Filter, Format, Found, Shown};
use super::files::{LogFiles, Opened, Plain};

const BLOCK: usize = 64 << 10;

/// Splits bytes into entries; the last may be half.
#[derive(Debug)]
pub struct Entries {
    format: Format,
    rest: Vec<u8>,
    /// The time of the newest entry that was whole.
    pub last_time: Option<i128>,
}

/// What reading on is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    More,
    /// No later entry will be shown.
    Nothing,
}

impl Entries {
    pub fn new(format: Format) -> Self {
        Self { format, rest: Vec::new(), last_time: None }
    }

    /// A new file begins: what was half will not become whole.
    pub fn begin_file(&mut self) {
        self.rest.clear();
    }

    /// Renders whole entries of `bytes` into `out`.
    pub fn take(&mut self, bytes: &[u8], filter: &mut Filter<'_>, out: &mut Vec<u8>) -> Wanted {
        let rest = std::mem::take(&mut self.rest);
        let joined;
        let bytes = match rest.is_empty() {
            true => bytes,
            false => {
                joined = [&rest, bytes].concat();
                &joined
            }
        };
        let mut from = 0;
        let mut last = None;
        let wanted = loop {
            match self.format.find(&bytes[from..]) {
                Found::Entry(entry, used) => {
                    if filter.show(&entry, out) == Shown::Past {
                        break Wanted::Nothing;
                    }
                    last = Some(from);
                    from += used;
                }
                Found::Nonsense(used) => from += used,
                Found::Nothing => break Wanted::More,
                Found::Broken => {
                    from = bytes.len();
                    break Wanted::More;
                }
            }
        };
        if let Some(Found::Entry(entry, _)) = last.map(|at| self.format.find(&bytes[at..])) {
            self.last_time = Some(entry.time_nano());
        }
        self.rest = bytes[from..].to_vec();
        wanted
    }
}

/// The files, set to where the newest `wanted` entries begin; those before are left out, and compressed ones left alone.
pub fn cut_to_tail(files: &LogFiles, opened: Vec<Opened>, mut wanted: usize) -> io::Result<Vec<Plain>> {
    let mut kept = Vec::new();
    for opened in opened.into_iter().rev() {
        let mut plain = files.plain(opened)?;
        let (offset, found) = match files.format {
            Format::Json => lines_from_end(&mut plain.file, wanted)?,
            Format::Local => frames_from_end(&mut plain.file, wanted)?,
        };
        plain.file.seek(SeekFrom::Start(offset))?;
        wanted -= found;
        kept.push(plain);
        if wanted == 0 {
            break;
        }
    }
    kept.reverse();
    Ok(kept)
}

/// Where the last `wanted` lines begin, reading backwards in blocks; and how many there are.
fn lines_from_end(file: &mut File, wanted: usize) -> io::Result<(u64, usize)> {
    let end = file.seek(SeekFrom::End(0))?;
    if wanted == 0 {
        return Ok((end, 0));
    }
    let mut position = end;
    let mut found = 0;
    let mut block = vec![0; BLOCK];
    while position > 0 {
        let size = position.min(BLOCK as u64);
        position -= size;
        let bytes = &mut block[..size as usize];
        file.read_exact_at(bytes, position)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + index as u64 + 1;
            // The newline that ends the last line begins no line.
            if after == end {
                continue;
            }
            found += 1;
            if found == wanted {
                return Ok((after, wanted));
            }
        }
    }
    Ok((0, if end > 0 { found + 1 } else { 0 }))
}

/// The same for entries between their lengths. What is torn at the end is passed by: then all is read.
fn frames_from_end(file: &mut File, wanted: usize) -> io::Result<(u64, usize)> {
    let end = file.seek(SeekFrom::End(0))?;
    let (mut position, mut found) = (end, 0);
    while found < wanted && position > 0 {
        let Some(length) = foot_before(file, position)? else { return Ok((0, found)) };
        let whole = length + 2 * LENGTH as u64;
        let Some(begin) = position.checked_sub(whole) else { return Ok((0, found)) };
        position = begin;
        found += 1;
    }
    Ok((position, found))
}

fn foot_before(file: &File, position: u64) -> io::Result<Option<u64>> {
    let Some(at) = position.checked_sub(LENGTH as u64) else { return Ok(None) };
    let mut foot = [0; LENGTH];
    file.read_exact_at(&mut foot, at)?;
    let length = u64::from(u32::from_be_bytes(foot));
    let Some(head_at) = at.checked_sub(length + LENGTH as u64) else { return Ok(None) };
    let mut head = [0; LENGTH];
    file.read_exact_at(&mut head, head_at)?;
    Ok((head == foot).then_some(length))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use drydock_shim::entry::{Entry, Source, encode_framed};

    use super::super::entry::Options;
    use super::super::files::tests::{compressed, json};
    use super::*;

    fn local(numbers: std::ops::Range<u32>) -> Vec<u8> {
        let mut out = Vec::new();
        for number in numbers {
            let line = number.to_string();
            let entry = Entry {
                source: Source::Stdout,
                time_nano: number.into(),
                line: line.as_bytes(),
                partial: None,
            };
            encode_framed(&entry, &mut out);
        }
        out
    }

    fn shown(files: &LogFiles, tail: Option<usize>) -> String {
        let options = Options { stdout: true, raw: true, ..Options::default() };
        let (mut filter, mut entries, mut out) =
            (Filter::new(&options), Entries::new(files.format), Vec::new());
        let opened = files.open(None).expect("the log");
        for mut opened in cut_to_tail(files, opened, tail.unwrap_or(usize::MAX)).expect("its tail") {
            entries.begin_file();
            let mut bytes = Vec::new();
            opened.file.read_to_end(&mut bytes).expect("the file");
            // In two pieces, cut anywhere.
            let middle = bytes.len() / 3;
            entries.take(&bytes[..middle], &mut filter, &mut out);
            entries.take(&bytes[middle..], &mut filter, &mut out);
        }
        String::from_utf8(out).expect("text").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_tail_reaches_into_rotated_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let write = |name: &str, bytes: &[u8]| std::fs::write(dir.path().join(name), bytes).expect("write");
        write("j.log.1.gz", &compressed(&json(0..3), "2026-01-01T00:00:02Z"));
        write("j.log", json(3..5).as_bytes());
        write("l.log.1", &local(0..3));
        write("l.log", &local(3..5));
        let cases = [
            (None, "0 1 2 3 4"),
            (Some(0), ""),
            (Some(1), "4"),
            (Some(2), "3 4"),
            (Some(3), "2 3 4"),
            (Some(99), "0 1 2 3 4"),
        ];
        for (format, name) in [(Format::Json, "j.log"), (Format::Local, "l.log")] {
            let files = LogFiles { format, path: dir.path().join(name), count: 3 };
            for (tail, expected) in cases {
                assert_eq!(shown(&files, tail), expected, "{format:?} {tail:?}");
            }
        }
    }

    #[test]
    fn a_file_torn_at_its_end_is_read_up_to_there() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = LogFiles { format: Format::Local, path: dir.path().join("l.log"), count: 1 };
        let whole = local(0..3);
        std::fs::write(&files.path, &whole[..whole.len() - 1]).expect("write");
        assert_eq!(shown(&files, Some(1)), "0 1");
    }
}
