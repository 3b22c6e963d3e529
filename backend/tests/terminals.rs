//! The terminal socket, with real shells behind it.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use drydock_wire::terminal::ClientFrame;
use futures_util::StreamExt;
use support::{Gateway, Play, eventually, open};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_reconnect_continues_where_it_was() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut first = play.watch(&node.name, "1", "from=0").await;
    first.type_in("echo one-$((40+2))\r").await;
    first.until("one-42").await;
    let seen = first.from + first.received.len() as u64;
    drop(first.socket);

    let mut second = play.watch(&node.name, "1", "from=0").await;
    second.type_in("echo two-$((40+2))\r").await;
    second.until("two-42").await;
    assert!(second.received.starts_with(&first.received));
    let mut third = play.watch(&node.name, "1", &format!("from={seen}")).await;
    third.until("two-42").await;
    assert_eq!(third.from, seen);
    assert!(second.received.ends_with(&third.received) || third.received.ends_with(b"# "));
    gateway.end().await;
}

#[tokio::test]
async fn a_viewer_sees_and_may_not_type() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut owner = play.watch(&node.name, "1", "").await;
    let mut viewer = play.watch(&node.name, "1", "mode=ro").await;
    owner.type_in("echo seen-$((40+2))\r").await;
    viewer.until("seen-42").await;
    viewer.type_in("echo typed-$((40+2))\r").await;
    while viewer.receive().await {}
    owner.type_in("echo last-$((40+2))\r").await;
    owner.until("last-42").await;
    assert!(!String::from_utf8_lossy(&owner.received).contains("typed"));
    gateway.end().await;
}

#[tokio::test]
async fn a_terminal_is_opened_listed_and_closed() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut events = play.events().await;
    let two = play.terminal(&node.name).await;
    events.until("instance terminals", |args| args[1].as_array().is_some_and(|list| list.len() == 2)).await;
    let mut screen = play.watch(&node.name, &two, "").await;
    let url = format!("{}/instances/{}/terminals/{two}", play.url, node.name);
    assert_eq!(play.http.delete(&url).send().await.unwrap().status(), 200);
    while screen.receive().await {}
    assert!(screen.closed.is_some());
    events.until("instance terminals", |args| args[1].as_array().is_some_and(|list| list.len() == 1)).await;
    let gone = format!("{url}/ws");
    assert!(open(&gone, None).await.is_err());
    gateway.end().await;
}

#[tokio::test]
async fn a_hundred_megabytes_lose_no_byte() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    // Lines that number themselves: a lost or doubled byte shows.
    play.run(&node.name, "seq -f %09.0f 1 10000000 > /tmp/big").await;
    let mut screen = play.watch(&node.name, "1", "").await;
    screen.type_in("clear; cat /tmp/big; echo END-$((40+2))\r").await;
    screen.until("END-42").await;
    let text = &screen.received;
    let first = text.windows(11).position(|part| part == b"000000001\r\n").expect("the first line");
    let lines = &text[first..first + 10_000_000 * 11];
    for (number, line) in (1..).zip(lines.chunks(11)) {
        let expected = format!("{number:09}\r\n");
        assert_eq!(line, expected.as_bytes(), "line {number}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn only_our_own_page_may_open_a_socket() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let terminal = format!("{}/instances/{}/terminals/1/ws", play.url, node.name);
    for url in [terminal, format!("{}/ws/", play.url)] {
        for (origin, opens) in [
            (None, true),
            (Some(gateway.url.clone()), true),
            (Some("http://evil.example".to_owned()), false),
            (Some(format!("http://{}-80.direct.{}", node.proxy_host, gateway.address)), false),
        ] {
            assert_eq!(open(&url, origin.as_deref()).await.is_ok(), opens, "{url} {origin:?}");
        }
    }
    gateway.end().await;
}

/// A gateway as a process of its own, which can be killed and measured.
struct Process {
    child: Child,
    data: tempfile::TempDir,
    address: String,
}

impl Process {
    async fn start(data: tempfile::TempDir) -> Self {
        let web = data.path().join("dist/web");
        std::fs::create_dir_all(&web).unwrap();
        std::fs::write(web.join("index.html"), "<!doctype html>").unwrap();
        for part in ["bin", "images"] {
            let link = data.path().join("dist").join(part);
            let _ = std::os::unix::fs::symlink(support::dist().join(part).canonicalize().unwrap(), link);
        }
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let child = Command::new(env!("CARGO_BIN_EXE_drydock"))
            .args(["serve", "--offline", "--listen", &address, "--data-dir"])
            .arg(data.path().join("data"))
            .arg("--dist")
            .arg(data.path().join("dist"))
            .args(["--image-store", concat!(env!("CARGO_TARGET_TMPDIR"), "/image-store")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let process = Self { child, data, address };
        eventually(async || {
            let ping = reqwest::get(format!("http://{}/ping", process.address)).await;
            ping.is_ok_and(|answer| answer.status() == 200).then_some(())
        })
        .await;
        process
    }

    async fn session(&self) -> Play {
        let http = reqwest::Client::new();
        let url = format!("http://{}", self.address);
        let made = http.post(&url).header("X-Requested-With", "XMLHttpRequest").send().await.unwrap();
        let made: serde_json::Value = made.json().await.unwrap();
        let id = made["session_id"].as_str().unwrap().to_owned();
        Play { url: format!("{url}/sessions/{id}"), id, http }
    }

    /// As `kill -9`.
    fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.data
    }

    fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    async fn output_bytes(&self) -> u64 {
        let text =
            reqwest::get(format!("http://{}/metrics", self.address)).await.unwrap().text().await.unwrap();
        let line = text.lines().find(|line| line.starts_with("drydock_terminal_output_bytes_total")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn end(self) {
        let data = self.kill();
        let status = Command::new(env!("CARGO_BIN_EXE_drydock"))
            .args(["reset", "--data-dir"])
            .arg(data.path().join("data"))
            .arg("--dist")
            .arg(data.path().join("dist"))
            .args(["--image-store", concat!(env!("CARGO_TARGET_TMPDIR"), "/image-store")])
            .status()
            .unwrap();
        assert!(status.success());
        assert!(!data.path().join("data").exists());
    }
}

#[tokio::test]
async fn a_browser_that_stops_reading_costs_no_memory() {
    let process = Process::start(tempfile::tempdir().unwrap()).await;
    let play = process.session().await;
    let node = play.node().await;
    let mut screens = Vec::new();
    for terminal in ["1", "2", "3", "4"] {
        if terminal != "1" {
            assert_eq!(play.terminal(&node.name).await, terminal);
        }
        screens.push(play.watch(&node.name, terminal, "").await);
    }
    let before = process.resident_kib();
    for screen in &mut screens {
        // Acknowledges everything beforehand, as a hostile client would, and never reads again.
        screen.send(ClientFrame::Ack { offset: 1 << 40 }).await;
        screen.type_in("yes\r").await;
    }
    // Stalled: no more bytes are taken out of the node for these browsers.
    let mut last = 0;
    eventually(async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = process.output_bytes().await;
        (std::mem::replace(&mut last, now) == now && now > 0).then_some(())
    })
    .await;
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for four browsers that do not read");
    process.end();
}

#[tokio::test]
async fn a_killed_gateway_loses_no_terminal() {
    let process = Process::start(tempfile::tempdir().unwrap()).await;
    let play = process.session().await;
    let node = play.node().await;
    let mut screen = play.watch(&node.name, "1", "").await;
    screen.type_in("kept=value-$((40+2)); echo $kept\r").await;
    screen.until("value-42").await;
    let seen = screen.from + screen.received.len() as u64;

    let process = Process::start(process.kill()).await;
    while let Some(Ok(message)) = screen.socket.next().await {
        assert!(matches!(message, Message::Binary(_) | Message::Ping(_)), "{message}");
    }
    let play = Play { url: format!("http://{}/sessions/{}", process.address, play.id), ..play };
    let mut screen = play.watch(&node.name, "1", &format!("from={seen}")).await;
    screen.type_in("echo again-$kept\r").await;
    screen.until("again-value-42").await;
    assert_eq!(screen.from, seen);
    process.end();
}
