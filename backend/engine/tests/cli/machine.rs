//! A machine of its own for every test: network and mount namespaces, data folders, an engine, and the docker
//! command line in front of it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything takes, even on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Machine {
    folder: tempfile::TempDir,
    /// Keeps the namespaces while engines come and go.
    holder: Child,
    _held: ChildStdin,
    engine: Option<Child>,
    /// Beside those that every engine gets.
    arguments: Vec<String>,
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub out: String,
    pub err: String,
    pub code: i32,
}

impl Said {
    /// The output of a command that must succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out.trim_end().to_owned()
    }

    /// The complaint of a command that must fail with this code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { out: text(output.stdout), err: text(output.stderr), code: output.status.code().unwrap_or(-1) }
    }
}

impl Machine {
    /// A running engine with an image `busybox`.
    pub fn new() -> Self {
        Self::prepared(|_| Vec::new())
    }

    /// The same with arguments that `prepare` answers, when it has put into the machine's folder what they name.
    pub fn prepared(prepare: impl FnOnce(&Path) -> Vec<String>) -> Self {
        assert!(nix::unistd::geteuid().is_root(), "engine tests need root (cargo xtask test)");
        let folder = tempfile::Builder::new().prefix("engine-").tempdir_in("/tmp").expect("a folder");
        let mut holder = Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--propagation",
                "private",
                "sh",
                "-c",
                "ip link set lo up && echo up && exec cat",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare, of util-linux");
        let held = holder.stdin.take().expect("its input");
        let mut up = [0; 3];
        let mut said = holder.stdout.take().expect("its output");
        said.read_exact(&mut up).expect("namespaces with lo up (apt-get install iproute2)");
        let arguments = prepare(folder.path());
        let mut machine = Self { folder, holder, _held: held, engine: None, arguments };
        machine.start_engine();
        machine.import_busybox();
        machine
    }

    pub fn start_engine(&mut self) {
        let program = Path::new(env!("CARGO_BIN_EXE_drydock-engine"));
        for name in ["drydock-shim", "drydock-logger"] {
            let path = program.with_file_name(name);
            assert!(path.exists(), "{} is missing: cargo build --release -p {name} makes it", path.display());
        }
        let log =
            std::fs::File::options().create(true).append(true).open(self.path("engine.log")).expect("a log");
        if !self.path("daemon.json").exists() {
            self.configure("{}");
        }
        let engine = self
            .engine_command()
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("nsenter, of util-linux");
        self.engine = Some(engine);
        self.until("the engine answers", |machine| machine.docker(["version"]).code == 0);
    }

    /// The engine with this machine's folders, and nothing else said to it.
    pub fn engine_command(&self) -> Command {
        let mut command = self.inside(env!("CARGO_BIN_EXE_drydock-engine"));
        command
            .arg("-H")
            .arg(format!("unix://{}", self.path("docker.sock").display()))
            .arg("--data-root")
            .arg(self.path("data"))
            .arg("--exec-root")
            .arg(self.path("exec"))
            .arg("--config-file")
            .arg(self.path("daemon.json"));
        command
    }

    /// The engine ends as a service manager ends it; answers its code.
    pub fn stop_engine(&mut self) -> i32 {
        self.signal_engine(nix::sys::signal::Signal::SIGTERM);
        let mut engine = self.engine.take().expect("a running engine");
        engine.wait().expect("its end").code().unwrap_or(-1)
    }

    pub fn signal_engine(&self, signal: nix::sys::signal::Signal) {
        let pid = self.engine.as_ref().expect("a running engine").id();
        let pid = i32::try_from(pid).expect("a process id");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("kill");
    }

    /// What every engine of this machine is told beside its folders.
    pub fn set_arguments(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(|&word| word.to_owned()).collect();
    }

    /// The `daemon.json` of engines to come.
    pub fn configure(&self, text: &str) {
        std::fs::write(self.path("daemon.json"), text).expect("a configuration");
    }

    /// What an engine says that cannot start with these arguments.
    pub fn engine_says(&self, arguments: &[&str]) -> String {
        let said = self.engine_command().args(arguments).output().expect("nsenter, of util-linux");
        assert!(!said.status.success(), "it started");
        String::from_utf8_lossy(&said.stderr).into_owned()
    }

    pub fn engine_log(&self) -> String {
        std::fs::read_to_string(self.path("engine.log")).expect("its log")
    }

    /// `kill -9`: nothing is said to anyone.
    pub fn kill_engine(&mut self) {
        let mut engine = self.engine.take().expect("a running engine");
        engine.kill().expect("kill");
        engine.wait().expect("its end");
    }

    /// A command in the machine's namespaces.
    pub fn inside(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command
            .arg("--target")
            .arg(self.holder.id().to_string())
            .args(["--mount", "--net", "--"])
            .arg(program);
        command
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the machine's network namespace can be opened.
    pub fn network(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.holder.id()))
    }

    /// A process that is in the machine's namespaces as long as it is there.
    pub fn pid(&self) -> u32 {
        self.holder.id()
    }

    pub fn mounts(&self) -> String {
        std::fs::read_to_string(format!("/proc/{}/mounts", self.holder.id())).expect("its mounts")
    }

    pub fn command<const N: usize>(&self, arguments: [&str; N]) -> Command {
        let mut command = Command::new("docker");
        command
            .args(arguments)
            .env("DOCKER_HOST", format!("unix://{}", self.path("docker.sock").display()))
            .env("DOCKER_CONFIG", self.path("docker-config"));
        command
    }

    /// The genuine docker command line.
    pub fn docker<const N: usize>(&self, arguments: [&str; N]) -> Said {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        output.expect("docker (apt-get install docker-cli)").into()
    }

    /// The same with as many words as a table holds.
    pub fn docker_words(&self, arguments: &[&str]) -> Said {
        let output = self.command([]).args(arguments).stdin(Stdio::null()).output();
        output.expect("docker (apt-get install docker-cli)").into()
    }

    /// One request without the command line: the answer's status and JSON.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let output = self
            .inside("curl")
            .args(["--silent", "--max-time", "60", "--request", method, "--unix-socket"])
            .arg(self.path("docker.sock"))
            .args(["--header", "Content-Type: application/json", "--data-binary", body])
            .args(["--write-out", "\n%{http_code}", &format!("http://d{path}")])
            .output()
            .expect("curl");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, status) = text.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), serde_json::from_str(body).unwrap_or_default())
    }

    pub fn docker_with_input<const N: usize>(&self, arguments: [&str; N], input: &[u8]) -> Said {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker (apt-get install docker-cli)");
        child.stdin.take().expect("its input").write_all(input).expect("write");
        child.wait_with_output().expect("its end").into()
    }

    /// `docker inspect --format`.
    #[track_caller]
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.docker(["inspect", "--format", format, name]).ok()
    }

    /// Waits for a state.
    #[track_caller]
    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            let log = || std::fs::read_to_string(self.path("engine.log")).unwrap_or_default();
            assert!(Instant::now() < end, "in vain: {what}\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn import_busybox(&self) {
        let busybox = std::fs::read("/bin/busybox").expect("/bin/busybox (apt-get install busybox-static)");
        let mut archive = tar::Builder::new(Vec::new());
        let mut add = |path: &str, mode: u32, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(mode);
            archive.append_data(&mut header, path, bytes).expect("append");
        };
        add("bin/busybox", 0o755, &busybox);
        add("etc/passwd", 0o644, b"root:x:0:0:root:/root:/bin/sh\nweb:x:33:33:web:/data:/bin/sh\n");
        add("etc/group", 0o644, b"root:x:0:\nweb:x:33:\n");
        add("data/seed", 0o644, b"seeded\n");
        for applet in APPLETS {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, format!("bin/{applet}"), "busybox").expect("append");
        }
        let archive = archive.into_inner().expect("an archive");
        self.docker_with_input(["import", "-", "busybox"], &archive).ok();
    }
}

/// Makes an authority, and certificates of it for `server` and `client`.
pub fn certificates(folder: &Path) {
    let openssl = |arguments: &[&str]| {
        let mut openssl = Command::new("openssl");
        openssl.args(arguments).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(openssl.status().expect("openssl (apt-get install openssl)").success(), "{arguments:?}");
    };
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem"];
    openssl(&[&authority[..], &key].concat());
    let stranger = [
        "req",
        "-x509",
        "-days",
        "2",
        "-subj",
        "/CN=stranger",
        "-keyout",
        "stranger-key.pem",
        "-out",
        "stranger.pem",
    ];
    openssl(&[&stranger[..], &key].concat());
    for (name, purpose) in [("server", "serverAuth"), ("client", "clientAuth")] {
        let [key_file, request, certificate, extensions] =
            ["-key.pem", ".csr", ".pem", ".cnf"].map(|end| format!("{name}{end}"));
        let text = format!("extendedKeyUsage={purpose}\nsubjectAltName=IP:127.0.0.1\n");
        std::fs::write(folder.join(&extensions), text).expect("write");
        let subject = format!("/CN={name}");
        let ask = ["req", "-new", "-subj", &subject, "-keyout", &key_file, "-out", &request];
        openssl(&[&ask[..], &key].concat());
        openssl(&[
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca-key.pem",
            "-CAcreateserial",
            "-extfile",
            &extensions,
            "-out",
            &certificate,
        ]);
    }
}

const APPLETS: [&str; 31] = [
    "sh", "true", "test", "false", "sleep", "echo", "cat", "ls", "ps", "id", "env", "ping", "httpd", "mount",
    "hostname", "touch", "mkdir", "rm", "pwd", "grep", "tail", "head", "seq", "kill", "ip", "tr", "base64",
    "yes", "wget", "nslookup", "timeout",
];

impl Drop for Machine {
    fn drop(&mut self) {
        if self.engine.is_some() {
            let ids = self.docker(["ps", "-aq"]).out;
            for id in ids.split_whitespace() {
                self.docker(["rm", "-f", id]);
            }
            self.kill_engine();
        } else {
            self.end_containers();
        }
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

impl Machine {
    /// A test that failed without an engine leaves containers, which outlive engines: their first processes end here,
    /// their shims do the rest.
    fn end_containers(&self) {
        for folder in std::fs::read_dir(self.path("data/containers")).into_iter().flatten().flatten() {
            let record = std::fs::read(folder.path().join("container.json")).unwrap_or_default();
            let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
            let pid = record["state"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).unwrap_or(0);
            let id = folder.file_name().to_string_lossy().into_owned();
            let its =
                std::fs::read_to_string(format!("/proc/{pid}/cgroup")).is_ok_and(|text| text.contains(&id));
            if pid > 0 && its {
                let _ = nix::sys::signal::kill(
                    nix::unistd::Pid::from_raw(pid),
                    nix::sys::signal::Signal::SIGKILL,
                );
            }
        }
    }
}
