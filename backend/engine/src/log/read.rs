//! Where to begin in a log and its rotated elders, and reading from there.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::entry::{Entry, Options, Shown};

const BLOCK: usize = 64 << 10;

/// Splits bytes into lines; the last may be half.
#[derive(Debug, Default)]
pub struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// Renders whole lines of `bytes` into `out`; `false` when no later line will be shown.
    pub fn take(&mut self, bytes: &[u8], options: &Options, out: &mut Vec<u8>) -> bool {
        let mut from = 0;
        while let Some(end) = bytes[from..].iter().position(|byte| *byte == b'\n').map(|at| from + at) {
            let shown = if self.rest.is_empty() {
                render(&bytes[from..end], options, out)
            } else {
                self.rest.extend_from_slice(&bytes[from..end]);
                let shown = render(&self.rest, options, out);
                self.rest.clear();
                shown
            };
            if shown == Shown::Past {
                return false;
            }
            from = end + 1;
        }
        self.rest.extend_from_slice(&bytes[from..]);
        true
    }
}

fn render(line: &[u8], options: &Options, out: &mut Vec<u8>) -> Shown {
    // A line torn by a crash is left out, as moby does.
    Entry::parse(line).map_or(Shown::No, |entry| entry.render(options, out))
}

/// The log's files, oldest first: `path.2`, `path.1`, `path`.
pub fn files(path: &Path) -> Vec<PathBuf> {
    let elder = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let mut files: Vec<PathBuf> = (1..).map(elder).take_while(|file| file.exists()).collect();
    files.reverse();
    files.push(path.to_owned());
    files
}

/// Opens the files with the first byte to read of each; files before the wanted tail are left out.
pub fn open_from_tail(path: &Path, tail: Option<usize>) -> io::Result<Vec<File>> {
    let mut opened = Vec::new();
    let mut wanted = tail;
    for file in files(path).iter().rev() {
        let mut file = match File::open(file) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if let Some(lines) = wanted {
            let (offset, found) = tail_offset(&mut file, lines)?;
            file.seek(SeekFrom::Start(offset))?;
            wanted = Some(lines - found);
        }
        opened.push(file);
        if wanted == Some(0) {
            break;
        }
    }
    opened.reverse();
    Ok(opened)
}

/// Where the last `lines` lines begin, reading backwards in blocks; and how many there are.
fn tail_offset(file: &mut File, lines: usize) -> io::Result<(u64, usize)> {
    let end = file.seek(SeekFrom::End(0))?;
    if lines == 0 {
        return Ok((end, 0));
    }
    let mut position = end;
    let mut found = 0;
    let mut block = vec![0; BLOCK];
    while position > 0 {
        let size = position.min(BLOCK as u64);
        position -= size;
        file.seek(SeekFrom::Start(position))?;
        let bytes = &mut block[..size as usize];
        file.read_exact(bytes)?;
        for (index, _) in bytes.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let after = position + index as u64 + 1;
            // The newline that ends the last line begins no line.
            if after == end {
                continue;
            }
            found += 1;
            if found == lines {
                return Ok((after, lines));
            }
        }
    }
    Ok((0, if end > 0 { found + 1 } else { 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: std::ops::Range<u32>) -> String {
        let line =
            |n| format!("{{\"log\":\"{n}\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:00Z\"}}\n");
        lines.map(line).collect()
    }

    fn shown(path: &Path, tail: Option<usize>) -> String {
        let options = Options { stdout: true, raw: true, ..Options::default() };
        let mut out = Vec::new();
        for mut file in open_from_tail(path, tail).expect("the log") {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).expect("the file");
            Lines::default().take(&bytes, &options, &mut out);
        }
        String::from_utf8(out).expect("text").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_tail_reaches_into_rotated_files() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("x.log");
        std::fs::write(dir.path().join("x.log.1"), log(0..3)).expect("write");
        std::fs::write(&path, log(3..5)).expect("write");
        let cases = [
            (None, "0 1 2 3 4"),
            (Some(0), ""),
            (Some(1), "4"),
            (Some(2), "3 4"),
            (Some(3), "2 3 4"),
            (Some(99), "0 1 2 3 4"),
        ];
        for (tail, expected) in cases {
            assert_eq!(shown(&path, tail), expected, "{tail:?}");
        }
    }
}
