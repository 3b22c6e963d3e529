//! Times a terminal of a running agent: `terminal AGENT_SOCKET`.
//!
//! Prints keystroke echo p50 and p99 (through agent and client, without a browser), the throughput of 8-byte lines and of
//! long lines, and what the agent's process used for it.

use std::fs;
use std::time::{Duration, Instant};

use drydock_agent::client::{Agent, Attachment, Event};
use drydock_agent::protocol::{Mode, Pacing, Size};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let socket = std::env::args().nth(1).expect("usage: terminal AGENT_SOCKET");
    let agent = Agent::at(&socket);
    let id = agent.open_terminal(Size::default()).await.unwrap();
    let mut terminal = agent.attach(id, 0, Mode::ReadWrite, Pacing::Acknowledged).await.unwrap();
    line(&mut terminal, "PS1='$ '; echo ready-$((1+1))").await;
    until(&mut terminal, b"ready-2").await;
    keystrokes(&mut terminal).await;
    for (what, command) in [
        ("8-byte lines", "yes 1234567 | head -c 30000000"),
        (
            "80-byte lines",
            "yes 1234567890123456789012345678901234567890123456789012345678901234567890123456789 | head -c 100000000",
        ),
    ] {
        line(&mut terminal, &format!("{command}; echo flood-$((1+1))")).await;
        let begun = Instant::now();
        let bytes = until(&mut terminal, b"flood-2").await;
        let seconds = begun.elapsed().as_secs_f64();
        println!("flood, {what:14} {:>7.1} MB/s", bytes as f64 / 1e6 / seconds);
    }
    agent.close_terminal(id).await.unwrap();
}

async fn line(terminal: &mut Attachment, text: &str) {
    terminal.viewer.input(format!("{text}\r").as_bytes()).await.unwrap();
}

/// Reads and acknowledges until `wanted` has been seen; returns how many bytes came.
async fn until(terminal: &mut Attachment, wanted: &[u8]) -> u64 {
    let (mut bytes, mut tail) = (0, Vec::new());
    loop {
        let Some(Event::Output { offset, data }) = terminal.next().await.unwrap() else { continue };
        let end = offset + data.len() as u64;
        terminal.viewer.acknowledge(end).await.unwrap();
        bytes += data.len() as u64;
        tail.extend_from_slice(&data);
        if tail.windows(wanted.len()).any(|window| window == wanted) {
            return bytes;
        }
        tail.drain(..tail.len().saturating_sub(wanted.len()));
    }
}

/// The echo of the line discipline: a shell's own would be timed too.
async fn keystrokes(terminal: &mut Attachment) {
    line(terminal, "echo cat-$((1+1)); cat >/dev/null").await;
    until(terminal, b"cat-2\r\n").await;
    let mut times = Vec::new();
    for _ in 0..2000 {
        let begun = Instant::now();
        terminal.viewer.input(b"x").await.unwrap();
        until(terminal, b"x").await;
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
    terminal.viewer.input(b"\r\x04").await.unwrap();
    until(terminal, b"$ ").await;
    times.sort_unstable();
    println!("keystroke echo p50 {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    if let Ok(load) = fs::read_to_string("/proc/loadavg") {
        println!("(load {})", load.trim());
    }
}
