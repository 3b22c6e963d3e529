//! The agent as an ordinary process, spoken to through its client.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock_agent::client::{Agent, AgentError, Attachment, Event, ExecEvent};
use drydock_agent::protocol::{
    EngineState, ExecRequest, Exit, Mode, Pacing, Parents, SCROLLBACK, Size, TerminalId, WriteRequest,
};

/// How long anything may take before the test says that it hangs.
const HANGS: Duration = Duration::from_secs(60);

struct Process {
    child: Child,
    agent: Agent,
    folder: tempfile::TempDir,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent.sock");
        let docker = UnixListener::bind(folder.path().join("docker.sock")).unwrap();
        let listeners = [OwnedFd::from(UnixListener::bind(&socket).unwrap()), OwnedFd::from(docker)];
        let mut command = Command::new(env!("CARGO_BIN_EXE_drydock-agent"));
        command.args(arguments).env("LISTEN_FDNAMES", "agent:docker").stdin(Stdio::null());
        let inherited = drydock_sys::child::inherit(&mut command, &listeners).unwrap();
        let child = command.spawn().unwrap();
        drop(inherited);
        Self { child, agent: Agent::at(socket), folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn terminal(&self) -> TerminalId {
        self.agent.open_terminal(Size::default()).await.unwrap()
    }

    async fn watch(&self, id: TerminalId, from: u64) -> Watch {
        let attachment = self.agent.attach(id, from, Mode::ReadWrite, Pacing::Acknowledged).await.unwrap();
        Watch { attachment, seen: Vec::new(), offset: from, events: Vec::new() }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// A viewer that keeps what it is shown and acknowledges it.
struct Watch {
    attachment: Attachment,
    seen: Vec<u8>,
    offset: u64,
    events: Vec<Event>,
}

impl Watch {
    async fn type_line(&mut self, line: &str) {
        self.attachment.viewer.input(format!("{line}\r").as_bytes()).await.unwrap();
    }

    /// The next event; output must join what was seen without a hole.
    async fn next(&mut self) -> Event {
        let event = tokio::time::timeout(HANGS, self.attachment.next()).await.expect("the terminal hangs");
        let event = event.unwrap().expect("the terminal was closed");
        match &event {
            Event::Output { offset, data } => {
                assert_eq!(*offset, self.offset, "a hole in the output");
                self.offset += data.len() as u64;
                self.seen.extend_from_slice(data);
                self.attachment.viewer.acknowledge(self.offset).await.unwrap();
            }
            Event::Gap { resume } => self.offset = *resume,
            _ => {}
        }
        self.events.push(event.clone());
        event
    }

    async fn until(&mut self, wanted: &str) {
        while !String::from_utf8_lossy(&self.seen).contains(wanted) {
            self.next().await;
        }
    }
}

#[tokio::test]
async fn a_shell_answers_what_is_typed() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut watch = process.watch(id, 0).await;
    assert_eq!(watch.next().await, Event::Hello { end: 0, size: Size::default() });
    watch.type_line("echo $((6*7))-$TERM-$(tty >/dev/null && echo tty)-$PWD").await;
    watch.until("42-xterm-256color-tty-/root").await;
}

#[tokio::test]
async fn a_second_viewer_sees_the_same_bytes_from_any_offset() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut first = process.watch(id, 0).await;
    first.type_line("echo the-$((1+1))nd").await;
    first.until("the-2nd").await;
    let middle = first.offset / 2;
    let mut second = process.watch(id, middle).await;
    second.until("nd").await;
    while second.offset < first.offset {
        second.next().await;
    }
    assert_eq!(second.seen[..(first.offset - middle) as usize], first.seen[middle as usize..]);
}

#[tokio::test]
async fn a_hundred_megabytes_reach_a_reading_viewer_whole() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut watch = process.watch(id, 0).await;
    watch
        .type_line("stty -opost -echo; head -c 100000000 /dev/zero | tr '\\0' x; echo; echo flood-$((1+1))")
        .await;
    let mut count = 0_usize;
    loop {
        watch.next().await;
        count += watch.seen.iter().filter(|byte| **byte == b'x').count();
        if watch.seen.windows(7).any(|window| window == b"flood-2") {
            break;
        }
        let keep = watch.seen.len().saturating_sub(7);
        count -= watch.seen[keep..].iter().filter(|byte| **byte == b'x').count();
        watch.seen.drain(..keep);
    }
    // The typed line has one x of its own, before the flood, when it was echoed.
    assert!((100_000_000..100_000_010).contains(&count), "{count}");
}

#[tokio::test]
async fn a_viewer_that_comes_late_is_told_of_the_gap() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut watch = process.watch(id, 0).await;
    watch.type_line("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end-$((1+1))").await;
    watch.until("end-2").await;
    let mut late = process.watch(id, 0).await;
    late.next().await;
    let Event::Gap { resume } = late.next().await else { panic!("no gap: {:?}", late.events) };
    assert!(watch.offset - resume <= SCROLLBACK as u64 && resume > 1_000_000, "{resume}");
    late.until("end-2").await;
}

#[tokio::test]
async fn a_viewer_that_stops_reading_does_not_stop_the_others_for_long() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let _stuck = process.agent.attach(id, 0, Mode::ReadOnly, Pacing::Acknowledged).await.unwrap();
    let mut watch = process.watch(id, 0).await;
    watch.type_line("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end-$((1+1))").await;
    watch.until("end-2").await;
    assert!(!watch.events.iter().any(|event| matches!(event, Event::Gap { .. })));
}

#[tokio::test]
async fn a_shell_that_exits_is_announced_and_followed_by_a_new_one() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut watch = process.watch(id, 0).await;
    watch.type_line("exit 7").await;
    while !watch.events.contains(&Event::ShellExited { code: 7 }) {
        watch.next().await;
    }
    watch.seen.clear();
    // What is typed before the new shell is there goes nowhere, so its prompt is awaited.
    while watch.seen.is_empty() {
        watch.next().await;
    }
    watch.type_line("echo again-$((1+1))").await;
    watch.until("again-2").await;
}

#[tokio::test]
async fn the_terminal_takes_the_size_of_the_viewer_and_tells_the_others() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut first = process.watch(id, 0).await;
    let mut second = process.watch(id, 0).await;
    let size = Size { cols: 133, rows: 44 };
    first.next().await;
    second.next().await;
    first.attachment.viewer.resize(size).await.unwrap();
    first.type_line("stty size").await;
    first.until("44 133").await;
    while !second.events.contains(&Event::Resized(size)) {
        second.next().await;
    }
}

#[tokio::test]
async fn a_closed_terminal_ends_its_shell_and_its_viewers() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut watch = process.watch(id, 0).await;
    watch.type_line("echo pid-$$-").await;
    while !watch.events.iter().any(|_| shell_pid(&watch.seen).is_some()) {
        watch.next().await;
    }
    let pid = shell_pid(&watch.seen).unwrap();
    process.agent.close_terminal(id).await.unwrap();
    while !matches!(watch.events.last(), Some(Event::Closed { .. })) {
        watch.next().await;
    }
    assert_eq!(process.agent.terminals().await.unwrap(), []);
    assert!(process.agent.close_terminal(id).await.unwrap_err().is_not_found());
    let proc = std::path::PathBuf::from(format!("/proc/{pid}"));
    tokio::time::timeout(HANGS, async {
        while proc.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the shell lives on");
}

fn shell_pid(seen: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(seen);
    text.split("pid-").filter_map(|rest| rest.split_once('-')?.0.parse().ok()).next()
}

#[tokio::test]
async fn a_read_only_viewer_cannot_type() {
    let process = Process::start(&[]);
    let id = process.terminal().await;
    let mut attachment = process.agent.attach(id, 0, Mode::ReadOnly, Pacing::Socket).await.unwrap();
    attachment.viewer.input(b"echo no\r").await.unwrap();
    let refused = async {
        loop {
            match attachment.next().await {
                Err(AgentError::Refused { .. }) => return,
                Ok(Some(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(HANGS, refused).await.unwrap();
}

#[tokio::test]
async fn commands_have_streams_status_and_surroundings() {
    let process = Process::start(&[]);
    let mut request = ExecRequest::shell("cat; echo $WHO in $PWD as $(id -u); echo oops >&2; exit 3");
    request.env.insert("WHO".to_owned(), "ada".to_owned());
    request.cwd = Some("/tmp".to_owned());
    let output = process.agent.exec_with_input(request, b"fed ").await.unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "fed ada in /tmp as 0\n");
    assert_eq!((output.stderr.as_slice(), output.exit), (&b"oops\n"[..], Exit::Code(3)));

    let mut request = ExecRequest::new(["id", "-u"]);
    request.user = Some("65534".to_owned());
    assert_eq!(process.agent.exec(request).await.unwrap().stdout, b"65534\n");
    let missing = process.agent.exec(ExecRequest::new(["no-such-program"])).await.unwrap_err();
    assert!(missing.is_not_found(), "{missing}");
}

#[tokio::test]
async fn what_a_command_leaves_in_the_background_lives_on() {
    let process = Process::start(&[]);
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let output = process.agent.exec(ExecRequest::shell(script)).await.unwrap();
    let pid: i32 = str::from_utf8(&output.stdout).unwrap().trim().parse().unwrap();
    let pid = nix::unistd::Pid::from_raw(pid);
    process.agent.terminals().await.unwrap();
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it was killed with its shell");
}

#[tokio::test]
async fn a_command_past_its_time_is_killed_with_its_children() {
    let process = Process::start(&[]);
    let mut request = ExecRequest::shell("sleep 1000 & echo $!; wait");
    request.timeout_ms = Some(300);
    let output = process.agent.exec(request).await.unwrap();
    assert_eq!(output.exit, Exit::TimedOut);
    gone(String::from_utf8(output.stdout).unwrap().trim()).await;
}

#[tokio::test]
async fn a_command_whose_client_leaves_is_killed() {
    let process = Process::start(&[]);
    let mut running = process.agent.start_exec(ExecRequest::shell("echo $$; exec sleep 1000")).await.unwrap();
    let ExecEvent::Stdout(pid) = running.next().await.unwrap() else { panic!("no output") };
    drop(running);
    gone(str::from_utf8(&pid).unwrap().trim()).await;
}

async fn gone(pid: &str) {
    let proc = std::path::PathBuf::from(format!("/proc/{pid}"));
    let gone = async {
        while proc.exists() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, gone).await.expect("the process lives on");
}

#[tokio::test]
async fn files_are_written_read_and_listed() {
    use std::os::unix::fs::PermissionsExt;
    let process = Process::start(&[]);
    let contents: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    let request = WriteRequest { path: process.path("a/b/c.bin"), mode: 0o750, parents: Parents::Create };
    process.agent.write_file(request.clone(), &contents).await.unwrap();
    assert_eq!(process.agent.read_file(request.path.as_str(), 1_000_000).await.unwrap(), contents);
    assert!(matches!(
        process.agent.read_file(request.path.as_str(), 1000).await,
        Err(AgentError::TooLarge { .. })
    ));
    assert_eq!(std::fs::metadata(&request.path).unwrap().permissions().mode() & 0o7777, 0o750);
    let tree = process.agent.tree(process.path("a"), 5).await.unwrap();
    let names: Vec<_> = tree.iter().map(|entry| (entry.path.as_str(), entry.size)).collect();
    assert_eq!(names.last(), Some(&("b/c.bin", 300_000)));
    assert_eq!(names.len(), 2, "a partial file was left: {names:?}");
    let missing = WriteRequest { path: process.path("x/y"), mode: 0o644, parents: Parents::MustExist };
    assert!(process.agent.write_file(missing, b"").await.unwrap_err().is_not_found());
}

#[tokio::test]
async fn an_unfinished_upload_leaves_nothing() {
    let process = Process::start(&[]);
    let request = WriteRequest { path: process.path("up/file"), mode: 0o644, parents: Parents::Create };
    let mut upload = process.agent.upload(request).await.unwrap();
    upload.write(b"half").await.unwrap();
    drop(upload);
    let empty = async {
        while !process.agent.tree(process.path("up"), 1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(HANGS, empty).await.expect("a partial file was left");
}

#[tokio::test]
async fn a_dead_engine_is_started_again() {
    let folder = tempfile::tempdir().unwrap();
    let pids = folder.path().join("pids");
    let script =
        format!("echo $$ $LISTEN_FDS >> {}; test -S /proc/self/fd/3 && exec sleep 1000", pids.display());
    let process = Process::start(&["--engine", "/bin/sh", "-c", &script]);
    let started = |count: usize| {
        let pids = pids.clone();
        async move {
            let lines = async {
                loop {
                    let text = std::fs::read_to_string(&pids).unwrap_or_default();
                    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
                    if lines.len() >= count {
                        return lines;
                    }
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(HANGS, lines).await.expect("the engine is not started")
        }
    };
    let first = started(1).await[0].clone();
    assert!(first.ends_with(" 1"), "LISTEN_FDS is not 1: {first}");
    let pid: i32 = first.split(' ').next().unwrap().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    started(2).await;
    process.agent.restart_engine().await.unwrap();
    started(3).await;
    assert_ne!(process.agent.stats().await.unwrap().engine, EngineState::None);
}

#[tokio::test]
async fn garbage_is_refused_and_harms_nobody() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let process = Process::start(&[]);
    for garbage in [
        &b"\x00\xff\xff\xff\xffxxxx"[..],
        b"\x01\x00\x00\x00\x00",
        b"\x00\x00\x00\x00\x02{]",
        b"GET / HTTP/1.1\r\n",
    ] {
        let mut stream = tokio::net::UnixStream::connect(process.agent.socket()).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // A refusal, or the connection is reset because of what it left unread.
        let _ = tokio::time::timeout(HANGS, stream.read_to_end(&mut answer)).await.unwrap();
        assert!(answer.first().is_none_or(|kind| *kind == 1), "{answer:?}");
    }
    assert_eq!(process.agent.terminals().await.unwrap(), []);
}
