//! What an engine does with a shim, as far as a test needs it.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use drydock_shim::config::{Announcement, Log, LogFile, ShimConfig};
use drydock_shim::exit::Exit;
use drydock_shim::protocol::{
    Control, ExecRequest, Reply, Request, Stream, Streams, decode_frame, decode_message, encode_frame,
    encode_message,
};
use serde_json::{Value, json};

/// A container's folder, as an engine writes it.
pub struct Folder {
    pub dir: PathBuf,
    pub id: String,
    pub config: Value,
    pub shim: ShimConfig,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

pub const ALL: Streams = Streams { stdin: true, stdout: true, stderr: true };

impl Folder {
    pub fn new(script: &str) -> Self {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let id = format!("drydock-shim-test-{}-{number}", std::process::id());
        let dir = std::env::temp_dir().join(&id);
        let rootfs = dir.join("rootfs");
        for folder in ["bin", "proc", "dev", "tmp"] {
            std::fs::create_dir_all(rootfs.join(folder)).unwrap();
        }
        assert!(
            Path::new("/bin/busybox").exists(),
            "these tests need busybox: apt-get install busybox-static"
        );
        std::fs::copy("/bin/busybox", rootfs.join("bin/busybox")).unwrap();
        for name in
            ["sh", "cat", "echo", "sleep", "stty", "tty", "dd", "head", "id", "true", "ps", "yes", "tail"]
        {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(name)).unwrap();
        }
        let config = config(&id, script);
        let shim = ShimConfig {
            id: id.clone(),
            runtime_root: dir.join("state"),
            tty: false,
            size: None,
            open_stdin: false,
            stdin_once: false,
            log: json_file(&dir, None, 1),
            hold: false,
        };
        Self { dir, id, config, shim }
    }

    pub fn with_terminal(mut self) -> Self {
        self.shim.tty = true;
        self.config["process"]["terminal"] = json!(true);
        self
    }

    /// Interactive, as `docker run -i` has it: attached before the first byte.
    pub fn held(mut self) -> Self {
        self.shim.hold = true;
        self.shim.open_stdin = true;
        self.shim.stdin_once = true;
        self
    }

    /// Starts the shim and hears its announcement.
    pub fn launch(&self) -> Announcement {
        std::fs::write(self.dir.join("config.json"), self.config.to_string()).unwrap();
        std::fs::write(self.dir.join("shim.json"), serde_json::to_vec(&self.shim).unwrap()).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_drydock-shim"))
            .arg(&self.dir)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .stdout(Stdio::piped())
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }

    #[track_caller]
    pub fn launched(&self) -> i32 {
        match self.launch() {
            Announcement::Started { pid } => pid,
            Announcement::Failed(failure) => panic!("{failure:?}"),
        }
    }

    pub fn connect(&self) -> Client {
        let stream = UnixStream::connect(self.dir.join("shim.sock")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    pub fn ask(&self, request: &Request) -> Reply {
        let mut client = self.connect();
        client.ask(request);
        client.reply()
    }

    pub fn attach(&self, streams: Streams) -> Client {
        let mut client = self.connect();
        client.ask(&Request::Attach { streams });
        assert_eq!(client.reply(), Reply::Attached);
        client
    }

    pub fn exec(&self, id: &str, process: Value, streams: Streams) -> (Client, Reply) {
        let mut client = self.connect();
        let request = ExecRequest {
            id: id.to_owned(),
            process: serde_json::from_value(process).unwrap(),
            streams,
            size: None,
        };
        client.ask(&Request::Exec(Box::new(request)));
        let reply = client.reply();
        (client, reply)
    }

    /// Waits for `exit.json`, and then until nothing is left of the container.
    pub fn exit(&self) -> Exit {
        let file = self.dir.join("exit.json");
        wait_until("exit.json", || file.exists());
        let exit = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        wait_until("the shim has gone", || !self.dir.join("shim.sock").exists());
        self.assert_nothing_left();
        exit
    }

    pub fn assert_nothing_left(&self) {
        assert!(!self.dir.join("state").join(&self.id).exists(), "runtime state");
        for entry in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
            assert!(!entry.path().join(&self.id).exists(), "cgroup in {}", entry.path().display());
        }
    }

    /// The log as (stream, text).
    pub fn log(&self) -> Vec<(String, String)> {
        let text = std::fs::read_to_string(self.dir.join("json.log")).unwrap();
        let entry = |line: &str| {
            let entry: Value = serde_json::from_str(line).unwrap();
            (entry["stream"].as_str().unwrap().to_owned(), entry["log"].as_str().unwrap().to_owned())
        };
        text.lines().map(entry).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Ok(stream) = UnixStream::connect(self.dir.join("shim.sock")) {
            let mut client = Client { stream, buffer: Vec::new() };
            let kill = encode_message(&Request::Kill { signal: 9, all: false }).unwrap();
            let _ = client.stream.write_all(&kill);
            let _ = client.stream.read(&mut [0; 64]);
            let begin = Instant::now();
            while self.dir.join("shim.sock").exists() && begin.elapsed() < Duration::from_secs(15) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One connection.
pub struct Client {
    pub stream: UnixStream,
    buffer: Vec<u8>,
}

impl Client {
    pub fn ask(&mut self, request: &Request) {
        self.stream.write_all(&encode_message(request).unwrap()).unwrap();
    }

    pub fn reply(&mut self) -> Reply {
        loop {
            if let Some((reply, used)) = decode_message(&self.buffer).unwrap() {
                self.buffer.drain(..used);
                return reply;
            }
            assert!(self.receive(), "the shim closed the connection");
        }
    }

    pub fn send(&mut self, stream: Stream, payload: &[u8]) {
        let mut frame = Vec::new();
        encode_frame(&mut frame, stream, payload);
        self.stream.write_all(&frame).unwrap();
    }

    /// False at the end.
    fn receive(&mut self) -> bool {
        let mut bytes = [0; 16384];
        let length = loop {
            match self.stream.read(&mut bytes) {
                // A read with a time limit is not restarted after a signal that does nothing.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.unwrap(),
            }
        };
        self.buffer.extend_from_slice(&bytes[..length]);
        length > 0
    }

    pub fn frame(&mut self) -> Option<(Stream, Vec<u8>)> {
        loop {
            if let Some((frame, used)) = decode_frame(&self.buffer).unwrap() {
                let owned = (frame.stream, frame.payload.to_vec());
                self.buffer.drain(..used);
                return Some(owned);
            }
            if !self.receive() {
                return None;
            }
        }
    }

    /// Reads output until it contains `text`.
    pub fn read_until(&mut self, text: &str) -> String {
        let mut seen = String::new();
        while !seen.contains(text) {
            let (_, payload) = self.frame().unwrap_or_else(|| panic!("ended before {text:?}: {seen:?}"));
            seen.push_str(&String::from_utf8_lossy(&payload));
        }
        seen
    }

    /// Everything until the end: stdout, stderr, and the exit.
    pub fn finish(mut self) -> (Vec<u8>, Vec<u8>, Option<Exit>) {
        let (mut stdout, mut stderr, mut exit) = (Vec::new(), Vec::new(), None);
        while let Some((stream, payload)) = self.frame() {
            match stream {
                Stream::Stdout => stdout.extend(payload),
                Stream::Stderr => stderr.extend(payload),
                Stream::Control => {
                    let Control::Exit(end) = serde_json::from_slice(&payload).unwrap();
                    exit = Some(end);
                }
                other => panic!("unexpected frame on {other:?}"),
            }
        }
        (stdout, stderr, exit)
    }
}

/// A `json-file` log in the container's folder.
pub fn json_file(dir: &Path, max_size: Option<u64>, max_file: u32) -> Log {
    let file = LogFile { path: dir.join("json.log"), max_size, max_file, compress: false };
    Log::JsonFile { file, attrs: Default::default() }
}

pub fn wait_until(what: &str, mut reached: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < Duration::from_secs(30), "never came: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn process(script: &str) -> Value {
    json!({"user": {"uid": 0, "gid": 0}, "args": ["sh", "-c", script], "env": ["PATH=/bin"], "cwd": "/"})
}

fn config(id: &str, script: &str) -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": process(script),
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
        ],
        "linux": {
            "cgroupsPath": format!("/{id}"),
            "namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
        },
    })
}
