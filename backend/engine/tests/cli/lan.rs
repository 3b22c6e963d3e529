//! An Ethernet between machines of tests.

use std::io::Read;
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::machine::Machine;

/// A switch; it is there until dropped.
pub struct Lan {
    holder: Child,
    _held: ChildStdin,
}

impl Lan {
    pub fn new() -> Self {
        let script = "ip link add br0 type bridge && ip link set br0 up && echo up && exec cat";
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare, of util-linux");
        let held = holder.stdin.take().expect("its input");
        let mut up = [0; 3];
        holder
            .stdout
            .take()
            .expect("its output")
            .read_exact(&mut up)
            .expect("a bridge (apt-get install iproute2)");
        Self { holder, _held: held }
    }

    /// `count` machines on it, [`address`] of each by its place.
    pub fn machines(&self, count: u8) -> Vec<Machine> {
        (0..count)
            .map(|at| {
                let machine = Machine::new();
                self.plug(&machine, at);
                machine
            })
            .collect()
    }

    fn plug(&self, machine: &Machine, at: u8) {
        let port = format!("port{at}");
        let (own, other) = (self.holder.id().to_string(), machine.pid().to_string());
        let pair =
            ["link", "add", &port, "netns", &own, "type", "veth", "peer", "name", "eth0", "netns", &other];
        run(Command::new("ip").args(pair));
        run(self.inside().args(["link", "set", &port, "master", "br0", "up"]));
        run(machine.inside("ip").args(["address", "add", &format!("{}/24", address(at)), "dev", "eth0"]));
        run(machine.inside("ip").args(["link", "set", "eth0", "up"]));
    }

    /// Pulls a machine's plug, or puts it back.
    pub fn set_link(&self, at: u8, state: &str) {
        run(self.inside().args(["link", "set", &format!("port{at}"), state]));
    }

    fn inside(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.holder.id().to_string(), "--", "ip"]);
        command
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// A machine's address on its network.
pub fn address(at: u8) -> String {
    format!("192.168.77.{}", at + 1)
}

#[track_caller]
fn run(command: &mut Command) {
    let said = command.output().expect("ip (apt-get install iproute2)");
    assert!(said.status.success(), "{command:?}: {}", String::from_utf8_lossy(&said.stderr));
}
