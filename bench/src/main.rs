//! Times a Docker engine through its API, or an OCI runtime by its command line, side by side with peers: `drydock-bench
//! engine IMAGE BARE_MICROSECONDS NAME=SOCKET…`, `drydock-bench runtime BUNDLE BARE_MICROSECONDS NAME=PROGRAM…`;
//! `drydock-bench swarm IMAGE ADDRESS=PID=SOCKET…` makes a swarm of engines; `drydock-bench ready PID SOCKET` waits for the first answer of an engine.
//! `listen ADDRESS`, `send ADDRESS SECONDS` and `ask SERVER NAME SECONDS` are run inside a network namespace.
//!
//! Runs are interleaved (A B A B …), since these machines are shared and their speed drifts: trust the ratios.
#![forbid(unsafe_code)]

mod engine;
mod http;
mod network;
mod runtime;
mod swarm;
mod table;

use anyhow::{Result, bail, ensure};

/// Waits until an engine answers its first ping; without the starts of a program for every question.
fn ready(pid: &str, socket: &str) -> Result<()> {
    let alive = || std::path::Path::new("/proc").join(pid).exists();
    while http::Client::connect(socket).and_then(|mut client| client.call("GET", "/_ping", None)).is_err() {
        ensure!(alive(), "process {pid} ended before it answered on {socket}");
        std::thread::sleep(std::time::Duration::from_micros(200));
    }
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.split_first() {
        Some((command, rest)) if command == "engine" && rest.len() >= 3 => {
            engine::compare(&rest[0], rest[1].parse::<f64>()? / 1e3, &rest[2..])
        }
        Some((command, rest)) if command == "runtime" && rest.len() >= 3 => {
            runtime::compare(rest[0].as_ref(), rest[1].parse::<f64>()? / 1e3, &rest[2..])
        }
        Some((command, rest)) if command == "swarm" && rest.len() >= 2 => {
            swarm::measure(&rest[0], &rest[1..])
        }
        Some((command, [pid, socket])) if command == "ready" => ready(pid, socket),
        Some((command, [address])) if command == "listen" => network::listen(address),
        Some((command, [address, seconds])) if command == "send" => network::send(address, seconds.parse()?),
        Some((command, [server, name, seconds])) if command == "ask" => {
            network::ask(server, name, seconds.parse()?)
        }
        _ => bail!(
            "usage: drydock-bench engine IMAGE BARE_MICROSECONDS NAME=SOCKET…, runtime BUNDLE BARE_MICROSECONDS NAME=PROGRAM…, \
             swarm IMAGE ADDRESS=PID=SOCKET…, ready PID SOCKET, listen ADDRESS, send ADDRESS SECONDS, or ask SERVER NAME SECONDS"
        ),
    }
}
