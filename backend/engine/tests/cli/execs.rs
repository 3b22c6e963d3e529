//! `docker exec` as programs use it.

use crate::machine::Machine;

#[test]
fn a_detached_process_is_told_to_its_end() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    let body = r#"{"Cmd":["sh","-c","while [ ! -e /go ]; do sleep 0.05; done; exit 4"],"AttachStdout":true}"#;
    let (status, made) = machine.ask("POST", "/containers/box/exec", body);
    assert_eq!(status, 201, "{made}");
    let id = made["Id"].as_str().expect("an id").to_owned();
    let path = format!("/exec/{id}/json");
    assert_eq!(machine.ask("POST", &format!("/exec/{id}/start"), r#"{"Detach":true}"#).0, 200);
    let (_, running) = machine.ask("GET", &path, "");
    assert_eq!((running["Running"].as_bool(), &running["ExitCode"]), (Some(true), &serde_json::Value::Null));
    assert_eq!(machine.inspect("box", "{{len .ExecIDs}}"), "1");
    machine.docker(["exec", "box", "touch", "/go"]).ok();
    machine.until("it has ended", |machine| machine.ask("GET", &path, "").1["Running"] == false);
    assert_eq!(machine.ask("GET", &path, "").1["ExitCode"], 4);
    let (status, said) = machine.ask("POST", &format!("/exec/{id}/start"), r#"{"Detach":true}"#);
    assert_eq!(
        (status, said["message"].as_str()),
        (409, Some(format!("exec command {id} has already run").as_str()))
    );
}

#[test]
fn what_cannot_be_executed_has_mobys_words_and_codes() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    machine
        .docker(["exec", "box", "sh", "-c", "echo '#!/no/such' > /broken; /bin/busybox chmod 755 /broken"])
        .ok();
    let failed = "OCI runtime exec failed: exec failed: unable to start container process: ";
    let cases = [
        ("nosuch", 127, "exec: \"nosuch\": executable file not found in $PATH"),
        ("/no/such", 127, "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/etc/passwd", 126, "exec: \"/etc/passwd\": permission denied"),
        ("/etc", 126, "exec: \"/etc\": is a directory: permission denied"),
    ];
    for (program, code, words) in cases {
        let said = machine.docker(["exec", "box", program]);
        assert_eq!((said.out.trim_end(), said.code), (format!("{failed}{words}").as_str(), code));
    }
    let said = machine.docker(["exec", "box", "/broken"]);
    assert_eq!((said.err.as_str(), said.code), ("exec /broken: no such file or directory\n", 255));
    let said = machine.docker(["run", "--rm", "--volumes-from", "box", "busybox", "/etc"]).fails(126);
    assert!(said.contains("exec: \"/etc\": is a directory: permission denied"), "{said}");
}

#[test]
fn a_users_groups_are_all_there_and_unknown_ones_are_told_at_once() {
    let machine = Machine::new();
    let run = ["run", "-d", "--name", "box", "--group-add", "77", "busybox", "sleep", "1000"];
    machine.docker(run).ok();
    let groups =
        |user: &str| machine.docker(["exec", "-u", user, "box", "grep", "Groups", "/proc/self/status"]).ok();
    assert_eq!(groups("web").trim(), "Groups:\t33 77");
    assert_eq!(groups("1234:5678").trim(), "Groups:\t77 5678");
    let (status, said) =
        machine.ask("POST", "/containers/box/exec", r#"{"Cmd":["id"],"User":"nobody-here"}"#);
    assert_eq!(status, 400);
    assert_eq!(said["message"], "unable to find user nobody-here: no matching entries in passwd file");
    assert_eq!(machine.ask("POST", "/containers/box/exec", "{}").1["message"], "No exec command specified");
}

#[test]
fn an_exec_that_nobody_started_goes_with_the_run() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "box", "busybox", "sleep", "1000"]).ok();
    let (_, made) = machine.ask("POST", "/containers/box/exec", r#"{"Cmd":["true"]}"#);
    let id = made["Id"].as_str().expect("an id").to_owned();
    machine.docker(["kill", "box"]).ok();
    let (status, said) = machine.ask("GET", &format!("/exec/{id}/json"), "");
    assert_eq!(
        (status, said["message"].as_str()),
        (404, Some(format!("No such exec instance: {id}").as_str()))
    );
}

#[test]
fn a_long_health_check_is_judged_by_its_end() {
    let machine = Machine::new();
    let check = "sleep 0.3; test -e /well";
    let run = [
        "run",
        "-d",
        "--name",
        "box",
        "--health-cmd",
        check,
        "--health-interval",
        "50ms",
        "--health-retries",
        "1",
    ];
    machine.docker_words(&[&run[..], &["busybox", "sleep", "1000"]].concat()).ok();
    let is = |state: &'static str| {
        move |machine: &Machine| machine.inspect("box", "{{.State.Health.Status}}") == state
    };
    machine.until("it is unhealthy", is("unhealthy"));
    assert_eq!(machine.inspect("box", "{{(index .State.Health.Log 0).ExitCode}}"), "1");
    machine.docker(["exec", "box", "touch", "/well"]).ok();
    machine.until("it is healthy", is("healthy"));
    machine.docker(["kill", "box"]).ok();
    assert_eq!(machine.inspect("box", "{{.State.Health.Status}}"), "unhealthy", "nobody checks any more");
}
