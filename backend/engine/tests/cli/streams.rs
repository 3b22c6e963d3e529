//! Output, input, terminals, logs, exec.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::machine::Machine;

#[test]
fn output_and_errors_stay_apart_and_input_arrives() {
    let machine = Machine::new();
    let said = machine.docker(["run", "--rm", "busybox", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((said.out.as_str(), said.err.as_str()), ("out\n", "err\n"));
    let big = vec![b'x'; 300_000];
    let said = machine.docker_with_input(["run", "--rm", "-i", "busybox", "cat"], &big);
    assert_eq!((said.out.len(), said.code), (big.len(), 0));
}

#[test]
fn logs_can_be_cut_stamped_and_followed_to_the_end() {
    let machine = Machine::new();
    let script = "seq 1 5; while [ ! -e /go ]; do sleep 0.05; done; echo last; echo bad >&2";
    machine.docker(["run", "-d", "--name", "log", "busybox", "sh", "-c", script]).ok();
    machine.until("its lines are there", |machine| machine.docker(["logs", "log"]).out.lines().count() == 5);
    assert_eq!(machine.docker(["logs", "--tail", "2", "log"]).ok(), "4\n5");
    let stamped = machine.docker(["logs", "-t", "--tail", "1", "log"]).ok();
    assert!(stamped.starts_with("20") && stamped.ends_with("Z 5"), "{stamped}");
    assert_eq!(machine.docker(["logs", "--until", "1h", "log"]).ok(), "");
    let follower = machine
        .command(["logs", "-f", "--tail", "1", "log"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("docker");
    machine.docker(["exec", "log", "touch", "/go"]).ok();
    let followed = follower.wait_with_output().expect("its end");
    assert_eq!(String::from_utf8_lossy(&followed.stdout), "5\nlast\n");
    assert_eq!(String::from_utf8_lossy(&followed.stderr), "bad\n");
}

#[test]
fn exec_runs_beside_the_first_process_as_asked() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "one", "busybox", "sleep", "1000"]).ok();
    let script = "id -u; echo $A; pwd; exit 3";
    let said = machine.docker(["exec", "-u", "web", "-e", "A=b", "-w", "/data", "one", "sh", "-c", script]);
    assert_eq!((said.out.as_str(), said.code), ("33\nb\n/data\n", 3));
    let said = machine.docker(["exec", "one", "nosuch"]);
    assert_eq!(said.code, 127);
    assert!(said.out.contains("exec: \"nosuch\": executable file not found in $PATH"), "{said:?}");
    assert_eq!(machine.docker_with_input(["exec", "-i", "one", "cat"], b"typed").ok(), "typed");
    machine.docker(["exec", "-d", "one", "touch", "/done"]).ok();
    machine.until("the detached process is done", |machine| {
        machine.docker(["exec", "one", "ls", "/done"]).code == 0
    });
    assert!(machine.docker(["top", "one"]).ok().contains("sleep 1000"));
}

#[test]
fn a_terminal_is_left_by_its_keys_and_taken_up_again() {
    let machine = Machine::new();
    let mut terminal = Terminal::open(&machine, &["run", "-it", "--name", "tty", "busybox", "sh"]);
    terminal.after("# ", "echo $((6*7))\n");
    terminal.after("42", "");
    terminal.after("# ", "\x10\x11");
    assert_eq!(terminal.end(), Some(0));
    assert_eq!(machine.inspect("tty", "{{.State.Running}}"), "true");
    let mut terminal = Terminal::open(&machine, &["attach", "tty"]);
    terminal.after("", "\n");
    terminal.after("# ", "exit 5\n");
    assert_eq!(terminal.end(), Some(5));
    assert_eq!(machine.inspect("tty", "{{.State.ExitCode}}"), "5");
}

/// docker in a terminal of its own.
struct Terminal {
    keyboard: std::fs::File,
    child: std::process::Child,
    shown: String,
}

impl Terminal {
    fn open(machine: &Machine, arguments: &[&str]) -> Self {
        let pty = drydock_sys::pty::open().expect("a terminal");
        let side = || Stdio::from(pty.slave.try_clone().expect("its other side"));
        let child = machine
            .command([])
            .args(arguments)
            .stdin(side())
            .stdout(side())
            .stderr(side())
            .spawn()
            .expect("docker");
        Self { keyboard: pty.master.into(), child, shown: String::new() }
    }

    /// Types when the text has appeared after what was waited for before.
    fn after(&mut self, text: &str, typed: &str) {
        let mut buffer = [0; 4096];
        while !self.shown.contains(text) {
            let count = self.keyboard.read(&mut buffer).unwrap_or_else(|error| {
                panic!("{text:?} never appeared in {:?}: {error}", self.shown);
            });
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        let end = self.shown.find(text).unwrap_or(0) + text.len();
        self.shown.drain(..end);
        self.keyboard.write_all(typed.as_bytes()).expect("type");
    }

    fn end(mut self) -> Option<i32> {
        let mut keyboard = self.keyboard;
        // Somebody must read, or the last words block.
        let reader = std::thread::spawn(move || std::io::copy(&mut keyboard, &mut std::io::sink()));
        let code = self.child.wait().expect("its end").code();
        let _ = reader.join();
        code
    }
}

#[tokio::test]
async fn a_browser_attaches_by_websocket() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;
    let machine = Machine::new();
    machine.docker(["run", "-d", "-i", "--name", "echo", "busybox", "sh", "-c", "echo before; cat"]).ok();
    machine.until("it has printed", |machine| machine.docker(["logs", "echo"]).ok() == "before");
    let socket = tokio::net::UnixStream::connect(machine.path("docker.sock")).await.expect("connect");
    let url = "ws://docker/v1.45/containers/echo/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1";
    let (mut client, _) = tokio_tungstenite::client_async(url, socket).await.expect("a WebSocket");
    let said = async |client: &mut tokio_tungstenite::WebSocketStream<_>| {
        let Some(Ok(Message::Binary(bytes))) = client.next().await else { panic!("bytes were to come") };
        String::from_utf8(bytes.to_vec()).expect("text")
    };
    assert_eq!(said(&mut client).await, "before\n");
    client.send(Message::Text("typed\n".into())).await.expect("send");
    assert_eq!(said(&mut client).await, "typed\n");
    machine.docker(["kill", "echo"]).ok();
    assert!(matches!(client.next().await, Some(Ok(Message::Close(_))) | None), "its end closes the socket");
}

#[test]
fn what_was_printed_before_is_replayed_to_who_attaches_late() {
    let machine = Machine::new();
    machine.docker(["run", "--name", "done", "busybox", "sh", "-c", "echo out; echo err >&2"]).ok();
    let mut ask = machine.inside("curl");
    ask.args(["--silent", "--max-time", "30", "--request", "POST", "--unix-socket"])
        .arg(machine.path("docker.sock"))
        .arg("http://d/v1.41/containers/done/attach?logs=1&stdout=1&stderr=1&stream=0");
    let answer = ask.output().expect("curl").stdout;
    assert_eq!(answer, b"\x01\0\0\0\0\0\0\x04out\n\x02\0\0\0\0\0\0\x04err\n");
}
