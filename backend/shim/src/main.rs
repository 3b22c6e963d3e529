//! `drydock-shim DIR`: the process that stays beside one container. `drydock-shim -- CMD`: a first process that reaps.
//! `drydock-shim compress FILE NANOS`: what a rotated log is compressed with.
//!
//! ```text
//!   engine ── exec ──▶ drydock-shim DIR ── forks, ends
//!                          └─▶ shim (own session): listens on DIR/shim.sock, creates the container,
//!                                announces on stdout, then serves until the container's end is published
//! ```
#![forbid(unsafe_code)]

mod client;
mod launch;
mod log;
mod reaper;
mod requests;
mod shim;
mod task;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use drydock_runtime::delete::{Force, delete};
use drydock_runtime::failure::chain;
use drydock_shim::config::{Announcement, CONFIG_FILE, Failure, FailureKind, LOG_FILE, LOG_STEP, ShimConfig};
use drydock_sys::namespaces::CloneFlags;
use drydock_sys::process::{Cloned, clone_self};
use nix::sys::signal::{SigSet, Signal};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let result = match (words.next(), words.next()) {
        (Some(dashes), Some(command)) if dashes == "--" => {
            let words = std::iter::once(command).chain(words);
            reaper::run(words.map(|word| word.to_string_lossy().into_owned()).collect())
        }
        (Some(word), Some(file)) if word == log::compress::SUBCOMMAND => {
            log::compress::run(std::iter::once(file).chain(words))
        }
        (Some(dir), None) => daemon(Path::new(&dir)),
        _ => Err(anyhow::anyhow!("usage: drydock-shim DIR | drydock-shim -- COMMAND…")),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("drydock-shim: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Leaves the caller's session, and ends in the caller's sight.
fn daemon(dir: &Path) -> anyhow::Result<ExitCode> {
    let dir = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
    match clone_self(CloneFlags::empty(), None).context("leave the caller")? {
        Cloned::Parent { .. } => return Ok(ExitCode::SUCCESS),
        Cloned::Child => rustix::process::setsid().context("begin a session")?,
    };
    let mut deaf = SigSet::empty();
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM] {
        deaf.add(signal);
    }
    // Whoever wants the shim gone must end its container. The container starts with an empty mask.
    deaf.thread_block().context("block signals")?;
    match serve(dir) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            // If it had been announced, the pipe is closed and the log has it alone.
            let message = chain(error.as_ref());
            _ = announce(&Announcement::Failed(Failure {
                step: "shim".to_owned(),
                message,
                kind: FailureKind::Other,
            }));
            Err(error)
        }
    }
}

fn serve(dir: PathBuf) -> anyhow::Result<()> {
    redirect(&dir)?;
    let text = std::fs::read(dir.join(CONFIG_FILE)).context("read shim.json")?;
    let config: ShimConfig = serde_json::from_slice(&text).context("parse shim.json")?;
    let listener = launch::listen(&dir).context("listen on shim.sock")?;
    // Opened first: a container whose log has nowhere to go does not start.
    let opened = log::Sink::open(&config.log).map_err(|error| Failure {
        step: LOG_STEP.to_owned(),
        message: chain(&error),
        kind: FailureKind::Other,
    });
    match opened.and_then(|log| Ok((launch::launch(&dir, &config)?, log))) {
        Ok((launched, log)) => {
            let told = announce(&Announcement::Started { pid: launched.state.pid });
            if config.hold && told.is_err() {
                // The engine is gone, and with it whoever would have asked for the start.
                return delete(&launched.dir, &launched.state, Force::Yes)
                    .context("end what nobody waits for");
            }
            let mut shim = shim::Shim::new(dir, config, listener, launched, log)?;
            drydock_sys::memory::give_back();
            shim.run()
        }
        Err(failure) => {
            let _ = std::fs::remove_file(dir.join(drydock_shim::config::SOCKET_FILE));
            eprintln!("drydock-shim: {}: {}", failure.step, failure.message);
            _ = announce(&Announcement::Failed(failure));
            Ok(())
        }
    }
}

/// stdin from nothing, stderr to the log; stdout stays the engine's until the announcement.
fn redirect(dir: &Path) -> anyhow::Result<()> {
    let null = std::fs::File::open("/dev/null").context("open /dev/null")?;
    rustix::stdio::dup2_stdin(&null).context("close stdin")?;
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join(LOG_FILE))
        .context("open shim.log")?;
    rustix::stdio::dup2_stderr(&log).context("redirect stderr")?;
    rustix::process::chdir("/").context("leave the working directory")?;
    Ok(())
}

/// One line on stdout, which is then closed. An engine that has gone cannot be told; its successor looks at our socket.
fn announce(announcement: &Announcement) -> std::io::Result<()> {
    let stdout = std::io::stdout();
    let mut line = serde_json::to_vec(announcement)?;
    line.push(b'\n');
    let told = rustix::io::write(stdout.as_fd(), &line);
    if let Ok(null) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
    Ok(told.map(drop)?)
}
