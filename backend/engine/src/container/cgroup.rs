//! What a container's cgroup has counted, from cgroup v1's controllers or cgroup2.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = "/sys/fs/cgroup";
const NANOS_PER_TICK: u64 = 10_000_000;

/// The files of one container's cgroup.
#[derive(Clone, Debug)]
pub enum Cgroup {
    /// Controller → directory.
    V1(HashMap<String, PathBuf>),
    V2(PathBuf),
}

impl Cgroup {
    /// Where process `pid` is; `None` when it is gone.
    pub fn of(pid: i32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
        let mut controllers = HashMap::new();
        let mut unified = None;
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (_, names, path) = (fields.next()?, fields.next()?, fields.next()?);
            let path = path.trim_start_matches('/');
            if names.is_empty() {
                unified = Some(Path::new(ROOT).join(path));
                continue;
            }
            for name in names.split(',') {
                controllers.insert(name.to_owned(), Path::new(ROOT).join(name).join(path));
            }
        }
        let v2 = unified.filter(|path| path.join("cgroup.controllers").exists());
        match v2 {
            Some(path) if !Path::new(ROOT).join("memory").exists() => Some(Self::V2(path)),
            _ => Some(Self::V1(controllers)),
        }
    }

    /// The value of one file: `controller`'s on v1, in the one directory on v2.
    pub fn number(&self, controller: &str, v1: &str, v2: &str) -> Option<u64> {
        self.text(controller, v1, v2)?.trim().parse().ok()
    }

    /// A file of `key value` lines.
    pub fn table(&self, controller: &str, v1: &str, v2: &str) -> HashMap<String, u64> {
        let text = self.text(controller, v1, v2).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(key, value)| Some((key.to_owned(), value.trim().parse().ok()?)))
            .collect()
    }

    fn text(&self, controller: &str, v1: &str, v2: &str) -> Option<String> {
        let path = match self {
            Self::V1(directories) => directories.get(controller)?.join(v1),
            Self::V2(directory) => directory.join(v2),
        };
        fs::read_to_string(path).ok()
    }

    /// Nanoseconds on each processor; v2 does not say.
    pub fn per_cpu(&self) -> Option<Vec<u64>> {
        let text =
            self.text("cpuacct", "cpuacct.usage_percpu", "").filter(|_| matches!(self, Self::V1(_)))?;
        Some(text.split_whitespace().filter_map(|word| word.parse().ok()).collect())
    }

    /// Time on processors: in all, in user mode, in the kernel; nanoseconds.
    pub fn cpu(&self) -> (u64, u64, u64) {
        match self {
            Self::V1(_) => {
                let total = self.number("cpuacct", "cpuacct.usage", "").unwrap_or(0);
                let split = self.table("cpuacct", "cpuacct.stat", "");
                let ticks = |key: &str| split.get(key).copied().unwrap_or(0) * NANOS_PER_TICK;
                (total, ticks("user"), ticks("system"))
            }
            Self::V2(_) => {
                let table = self.table("", "", "cpu.stat");
                let nanos = |key: &str| table.get(key).copied().unwrap_or(0) * 1000;
                (nanos("usage_usec"), nanos("user_usec"), nanos("system_usec"))
            }
        }
    }
}

/// All processors' time since boot, as `docker stats` compares with; nanoseconds.
pub fn system_cpu() -> u64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = stat.lines().next().unwrap_or_default();
    let ticks: u64 =
        line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse::<u64>().ok()).sum();
    ticks * NANOS_PER_TICK
}
