//! `echo --base URL --gateway PID --pty JSON [--ttyd ADDR:PORT --ttyd-pid PID]`: how a terminal does through
//! the real WebSocket of a running gateway, with ttyd and a bare pty beside it.
//!
//! Makes a session with one node. Types into `cat` and waits for each echo, lets `yes` flood the terminal, lets `cat` print
//! a file while the servers' processor time is taken, and opens more terminals while their memory is. The node's
//! half is its PID 1, which is asked inside the node.

mod measure;
mod screen;
mod server;

use anyhow::{Context, Result};
use measure::Figures;
use serde::Deserialize;
use server::{Drydock, Ttyd};

#[derive(Debug, Default)]
struct Options {
    base: String,
    gateway: u32,
    pty: String,
    ttyd: Option<String>,
    ttyd_pid: u32,
}

/// What `bare_pty.py` prints.
#[derive(Debug, Deserialize)]
struct Pty {
    echo_p50_us: f64,
    echo_p99_us: f64,
    flood_mb_per_s: f64,
    cat_cpu_s: f64,
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let value = words.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--base" => options.base = value.trim_end_matches('/').to_owned(),
            "--gateway" => options.gateway = value.parse()?,
            "--pty" => options.pty = value,
            "--ttyd" => options.ttyd = Some(value),
            "--ttyd-pid" => options.ttyd_pid = value.parse()?,
            other => anyhow::bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let options = options()?;
    let pty: Pty = serde_json::from_str(&options.pty).context("--pty")?;
    let ours = Drydock::make(&options.base, options.gateway).await?;
    let measured = measure::all(&ours).await;
    ours.close().await?;
    let measured = measured?;
    let peer = match &options.ttyd {
        Some(address) => Some(measure::all(&Ttyd::at(address, options.ttyd_pid)).await?),
        None => None,
    };
    print(&measured, peer.as_ref(), &pty);
    Ok(())
}

fn print(ours: &Figures, ttyd: Option<&Figures>, pty: &Pty) {
    let row = |what: &str, of: fn(&Figures) -> f64, bare: Option<f64>, limit: String| {
        let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
        println!(
            "{what:32} {:>9} {:>9} {:>9}   {limit}",
            cell(Some(of(ours))),
            cell(ttyd.map(of)),
            cell(bare)
        );
    };
    println!("{:32} {:>9} {:>9} {:>9}   limit", "", "drydock", "ttyd", "bare pty");
    row("keystroke echo, p50, µs", |f| f.echo_p50_us, Some(pty.echo_p50_us), "≤ 130".to_owned());
    row("keystroke echo, p99, µs", |f| f.echo_p99_us, Some(pty.echo_p99_us), "≤ 1500".to_owned());
    let flood = format!("≥ {:.1}, 0.9 of the pty", 0.9 * pty.flood_mb_per_s);
    row("flood of 8-byte lines, MB/s", |f| f.flood_mb_per_s, Some(pty.flood_mb_per_s), flood);
    row("server CPU per key, µs", |f| f.key_cpu_us, None, "≤ 35".to_owned());
    row("server CPU, cat of 100 MB, s", |f| f.cat_cpu_s, Some(pty.cat_cpu_s), "≤ 0.7".to_owned());
    row("memory per terminal, KiB", |f| f.terminal_kib, None, "≤ 10, and scrollback".to_owned());
    println!("bytes lost: {}", ours.lost);
}
