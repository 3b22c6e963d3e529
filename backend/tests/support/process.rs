//! A gateway as a process of its own, which can be killed and measured.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use tempfile::TempDir;

use super::{Play, eventually};

/// Dropped, it ends with all its nodes, so that a failed test leaves none behind.
pub struct Process {
    child: Child,
    /// Gone when the next process takes it over.
    data: Option<TempDir>,
    pub address: String,
}

impl Process {
    pub async fn start(data: TempDir) -> Self {
        let web = data.path().join("dist/web");
        std::fs::create_dir_all(&web).unwrap();
        std::fs::write(web.join("index.html"), "<!doctype html>").unwrap();
        for part in ["bin", "images"] {
            let link = data.path().join("dist").join(part);
            let _ = std::os::unix::fs::symlink(super::dist().join(part).canonicalize().unwrap(), link);
        }
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_drydock"))
            .args(["serve", "--offline", "--listen", &address, "--data-dir"])
            .arg(data.path().join("data"))
            .arg("--dist")
            .arg(data.path().join("dist"))
            .args(["--image-store", concat!(env!("CARGO_TARGET_TMPDIR"), "/image-store")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, data: Some(data), address };
        eventually(async || {
            let ping = reqwest::get(format!("http://{}/ping", process.address)).await;
            ping.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        process
    }

    pub async fn session(&self) -> Play {
        self.session_of("empty").await
    }

    pub async fn session_of(&self, stack: &str) -> Play {
        let http = reqwest::Client::new();
        let url = format!("http://{}", self.address);
        let form = [("stack_name", stack)];
        let made =
            http.post(&url).header("X-Requested-With", "XMLHttpRequest").form(&form).send().await.unwrap();
        let made: serde_json::Value = made.json().await.unwrap();
        let id = made["session_id"].as_str().unwrap().to_owned();
        Play { url: format!("{url}/sessions/{id}"), id, http }
    }

    /// As an operator stops it.
    pub fn terminate(mut self) -> TempDir {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        self.data.take().unwrap()
    }

    /// As `kill -9`.
    pub fn kill(mut self) -> TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data.take().unwrap()
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.data.as_ref().expect("it runs").path().join("data")
    }

    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub async fn output_bytes(&self) -> u64 {
        let text =
            reqwest::get(format!("http://{}/metrics", self.address)).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("drydock_terminal_output_bytes_total")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn end(self) {
        let data = self.kill();
        assert!(reset(data.path()).unwrap().success());
        assert!(!data.path().join("data").exists());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail when the process has ended as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(data) = &self.data {
            let _ = reset(data.path());
        }
    }
}

fn reset(folder: &Path) -> std::io::Result<ExitStatus> {
    Command::new(env!("CARGO_BIN_EXE_drydock"))
        .args(["reset", "--data-dir"])
        .arg(folder.join("data"))
        .arg("--dist")
        .arg(folder.join("dist"))
        .args(["--image-store", concat!(env!("CARGO_TARGET_TMPDIR"), "/image-store")])
        .status()
}
