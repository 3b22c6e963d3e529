//! A container's life by the command line: made, started, looked at, ended, forgotten.

mod bundle;

use bundle::{TestContainer, wait_until};
use serde_json::json;

#[test]
fn run_ends_with_the_programs_own_status_and_leaves_nothing() {
    let container = TestContainer::new("echo hello; exit 7");
    let answer = container.run();
    assert_eq!((answer.code(), answer.stdout().as_str()), (7, "hello\n"), "{}", answer.stderr());
    container.assert_nothing_left();
}

#[test]
fn a_program_killed_by_a_signal_is_reported_as_a_shell_would() {
    // The first process of a pid namespace survives its own signals: the kill comes from outside.
    let container = TestContainer::new("sleep 1000");
    let child = container.spawn();
    container.wait_for_status("running");
    container.call(&["kill", &container.id, "KILL"]).success();
    let run = child.wait_with_output().unwrap();
    assert_eq!(run.status.code(), Some(137), "{}", String::from_utf8_lossy(&run.stderr));
    container.assert_nothing_left();
}

#[test]
fn create_waits_for_start_and_delete_forgets() {
    let container = TestContainer::new("echo ran > /tmp/out; sleep 1000");
    container.write();
    container.call(&["create", "--pid-file", "pid", &container.id]).success();
    assert_eq!(container.status(), "created");
    let pid = std::fs::read_to_string(container.dir.join("pid")).unwrap();
    assert_eq!(container.state()["pid"].to_string(), pid);
    assert!(!container.rootfs().join("tmp/out").exists(), "nothing runs before start");
    container.call(&["start", &container.id]).success();
    assert_eq!(container.status(), "running");
    wait_until("the program wrote", || container.rootfs().join("tmp/out").exists());
    let refused = container.call(&["delete", &container.id]).failure();
    assert!(refused.contains("not stopped"), "{refused}");
    container.call(&["kill", &container.id, "9"]).success();
    container.wait_for_status("stopped");
    container.call(&["delete", &container.id]).success();
    container.assert_nothing_left();
}

#[test]
fn delete_with_force_ends_a_running_container() {
    let container = TestContainer::new("sleep 1000");
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    container.call(&["delete", "--force", &container.id]).success();
    container.assert_nothing_left();
    container.call(&["delete", "--force", &container.id]).success();
    assert!(container.call(&["delete", &container.id]).failure().contains("does not exist"));
}

#[test]
fn an_id_is_taken_once() {
    let container = TestContainer::new("sleep 1000");
    container.write();
    container.call(&["create", &container.id]).success();
    let second = container.call(&["create", &container.id]).failure();
    assert!(second.contains("already exists"), "{second}");
    assert_eq!(container.status(), "created", "the first is unharmed");
    container.call(&["delete", &container.id]).success();
    container.assert_nothing_left();
}

#[test]
fn a_started_container_cannot_be_started_again() {
    let container = TestContainer::new("sleep 1000");
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    assert!(container.call(&["start", &container.id]).failure().contains("cannot start"));
}

#[test]
fn pause_freezes_and_resume_thaws() {
    let container = TestContainer::new("while true; do echo x; sleep 0.01; done");
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    container.call(&["pause", &container.id]).success();
    assert_eq!(container.status(), "paused");
    let refused = container.call(&["exec", &container.id, "true"]).failure();
    assert!(refused.contains("cannot exec in a paused container"), "{refused}");
    container.call(&["resume", &container.id]).success();
    assert_eq!(container.status(), "running");
    container.call(&["pause", &container.id]).success();
    container.call(&["delete", "-f", &container.id]).success();
    container.assert_nothing_left();
}

#[test]
fn list_and_ps_show_what_runs() {
    let container = TestContainer::new("sleep 1000 & sleep 1001; true");
    container.write();
    container.call(&["run", "-d", &container.id]).success();
    let list: serde_json::Value =
        serde_json::from_str(&container.call(&["list", "--format", "json"]).success()).unwrap();
    assert_eq!(list[0]["id"], json!(container.id));
    wait_until("three processes run", || {
        let pids = container.call(&["ps", "--format", "json", &container.id]).success();
        serde_json::from_str::<Vec<i32>>(&pids).unwrap().len() == 3
    });
    container.call(&["kill", "--all", &container.id, "KILL"]).success();
    container.wait_for_status("stopped");
}

#[test]
fn a_failing_step_is_named_and_unwound() {
    let cases: [(&str, serde_json::Value, &str); 6] = [
        ("/process/args", json!(["no-such-program"]), "executable file not found in $PATH"),
        ("/mounts/3", json!({"destination": "/x", "type": "nosuchfs"}), "mount /x: new nosuchfs file system"),
        (
            "/mounts/3",
            json!({"destination": "/x", "type": "bind", "source": "/no/such"}),
            "mount /x: find /no/such",
        ),
        ("/root/path", json!("nowhere"), "bind the root file system"),
        ("/process/apparmorProfile", json!("docker-default"), "apparmorProfile is not supported"),
        ("/linux/resources", json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}), "hugetlb"),
    ];
    for (pointer, value, message) in cases {
        let mut container = TestContainer::new("true");
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        match container.config.pointer_mut(parent).unwrap() {
            serde_json::Value::Array(list) => list[key.parse::<usize>().unwrap()] = value,
            other => other[key] = value,
        }
        let stderr = container.run().failure();
        assert!(stderr.contains(message), "{pointer}: {stderr}");
        container.assert_nothing_left();
    }
}

#[test]
fn the_log_tells_the_last_error_in_runcs_form() {
    let mut container = TestContainer::new("true");
    container.config["process"]["args"] = json!(["nope"]);
    container.write();
    container.call(&["--log", "log.json", "--log-format", "json", "run", &container.id]).failure();
    let log = std::fs::read_to_string(container.dir.join("log.json")).unwrap();
    let entry: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(entry["level"], "error");
    assert!(entry["msg"].as_str().unwrap().contains("not found in $PATH"));
}

#[test]
fn hooks_run_in_order_with_the_state_on_stdin() {
    let mut container = TestContainer::new("echo program >> /tmp/order; cat /tmp/order");
    let order = container.rootfs().join("tmp/order");
    let outside = |name: &str| {
        json!([{"path": "/bin/sh", "args": ["sh", "-c",
            format!("cat > {0}/{name}.json; echo {name} >> {1}", container.dir.display(), order.display())]}])
    };
    container.config["hooks"] = json!({
        "prestart": outside("prestart"),
        "createRuntime": outside("createRuntime"),
        "createContainer": outside("createContainer"),
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat > /dev/null; echo startContainer >> /tmp/order"]}],
        "poststop": outside("poststop"),
    });
    let order = container.run().success();
    assert_eq!(order, "prestart\ncreateRuntime\ncreateContainer\nstartContainer\nprogram\n");
    for (hook, status) in [("createRuntime", "creating"), ("poststop", "stopped")] {
        let text = std::fs::read_to_string(container.dir.join(format!("{hook}.json"))).unwrap();
        let state: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&state["id"], &state["status"]), (&json!(container.id), &json!(status)), "{hook}");
    }
    container.assert_nothing_left();
}

#[test]
fn a_failing_hook_undoes_the_container() {
    let mut container = TestContainer::new("true");
    container.config["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
    let stderr = container.run().failure();
    assert!(stderr.contains("createRuntime hook /bin/false: exit status: 1"), "{stderr}");
    container.assert_nothing_left();
}

#[test]
fn spec_writes_a_configuration_that_runs() {
    let container = TestContainer::new("");
    container.call(&["spec"]).success();
    let file = container.dir.join("config.json");
    let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "from spec"]);
    config["process"]["env"] = json!(["PATH=/bin"]);
    config["linux"]["cgroupsPath"] = json!(format!("/{}", container.id));
    std::fs::write(&file, config.to_string()).unwrap();
    assert_eq!(container.call(&["run", &container.id]).success(), "from spec\n");
    container.assert_nothing_left();
}

#[test]
fn features_is_json_and_names_what_it_can() {
    let container = TestContainer::new("");
    let features: serde_json::Value = serde_json::from_str(&container.call(&["features"]).success()).unwrap();
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    assert!(features["mountOptions"].as_array().unwrap().contains(&json!("rro")));
}
