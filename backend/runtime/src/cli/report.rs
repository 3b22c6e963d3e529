//! The commands that only look.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use drydock_runtime::rootfs::options;
use drydock_runtime::state::{self, OCI_VERSION, State, StateDir, Status};
use oci_spec::runtime::Spec;
use serde::Serialize;
use serde_json::{Value, json};

use super::Outcome;
use super::options::{Global, UsageError, Word, Words, parse_id};

/// A state as runc prints it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    oci_version: &'a str,
    id: &'a str,
    pid: i32,
    status: Status,
    bundle: &'a Path,
    rootfs: &'a Path,
    created: &'a str,
    #[serde(skip_serializing_if = "std::collections::HashMap::is_empty")]
    annotations: &'a std::collections::HashMap<String, String>,
    owner: &'a str,
}

impl<'a> Shown<'a> {
    pub fn of(dir: &StateDir, state: &'a State) -> Self {
        let status = dir.status(state);
        Self {
            oci_version: &state.oci_version,
            id: state.id.as_str(),
            pid: if status == Status::Stopped { 0 } else { state.pid },
            status,
            bundle: &state.bundle,
            rootfs: &state.rootfs,
            created: &state.created,
            annotations: &state.annotations,
            owner: &state.owner,
        }
    }
}

pub fn list(global: &Global, words: &mut Words) -> Outcome {
    let (mut json, mut quiet) = (false, false);
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "f" || name == "format" => json = words.text()? == "json",
            Word::Option(name) if name == "q" || name == "quiet" => quiet = words.switch(),
            Word::Option(name) => return Err(words.unexpected(&name).into()),
            Word::Value(extra) => return Err(lexopt::Error::UnexpectedArgument(extra).into()),
        }
    }
    let containers = state::list(&global.root)?;
    let shown: Vec<Shown<'_>> = containers.iter().map(|(dir, state)| Shown::of(dir, state)).collect();
    if quiet {
        shown.iter().for_each(|shown| println!("{}", shown.id));
    } else if json {
        println!("{}", serde_json::to_string(&shown)?);
    } else {
        println!("{:<24} {:<9} {:<9} {:<40} {:<31} OWNER", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
        for s in &shown {
            let status = serde_json::to_value(s.status)?;
            let (status, bundle) = (status.as_str().unwrap_or_default(), s.bundle.display());
            println!("{:<24} {:<9} {status:<9} {bundle:<40} {:<31} {}", s.id, s.pid, s.created, s.owner);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `ps ID [--format json] [ps options]`.
pub fn ps(global: &Global, words: &mut Words) -> Outcome {
    let (mut id, mut json) = (None, false);
    let mut ps_options = Vec::new();
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "f" || name == "format" => json = words.text()? == "json",
            Word::Option(name) => return Err(words.unexpected(&name).into()),
            Word::Value(value) => {
                id = Some(parse_id(&value)?);
                ps_options = words.rest()?;
                break;
            }
        }
    }
    if let [option, format] = &ps_options[..]
        && (option == "--format" || option == "-f")
    {
        json = format == "json";
        ps_options.clear();
    }
    let (_, state) = global.open(&id.ok_or(UsageError::Missing("the container id"))?)?;
    let pids = state.cgroup.pids()?;
    if json {
        println!("{}", serde_json::to_string(&pids)?);
        return Ok(ExitCode::SUCCESS);
    }
    if ps_options.is_empty() {
        ps_options.push("-ef".to_owned());
    }
    let output = std::process::Command::new("ps").args(&ps_options).output()?;
    print_rows(&String::from_utf8_lossy(&output.stdout), &pids);
    Ok(ExitCode::SUCCESS)
}

/// The header, and the rows whose PID column names one of the container's processes.
fn print_rows(table: &str, pids: &[i32]) {
    let mut lines = table.lines();
    let Some(header) = lines.next() else { return };
    let column = header.split_whitespace().position(|name| name == "PID");
    println!("{header}");
    for line in lines {
        let pid = column.and_then(|column| line.split_whitespace().nth(column)?.parse().ok());
        if pid.is_some_and(|pid: i32| pids.contains(&pid)) {
            println!("{line}");
        }
    }
}

pub fn events(global: &Global, words: &mut Words) -> Outcome {
    let (mut id, mut once, mut interval) = (None, false, Duration::from_secs(5));
    while let Some(word) = words.next()? {
        match word {
            Word::Value(value) => id = Some(parse_id(&value)?),
            Word::Option(name) => match name.as_str() {
                "stats" => once = words.switch(),
                "interval" => {
                    let text = words.text()?;
                    let seconds = text.trim_end_matches('s').parse();
                    interval =
                        Duration::from_secs(seconds.map_err(|_| UsageError::Number("--interval", text))?);
                }
                other => return Err(words.unexpected(other).into()),
            },
        }
    }
    let (dir, state) = global.open(&id.ok_or(UsageError::Missing("the container id"))?)?;
    loop {
        let data = statistics(&state);
        println!("{}", json!({"type": "stats", "id": state.id.as_str(), "data": data}));
        if once || dir.status(&state) == Status::Stopped {
            return Ok(ExitCode::SUCCESS);
        }
        std::thread::sleep(interval);
    }
}

/// The figures runc's consumers read most, from whichever cgroup version has them.
fn statistics(state: &State) -> Value {
    let read = |folder: Option<&PathBuf>, file: &str| {
        folder.and_then(|folder| std::fs::read_to_string(folder.join(file)).ok()).unwrap_or_default()
    };
    let number = |text: String| text.trim().parse::<u64>().unwrap_or(0);
    let cgroup = &state.cgroup;
    let v1 = |name: &str| cgroup.v1.get(name);
    let (memory, limit, cpu) = if cgroup.unified {
        let folder = cgroup.v2.as_ref();
        let cpu = read(folder, "cpu.stat");
        let usage = cpu.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<u64>().ok());
        let memory = number(read(folder, "memory.current"));
        (memory, number(read(folder, "memory.max")), usage.unwrap_or(0) * 1000)
    } else {
        (
            number(read(v1("memory"), "memory.usage_in_bytes")),
            number(read(v1("memory"), "memory.limit_in_bytes")),
            number(read(v1("cpuacct"), "cpuacct.usage")),
        )
    };
    let pids = if cgroup.unified { cgroup.v2.as_ref() } else { v1("pids") };
    json!({
        "cpu": {"usage": {"total": cpu}},
        "memory": {"usage": {"usage": memory, "limit": limit}},
        "pids": {"current": number(read(pids, "pids.current"))},
    })
}

pub fn features() -> Outcome {
    let features = json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": options::known(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "cgroup": {"v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false},
            "seccomp": {
                "enabled": true,
                "actions": ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
                    "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP"],
                "operators": ["SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
                    "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE"],
                "archs": ["SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
                "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
                    "SECCOMP_FILTER_FLAG_TSYNC"],
            },
            "apparmor": {"enabled": false},
            "selinux": {"enabled": false},
            "intelRdt": {"enabled": false},
            "mountExtensions": {"idmap": {"enabled": true}},
        },
    });
    println!("{}", serde_json::to_string_pretty(&features)?);
    Ok(ExitCode::SUCCESS)
}

pub fn spec(words: &mut Words) -> Outcome {
    let mut dir = PathBuf::from(".");
    while let Some(word) = words.next()? {
        match word {
            Word::Option(name) if name == "b" || name == "bundle" => dir = words.path()?,
            Word::Option(name) => return Err(words.unexpected(&name).into()),
            Word::Value(extra) => return Err(lexopt::Error::UnexpectedArgument(extra).into()),
        }
    }
    let mut example = Spec::default();
    example.set_hostname(Some("drydock".to_owned()));
    let text = serde_json::to_string_pretty(&example)?;
    let file = dir.join("config.json");
    std::fs::File::create_new(&file)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))?;
    Ok(ExitCode::SUCCESS)
}
