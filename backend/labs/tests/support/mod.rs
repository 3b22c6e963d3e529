//! A node that is a folder of this machine, with the machine's own bash.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use drydock_labs::attempt::{NodeFailure, Nodes, Ran};
use drydock_labs::lab::Link;

#[derive(Debug, Clone)]
pub struct Folder(Arc<tempfile::TempDir>);

impl Folder {
    pub fn make() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Nodes for Folder {
    async fn run(
        &self,
        node: &str,
        script: &str,
        values: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<Ran, NodeFailure> {
        let mut command = tokio::process::Command::new("bash");
        command.args(["-c", script]).current_dir(self.path()).envs(values).kill_on_drop(true);
        let timed_out = |_| NodeFailure::TimedOut { node: node.to_owned(), seconds: limit.as_secs() };
        let output = tokio::time::timeout(limit, command.output()).await.map_err(timed_out)?;
        let output = output
            .map_err(|error| NodeFailure::Unreachable { node: node.to_owned(), source: error.into() })?;
        Ok(Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn write(&self, node: &str, path: &str, _: u32, content: &[u8]) -> Result<(), NodeFailure> {
        let file = self.path().join(path.trim_start_matches('/'));
        std::fs::write(file, content)
            .map_err(|error| NodeFailure::Unreachable { node: node.to_owned(), source: error.into() })
    }

    /// What cables lose is a file named by the ends, for a check to see.
    async fn lose(&self, link: &Link) -> Result<(), NodeFailure> {
        let name = format!("lost-{}-{}", link.one, link.other.as_deref().unwrap_or("switch"));
        self.write(&link.one, &name, 0o644, link.loss.to_string().as_bytes()).await
    }
}
