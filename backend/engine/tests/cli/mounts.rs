//! `-v`, `--mount`, `--tmpfs` and `--volumes-from` to the last word.

use crate::machine::Machine;

/// What `sh -c SCRIPT` says in a container with these flags.
fn says(machine: &Machine, flags: &[&str], script: &str) -> String {
    let mut arguments = vec!["run", "--rm"];
    arguments.extend(flags);
    arguments.extend(["busybox", "sh", "-c", script]);
    machine.docker_words(&arguments).ok()
}

#[test]
fn words_that_mean_nothing_are_refused_in_mobys_words() {
    let machine = Machine::new();
    std::fs::create_dir(machine.path("shared")).expect("a folder");
    std::fs::write(machine.path("file"), "x").expect("write");
    let root = machine.path("").display().to_string();
    let cases = [
        ("-v a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("-v ROOTshared:relative", "mount path must be absolute"),
        ("-v ROOTshared:/", "invalid specification: destination can't be '/'"),
        ("-v ROOTshared:/m:sideways", "invalid mode: sideways"),
        ("-v ROOTshared:/m:ro,rw", "invalid mode: ro,rw"),
        ("-v ROOTshared:/m:nocopy", "field VolumeOptions must not be specified"),
        ("-v named:/m:shared", "field BindOptions must not be specified"),
        ("-v ROOTshared:/m -v ROOTshared:/m/", "Duplicate mount point: /m"),
        ("-v ROOTshared:/m --tmpfs /m", "Duplicate mount point: /m"),
        ("-v ROOTshared:/proc", "\"/proc\" cannot be mounted because it is not of type proc"),
        ("-v ROOTfile:/etc", "not a directory: Are you trying to mount a directory onto a file"),
        ("-v ROOTshared:/etc/passwd", "not a directory: Are you trying to mount a directory onto a file"),
        ("-v seeded:/etc/passwd", "/etc/passwd is not directory"),
        ("--mount type=bind,src=relative,dst=/m", "invalid mount path: 'relative'"),
        ("--mount type=bind,dst=/m", "field Source must not be empty"),
        ("--mount type=tmpfs,src=x,dst=/m", "field Source must not be specified"),
        ("--mount type=volume,src=v,dst=/m,volume-subpath=../x", "must be a relative path within"),
        ("--mount type=volume,src=v1,dst=/m,volume-subpath=none", "no such file or directory"),
        ("--tmpfs relative", "mount path must be absolute"),
        ("--tmpfs /t:bogus", "invalid tmpfs option \"bogus\""),
        ("--volumes-from nobody", "No such container: nobody"),
    ];
    for (flags, words) in cases {
        let flags = flags.replace("ROOT", &root);
        let mut arguments = vec!["run", "--rm"];
        arguments.extend(flags.split(' '));
        arguments.extend(["busybox", "true"]);
        let said = machine.docker_words(&arguments);
        assert!(said.code >= 125 && said.err.contains(words), "{flags}: {said:?}");
    }
    assert_eq!(machine.docker(["ps", "-aq"]).ok(), "");
}

#[test]
fn a_volume_is_shown_in_part() {
    let machine = Machine::new();
    says(&machine, &["-v", "vol:/v"], "mkdir -p /v/a/b; echo x > /v/a/f");
    let part = "type=volume,src=vol,dst=/m,volume-subpath=a";
    assert_eq!(says(&machine, &["--mount", part], "ls /m"), "b\nf");
    says(&machine, &["-v", "vol:/v"], "ln -s /etc /v/out");
    let out = "type=volume,src=vol,dst=/m,volume-subpath=out";
    let said = machine.docker(["run", "--rm", "--mount", out, "busybox", "true"]).fails(125);
    assert!(said.contains("path concatenation escapes the base directory"), "{said}");
}

#[test]
fn an_image_is_shown_read_only() {
    let machine = Machine::new();
    let said = machine.docker([
        "run",
        "--rm",
        "--mount",
        "type=image,src=busybox,dst=/m",
        "busybox",
        "cat",
        "/m/data/seed",
    ]);
    assert_eq!((said.out.as_str(), said.code), ("seeded\n", 0));
    assert!(said.err.contains("WARNING: Image mount is an experimental feature"), "{said:?}");
    let part = "type=image,src=busybox,dst=/m,image-subpath=etc";
    assert_eq!(
        says(&machine, &["--mount", part], "ls /m; touch /m/x 2>/dev/null || echo no"),
        "group\npasswd\nno"
    );
}

#[test]
fn read_only_covers_what_is_mounted_below() {
    let machine = Machine::new();
    let bind = format!("{}:/m", machine.path("shared").display());
    assert_eq!(says(&machine, &["-v", &format!("{bind}:ro")], "touch /m/x 2>/dev/null || echo no"), "no");
    let memory = ["--mount", "type=tmpfs,dst=/t,ro"];
    assert_eq!(says(&machine, &memory, "touch /t/x 2>/dev/null || echo no"), "no");
    assert_eq!(says(&machine, &["--read-only"], "touch /etc/hosts 2>/dev/null || echo no"), "no");
}

#[test]
fn volumes_from_another_container_come_as_they_are() {
    let machine = Machine::new();
    machine
        .docker(["create", "--name", "from", "-v", "named:/data", "-v", "/anonymous", "busybox", "true"])
        .ok();
    assert_eq!(
        says(&machine, &["--volumes-from", "from"], "cat /data/seed; ls -d /anonymous"),
        "seeded\n/anonymous"
    );
    assert_eq!(says(&machine, &["--volumes-from", "from:ro"], "touch /data/x 2>/dev/null || echo no"), "no");
    for (mode, words) in [("bogus", "invalid mode: bogus"), ("nocopy", "invalid mode: nocopy")] {
        let from = format!("from:{mode}");
        let said = machine.docker(["run", "--rm", "--volumes-from", &from, "busybox", "true"]).fails(125);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn a_volume_with_a_device_is_mounted_while_it_is_used() {
    let machine = Machine::new();
    let options = ["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "memory"];
    machine.docker(options).ok();
    assert_eq!(says(&machine, &["-v", "memory:/m"], "echo x > /m/f; grep -c ' /m tmpfs' /proc/mounts"), "1");
    assert_eq!(says(&machine, &["-v", "memory:/m"], "ls /m"), "", "it went with its last user");
    assert!(!machine.mounts().contains("volumes/memory"));
    let cases: [(&[&str], &str); 6] = [
        (&["-o", "bogus=1", "v"], "create v: invalid option: \"bogus\""),
        (&["-o", "type=tmpfs", "v"], "create v: missing required option: \"device\""),
        (&["-o", "size=1g", "v"], "create v: quota size requested but no quota support"),
        (&["-d", "bogus", "v"], "create v: error looking up volume plugin bogus: plugin \"bogus\" not found"),
        (&["x"], "create x: volume name is too short"),
        (&["b@d"], "create b@d: \"b@d\" includes invalid characters for a local volume name"),
    ];
    for (flags, words) in cases {
        let mut arguments = vec!["volume", "create"];
        arguments.extend(flags);
        let said = machine.docker_words(&arguments).fails(1);
        assert!(said.contains(words) || said.contains("too short"), "{flags:?}: {said}");
    }
    let nfs = ["volume", "create", "-o", "type=nfs", "-o", "device=:/x", "-o", "o=addr=127.0.0.1", "nfs"];
    machine.docker(nfs).ok();
    let said = machine.docker(["run", "--rm", "-v", "nfs:/m", "busybox", "true"]);
    assert!(said.err.contains("failed to mount local volume: mount :/x:"), "{said:?}");
}
