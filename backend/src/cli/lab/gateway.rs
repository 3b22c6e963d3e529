//! A gateway of its own for a rehearsal: a child process with a data folder in /tmp, both gone afterwards.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// The first start unpacks the node image.
const READY_LIMIT: Duration = Duration::from_secs(300);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub struct Gateway {
    pub url: String,
    child: Child,
    folder: PathBuf,
}

impl Gateway {
    /// Starts `drydock serve` with the labs of these files, and waits until a session can be made.
    pub async fn start(labs: &[PathBuf]) -> anyhow::Result<Self> {
        let folder = std::env::temp_dir().join(format!("drydock-lab-{}", std::process::id()));
        offer(labs, &folder.join("labs"))?;
        let address = free_address().context("no free port on 127.0.0.1")?;
        let program = std::env::current_exe().context("cannot find my own program")?;
        let log =
            std::fs::File::create(folder.join("gateway.log")).context("cannot write the gateway's log")?;
        let child = Command::new(program)
            .arg("serve")
            .args(["--listen", &address.to_string()])
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--labs")
            .arg(folder.join("labs"))
            .stdin(Stdio::null())
            .stdout(Stdio::from(log.try_clone().context("cannot share the gateway's log")?))
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .context("cannot start drydock serve")?;
        let mut gateway = Self { url: format!("http://{address}"), child, folder };
        match gateway.ready().await {
            Ok(()) => Ok(gateway),
            Err(error) => {
                gateway.end().await.context("cannot clean up")?;
                Err(error)
            }
        }
    }

    async fn ready(&mut self) -> anyhow::Result<()> {
        let ping = format!("{}/ping", self.url);
        let end = Instant::now() + READY_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("drydock serve ended with {status}:\n{}", self.log());
            }
            if reqwest::get(&ping).await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("drydock serve was not ready in time:\n{}", self.log());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// What the gateway logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default()
    }

    /// Ends the gateway with all its sessions and nodes, and removes its folder.
    pub async fn end(mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_none() {
            // Sessions are ended by the reset; the gateway itself has nothing to say goodbye to.
            self.child.start_kill().context("cannot stop the gateway")?;
            tokio::time::timeout(STOP_LIMIT, self.child.wait())
                .await
                .context("the gateway does not stop")??;
        }
        let data = self.folder.join("data");
        if data.exists() {
            let output = Command::new(std::env::current_exe()?)
                .args(["reset", "--data-dir"])
                .arg(&data)
                .output()
                .await
                .context("cannot start drydock reset")?;
            if !output.status.success() {
                bail!("drydock reset failed: {}", String::from_utf8_lossy(&output.stderr).trim());
            }
        }
        std::fs::remove_dir_all(&self.folder)
            .with_context(|| format!("cannot remove {}", self.folder.display()))
    }
}

/// A folder of links to the labs under test, as the server wants them.
fn offer(files: &[PathBuf], folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for file in files {
        let whole = file.canonicalize().with_context(|| format!("cannot find {}", file.display()))?;
        // A post is a file of its own, any other lab is its folder.
        let lab = if whole.extension().is_some_and(|kind| kind == "markdown") {
            Some(&*whole)
        } else {
            whole.parent()
        };
        let lab = lab.context("a lab lies in a folder")?;
        let name = lab.file_name().context("a lab's folder has a name")?;
        symlink(lab, folder.join(name)).with_context(|| format!("two labs are called {}", name.display()))?;
    }
    Ok(())
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
