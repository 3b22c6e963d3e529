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

#[test]
fn copies_keep_to_dockers_rules() {
    let machine = Machine::new();
    let folder = machine.path("from");
    std::fs::create_dir_all(folder.join("sub")).expect("mkdir");
    std::fs::write(folder.join("file"), "x").expect("write");
    std::fs::write(folder.join("sub/.wh.kept"), "y").expect("write");
    let from = folder.display().to_string();
    let script = "ln -s /tmp /link; mkdir -p /tmp/file; echo kept > /data/kept; exec sleep 1000";
    machine.docker(["run", "-d", "--name", "box", "-v", "seen:/seen:ro", "busybox", "sh", "-c", script]).ok();
    machine.until("it is ready", |machine| machine.docker(["exec", "box", "ls", "/data/kept"]).code == 0);
    // What is in a folder, not the folder; a link to a folder is one.
    machine.docker(["cp", &format!("{from}/sub/."), "box:/data"]).ok();
    assert_eq!(
        machine.docker(["exec", "box", "ls", "-a", "/data/kept", "/data/.wh.kept"]).ok(),
        "/data/.wh.kept\n/data/kept"
    );
    machine.docker(["cp", &format!("{from}/sub"), "box:/link"]).ok();
    assert_eq!(machine.docker(["exec", "box", "ls", "-a", "/tmp/sub/.wh.kept"]).ok(), "/tmp/sub/.wh.kept");
    let out = machine.path("out").display().to_string();
    machine.docker(["cp", "box:/data/.", &out]).ok();
    assert_eq!(std::fs::read_to_string(machine.path("out/kept")).expect("read"), "kept\n");
    machine.docker(["cp", "box:/link/", &machine.path("linked").display().to_string()]).ok();
    assert!(machine.path("linked/sub").is_dir(), "a slash follows the link");
    let archive = machine.docker(["cp", "box:/proc/1/cmdline", "-"]);
    assert!(archive.out.contains("sleep\x001000\x00") && archive.code == 0, "{archive:?}");
    let refused = |arguments: [&str; 3], words: &str| {
        let said = machine.docker(arguments).fails(1);
        assert!(said.contains(words), "{arguments:?}: {said}");
    };
    let file = format!("{from}/file");
    refused(["cp", &file, "box:/seen/x"], "mounted volume is marked read-only");
    refused(["cp", &file, "box:/nowhere/x"], "Could not find the file /nowhere in container box");
    let said = machine.docker_with_input(["cp", "-", "box:/tmp"], b"no archive at all").fails(1);
    assert!(said.contains("unexpected EOF"), "{said}");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    archive.append_data(&mut header, "file", &b"x"[..]).expect("append");
    let archive = archive.into_inner().expect("an archive");
    let said = machine.docker_with_input(["cp", "-", "box:/tmp"], &archive).fails(1);
    assert!(said.contains("cannot overwrite directory \"file\" with non-directory"), "{said}");
}

#[test]
fn a_folder_made_anew_shows_what_it_lost() {
    let machine = Machine::new();
    machine.docker(["run", "--name", "box", "busybox", "sh", "-c", "rm -r /data && mkdir /data"]).ok();
    assert_eq!(machine.docker(["diff", "box"]).ok(), "C /data\nD /data/seed");
}
