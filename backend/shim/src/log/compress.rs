//! `drydock-shim compress FILE NANOS`: a rotated log file becomes `FILE.gz`, as moby makes it: its head carries the time of
//! its newest entry, so that a reader can pass it over unread.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use flate2::{Compression, GzBuilder};

use super::stamp::Stamp;

/// The word on the command line.
pub const SUBCOMMAND: &str = "compress";

pub fn run(mut words: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let path = PathBuf::from(words.next().context("compress: no file")?);
    let nanos = words.next().and_then(|word| word.into_string().ok()?.parse().ok());
    compress(&path, nanos.context("compress: no time")?)?;
    Ok(ExitCode::SUCCESS)
}

/// The compressed file is whole before the other one goes: a reader always finds one of the two.
fn compress(path: &Path, last_time: i64) -> anyhow::Result<()> {
    let mut target = path.as_os_str().to_owned();
    target.push(".gz");
    let target = PathBuf::from(target);
    let written = write(path, &target, last_time);
    match &written {
        Ok(()) => std::fs::remove_file(path).context("remove the log file that was compressed")?,
        Err(_) => drop(std::fs::remove_file(&target)),
    }
    written.with_context(|| format!("compress {}", path.display()))
}

fn write(path: &Path, target: &Path, last_time: i64) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut source = BufReader::with_capacity(64 << 10, File::open(path)?);
    let file = File::options().write(true).create(true).truncate(true).mode(0o640).open(target)?;
    let head = format!("{{\"lastTime\":\"{}\"}}", Stamp::default().rfc3339(last_time));
    let mut encoder = GzBuilder::new().extra(head).write(file, Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?;
    Ok(())
}
