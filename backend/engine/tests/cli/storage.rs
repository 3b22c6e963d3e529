//! Volumes, binds, cp.

use crate::machine::Machine;

#[test]
fn a_named_volume_is_seeded_kept_and_guarded() {
    let machine = Machine::new();
    machine
        .docker([
            "run",
            "--name",
            "writer",
            "-v",
            "kept:/data",
            "busybox",
            "sh",
            "-c",
            "cat /data/seed; echo more > /data/new",
        ])
        .ok();
    assert_eq!(
        machine.docker(["run", "--rm", "-v", "kept:/x", "busybox", "cat", "/x/seed", "/x/new"]).ok(),
        "seeded\nmore"
    );
    let complaint = machine.docker(["volume", "rm", "kept"]).fails(1);
    assert!(complaint.contains("volume is in use"), "{complaint}");
    machine.docker(["rm", "writer"]).ok();
    assert_eq!(
        machine.docker(["volume", "ls", "-q"]).ok(),
        "kept",
        "only anonymous volumes go with a container"
    );
    machine.docker(["volume", "rm", "kept"]).ok();
    assert!(machine.docker(["volume", "inspect", "kept"]).fails(1).contains("no such volume"));
}

#[test]
fn a_bind_shows_the_host_and_read_only_is_kept() {
    let machine = Machine::new();
    let host = machine.path("shared");
    let bind = format!("{}:/mnt", host.display());
    machine.docker(["run", "--rm", "-v", &bind, "busybox", "touch", "/mnt/made"]).ok();
    assert!(host.join("made").exists(), "a missing host directory is made");
    machine.docker(["run", "--rm", "-v", &format!("{bind}:ro"), "busybox", "touch", "/mnt/no"]).fails(1);
    let missing = format!("type=bind,source={}/none,target=/x", host.display());
    let complaint = machine.docker(["run", "--rm", "--mount", &missing, "busybox", "true"]).fails(125);
    assert!(complaint.contains("bind source path does not exist"), "{complaint}");
}

#[test]
fn files_are_copied_in_and_out_of_running_and_stopped_containers() {
    let machine = Machine::new();
    let (source, target) = (machine.path("in.txt"), machine.path("out.txt"));
    std::fs::write(&source, "copied").expect("write");
    let source = source.display().to_string();
    machine.docker(["run", "-d", "--name", "box", "-v", "vol:/data", "busybox", "sleep", "1000"]).ok();
    machine.docker(["cp", &source, "box:/data/file"]).ok();
    assert_eq!(machine.docker(["exec", "box", "cat", "/data/file"]).ok(), "copied");
    machine.docker(["kill", "box"]).ok();
    machine.docker(["cp", "box:/data/file", &target.display().to_string()]).ok();
    assert_eq!(std::fs::read_to_string(&target).expect("read"), "copied");
    machine.docker(["cp", &source, "box:/stopped"]).ok();
    assert_eq!(machine.docker(["diff", "box"]).ok(), "A /stopped");
    assert!(machine.docker(["cp", "box:/nowhere", "-"]).fails(1).contains("Could not find the file"));
}
