//! Runs that an engine had begun and did not live to write down: nobody was told of them, so they are ended, and what
//! they had been given is given back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use drydock_runtime::bundle::ContainerId;
use drydock_runtime::delete::{DeleteError, Force, delete};
use drydock_runtime::state::StateDir;
use drydock_shim::config::{CONFIG_FILE, EXIT_FILE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::container::{Container, monitor};
use crate::engine::Engine;

/// A shim ends soon after its container; one that does not is killed.
const PATIENCE: Duration = Duration::from_secs(5);
const PERIOD: Duration = Duration::from_millis(5);

/// Ends the strays among containers that do not run as far as their records say.
pub async fn end(engine: &Arc<Engine>, containers: &[Arc<Container>]) {
    let (begun, others): (Vec<_>, Vec<_>) = containers.iter().partition(|container| was_begun(container));
    for container in others {
        // A start had come no further than this.
        if let Ok(Some(root)) = engine.images.detach_rootfs(container.id.as_str()) {
            engine.trash.free(root);
        }
    }
    if begun.is_empty() {
        return;
    }
    let shims = shims();
    for container in begun {
        let pid = shims.get(&container.run_dir).copied();
        let (root, id) = (engine.config.exec_root.join("runtime"), container.id.to_string());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || end_run(&root, &id, pid)).await {
            tracing::error!(container.id = %container.id, "{}", crate::error::chain(&error));
        }
        monitor::release(engine, container).await;
    }
}

/// Removes what a creation that was cut off has left: a folder with an id for its name, and no record in it.
pub fn clear_halves(engine: &Engine) {
    let folders =
        std::fs::read_dir(engine.config.data_root.join("containers")).into_iter().flatten().flatten();
    for folder in folders.filter(|folder| !folder.path().join("container.json").exists()) {
        if let Some(id) = folder.file_name().to_str() {
            // It has none when the creation came no further than the folder.
            _ = engine.images.remove_rootfs(id);
        }
        if let Err(error) = engine.trash.take(&folder.path()) {
            tracing::error!(path = %folder.path().display(), %error, "leftovers of a creation");
        }
    }
}

/// A start had come as far as its bundle, and no end was published.
fn was_begun(container: &Container) -> bool {
    let has = |name| container.run_dir.join(name).exists();
    !container.status().is_live() && has(CONFIG_FILE) && !has(EXIT_FILE)
}

fn end_run(root: &Path, id: &str, shim: Option<Pid>) -> Result<(), DeleteError> {
    let end = Instant::now() + PATIENCE;
    // It may still be making the container: what it makes is ended until it gives up.
    while let Some(pid) = shim.filter(|pid| kill(*pid, None).is_ok()) {
        forget(root, id)?;
        if Instant::now() > end {
            _ = kill(pid, Signal::SIGKILL);
            break;
        }
        std::thread::sleep(PERIOD);
    }
    forget(root, id)
}

/// Ends a container that the runtime knows, and takes its control groups and its state away.
pub fn forget(root: &Path, id: &str) -> Result<(), DeleteError> {
    let Ok(id) = ContainerId::parse(id) else { return Ok(()) };
    match StateDir::open(root, &id) {
        Ok((dir, state)) => delete(&dir, &state, Force::Yes),
        // Its folder may have been made, and nothing more.
        Err(_) => Ok(StateDir::at(root, &id).remove()?),
    }
}

/// The shims that run on this machine, by the folder each one was started for.
fn shims() -> HashMap<PathBuf, Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let shim = |process: std::fs::DirEntry| {
        let pid: i32 = process.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read_to_string(process.path().join("cmdline")).ok()?;
        let mut words = line.split('\0');
        let program = Path::new(words.next()?).file_name()?;
        (program == "drydock-shim").then_some((PathBuf::from(words.next()?), Pid::from_raw(pid)))
    };
    processes.filter_map(shim).collect()
}
