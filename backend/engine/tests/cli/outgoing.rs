//! How the engine's own requests leave: through proxies, to mirrors, so many at a time.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::machine::Machine;
use crate::receivers::in_network;

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Somebody who is asked, refuses, and tells by what first line.
struct Refuser {
    address: String,
    asked: Receiver<String>,
}

impl Refuser {
    fn new(machine: &Machine) -> Self {
        let listener = in_network(machine, || TcpListener::bind("127.0.0.1:0").expect("a socket"));
        let address = listener.local_addr().expect("its address").to_string();
        let (sender, asked) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut lines = BufReader::new(stream.try_clone().expect("the same")).lines();
                let Some(Ok(first)) = lines.next() else { continue };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let answer = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes());
                if sender.send(first).is_err() {
                    return;
                }
            }
        });
        Self { address, asked }
    }

    /// Waits until it is asked so; nobody who is to be asked directly may be asked for here.
    #[track_caller]
    fn is_asked(&self, beginning: &str) {
        loop {
            let first = self.asked.recv_timeout(PATIENCE).expect(beginning);
            assert!(!first.contains("direct.example"), "{first}");
            if first.starts_with(beginning) {
                return;
            }
        }
    }
}

#[test]
fn registries_are_asked_through_the_proxies_that_are_set_but_for_those_that_are_not_to_be() {
    let mut machine = Machine::new();
    let (plain, encrypted) = (Refuser::new(&machine), Refuser::new(&machine));
    machine.stop_engine();
    std::fs::write(
        machine.path("daemon.json"),
        serde_json::json!({
            "proxies": {
                "http-proxy": format!("http://{}", plain.address),
                "https-proxy": format!("http://{}", encrypted.address),
                "no-proxy": "direct.example,10.0.0.0/8",
            },
            "insecure-registries": ["plain.example:5000", "direct.example:5000"],
        })
        .to_string(),
    )
    .expect("write");
    machine.start_engine();
    machine.docker(["pull", "direct.example:5000/image"]).fails(1);
    machine.docker(["pull", "safe.example/image"]).fails(1);
    encrypted.is_asked("CONNECT safe.example:443 ");
    machine.docker(["pull", "plain.example:5000/image"]).fails(1);
    plain.is_asked("GET http://plain.example:5000/v2/");
    let dockerfile = b"FROM busybox\nADD http://files.example/file /\n";
    machine.docker_with_input(["build", "-"], dockerfile).fails(1);
    plain.is_asked("GET http://files.example/file ");
}

#[test]
fn a_mirror_that_a_reload_names_is_asked_by_the_next_pull() {
    let machine = Machine::new();
    let mirror = Refuser::new(&machine);
    let file = serde_json::json!({ "registry-mirrors": [format!("http://{}", mirror.address)] });
    std::fs::write(machine.path("daemon.json"), file.to_string()).expect("write");
    machine.signal_engine(Signal::SIGHUP);
    machine.until("it is reloaded", |machine| machine.engine_log().contains("Reloaded configuration"));
    machine.docker(["pull", "nobody/has"]).fails(1);
    mirror.is_asked("GET /v2/");
}
