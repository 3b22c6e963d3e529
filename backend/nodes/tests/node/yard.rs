//! What every test here needs: programs, a small root file system, a host in a private folder.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use drydock_agent::client::ExecOutput;
use drydock_agent::protocol::ExecRequest;
use drydock_nodes::{Host, HostConfig, Node, NodeImage, NodeSpec, SessionId};

/// How long anything may take before a test says that it hangs.
pub const HANGS: Duration = Duration::from_secs(60);

const APPLETS: [&str; 24] = [
    "cat", "chown", "dd", "df", "echo", "hostname", "id", "ip", "kill", "ls", "mkdir", "mount", "nc",
    "nslookup", "ping", "rm", "seq", "sh", "sleep", "stat", "sync", "true", "wc", "wget",
];

/// A data directory with a node image of busybox beside it.
pub struct Yard {
    pub folder: tempfile::TempDir,
}

impl Yard {
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("drydock-nodes-").tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let yard = Self { folder };
        busybox_image(&yard.image());
        yard
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    pub async fn open(&self) -> Host {
        open(&self.data(), &self.image()).await
    }

    /// As `places` computes it: FNV-1a of the folder's path. Links, cgroups and sockets carry it.
    pub fn key(&self) -> String {
        let path = self.data().canonicalize().unwrap();
        let hash = path
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        format!("{:06x}", hash & 0xff_ffff)
    }

    /// What is left of the data directory's nodes on the host, by kind.
    pub fn leftovers(&self) -> Vec<String> {
        let data = self.data().to_str().unwrap().to_owned();
        let mut found = Vec::new();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        found.extend(mounts.lines().filter(|line| line.contains(&data)).map(|line| format!("mount {line}")));
        for folder in ["nodes", "runtime"] {
            found.extend(entries(&self.data().join(folder)).map(|path| format!("file {}", path.display())));
        }
        let sockets = PathBuf::from(format!("/run/drydock-{}", self.key()));
        found.extend(entries(&sockets).map(|path| format!("sockets {}", path.display())));
        for device in entries(Path::new("/sys/block")) {
            let backing = fs::read_to_string(device.join("loop/backing_file")).unwrap_or_default();
            if backing.contains(&data) {
                found.push(format!("loop device {backing}"));
            }
        }
        for process in entries(Path::new("/proc")) {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let of_ours = String::from_utf8_lossy(&line).split('\0').any(|word| word.starts_with(&data));
            if of_ours && process.file_name().unwrap() != std::process::id().to_string().as_str() {
                found.push(format!("process {} {}", process.display(), String::from_utf8_lossy(&line)));
            }
        }
        found
    }
}

/// A failed test does not come to its own end; its nodes must not outlive it all the same.
impl Drop for Yard {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let (data, image) = (self.data(), self.image());
        let reset = move || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async { open(&data, &image).await.reset().await.map_err(std::io::Error::other) })
        };
        match std::thread::spawn(reset).join() {
            Ok(Ok(())) => {}
            failed => eprintln!("nodes of this test remain: {failed:?}"),
        }
    }
}

pub fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

pub async fn open(data: &Path, image: &Path) -> Host {
    let config = HostConfig::new(data, programs(), NodeImage::Layers(vec![image.to_owned()]));
    // A pidfd of an exiting process may outlive its locks by a moment.
    for _ in 0..100 {
        match Host::open(config.clone()).await {
            Err(drydock_nodes::OpenError::Locked { .. }) => {
                tokio::time::sleep(Duration::from_millis(50)).await
            }
            other => return other.unwrap(),
        }
    }
    panic!("another process uses {}", data.display());
}

/// Where cargo puts the workspace's programs: two levels above the test itself.
fn programs() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap().to_owned();
    for program in ["drydock-agent", "drydock-engine", "drydock-shim", "drydock-logger", "drydock-runtime"] {
        let path = folder.join(program);
        assert!(path.is_file(), "{} is missing: run `cargo build --release --bins` first", path.display());
    }
    folder
}

fn busybox_image(image: &Path) {
    let busybox = Path::new("/bin/busybox");
    assert!(busybox.exists(), "no /bin/busybox: install busybox-static");
    for folder in
        ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp", "usr/local/bin", "var/lib", "var/log"]
    {
        fs::create_dir_all(image.join(folder)).unwrap();
    }
    fs::copy(busybox, image.join("bin/busybox")).unwrap();
    for applet in APPLETS {
        symlink("busybox", image.join("bin").join(applet)).unwrap();
    }
    symlink("/run", image.join("var/run")).unwrap();
    fs::write(image.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(image.join("etc/group"), "root:x:0:\n").unwrap();
}

pub fn spec(session: &SessionId, id: &str) -> NodeSpec {
    NodeSpec::new(session.clone(), id.parse().unwrap(), id)
}

pub async fn boot(host: &Host, session: &SessionId, id: &str) -> Node {
    let node = host.boot(spec(session, id)).await.unwrap_or_else(|error| panic!("{}", chain(&error)));
    tokio::time::timeout(HANGS, node.agent().terminals()).await.unwrap().unwrap();
    node
}

pub async fn sh(node: &Node, script: &str) -> ExecOutput {
    let mut request = ExecRequest::new(["sh", "-c", script]);
    request.timeout_ms = Some(HANGS.as_millis() as u64);
    node.agent().exec(request).await.unwrap()
}

pub fn out(output: &ExecOutput) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}
