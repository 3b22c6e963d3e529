//! `docker run -p` in all its forms; texts compared with dockerd 28.5.

use crate::machine::Machine;
use crate::networking::page;

const SERVE: &str = "mkdir /www && echo page > /www/index.html && exec httpd -f -h /www";
/// What moby says before the port itself.
const REFUSED: &str =
    "failed to set up container networking: driver failed programming external connectivity on endpoint ";

fn run(machine: &Machine, name: &str, arguments: &[&str]) -> crate::machine::Said {
    let run = ["run", "-d", "--name", name];
    machine.docker_words(&[&run[..], arguments, &["busybox", "sleep", "1000"]].concat())
}

/// Where a container's ports are to be found, one a line.
fn ports(machine: &Machine, name: &str) -> Vec<String> {
    machine.docker(["port", name]).ok().lines().map(str::to_owned).collect()
}

#[test]
fn ranges_protocols_and_addresses_are_published_as_asked() {
    let machine = Machine::new();
    let asked =
        ["-p", "8000-8002:80-82", "-p", "5353:53/udp", "-p", "127.0.0.2:8090:90", "-p", "[::1]:8091:91"];
    run(&machine, "web", &asked).ok();
    let expected = [
        "53/udp -> 0.0.0.0:5353",
        "53/udp -> [::]:5353",
        "80/tcp -> 0.0.0.0:8000",
        "80/tcp -> [::]:8000",
        "81/tcp -> 0.0.0.0:8001",
        "81/tcp -> [::]:8001",
        "82/tcp -> 0.0.0.0:8002",
        "82/tcp -> [::]:8002",
        "90/tcp -> 127.0.0.2:8090",
        "91/tcp -> [::1]:8091",
    ];
    assert_eq!(ports(&machine, "web"), expected);
    // One number for both transports, and the same number at two addresses.
    run(&machine, "both", &["-p", "8200:80/tcp", "-p", "8200:80/udp", "-p", "127.0.0.3:8090:90"]).ok();
    assert!(ports(&machine, "both").contains(&"90/tcp -> 127.0.0.3:8090".to_owned()));
}

#[test]
fn ports_that_nobody_chose_are_drawn() {
    let machine = Machine::new();
    run(&machine, "all", &["--expose", "70-72", "--expose", "9/udp", "-P"]).ok();
    let drawn = ports(&machine, "all");
    assert_eq!(drawn.len(), 8, "{drawn:?}");
    for line in &drawn {
        let port: u16 = line.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        assert!((32768..=60999).contains(&port), "{line}");
    }
    // Both families have the same number.
    assert_eq!(drawn[0].replace("0.0.0.0", "[::]"), drawn[1]);
    for (name, expected) in [("first", "80/tcp -> 0.0.0.0:8100"), ("second", "80/tcp -> 0.0.0.0:8101")] {
        run(&machine, name, &["-p", "8100-8101:80"]).ok();
        assert_eq!(ports(&machine, name)[0], expected);
    }
    let refused = run(&machine, "third", &["-p", "8100-8101:80"]).fails(125);
    assert!(refused.contains(REFUSED) && refused.contains("): all ports are allocated\n"), "{refused}");
}

#[test]
fn a_port_that_is_taken_is_refused_before_anything_is_made() {
    let machine = Machine::new();
    run(&machine, "first", &["-p", "8080:80"]).ok();
    let links = || machine.inside("ip").args(["-o", "link"]).output().expect("ip").stdout;
    let before = links();
    for asked in ["8080:80", "127.0.0.1:8080:80", "8080-8081:80-81"] {
        let refused = run(&machine, "second", &["-p", asked]).fails(125);
        let text = "): Bind for 0.0.0.0:8080 failed: port is already allocated";
        assert!(refused.contains(&format!("{REFUSED}second (")) && refused.contains(text), "{refused}");
        assert_eq!(links(), before);
        let state = machine
            .inspect("second", "{{.State.Status}} {{.State.ExitCode}} {{json .NetworkSettings.Ports}}");
        assert_eq!(state, "created 128 {}");
        machine.docker(["rm", "second"]).ok();
    }
    let refused = run(&machine, "second", &["-p", "10.99.99.99:8099:80"]).fails(125);
    let text =
        "failed to bind host port for 10.99.99.99:8099:172.17.0.3:80/tcp: cannot assign requested address";
    assert!(refused.contains(text), "{refused}");
    machine.docker(["rm", "-f", "first"]).ok();
    machine.docker(["rm", "second"]).ok();
    run(&machine, "second", &["-p", "8080:80"]).ok();
}

#[test]
fn a_port_of_a_program_of_the_host_is_refused_by_name() {
    let machine = Machine::new();
    let mut program = machine.inside("busybox").args(["nc", "-l", "-p", "8070"]).spawn().expect("busybox");
    let refused = || run(&machine, "web", &["-p", "8070:80"]);
    machine.until("the program has the port", |machine| {
        let sockets = machine.inside("cat").arg("/proc/net/tcp").output().expect("cat").stdout;
        String::from_utf8_lossy(&sockets).contains(":1F86 ")
            || String::from_utf8_lossy(
                &machine.inside("cat").arg("/proc/net/tcp6").output().expect("cat").stdout,
            )
            .contains(":1F86 ")
    });
    let said = refused().fails(125);
    program.kill().expect("kill");
    program.wait().expect("its end");
    assert!(said.contains(":8070:172.17.0.2:80/tcp: address already in use"), "{said}");
}

#[test]
fn protocols_that_cannot_be_published_are_named() {
    let machine = Machine::new();
    let refused = run(&machine, "web", &["-p", "9000:9/sctp"]).fails(125);
    assert!(refused.contains("protocol sctp cannot be published: only tcp and udp can"), "{refused}");
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "web", "-p", "18080:80", "busybox", "sh", "-c", SERVE]).ok();
    let answers = |address| page(&machine, address).is_ok_and(|answer| answer.ends_with("page\n"));
    machine.until("the page is there", |_| answers("127.0.0.1:18080"));
    assert!(answers("172.17.0.1:18080"), "by the bridge's address");
    assert!(answers("[::1]:18080"), "by IPv6");
    let fetches = |container: &str| {
        let ask = "printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 5 172.17.0.1 18080 | tail -n 1";
        machine.docker(["exec", container, "sh", "-c", ask]).out == "page\n"
    };
    assert!(fetches("web"), "hairpin");
    run(&machine, "neighbour", &[]).ok();
    assert!(fetches("neighbour"));
    machine.docker(["network", "create", "other"]).ok();
    run(&machine, "far", &["--network", "other"]).ok();
    assert!(fetches("far"), "from another bridge, by the host");
}

#[test]
fn ports_follow_the_way_out() {
    let machine = Machine::new();
    for network in ["one", "two"] {
        machine.docker(["network", "create", network]).ok();
    }
    machine.docker(["network", "create", "--internal", "inside"]).ok();
    let web =
        ["run", "-d", "--name", "web", "--network", "one", "-p", "18080:80", "busybox", "sh", "-c", SERVE];
    machine.docker(web).ok();
    let answers = || ["127.0.0.1:18080", "[::1]:18080"].map(|address| page(&machine, address).is_ok());
    machine.until("the page is there", |_| answers() == [true, true]);
    let before = ports(&machine, "web");
    machine.docker(["network", "connect", "two", "web"]).ok();
    machine.docker(["network", "connect", "inside", "web"]).ok();
    machine.docker(["network", "disconnect", "one", "web"]).ok();
    assert_eq!((answers(), ports(&machine, "web")), ([true, true], before.clone()));
    machine.docker(["network", "disconnect", "two", "web"]).ok();
    assert_eq!((answers(), ports(&machine, "web")), ([false, false], vec![]));
    machine.docker(["network", "connect", "one", "web"]).ok();
    assert_eq!((answers(), ports(&machine, "web")), ([true, true], before));
}
