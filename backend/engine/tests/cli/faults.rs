//! What is cut off half-way leaves nothing behind, and what one container does to itself the others do not feel.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::machine::Machine;

/// Moments at which the engine is killed, and how far they lie apart: together longer than what is interrupted takes.
const MOMENTS: u32 = 20;
const APART: Duration = Duration::from_millis(4);

/// A machine whose containers' control groups are its own.
struct Yard {
    machine: Machine,
    cgroup: String,
}

impl Yard {
    fn new() -> Self {
        static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let cgroup = format!("drydock-faults-{}-{number}", std::process::id());
        let machine = Machine::prepared(|_| vec!["--cgroup-parent".to_owned(), format!("/{cgroup}")]);
        Self { machine, cgroup }
    }

    /// Begins a command, kills the engine `moment` steps later, and starts another.
    fn cut_off<const N: usize>(&mut self, arguments: [&str; N], moment: u32) {
        let mut command = self.machine.command(arguments);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().expect("docker (apt-get install docker-cli)");
        std::thread::sleep(APART * moment);
        self.machine.kill_engine();
        child.wait().expect("its end");
        self.machine.start_engine();
    }

    /// Everything that `ps -a` lists can be used as its state says, and removed.
    fn clear(&self) {
        let machine = &self.machine;
        for id in machine.docker(["ps", "-aq"]).ok().split_whitespace() {
            match machine.inspect(id, "{{.State.Status}}").as_str() {
                "running" => drop(machine.docker(["exec", id, "true"]).ok()),
                "created" => drop(machine.docker(["start", id]).ok()),
                _ => {}
            }
            machine.docker(["rm", "-f", "-v", id]).ok();
        }
        machine.docker(["volume", "prune", "-af"]).ok();
    }

    /// What a machine without containers must not have.
    fn remains(&self) -> Vec<String> {
        let machine = &self.machine;
        let own = machine.path("");
        let own = own.to_str().expect("a path of letters");
        let is_kept = |line: &&str| !line.contains("/netns/") && line.contains(own);
        let mounts = machine.mounts();
        let mut remains: Vec<String> =
            mounts.lines().filter(is_kept).map(|line| format!("mount {line}")).collect();
        let links = machine.inside("ip").args(["-o", "link"]).output().expect("ip");
        let links = String::from_utf8_lossy(&links.stdout).into_owned();
        let names = links.lines().filter_map(|line| line.split(": ").nth(1));
        remains.extend(
            names.filter(|name| !["lo", "docker0"].contains(name)).map(|name| format!("link {name}")),
        );
        for folder in ["data/containers", "data/volumes", "exec/containers"] {
            let entries = std::fs::read_dir(machine.path(folder)).into_iter().flatten().flatten();
            let folders = entries.filter(|entry| entry.path().is_dir());
            remains.extend(folders.map(|entry| format!("folder {}", entry.path().display())));
        }
        remains.extend(self.control_groups());
        remains.extend(shims(own));
        remains
    }

    fn control_groups(&self) -> Vec<String> {
        let mut found = Vec::new();
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let parents = hierarchies.map(|hierarchy| hierarchy.path().join(&self.cgroup));
        for parent in parents.chain([Path::new("/sys/fs/cgroup").join(&self.cgroup)]) {
            let children = std::fs::read_dir(parent).into_iter().flatten().flatten();
            let children = children.filter(|child| child.path().is_dir());
            found.extend(children.map(|child| format!("control group {}", child.path().display())));
        }
        found
    }

    #[track_caller]
    fn is_empty_again(&self, after: &str) {
        self.machine.until(&format!("nothing remains after {after}: {:?}", self.remains()), |_| {
            self.remains().is_empty()
        });
    }
}

impl Drop for Yard {
    fn drop(&mut self) {
        for id in self.machine.docker(["ps", "-aq"]).out.split_whitespace() {
            self.machine.docker(["rm", "-f", id]);
        }
        let hierarchies = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        for hierarchy in hierarchies {
            _ = std::fs::remove_dir(hierarchy.path().join(&self.cgroup));
        }
        _ = std::fs::remove_dir(Path::new("/sys/fs/cgroup").join(&self.cgroup));
    }
}

/// Shims of this machine that still run.
fn shims(own: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| std::fs::read_to_string(process.path().join("cmdline")).ok());
    lines
        .filter(|line| line.contains("drydock-shim") && line.contains(own))
        .map(|line| format!("process {line}"))
        .collect()
}

#[test]
fn an_engine_killed_at_any_moment_of_a_run_leaves_nothing_behind() {
    let mut yard = Yard::new();
    for moment in 0..MOMENTS {
        let (name, volume) = (format!("c{moment}"), format!("v{moment}:/v"));
        yard.cut_off(
            ["run", "-d", "--name", &name, "-p", "80", "-v", &volume, "busybox", "sleep", "1000"],
            moment,
        );
        yard.clear();
    }
    yard.is_empty_again("runs that were cut off");
}

#[test]
fn an_engine_killed_at_any_moment_of_a_removal_leaves_nothing_behind() {
    let mut yard = Yard::new();
    for moment in 0..MOMENTS / 2 {
        yard.machine
            .docker(["run", "-d", "--name", "gone", "-p", "80", "-v", "/data", "busybox", "sleep", "1000"])
            .ok();
        yard.cut_off(["rm", "-f", "-v", "gone"], moment);
        yard.clear();
    }
    yard.is_empty_again("removals that were cut off");
}

#[test]
fn an_engine_killed_at_any_moment_of_a_build_leaves_nothing_behind() {
    let mut yard = Yard::new();
    let context = yard.machine.path("context");
    std::fs::create_dir(&context).expect("a folder");
    let file = "FROM busybox\nCOPY Dockerfile /a\nRUN echo 1 > /one\nRUN echo 2 > /two\n";
    std::fs::write(context.join("Dockerfile"), file).expect("a Dockerfile");
    let context = context.to_str().expect("a path of letters").to_owned();
    for moment in 0..MOMENTS {
        yard.cut_off(["build", "--no-cache", "-t", "built", &context], moment * 2);
        yard.machine.until("the steps of a build that is gone are gone", |machine| {
            machine.docker(["ps", "-aq"]).ok().is_empty()
        });
    }
    yard.is_empty_again("builds that were cut off");
    yard.machine.docker(["build", "--no-cache", "-t", "built", &context]).ok();
    assert_eq!(yard.machine.docker(["run", "--rm", "built", "cat", "/one", "/two"]).ok(), "1\n2");
}

#[test]
fn what_an_engine_left_of_a_volume_is_cleared_and_what_somebody_put_there_is_not() {
    let mut machine = Machine::new();
    machine.docker(["volume", "create", "kept"]).ok();
    machine.kill_engine();
    let volumes = machine.path("data/volumes");
    for folder in ["half/_data", "going/_data", "foreign/_data"] {
        std::fs::create_dir_all(volumes.join(folder)).expect("a folder");
    }
    for file in ["half/volume.tmp", "going/volume.gone", "going/_data/file", "foreign/_data/file"] {
        std::fs::write(volumes.join(file), "").expect("a file");
    }
    machine.start_engine();
    assert_eq!(machine.docker(["volume", "ls", "-q"]).ok(), "kept");
    let left = std::fs::read_dir(&volumes).expect("a folder").flatten();
    let mut left: Vec<_> = left.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    left.sort_unstable();
    assert_eq!(left, ["foreign", "kept"]);
}

#[test]
fn a_fork_bomb_is_held_by_its_limit() {
    let machine = Machine::new();
    // The shell that meets the limit ends; the first process stays, and with it all that was forked.
    let bomb = "(while :; do sleep 1000 & done); exec sleep 1000";
    machine.docker(["run", "-d", "--name", "bomb", "--pids-limit", "40", "busybox", "sh", "-c", bomb]).ok();
    let processes = |machine: &Machine| machine.docker(["top", "bomb"]).ok().lines().count() - 1;
    machine.until("the bomb has met its limit", |machine| processes(machine) > 30);
    assert!(processes(&machine) <= 40);
    let failed = machine.docker([
        "run",
        "--rm",
        "--pids-limit",
        "5",
        "busybox",
        "sh",
        "-c",
        "a() { a | a & }; a; sleep 1",
    ]);
    assert!(failed.err.contains("can't fork"), "{failed:?}");
    assert_eq!(machine.docker(["run", "--rm", "busybox", "echo", "others live"]).ok(), "others live");
    machine.docker(["rm", "-f", "bomb"]).ok();
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn a_thousand_containers_run_at_once_and_outlive_their_engine() {
    const MANY: usize = 1000;
    let mut yard = Yard::new();
    let body = r#"{\"Image\":\"busybox\",\"Cmd\":[\"sleep\",\"100000\"]}"#;
    requests(
        &yard.machine,
        (0..MANY).map(|number| ("POST", format!("/containers/create?name=n{number}"), body)),
    );
    requests(&yard.machine, (0..MANY).map(|number| ("POST", format!("/containers/n{number}/start"), "")));
    let running = |machine: &Machine| machine.docker(["ps", "-q"]).ok().lines().count();
    assert_eq!(running(&yard.machine), MANY);
    let addresses = "{{range .Containers}}{{.IPv4Address}}\n{{end}}";
    let addresses = yard.machine.docker(["network", "inspect", "--format", addresses, "bridge"]).ok();
    let mut addresses: Vec<&str> = addresses.split_whitespace().collect();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), MANY, "every container has an address of its own");
    yard.machine.kill_engine();
    yard.machine.start_engine();
    assert_eq!(running(&yard.machine), MANY);
    assert_eq!(yard.machine.docker(["exec", "n999", "echo", "here"]).ok(), "here");
    requests(&yard.machine, (0..MANY).map(|number| ("DELETE", format!("/containers/n{number}?force=1"), "")));
    assert_eq!(yard.machine.docker(["ps", "-aq"]).ok(), "");
    yard.is_empty_again("a thousand containers");
}

/// Many requests, some at a time, all of which must succeed.
fn requests<'a>(machine: &Machine, all: impl Iterator<Item = (&'a str, String, &'a str)>) {
    let mut config = String::new();
    for (method, path, body) in all {
        let socket = machine.path("docker.sock");
        writeln!(config, "next\nunix-socket = \"{}\"\nrequest = \"{method}\"", socket.display())
            .expect("a string");
        writeln!(config, "url = \"http://docker{path}\"\noutput = \"/dev/null\"\nfail-with-body")
            .expect("a string");
        if !body.is_empty() {
            writeln!(config, "header = \"Content-Type: application/json\"\ndata = \"{body}\"")
                .expect("a string");
        }
    }
    let mut curl = std::process::Command::new("curl")
        .args([
            "--silent",
            "--show-error",
            "--parallel",
            "--parallel-immediate",
            "--parallel-max",
            "8",
            "--config",
            "-",
        ])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl (apt-get install curl)");
    let config = config.strip_prefix("next\n").unwrap_or(&config);
    curl.stdin.take().expect("its input").write_all(config.as_bytes()).expect("write");
    let output = curl.wait_with_output().expect("its end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
