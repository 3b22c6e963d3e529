//! Commands without a terminal: started, fed, drained, killed when nobody wants them any more.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use drydock_agent::frame::{self, Frames, to_agent, to_client};
use drydock_agent::protocol::{ExecRequest, Exit, RefusalKind};
use drydock_agent::socket::{Reader, Writer};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::accounts::{self, Account};
use crate::door::{Refused, reply};
use crate::reaper::Reaper;

/// Bytes of one `STDOUT` or `STDERR` frame, at most.
const PIECE: usize = 32 * 1024;

/// How long output is still read after the command itself has ended: a background child may hold the pipe.
const TAIL: Duration = Duration::from_millis(500);

/// Kills what is left of the command when dropped: when its client leaves, or its time is over.
struct Group(Pid);

impl Group {
    /// The command ended by itself; what it left in the background goes on, as after any shell.
    fn let_go(self) {
        std::mem::forget(self);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // ESRCH: all of it has ended, which is what is wanted.
        let _ = killpg(self.0, Signal::SIGKILL);
    }
}

/// Runs the command and carries its streams; the reply comes once it has started.
pub async fn serve(
    request: &ExecRequest,
    reaper: &Reaper,
    frames: Frames<Reader>,
    writer: &mut Writer,
) -> Result<(), Refused> {
    let mut command = command(request)?;
    let name = request.command.first().map_or("", String::as_str);
    let mut started = reaper.start(&mut command).map_err(|error| Refused::from_io(name, &error))?;
    let group = Group(started.pid);
    let stdin = pipe_end(started.child.stdin.take(), Sender::from_owned_fd)?;
    let stdout = pipe_end(started.child.stdout.take(), Receiver::from_owned_fd)?;
    let stderr = pipe_end(started.child.stderr.take(), Receiver::from_owned_fd)?;
    reply(writer, &()).await?;

    let output = Mutex::new(&mut *writer);
    let drained = async {
        let (stdout, stderr) =
            (drain(stdout, to_client::STDOUT, &output), drain(stderr, to_client::STDERR, &output));
        tokio::try_join!(stdout, stderr).map(|_| ())
    };
    let ended = async {
        let drained = drained;
        tokio::pin!(drained);
        tokio::select! {
            outcome = &mut drained => { outcome?; Ok(started.ended.code().await) }
            code = started.ended.code() => { timeout(TAIL, drained).await.unwrap_or(Ok(()))?; Ok(code) }
        }
    };
    let limit = async {
        match request.timeout_ms {
            Some(ms) => sleep(Duration::from_millis(ms)).await,
            None => std::future::pending().await,
        }
    };
    let exit = tokio::select! {
        code = ended => Exit::Code(code.map_err(Refused::gone)?),
        () = limit => Exit::TimedOut,
        outcome = feed(stdin, frames) => return outcome,
    };
    match exit {
        Exit::Code(_) => group.let_go(),
        Exit::TimedOut => drop(group),
    }
    send_exit(writer, exit).await.map_err(Refused::gone)
}

fn command(request: &ExecRequest) -> Result<Command, Refused> {
    let Some((program, arguments)) = request.command.split_first() else {
        return Err(Refused::invalid("an exec names a program"));
    };
    let account = match request.user.as_deref() {
        None => Account::root(),
        Some(user) => account(user)?,
    };
    let mut command = accounts::program(program, &account);
    command.args(arguments).envs(&request.env).process_group(0);
    if let Some(cwd) = &request.cwd {
        command.current_dir(cwd);
    }
    if account.uid != 0 {
        drydock_sys::child::as_user(&mut command, account.uid, account.gid, account.groups);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Ok(command)
}

fn account(user: &str) -> Result<Account, Refused> {
    let read = |path: &str| {
        std::fs::read_to_string(path)
            .map_err(|error| Refused::from_io(&format!("cannot read {path}"), &error))
    };
    Account::find(user, &read("/etc/passwd")?, &read("/etc/group")?)
        .ok_or_else(|| Refused::because(RefusalKind::NotFound, format!("there is no user {user}")))
}

fn pipe_end<P: Into<OwnedFd>, T>(
    end: Option<P>,
    wrap: impl FnOnce(OwnedFd) -> io::Result<T>,
) -> Result<T, Refused> {
    let end = end.expect("every stream was asked to be a pipe");
    wrap(end.into()).map_err(|error| Refused::from_io("cannot use a pipe", &error))
}

/// Forwards one stream until its end.
async fn drain(mut pipe: Receiver, kind: u8, output: &Mutex<&mut Writer>) -> io::Result<()> {
    let mut piece = Vec::new();
    loop {
        // Made anew after each wait: an idle command holds no buffer.
        pipe.readable().await?;
        piece.reserve(PIECE);
        let count = (&mut pipe).take(PIECE as u64).read_buf(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        frame::write(&mut **output.lock().await, kind, &[&piece]).await?;
        piece = Vec::new();
    }
}

/// Feeds stdin. Returns only when the client hangs up or misbehaves, which ends the command.
async fn feed(stdin: Sender, mut frames: Frames<Reader>) -> Result<(), Refused> {
    let mut stdin = Some(stdin);
    while let Some(frame) = frames.next().await.map_err(Refused::gone)? {
        match (frame.kind, &mut stdin) {
            (to_agent::INPUT, Some(pipe)) => {
                // The command may have closed its stdin; that is its affair.
                if pipe.write_all(&frame.payload).await.is_err() {
                    stdin = None;
                }
            }
            (to_agent::INPUT, None) => {}
            (to_agent::END, _) => stdin = None,
            (other, _) => return Err(Refused::invalid(format!("unexpected frame of type {other}"))),
        }
    }
    Ok(())
}

async fn send_exit(writer: &mut Writer, exit: Exit) -> io::Result<()> {
    match exit {
        Exit::Code(code) => frame::write(writer, to_client::EXITED, &[&code.to_be_bytes()]).await,
        Exit::TimedOut => {
            let killed = (128 + Signal::SIGKILL as i32).to_be_bytes();
            frame::write(writer, to_client::EXITED, &[&killed, &[1]]).await
        }
    }
}
