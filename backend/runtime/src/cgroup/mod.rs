//! A container's control groups, in every hierarchy it is a member of.
//!
//! cgroup2 alone (*unified*), cgroup v1 (one hierarchy per controller), or both (*hybrid*: cgroup2 is mounted
//! without controllers). In the hybrid case the cgroup2 group is used too, for what v1 does badly: it takes the child in
//! from its first instruction, kills all at once (`cgroup.kill`) and freezes (`cgroup.freeze`).
//!
//! Under v1 a container joins every hierarchy: any of them may be asked for a limit later, and in a cgroup namespace each
//! becomes a root it sees.

mod apply;
mod devices;
mod discover;
mod settings;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

pub use apply::update;
pub use discover::{Hierarchies, Hierarchy, cgroups_path};
pub use settings::{Setting, v1_settings, v2_settings};

use oci_spec::runtime::LinuxResources;

/// The groups of one container, as remembered in its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// Folder by controller, or by `name=…`; controllers mounted together share one.
    #[serde(default)]
    pub v1: BTreeMap<String, PathBuf>,
    /// Folder in the cgroup2 hierarchy.
    #[serde(default)]
    pub v2: Option<PathBuf>,
    /// cgroup2 has the controllers (not the hybrid layout).
    #[serde(default)]
    pub unified: bool,
}

/// To whom the groups are handed, so that it may make groups below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delegate {
    pub uid: u32,
    pub gid: u32,
}

#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    #[error("find the cgroup hierarchies")]
    Discover(#[source] io::Error),
    #[error("invalid cgroupsPath {0:?}")]
    Path(PathBuf),
    #[error("make cgroup {path}")]
    Make {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("enable controllers in {path}")]
    Enable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("a limit needs the {controller} controller, which is not available here")]
    NoController { controller: String },
    #[error("{0} cannot be expressed in cgroup v2")]
    NotInV2(&'static str),
    #[error("failed to write {value:?}: write {file}")]
    Set {
        file: PathBuf,
        value: String,
        #[source]
        source: io::Error,
    },
    #[error("restrict devices")]
    Devices(#[source] io::Error),
    #[error("delegate {path}")]
    Delegate {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("open {path}")]
    Open {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("freeze or thaw {path}")]
    Freeze {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("kill the processes in {path}")]
    Kill {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("remove cgroup {path}")]
    Remove {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Cgroup {
    /// Makes the groups, sets the limits, and hands them over if asked. A failure leaves no group behind.
    pub fn create(
        hierarchies: &Hierarchies,
        path: &Path,
        resources: Option<&LinuxResources>,
        delegate: Option<Delegate>,
    ) -> Result<Self, CgroupError> {
        let cgroup = hierarchies.place(path, resources)?;
        let filled = cgroup.make().and_then(|()| {
            if let Some(resources) = resources {
                apply::limit(&cgroup, resources)?;
            }
            delegate.map_or(Ok(()), |delegate| cgroup.hand_over(delegate))
        });
        match filled {
            Ok(()) => Ok(cgroup),
            Err(error) => {
                // The first error is the one to report; removing is a courtesy here.
                let _ = cgroup.remove();
                Err(error)
            }
        }
    }

    /// The groups at `path` below these, of one v1 controller or of all hierarchies. They must exist.
    pub fn below(&self, controller: Option<&str>, path: &Path) -> Result<Self, CgroupError> {
        let refused = || CgroupError::Path(path.to_owned());
        if path.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(refused());
        }
        let path = path.strip_prefix("/").unwrap_or(path);
        let below = |folder: &PathBuf| match path.as_os_str().is_empty() {
            true => folder.clone(),
            false => folder.join(path),
        };
        let mut changed = self.clone();
        match controller {
            None => {
                changed.v1.values_mut().chain(&mut changed.v2).for_each(|folder| *folder = below(folder));
            }
            Some(name) => {
                let folder = self.v1.get(name);
                let folder =
                    folder.ok_or_else(|| CgroupError::NoController { controller: name.to_owned() })?;
                // Controllers mounted together move together.
                let shared = changed.v1.values_mut().filter(|other| *other == folder);
                shared.for_each(|other| *other = below(folder));
            }
        }
        Ok(changed)
    }

    /// Each folder once, v1 before v2.
    pub fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> = self.v1.values().map(PathBuf::as_path).collect();
        folders.dedup();
        folders.extend(self.v2.as_deref());
        folders
    }

    fn make(&self) -> Result<(), CgroupError> {
        let folders = self.folders();
        for (index, path) in folders.iter().enumerate() {
            if let Err(source) = make_dir(path) {
                for made in &folders[..index] {
                    let _ = rustix::fs::rmdir(*made);
                }
                return Err(CgroupError::Make { path: path.to_path_buf(), source });
            }
        }
        if self.unified
            && let Some(path) = &self.v2
        {
            apply::enable_controllers(path)?;
        }
        if let Some(path) = self.v1.get("cpuset") {
            apply::inherit_cpuset(path)?;
        }
        Ok(())
    }

    /// Gives the folders and the files that move processes to another owner; limits stay ours.
    fn hand_over(&self, delegate: Delegate) -> Result<(), CgroupError> {
        // The list of `/sys/kernel/cgroup/delegate`, and v1's equivalents.
        const FILES: [&str; 5] = ["", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control", "tasks"];
        for folder in self.folders() {
            for file in FILES {
                let path = if file.is_empty() { folder.to_owned() } else { folder.join(file) };
                match std::os::unix::fs::chown(&path, Some(delegate.uid), Some(delegate.gid)) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    other => other.map_err(|source| CgroupError::Delegate { path, source })?,
                }
            }
        }
        Ok(())
    }

    /// Opens what a process writes `0` to in order to join each v1 group by itself.
    ///
    /// `tasks`, not `cgroup.procs`: for the writing thread alone the kernel takes no process-wide lock, whose first
    /// taker waits for an RCU grace period (milliseconds).
    pub fn open_v1_tasks(&self) -> Result<Vec<std::fs::File>, CgroupError> {
        let mut folders: Vec<&Path> = self.v1.values().map(PathBuf::as_path).collect();
        folders.dedup();
        folders
            .into_iter()
            .map(|folder| {
                let path = folder.join("tasks");
                let file = std::fs::OpenOptions::new().write(true).open(&path);
                file.map_err(|source| CgroupError::Open { path, source })
            })
            .collect()
    }

    /// Opens the cgroup2 folder, for `CLONE_INTO_CGROUP`.
    pub fn open_v2(&self) -> Result<Option<std::fs::File>, CgroupError> {
        let open = |path: &PathBuf| {
            std::fs::File::open(path).map_err(|source| CgroupError::Open { path: path.clone(), source })
        };
        self.v2.as_ref().map(open).transpose()
    }

    /// Every process in the container, those in groups below it included, as the caller sees them.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut pids = Vec::new();
        if let Some(folder) = self.main_folder() {
            collect_pids(folder, &mut pids)
                .map_err(|source| CgroupError::Open { path: folder.to_owned(), source })?;
        }
        Ok(pids)
    }

    /// The folder whose members are the container's: cgroup2's, or any v1 one.
    fn main_folder(&self) -> Option<&Path> {
        self.v2.as_deref().or_else(|| self.v1.values().next().map(PathBuf::as_path))
    }

    /// Freezes or thaws all processes, and waits until it is so.
    pub fn freeze(&self, frozen: bool) -> Result<(), CgroupError> {
        let Some((file, value, observed, wanted)) = self.freezer(frozen) else {
            return Err(CgroupError::NoController { controller: "freezer".into() });
        };
        write(&file, value).map_err(|source| CgroupError::Freeze { path: file.clone(), source })?;
        let reached = wait_until(Duration::from_secs(10), || {
            // v1 may need to be told again when a process forked meanwhile.
            let _ = write(&file, value);
            std::fs::read_to_string(&observed).is_ok_and(|text| text.contains(wanted))
        });
        if reached {
            return Ok(());
        }
        Err(CgroupError::Freeze { path: file, source: io::ErrorKind::TimedOut.into() })
    }

    fn freezer(&self, frozen: bool) -> Option<(PathBuf, &'static str, PathBuf, &'static str)> {
        if let Some(folder) = &self.v2 {
            let (value, wanted) = if frozen { ("1", "frozen 1") } else { ("0", "frozen 0") };
            return Some((folder.join("cgroup.freeze"), value, folder.join("cgroup.events"), wanted));
        }
        let file = self.v1.get("freezer")?.join("freezer.state");
        let value = if frozen { "FROZEN" } else { "THAWED" };
        Some((file.clone(), value, file, value))
    }

    pub fn frozen(&self) -> bool {
        self.freezer(true).is_some_and(|(_, _, observed, wanted)| {
            std::fs::read_to_string(observed).is_ok_and(|text| text.contains(wanted))
        })
    }

    /// Kills every process, frozen ones included.
    pub fn kill_all(&self) -> Result<(), CgroupError> {
        if let Some(folder) = &self.v2 {
            let path = folder.join("cgroup.kill");
            match write(&path, "1") {
                // A kernel before 5.14 has no such file, and a group already gone has no process.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => return other.map_err(|source| CgroupError::Kill { path, source }),
            }
        }
        // Until no new one appears: a process may fork between the reading and the signal.
        let emptied = wait_until(Duration::from_secs(10), || {
            let pids = self.pids().unwrap_or_default();
            for pid in pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            pids.is_empty()
        });
        let path = self.main_folder().unwrap_or(Path::new("")).to_owned();
        if emptied { Ok(()) } else { Err(CgroupError::Kill { path, source: io::ErrorKind::TimedOut.into() }) }
    }

    /// Removes the groups, with any made below them. Goes on after a failure and reports the first.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first = Ok(());
        for folder in self.folders() {
            let removed =
                remove_tree(folder).map_err(|source| CgroupError::Remove { path: folder.to_owned(), source });
            first = first.and(removed);
        }
        first
    }

    /// How often the kernel killed a process of this container for lack of memory; `None` where it does not count.
    pub fn oom_kills(&self) -> Option<u64> {
        let file = match (self.unified, &self.v2, self.v1.get("memory")) {
            (true, Some(folder), _) => folder.join("memory.events"),
            (_, _, Some(folder)) => folder.join("memory.oom_control"),
            _ => return None,
        };
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    match rustix::fs::mkdir(path, rustix::fs::Mode::from_raw_mode(0o755)) {
        Err(rustix::io::Errno::NOENT) => std::fs::create_dir_all(path),
        // Left by an earlier container that ended badly, or shared on purpose.
        Err(rustix::io::Errno::EXIST) => Ok(()),
        other => Ok(other?),
    }
}

/// Writes to an existing control file: creating one is never meant, and truncation is not understood by all.
pub(crate) fn write(path: &Path, value: &str) -> io::Result<()> {
    let file = rustix::fs::open(
        path,
        rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::io::write(&file, value.as_bytes())?;
    Ok(())
}

fn collect_pids(folder: &Path, pids: &mut Vec<i32>) -> io::Result<()> {
    let text = match std::fs::read_to_string(folder.join("cgroup.procs")) {
        // A threaded or vanished group has no list of its own.
        Err(error) if matches!(error.raw_os_error(), Some(2 | 19 | 95)) => String::new(),
        other => other?,
    };
    pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect_pids(&entry.path(), pids)?;
        }
    }
    Ok(())
}

fn remove_tree(folder: &Path) -> io::Result<()> {
    let mut result = Ok(());
    // A killed process leaves its group a moment after it was reaped.
    wait_until(Duration::from_secs(2), || {
        result = match rustix::fs::rmdir(folder) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        };
        if result.is_ok() {
            return true;
        }
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                let _ = remove_tree(&entry.path());
            }
        }
        result = rustix::fs::rmdir(folder).map_err(io::Error::from);
        result.is_ok()
    });
    result
}

/// Asks again with growing pauses until `reached` or the time is up.
pub(crate) fn wait_until(limit: Duration, mut reached: impl FnMut() -> bool) -> bool {
    let (begin, mut pause) = (Instant::now(), Duration::from_micros(100));
    loop {
        if reached() {
            return true;
        }
        if begin.elapsed() > limit {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
