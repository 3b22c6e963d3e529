//! `drydock-agent [--engine PROGRAM [ARGUMENT]…]`: PID 1 of a node.
//!
//! It is started with listening unix sockets as `sd_listen_fds(3)` describes: `agent`, which it answers, and `docker`,
//! which it hands to every engine it starts.
//!
//! ```text
//! main (one thread)
//! ├─ reaper            waits for every process that ends
//! ├─ engine            starts the engine, again and again
//! └─ door              accepts connections
//!    ├─ connection     one per client: a request, then what belongs to it
//!    └─ terminal       one per terminal: its shells and the reading of them
//! ```
#![forbid(unsafe_code)]

mod accounts;
mod control_groups;
mod door;
mod engine;
mod exec;
mod files;
mod reaper;
mod stats;
mod terminal;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use anyhow::{Context, Result, bail};

use crate::door::Rooms;
use crate::engine::{Engine, Plan};
use crate::reaper::Reaper;
use crate::terminal::Terminals;

fn main() -> Result<()> {
    let sockets = Sockets::inherited()?;
    let plan = plan(std::env::args_os().skip(1), sockets.docker)?;
    tracing_subscriber::fmt().with_ansi(false).with_target(false).with_writer(std::io::stderr).init();
    if std::process::id() == 1 {
        control_groups::delegate();
    }
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build()?;
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, run(sockets.agent, plan))
}

/// Returns when the node shall end: the kernel ends every process with its PID 1.
async fn run(socket: UnixListener, plan: Option<Plan>) -> Result<()> {
    let reaper = Reaper::default();
    let mut reaping = tokio::task::spawn_local(reaper.clone().run());
    let engine = Engine::default();
    let rooms =
        Rooms { terminals: Terminals::new(reaper.clone()), reaper: reaper.clone(), engine: engine.clone() };
    socket.set_nonblocking(true)?;
    let socket = tokio::net::UnixListener::from_std(socket)?;
    tokio::task::spawn_local(door::serve(socket, Rc::new(rooms)));
    tokio::select! {
        () = engine.supervise(plan, &reaper) => Ok(()),
        failed = &mut reaping => failed?.context("cannot wait for processes"),
    }
}

struct Sockets {
    agent: UnixListener,
    docker: Option<OwnedFd>,
}

impl Sockets {
    /// By their names in `LISTEN_FDNAMES`.
    fn inherited() -> Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").context("no LISTEN_FDNAMES: started by hand?")?;
        let (mut agent, mut docker) = (None, None);
        for (number, name) in (3..).zip(names.split(':')) {
            let socket = drydock_sys::fds::take_inherited(number);
            let socket = socket.with_context(|| format!("descriptor {number} ({name}) is not open"))?;
            drydock_sys::fds::close_from_on_exec(3)?;
            match name {
                "agent" => agent = Some(UnixListener::from(socket)),
                "docker" => docker = Some(socket),
                other => bail!("an inherited socket is named {other}"),
            }
        }
        Ok(Self { agent: agent.context("no inherited socket is named agent")?, docker })
    }
}

fn plan(mut arguments: impl Iterator<Item = OsString>, socket: Option<OwnedFd>) -> Result<Option<Plan>> {
    match arguments.next() {
        None => Ok(None),
        Some(flag) if flag == "--engine" => {
            let program = arguments.next().context("--engine needs a program")?;
            Ok(Some(Plan { program, arguments: arguments.collect(), socket }))
        }
        Some(other) => bail!("unknown argument {}", other.display()),
    }
}
