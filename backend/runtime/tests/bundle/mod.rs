//! A container for a test: a bundle with a busybox root, a state root and a cgroup of its own, all gone at the end.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// All that one test makes lies below `dir`.
pub struct TestContainer {
    pub dir: PathBuf,
    pub id: String,
    pub config: Value,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl TestContainer {
    /// A bundle that would run `script` in all new namespaces but the user's.
    pub fn new(script: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("drydock-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        let rootfs = dir.join("rootfs");
        for folder in ["bin", "proc", "sys", "dev", "etc", "tmp", "full"] {
            std::fs::create_dir_all(rootfs.join(folder)).unwrap();
        }
        install_busybox(&rootfs);
        std::fs::write(
            rootfs.join("etc/passwd"),
            "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n",
        )
        .unwrap();
        std::fs::write(rootfs.join("full/old"), "hidden\n").unwrap();
        let config = config(&id, script);
        Self { dir, id, config }
    }

    /// The same in a user namespace whose root is user 100000 outside.
    pub fn in_user_namespace(script: &str) -> Self {
        let mut container = Self::new(script);
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        container.config["linux"]["uidMappings"] = map.clone();
        container.config["linux"]["gidMappings"] = map;
        container.add_namespace(json!({"type": "user"}));
        container.add_namespace(json!({"type": "cgroup"}));
        let status = Command::new("chown").args(["-R", "100000:100000"]).arg(container.rootfs()).status();
        assert!(status.unwrap().success());
        container
    }

    pub fn rootfs(&self) -> PathBuf {
        self.dir.join("rootfs")
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("state")
    }

    pub fn add_namespace(&mut self, namespace: Value) {
        self.config["linux"]["namespaces"].as_array_mut().unwrap().push(namespace);
    }

    pub fn add_mount(&mut self, mount: Value) {
        self.config["mounts"].as_array_mut().unwrap().push(mount);
    }

    pub fn write(&self) {
        std::fs::write(self.dir.join("config.json"), self.config.to_string()).unwrap();
    }

    /// The runtime with this container's state root, before its command.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock-runtime"));
        command.arg("--root").arg(self.root()).args(words).current_dir(&self.dir);
        command.stdin(Stdio::null()).env_remove("LISTEN_FDS");
        command
    }

    /// Into files, not pipes: a container left in the background holds its streams open.
    pub fn call(&self, words: &[&str]) -> Answer {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = |stream: &str| self.dir.join(format!("{stream}.{number}"));
        let file = |stream: &str| std::fs::File::create(path(stream)).unwrap();
        let mut command = self.command(words);
        let status = command.stdout(file("out")).stderr(file("err")).status().unwrap();
        let read = |stream: &str| std::fs::read(path(stream)).unwrap();
        Answer(Output { status, stdout: read("out"), stderr: read("err") })
    }

    /// Runs the container to its end.
    pub fn run(&self) -> Answer {
        self.write();
        self.call(&["run", &self.id])
    }

    /// Starts it in the background.
    pub fn spawn(&self) -> Child {
        self.write();
        let mut command = self.command(&["run", &self.id]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn state(&self) -> Value {
        serde_json::from_str(&self.call(&["state", &self.id]).success()).unwrap()
    }

    pub fn status(&self) -> String {
        let answer = self.call(&["state", &self.id]);
        match serde_json::from_str::<Value>(&answer.stdout()) {
            Ok(state) => state["status"].as_str().unwrap().to_owned(),
            Err(_) => "none".to_owned(),
        }
    }

    pub fn wait_for_status(&self, status: &str) {
        wait_until(&format!("{} is {status}", self.id), || self.status() == status);
    }

    /// Its folders in all hierarchies.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut folders = vec![PathBuf::from("/sys/fs/cgroup").join(&self.id)];
        for entry in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            folders.push(entry.path().join(&self.id));
        }
        folders.retain(|folder| folder.exists());
        folders
    }

    pub fn assert_nothing_left(&self) {
        assert_eq!(self.cgroups(), Vec::<PathBuf>::new(), "cgroups");
        let state = self.root().join(&self.id);
        assert!(!state.exists(), "state folder {}", state.display());
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let dir = self.dir.to_string_lossy().into_owned();
        assert!(!mounts.contains(&dir), "mounts below {dir}");
    }
}

impl Drop for TestContainer {
    fn drop(&mut self) {
        if self.root().join(&self.id).exists() {
            let _ = self.command(&["delete", "--force", &self.id]).output();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Waits for a state of the world, long enough for a loaded machine.
pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What a call of the runtime ended with.
pub struct Answer(pub Output);

impl Answer {
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    #[track_caller]
    pub fn success(&self) -> String {
        assert_eq!(self.code(), 0, "stdout: {}\nstderr: {}", self.stdout(), self.stderr());
        self.stdout()
    }

    #[track_caller]
    pub fn failure(&self) -> String {
        assert_ne!(self.code(), 0, "stdout: {}", self.stdout());
        self.stderr()
    }
}

fn install_busybox(rootfs: &Path) {
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.exists(), "these tests need busybox: apt-get install busybox-static");
    std::fs::copy(busybox, rootfs.join("bin/busybox")).unwrap();
    for name in [
        "sh", "cat", "ls", "id", "sleep", "mount", "umount", "hostname", "stat", "stty", "tty", "mkdir",
        "touch", "echo", "true", "ps", "grep", "env", "head", "dd", "readlink", "ip", "kill", "test", "cut",
        "tail",
    ] {
        std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).unwrap();
    }
}

fn config(id: &str, script: &str) -> Value {
    let capabilities = json!(["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN"]);
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "hostname": "container",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh", "-c", script],
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": {"bounding": capabilities, "effective": capabilities, "permitted": capabilities},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
            {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"]},
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
        },
    })
}
