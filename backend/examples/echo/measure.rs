//! What is measured, the same of every server.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::screen::Screen;
use crate::server::Server;

const KEYS: usize = 2000;
/// Between keys, so that each is a key of its own.
const PAUSE: Duration = Duration::from_millis(2);
const FLOOD: u64 = 100_000_000;
const TERMINALS: usize = 24;

#[derive(Debug)]
pub struct Figures {
    pub echo_p50_us: f64,
    pub echo_p99_us: f64,
    pub flood_mb_per_s: f64,
    pub key_cpu_us: f64,
    pub cat_cpu_s: f64,
    pub terminal_kib: f64,
    pub lost: u64,
}

pub async fn all(server: &impl Server) -> Result<Figures> {
    let terminal_kib = memory(server).await?;
    let mut screen = server.open().await?;
    screen.settle().await?;
    let (echoes, key_cpu_us) = echoes(server, &mut screen).await?;
    let flood_mb_per_s = flood(&mut screen).await?;
    let cat_cpu_s = cat(server, &mut screen).await?;
    let at = |share: f64| echoes[((echoes.len() - 1) as f64 * share) as usize];
    Ok(Figures {
        echo_p50_us: at(0.5),
        echo_p99_us: at(0.99),
        flood_mb_per_s,
        key_cpu_us,
        cat_cpu_s,
        terminal_kib,
        lost: screen.lost,
    })
}

/// Microseconds of each echo in order of length, and of the server's processor time for one.
async fn echoes(server: &impl Server, screen: &mut Screen) -> Result<(Vec<f64>, f64)> {
    screen.run("cat >/dev/null").await?;
    let before = server.used().await?.cpu;
    let began = Instant::now();
    let mut echoes = Vec::with_capacity(KEYS);
    for _ in 0..KEYS {
        tokio::time::sleep(PAUSE).await;
        let before = screen.received;
        let typed = Instant::now();
        screen.type_in(b"x").await?;
        while screen.received == before {
            screen.receive().await?;
        }
        echoes.push(typed.elapsed().as_secs_f64() * 1e6);
    }
    let cpu = server.used().await?.cpu.saturating_sub(before);
    // What it does meanwhile without us: looks at its nodes once a second.
    let before = server.used().await?.cpu;
    tokio::time::sleep(began.elapsed()).await;
    let cpu = cpu.saturating_sub(server.used().await?.cpu.saturating_sub(before));
    screen.type_in(b"\x03").await?;
    screen.settle().await?;
    echoes.sort_by(f64::total_cmp);
    Ok((echoes, cpu.as_secs_f64() * 1e6 / KEYS as f64))
}

async fn flood(screen: &mut Screen) -> Result<f64> {
    let before = screen.received;
    let began = Instant::now();
    // What the shell prints at the end is not in the command: its echo would end the flood.
    let command = format!("yes 1234567 | head -c {FLOOD}; echo FLOOD-$((1+1))END\r");
    screen.type_in(command.as_bytes()).await?;
    screen.until(b"FLOOD-2END").await?;
    let (bytes, took) = (screen.received - before, began.elapsed());
    ensure!(bytes >= FLOOD, "{bytes} of {FLOOD} bytes came");
    Ok(bytes as f64 / 1e6 / took.as_secs_f64())
}

/// Seconds of processor time of the server for a file of 100 MB.
async fn cat(server: &impl Server, screen: &mut Screen) -> Result<f64> {
    let file = server.file();
    let command = format!("head -c 75000000 /dev/zero | base64 >{file}; echo FILE-$((1+1))END\r");
    screen.type_in(command.as_bytes()).await?;
    screen.until(b"FILE-2END").await?;
    screen.settle().await?;
    let before = server.used().await?.cpu;
    screen.type_in(format!("cat {file}; echo CAT-$((1+1))END\r").as_bytes()).await?;
    screen.until(b"CAT-2END").await?;
    Ok(server.used().await?.cpu.saturating_sub(before).as_secs_f64())
}

/// KiB that one more terminal with one viewer takes.
async fn memory(server: &impl Server) -> Result<f64> {
    let mut warm = server.open().await?;
    warm.settle().await?;
    server.used().await?;
    let before = server.used().await?.memory_kib;
    let mut screens = Vec::new();
    for _ in 0..TERMINALS {
        screens.push(server.open().await?);
    }
    for screen in &mut screens {
        screen.until_something().await?;
    }
    let after = server.used().await?.memory_kib;
    Ok((after as f64 - before as f64) / TERMINALS as f64)
}
