//! `-o com.docker.network.bridge.gateway_mode_ipv4=…`; texts and reach compared with dockerd 28.5.

use crate::machine::Machine;

const SERVE: &str =
    "mkdir /www && echo page > /www/index.html && httpd -h /www && exec httpd -f -p 81 -h /www";

/// A network of `mode` with `web`, whose port 80 is published, and a stranger on a network of its own.
fn machine(mode: &str) -> Machine {
    let machine = Machine::new();
    let option = format!("com.docker.network.bridge.gateway_mode_ipv4={mode}");
    machine.docker(["network", "create", "--subnet", "10.77.0.0/24", "-o", &option, "open"]).ok();
    machine.docker(["network", "create", "other"]).ok();
    let web = ["run", "-d", "--name", "web", "--network", "open", "-p", "8080:80", "-p", "9000:90/udp"];
    machine.docker_words(&[&web[..], &["busybox", "sh", "-c", SERVE]].concat()).ok();
    machine
        .docker(["run", "-d", "--name", "stranger", "--network", "other", "busybox", "sleep", "1000"])
        .ok();
    machine
}

fn reaches(machine: &Machine, port: u16) -> bool {
    let url = format!("http://10.77.0.2:{port}/");
    machine.docker(["exec", "stranger", "timeout", "1", "wget", "-q", "-O", "-", &url]).code == 0
}

fn wait_for_page(machine: &Machine) {
    machine.until("the page is served", |machine| {
        machine.docker(["exec", "web", "wget", "-q", "-O", "-", "http://127.0.0.1:81/"]).code == 0
    });
}

#[test]
fn published_ports_of_a_routed_network_are_reached_at_the_containers_address() {
    let mut machine = machine("routed");
    wait_for_page(&machine);
    let shown = |machine: &Machine| machine.inspect("web", "{{json .NetworkSettings.Ports}}");
    let expected = concat!(
        r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":""},{"HostIp":"::","HostPort":"8080"}],"#,
        r#""90/udp":[{"HostIp":"0.0.0.0","HostPort":""},{"HostIp":"::","HostPort":"9000"}]}"#
    );
    assert_eq!(shown(&machine), expected);
    let ports = machine.docker(["ps", "--filter", "name=^web$", "--format", "{{.Ports}}"]).ok();
    assert_eq!(ports, "0.0.0.0:0->80/tcp, [::]:8080->80/tcp, 0.0.0.0:0->90/udp, [::]:9000->90/udp");
    assert_eq!(machine.docker(["port", "web", "80"]).ok(), "0.0.0.0:\n[::]:8080");
    assert!(reaches(&machine, 80) && !reaches(&machine, 81));
    let ping =
        |machine: &Machine| machine.docker(["exec", "stranger", "ping", "-c1", "-W1", "10.77.0.2"]).code;
    assert_eq!(ping(&machine), 0, "echoes are let in");
    machine.kill_engine();
    machine.start_engine();
    assert_eq!(shown(&machine), expected);
    assert!(reaches(&machine, 80) && !reaches(&machine, 81));
    machine.docker(["stop", "-t0", "web"]).ok();
    machine
        .docker([
            "run",
            "-d",
            "--network",
            "open",
            "--ip",
            "10.77.0.2",
            "--name",
            "next",
            "busybox",
            "sleep",
            "9",
        ])
        .ok();
    let ruleset = machine.inside("nft").args(["list", "set", "ip", "drydock", "routed_ports"]).output();
    let ruleset = String::from_utf8(ruleset.expect("nft").stdout).expect("text");
    assert!(ruleset.contains("routed_ports") && !ruleset.contains("elements"), "{ruleset}");
}

#[test]
fn ports_follow_a_container_from_a_routed_network_to_a_translated_one() {
    let machine = machine("routed");
    wait_for_page(&machine);
    machine.docker(["network", "create", "closed"]).ok();
    machine.docker(["network", "connect", "--gw-priority", "1", "closed", "web"]).ok();
    let expected = r#"[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]"#;
    assert_eq!(machine.inspect("web", r#"{{json (index .NetworkSettings.Ports "80/tcp")}}"#), expected);
    assert!(!reaches(&machine, 80));
    assert_eq!(
        crate::networking::page(&machine, "127.0.0.1:8080").expect("a page").lines().last(),
        Some("page")
    );
    machine.docker(["network", "disconnect", "closed", "web"]).ok();
    let expected = r#"[{"HostIp":"0.0.0.0","HostPort":""},{"HostIp":"::","HostPort":"8080"}]"#;
    assert_eq!(machine.inspect("web", r#"{{json (index .NetworkSettings.Ports "80/tcp")}}"#), expected);
    assert!(reaches(&machine, 80));
}
