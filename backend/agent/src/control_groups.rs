//! Makes room in the node's own cgroup for the cgroups of containers.

use std::fs;
use std::io;

const ROOT: &str = "/sys/fs/cgroup";

/// Under cgroup v2 a group with processes of its own cannot have controllers for its children (cgroups(7), "no
/// internal processes"), so the agent moves itself into a leaf. Under v1 there is nothing to do.
pub fn delegate() {
    let Ok(controllers) = fs::read_to_string(format!("{ROOT}/cgroup.controllers")) else { return };
    if let Err(error) = make_leaf(&controllers) {
        tracing::warn!(%error, "containers cannot be limited");
    }
}

fn make_leaf(controllers: &str) -> io::Result<()> {
    let leaf = format!("{ROOT}/init.scope");
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::write(format!("{leaf}/cgroup.procs"), "0")?;
    let enable: Vec<String> = controllers.split_whitespace().map(|name| format!("+{name}")).collect();
    fs::write(format!("{ROOT}/cgroup.subtree_control"), enable.join(" "))
}
