//! A node's cgroup in every hierarchy of the host, v1 or v2: given to the node, emptied, removed.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::processes::wait_until;

/// What a node may write in its own topmost group: what makes groups below it and moves processes into them.
/// Its limits are not among them, so it cannot lift them.
const DELEGATED: [&str; 5] = ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"];

/// How long killed processes may take to leave their group.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where cgroup hierarchies are mounted, from proc_pid_mountinfo(5).
pub fn hierarchies(mountinfo: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = mountinfo
        .lines()
        .filter_map(|line| {
            let (mount, filesystem) = line.split_once(" - ")?;
            let kind = filesystem.split(' ').next()?;
            let point = mount.split(' ').nth(4)?;
            (kind == "cgroup" || kind == "cgroup2").then(|| PathBuf::from(point))
        })
        .collect();
    found.dedup();
    found
}

fn groups(path: &str) -> io::Result<Vec<PathBuf>> {
    let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
    let name = path.trim_start_matches('/');
    let groups = hierarchies(&mountinfo).into_iter().map(|hierarchy| hierarchy.join(name));
    Ok(groups.filter(|group| group.is_dir()).collect())
}

/// Lets `owner` make groups of its own below `path`.
pub fn delegate(path: &str, owner: u32) -> io::Result<()> {
    for group in groups(path)? {
        for file in DELEGATED.iter().map(|name| group.join(name)).filter(|file| file.exists()) {
            chown(&file, Some(owner), Some(owner))?;
        }
    }
    Ok(())
}

/// Kills whatever is in the group or below it and removes it all. No error when there is none.
pub fn remove(path: &str) -> io::Result<()> {
    let groups = groups(path)?;
    let mut outcome = Ok(());
    let removed = wait_until(PATIENCE, || {
        outcome = groups.iter().try_for_each(|group| remove_tree(group));
        outcome.is_ok()
    });
    if removed { Ok(()) } else { outcome }
}

fn remove_tree(group: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
            kill_members(group)?;
            Err(error)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn kill_members(group: &Path) -> io::Result<()> {
    let members = fs::read_to_string(group.join("cgroup.procs"))?;
    for pid in members.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 1) {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    Ok(())
}

/// The names of the groups right below `path`, in any hierarchy.
pub fn children(path: &str) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for group in groups(path)? {
        for entry in fs::read_dir(group)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let text = "30 24 0:26 / /sys/fs/cgroup ro - tmpfs tmpfs ro\n\
                    31 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
                    32 30 0:28 / /sys/fs/cgroup/unified rw shared:4 - cgroup2 cgroup2 rw\n";
        let found = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(hierarchies(text), found);
    }
}
