//! Who serves the terminals, and what that costs it.

use std::time::Duration;

use anyhow::{Context, Result};
use drydock_wire::session::{Instance, Terminal};
use serde_json::{Value, json};

use crate::screen::{Dialect, Screen};

/// What a server's processes have used.
#[derive(Debug, Clone, Copy)]
pub struct Used {
    pub cpu: Duration,
    pub memory_kib: u64,
}

pub trait Server {
    /// A new terminal, watched.
    async fn open(&self) -> Result<Screen>;
    async fn used(&self) -> Result<Used>;
    /// A place for a file, where the shells see it.
    fn file(&self) -> String;
}

/// A gateway, and a session with one node.
pub struct Drydock {
    http: reqwest::Client,
    gateway: u32,
    session: String,
    instance: String,
}

impl Drydock {
    pub async fn make(base: &str, gateway: u32) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let made: Value =
            http.post(base).header("X-Requested-With", "XMLHttpRequest").send().await?.json().await?;
        let id = made["session_id"].as_str().with_context(|| format!("no session: {made}"))?;
        let session = format!("{base}/sessions/{id}");
        let instances = format!("{session}/instances");
        let node: Instance =
            http.post(&instances).json(&json!({})).send().await?.error_for_status()?.json().await?;
        let instance = format!("{instances}/{}", node.name);
        Ok(Self { http, gateway, session, instance })
    }

    pub async fn close(self) -> Result<()> {
        self.http.delete(&self.session).send().await?.error_for_status()?;
        Ok(())
    }

    async fn inside(&self, script: &str) -> Result<String> {
        let command = json!({ "command": ["sh", "-c", script] });
        let answer = self.http.post(format!("{}/exec", self.instance)).json(&command).send().await?;
        let ran: Value = answer.error_for_status()?.json().await?;
        Ok(ran["stdout"].as_str().with_context(|| format!("{script}: {ran}"))?.to_owned())
    }
}

impl Server for Drydock {
    async fn open(&self) -> Result<Screen> {
        let terminals = format!("{}/terminals", self.instance);
        let terminal: Terminal = self.http.post(&terminals).send().await?.error_for_status()?.json().await?;
        let url = format!("{terminals}/{}/ws", terminal.id);
        let screen = Screen::open(&url, Dialect::Drydock).await?;
        Ok(screen)
    }

    async fn used(&self) -> Result<Used> {
        let gateway = used_by(self.gateway)?;
        let agent = used(
            &self.inside("cat /proc/1/task/*/schedstat").await?,
            &self.inside("cat /proc/1/smaps_rollup").await?,
        )?;
        Ok(Used { cpu: gateway.cpu + agent.cpu, memory_kib: gateway.memory_kib + agent.memory_kib })
    }

    fn file(&self) -> String {
        "/root/big".to_owned()
    }
}

/// ttyd; it starts a shell for every socket.
pub struct Ttyd {
    url: String,
    pid: u32,
}

impl Ttyd {
    pub fn at(address: &str, pid: u32) -> Self {
        Self { url: format!("http://{address}/ws"), pid }
    }
}

impl Server for Ttyd {
    async fn open(&self) -> Result<Screen> {
        Screen::open(&self.url, Dialect::Ttyd).await
    }

    async fn used(&self) -> Result<Used> {
        used_by(self.pid)
    }

    fn file(&self) -> String {
        // The shells' folder is the benchmark's own.
        "./big".to_owned()
    }
}

fn used_by(pid: u32) -> Result<Used> {
    let mut threads = String::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        threads += &std::fs::read_to_string(thread?.path().join("schedstat"))?;
    }
    used(&threads, &std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?)
}

/// From each thread's `schedstat`, which begins with nanoseconds on a processor, and the process's `smaps_rollup`.
fn used(threads: &str, smaps: &str) -> Result<Used> {
    let spent = |line: &str| line.split_whitespace().next()?.parse::<u64>().ok();
    let nanoseconds = threads.lines().filter_map(spent).sum();
    let pss = smaps.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss")?;
    let memory_kib = pss.split_whitespace().next().context("no Pss")?.parse()?;
    Ok(Used { cpu: Duration::from_nanos(nanoseconds), memory_kib })
}
