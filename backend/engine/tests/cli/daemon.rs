//! The engine's own sockets and settings.

use std::os::unix::fs::MetadataExt;

use crate::machine::{Machine, Said, certificates};

#[test]
fn only_clients_with_a_certificate_are_served_over_tls() {
    let machine = Machine::prepared(|folder| {
        certificates(folder);
        let file = |name: &str| folder.join(name).display().to_string();
        let words = [
            "-H",
            "tcp://127.0.0.1:2376",
            "--tlsverify",
            "--tlscacert",
            &file("ca.pem"),
            "--tlscert",
            &file("server.pem"),
            "--tlskey",
            &file("server-key.pem"),
        ];
        words.map(str::to_owned).to_vec()
    });
    let ask = |certificate: Option<&str>| -> Said {
        let mut docker = machine.inside("docker");
        docker
            .arg("--host")
            .arg("tcp://127.0.0.1:2376")
            .arg("--tls")
            .env("DOCKER_CONFIG", machine.path("docker-config"));
        docker.arg("--tlsverify").arg("--tlscacert").arg(machine.path("ca.pem"));
        if let Some(name) = certificate {
            docker.arg("--tlscert").arg(machine.path(&format!("{name}.pem")));
            docker.arg("--tlskey").arg(machine.path(&format!("{name}-key.pem")));
        }
        docker
            .args(["version", "--format", "{{.Server.Os}}"])
            .output()
            .expect("nsenter, of util-linux")
            .into()
    };
    assert_eq!(ask(Some("client")).ok(), "linux");
    for certificate in [None, Some("stranger")] {
        let said = ask(certificate);
        assert!(said.code != 0 && said.out.trim().is_empty(), "{certificate:?}: {said:?}");
    }
    // Nor without encryption.
    let mut plain = machine.inside("curl");
    let plain =
        plain.args(["--silent", "--show-error", "http://127.0.0.1:2376/version"]).output().expect("curl");
    assert!(!String::from_utf8_lossy(&plain.stdout).contains("ApiVersion"), "{plain:?}");
}

#[test]
fn the_api_is_served_on_every_address_that_is_named() {
    let machine = Machine::prepared(|folder| {
        let second = format!("unix://{}", folder.join("second.sock").display());
        ["-H", "tcp://127.0.0.1:2375", "-H", &second, "-G", "4711"].map(str::to_owned).to_vec()
    });
    let asked = |host: &str| -> Said {
        let mut docker = machine.inside("docker");
        docker.args(["--host", host, "info"]).env("DOCKER_CONFIG", machine.path("docker-config"));
        docker.output().expect("nsenter, of util-linux").into()
    };
    let second = machine.path("second.sock");
    asked(&format!("unix://{}", second.display())).ok();
    let said = asked("tcp://127.0.0.1:2375");
    let warning = "[DEPRECATION NOTICE]: API is accessible on http://127.0.0.1:2375 without encryption.";
    assert!(said.code == 0 && said.err.contains(warning), "{said:?}");
    assert!(machine.engine_log().contains("Binding to IP address without --tlsverify is insecure"));
    let facts = std::fs::metadata(&second).expect("a socket");
    assert_eq!((facts.gid(), facts.mode() & 0o777), (4711, 0o660));
}

#[test]
fn encryption_without_certificates_of_clients_is_warned_of() {
    let machine = Machine::prepared(|folder| {
        certificates(folder);
        let file = |name: &str| folder.join(name).display().to_string();
        let (cert, key) = (file("server.pem"), file("server-key.pem"));
        let words = ["-H", "tcp://127.0.0.1:2376", "--tlsverify=false", "--tlscert", &cert, "--tlskey", &key];
        words.map(str::to_owned).to_vec()
    });
    let mut docker = machine.inside("docker");
    docker
        .args(["--host", "tcp://127.0.0.1:2376", "--tlsverify", "--tlscacert"])
        .arg(machine.path("ca.pem"))
        .arg("info")
        .env("DOCKER_CONFIG", machine.path("docker-config"));
    let said: Said = docker.output().expect("nsenter, of util-linux").into();
    let warning =
        "[DEPRECATION NOTICE]: API is accessible on https://127.0.0.1:2376 without TLS client verification.";
    assert!(said.code == 0 && said.err.contains(warning), "{said:?}");
}

#[test]
fn containers_outlive_an_engine_that_ends_and_the_next_one_takes_them_over() {
    let mut machine = Machine::new();
    machine.docker(["run", "-d", "--name", "lives", "busybox", "sh", "-c", "echo begun; sleep 1000"]).ok();
    let pid = machine.inspect("lives", "{{.State.Pid}}");
    assert_eq!(machine.stop_engine(), 0);
    assert!(!machine.path("docker.sock").exists(), "a socket that nobody serves");
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists(), "it ended with the engine");
    machine.start_engine();
    assert_eq!(machine.inspect("lives", "{{.State.Status}} {{.State.Pid}}"), format!("running {pid}"));
    assert_eq!(machine.docker(["exec", "lives", "echo", "in"]).ok(), "in");
    assert_eq!(machine.docker(["logs", "lives"]).ok(), "begun");
}

#[test]
fn without_live_restore_containers_end_with_the_engine_and_come_back_as_their_policy_says() {
    let mut machine = Machine::prepared(|_| vec!["--live-restore=false".to_owned()]);
    let obeys = "trap 'exit 5' TERM; while true; do sleep 0.05; done";
    machine.docker(["run", "-d", "--name", "once", "busybox", "sh", "-c", obeys]).ok();
    machine
        .docker(["run", "-d", "--name", "always", "--restart", "always", "busybox", "sh", "-c", obeys])
        .ok();
    let pids: Vec<String> =
        ["once", "always"].iter().map(|name| machine.inspect(name, "{{.State.Pid}}")).collect();
    assert_eq!(machine.stop_engine(), 0);
    for pid in &pids {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid} outlived its engine");
    }
    machine.start_engine();
    machine
        .until("the policy is honoured", |machine| machine.inspect("always", "{{.State.Running}}") == "true");
    assert_ne!(machine.inspect("always", "{{.State.Pid}}"), pids[1]);
    assert_eq!(machine.inspect("once", "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
}

#[test]
fn the_engines_own_log_has_the_level_and_the_form_that_is_asked_for() {
    let mut machine = Machine::prepared(|_| ["-l", "debug"].map(str::to_owned).to_vec());
    let log = machine.engine_log();
    assert!(log.contains("level=info msg=\"Daemon has completed initialization\""), "{log}");
    assert!(log.contains("level=debug"), "{log}");
    machine.stop_engine();
    std::fs::remove_file(machine.path("engine.log")).expect("remove");
    machine.set_arguments(&["-l", "warn"]);
    machine.start_engine();
    assert!(!machine.engine_log().contains("level=info"), "{}", machine.engine_log());
    machine.stop_engine();
    std::fs::remove_file(machine.path("engine.log")).expect("remove");
    machine.set_arguments(&["--log-format", "json"]);
    machine.start_engine();
    let log = machine.engine_log();
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap_or_default()).expect(&log);
    assert_eq!((&line["level"], &line["msg"]), (&"info".into(), &"Starting up".into()));
}

#[test]
fn a_key_that_is_not_the_certificates_is_refused_before_anything_is_served() {
    let mut machine = Machine::new();
    machine.stop_engine();
    certificates(&machine.path(""));
    let file = |name: &str| machine.path(name).display().to_string();
    let (cert, key) = (file("server.pem"), file("client-key.pem"));
    let mut command = machine.engine_command();
    let output = command.args(["--tls", "--tlscert", &cert, "--tlskey", &key]).output();
    let said = Said::from(output.expect("nsenter, of util-linux")).fails(1);
    assert_eq!(
        said,
        format!(
            "invalid TLS configuration: Error reading X509 key pair (cert: \"{cert}\", key: \"{key}\"): tls: private key \
             does not match public key. Make sure the key is not encrypted.\n"
        )
    );
    assert!(!machine.path("docker.sock").exists());
}
