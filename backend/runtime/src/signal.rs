//! Signals to a container, by the names and numbers people use.

use std::io;

use rustix::process::{Pid, Signal};

use crate::cgroup::CgroupError;
use crate::state::{State, StateDir, Status};

#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    #[error("unknown signal {0:?}")]
    Unknown(String),
    #[error("container not running")]
    NotRunning,
    #[error("signal process {pid}")]
    Send {
        pid: i32,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
}

const NAMES: [(&str, i32); 31] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("PWR", 30),
    ("SYS", 31),
];

/// `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+1`.
pub fn parse(text: &str) -> Result<i32, SignalError> {
    let unknown = || SignalError::Unknown(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(more) = name.strip_prefix("RTMIN") {
        let more: i32 = if more.is_empty() { 0 } else { more.parse().map_err(|_| unknown())? };
        return if (0..=30).contains(&more) { Ok(34 + more) } else { Err(unknown()) };
    }
    if let Some(less) = name.strip_prefix("RTMAX") {
        let less: i32 = if less.is_empty() { 0 } else { less.parse().map_err(|_| unknown())? };
        return if (-30..=0).contains(&less) { Ok(64 + less) } else { Err(unknown()) };
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).ok_or_else(unknown)
}

/// Whom a signal is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    First,
    All,
}

pub fn send(dir: &StateDir, state: &State, signal: i32, whom: Whom) -> Result<(), SignalError> {
    match whom {
        Whom::All if signal == 9 => Ok(state.cgroup.kill_all()?),
        Whom::All => {
            for pid in state.cgroup.pids()? {
                match send_to(pid, signal) {
                    Err(SignalError::NotRunning) => {}
                    other => other?,
                }
            }
            Ok(())
        }
        Whom::First if dir.status(state) == Status::Stopped => Err(SignalError::NotRunning),
        Whom::First => send_to(state.pid, signal),
    }
}

pub fn send_to(pid: i32, signal: i32) -> Result<(), SignalError> {
    let Some(process) = Pid::from_raw(pid) else { return Err(SignalError::NotRunning) };
    let sent = match Signal::from_named_raw(signal) {
        Some(named) => rustix::process::kill_process(process, named).map_err(io::Error::from),
        None if signal == 0 => rustix::process::test_kill_process(process).map_err(io::Error::from),
        None => drydock_sys::signals::send_realtime(process, signal),
    };
    sent.map_err(|source| match source.raw_os_error() {
        Some(3) => SignalError::NotRunning,
        _ => SignalError::Send { pid, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_numbers_and_names_with_and_without_sig() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGTERM", 15),
            ("sigusr1", 10),
            ("RTMIN+3", 37),
            ("SIGRTMAX-1", 63),
            ("0", 0),
        ] {
            assert_eq!(parse(text).unwrap(), number, "{text}");
        }
        for text in ["", "65", "-1", "NOPE", "RTMIN+99"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
