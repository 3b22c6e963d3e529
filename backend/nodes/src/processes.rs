//! Processes of nodes, by id and start time, so that a reused id is never mistaken.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Clock ticks after boot at which a process began; `None` when there is no such process (or only its remains).
pub fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_started(&stat)
}

/// Field 22 of proc_pid_stat(5); the name in field 2 may hold blanks and parentheses.
fn parse_started(stat: &str) -> Option<u64> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ');
    match fields.next()? {
        "Z" | "X" => None,
        _ => fields.nth(18)?.parse().ok(),
    }
}

/// Opens a process that began at `began`.
pub fn open(pid: u32, began: u64) -> io::Result<OwnedFd> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    let process = pidfd_open(raw, PidfdFlags::empty())?;
    // Asked after opening: from now on the descriptor means this process and no later one.
    if started(pid) == Some(began) { Ok(process) } else { Err(missing()) }
}

/// Kills a process and waits for its end; PID 1 of a namespace ends after all others in it.
pub fn kill(process: &OwnedFd, patience: Duration) -> io::Result<()> {
    match pidfd_send_signal(process, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => return Err(error.into()),
    }
    let mut wait = [PollFd::new(process, PollFlags::IN)];
    let limit = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    match poll(&mut wait, Some(&limit))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}

/// Processes that were started with `argument` among their arguments.
pub fn with_argument(argument: &[u8]) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while we look.
        let Ok(line) = fs::read(entry.path().join("cmdline")) else { continue };
        if line.split(|byte| *byte == 0).any(|word| word == argument) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Tries until it works or the time is over, with growing pauses; returns whether it worked.
pub fn wait_until(patience: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    let mut pause = Duration::from_micros(200);
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_time_is_found_behind_any_name() {
        let tail = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4242 9 9";
        assert_eq!(parse_started(&format!("7 (bash) {tail}")), Some(4242));
        assert_eq!(parse_started(&format!("7 (a) b ) {tail}")), Some(4242));
        assert_eq!(parse_started("7 (bash) Z 1 1"), None);
        assert!(started(std::process::id()).is_some());
    }
}
