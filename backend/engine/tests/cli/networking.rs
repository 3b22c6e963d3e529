//! Ports and names, as containers and the host see them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::machine::Machine;

/// Asks a web server from inside the machine's network.
pub fn page(machine: &Machine, address: &str) -> std::io::Result<String> {
    let namespace = drydock_sys::netns::open(&machine.network())?;
    let address: SocketAddr = address.parse().expect("an address");
    std::thread::spawn(move || {
        use std::os::fd::AsFd;
        let _inside = drydock_sys::netns::Inside::enter(namespace.as_fd())?;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    })
    .join()
    .expect("the asker")
}

#[test]
fn a_published_port_is_answered_until_its_container_stops() {
    let machine = Machine::new();
    let serve = "mkdir /www && echo page > /www/index.html && exec httpd -f -h /www";
    machine.docker(["run", "-d", "--name", "web", "-p", "18080:80", "busybox", "sh", "-c", serve]).ok();
    assert!(machine.docker(["port", "web"]).ok().contains("80/tcp -> 0.0.0.0:18080"));
    assert!(machine.docker(["ps", "--format", "{{.Ports}}"]).ok().contains("0.0.0.0:18080->80/tcp"));
    machine.until("the page is there", |machine| {
        page(machine, "127.0.0.1:18080").is_ok_and(|answer| answer.ends_with("page\n"))
    });
    machine.docker(["kill", "web"]).ok();
    machine.until("nobody answers", |machine| page(machine, "127.0.0.1:18080").is_err());
    assert_eq!(machine.docker(["ps", "-a", "--format", "{{.Ports}}"]).ok(), "");
}

#[test]
fn containers_of_a_network_know_each_other_by_name() {
    let machine = Machine::new();
    machine.docker(["network", "create", "own"]).ok();
    machine.docker(["run", "-d", "--name", "other", "--network", "own", "busybox", "sleep", "1000"]).ok();
    machine.docker(["run", "--rm", "--network", "own", "busybox", "ping", "-c1", "-W5", "other"]).ok();
    let shared = machine.docker(["run", "--rm", "--network", "container:other", "busybox", "hostname"]).code;
    assert_eq!(shared, 0);
    let complaint = machine.docker(["run", "--rm", "--network", "nowhere", "busybox", "true"]).fails(125);
    assert!(complaint.contains("network nowhere not found"), "{complaint}");
}
