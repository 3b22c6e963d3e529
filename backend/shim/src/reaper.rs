//! `docker run --init`: a first process that passes signals on and reaps what is orphaned in its namespace.

use std::ffi::CString;
use std::process::ExitCode;

use anyhow::Context;
use drydock_runtime::lookup;
use drydock_sys::namespaces::CloneFlags;
use drydock_sys::process::{self, Cloned, clone_self, exit_now};
use drydock_sys::signals;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Runs `command` as a child and ends as it ends.
pub fn run(command: Vec<String>) -> anyhow::Result<ExitCode> {
    let program = command.first().context("init: no command")?;
    let env: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    let file = match lookup::find(program, &env) {
        Ok(file) => file,
        Err(error) => {
            // The words of tini, which is docker's.
            let missing = error.kind() == drydock_runtime::failure::Kind::NotFound;
            let why = if missing { "No such file or directory" } else { "Permission denied" };
            eprintln!("[FATAL tini ({})] exec {program} failed: {why}", std::process::id());
            return Ok(ExitCode::from(if missing { 127 } else { 126 }));
        }
    };
    let strings = |list: &[String]| -> anyhow::Result<Vec<CString>> {
        list.iter().map(|text| Ok(CString::new(text.as_str())?)).collect()
    };
    let (args, env) = (strings(&command)?, strings(&env)?);
    let all = SigSet::all();
    all.thread_block().context("block signals")?;
    let main = match clone_self(CloneFlags::empty(), None).context("start the command")? {
        Cloned::Parent { pid, .. } => Pid::from_raw(pid.as_raw_nonzero().get()),
        Cloned::Child => {
            become_foreground();
            let error = match signals::reset_all() {
                Ok(()) => process::exec(&file, &args, &env),
                Err(error) => error,
            };
            eprintln!("exec {}: {error}", command[0]);
            exit_now(126)
        }
    };
    loop {
        match all.wait().context("wait for a signal")? {
            Signal::SIGCHLD => {
                if let Some(code) = reap(main)? {
                    return Ok(ExitCode::from(code as u8));
                }
            }
            // It may have ended this moment; SIGCHLD will tell.
            signal => drop(nix::sys::signal::kill(main, signal)),
        }
    }
}

/// On a terminal the command must be its foreground, or its first read would stop it.
fn become_foreground() {
    let own = rustix::process::getpid();
    if rustix::process::setpgid(None, None).is_ok() && rustix::termios::isatty(std::io::stdin()) {
        // SIGTTOU is blocked here, so a background group may take the terminal.
        let _ = rustix::termios::tcsetpgrp(std::io::stdin(), own);
    }
}

/// Reaps everything that has ended; the command's status if it is among it.
fn reap(main: Pid) -> anyhow::Result<Option<i32>> {
    let mut code = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, status)) if pid == main => code = Some(status),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => code = Some(128 + signal as i32),
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => return Ok(code),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("reap"),
        }
    }
}
