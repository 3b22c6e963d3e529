//! Storage drivers: the one that copies does what the other does, and each keeps to its own.

use crate::machine::Machine;

fn machine(driver: &str) -> Machine {
    Machine::prepared(|_| vec!["--storage-driver".to_owned(), driver.to_owned()])
}

#[test]
fn containers_builds_and_commits_work_on_copies() {
    let machine = machine("vfs");
    assert_eq!(machine.docker(["info", "--format", "{{.Driver}} {{json .DriverStatus}}"]).ok(), "vfs null");
    assert_eq!(machine.inspect("busybox", "{{.GraphDriver.Name}}"), "vfs");
    machine.docker(["run", "--name", "writer", "busybox", "sh", "-c", "echo x > /new; rm /data/seed"]).ok();
    assert_eq!(machine.inspect("writer", "{{.Driver}}"), "vfs");
    assert_eq!(machine.docker(["diff", "writer"]).ok(), "C /data\nD /data/seed\nA /new");
    machine.docker(["commit", "writer", "made"]).ok();
    assert_eq!(machine.docker(["run", "--rm", "made", "cat", "/new"]).ok(), "x");
    machine.docker(["run", "--rm", "made", "cat", "/data/seed"]).fails(1);
    machine.docker(["start", "-a", "writer"]).fails(1);

    let folder = machine.path("context");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(
        folder.join("Dockerfile"),
        "FROM busybox\nCOPY file /file\nRUN cat /file > /read; rm /file\n",
    )
    .expect("write");
    std::fs::write(folder.join("file"), "content").expect("write");
    machine.docker(["build", "-q", "-t", "built", &folder.display().to_string()]).ok();
    assert_eq!(machine.docker(["run", "--rm", "built", "cat", "/read"]).ok(), "content");
    assert!(machine.docker(["run", "--rm", "built", "cat", "/file"]).fails(1).contains("No such file"));
    machine.docker(["rm", "writer"]).ok();
    assert!(!machine.mounts().contains("overlay /tmp/engine"), "nothing is mounted over anything");
}

#[test]
fn what_one_driver_has_the_other_does_not_see() {
    let mut machine = machine("overlay2");
    machine.docker(["create", "--name", "first", "busybox", "true"]).ok();
    let id = machine.inspect("busybox", "{{.Id}}");
    machine.kill_engine();
    machine.set_arguments(&["--storage-driver", "vfs"]);
    machine.start_engine();
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "");
    assert_eq!(machine.docker(["images", "-q"]).ok(), "");
    machine.kill_engine();
    machine.set_arguments(&["--storage-driver", "overlay2"]);
    machine.start_engine();
    assert_eq!(machine.docker(["ps", "-a", "--format", "{{.Names}}"]).ok(), "first");
    assert_eq!(machine.inspect("busybox", "{{.Id}}"), id);
    machine.docker(["start", "-a", "first"]).ok();
}

#[test]
fn daemon_json_names_the_driver_and_an_unknown_one_ends_the_engine() {
    let mut machine = Machine::new();
    let status = |machine: &Machine| {
        machine.docker(["info", "--format", "{{.Driver}} {{index .DriverStatus 1}}"]).ok()
    };
    assert_eq!(status(&machine), "overlay2 [Supports d_type true]");
    machine.kill_engine();
    machine.configure("{\"storage-driver\": \"vfs\"}");
    machine.start_engine();
    assert_eq!(machine.docker(["info", "--format", "{{.Driver}}"]).ok(), "vfs");
    machine.import_busybox();
    machine.kill_engine();
    machine.configure("{}");
    let said = machine.engine_says(&["--storage-driver", "btrfs"]);
    assert!(
        said.contains("failed to start daemon: error initializing graphdriver: driver not supported: btrfs"),
        "{said}"
    );
    // Two were used by now, and nobody says which is meant.
    let said = machine.engine_says(&[]);
    assert!(said.contains("contains several valid graphdrivers: overlay2, vfs"), "{said}");
    machine.configure("{\"storage-driver\": \"overlay2\"}");
    machine.start_engine();
    machine.docker(["run", "--rm", "busybox", "true"]).ok();
}
