//! A disk that fills up under the engine.

use crate::machine::Machine;
use crate::registry::Registry;

const LARGE: usize = 40 << 20;

/// A machine whose engine has 24 MiB for everything.
fn small() -> Machine {
    let mut machine = Machine::new();
    machine.docker(["rmi", "busybox"]).ok();
    machine.kill_engine();
    let data = machine.path("data").display().to_string();
    let mut mount = machine.inside("mount");
    mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs", &data]);
    assert!(mount.status().expect("nsenter, of util-linux").success());
    machine.start_engine();
    machine.import_busybox();
    machine
}

/// Kibibytes in use.
fn used(machine: &Machine) -> u64 {
    let mut df = machine.inside("df");
    let said = df.args(["--output=used", "--"]).arg(machine.path("data")).output().expect("df");
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    text.lines().nth(1).and_then(|line| line.trim().parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

fn noise() -> Vec<u8> {
    (0..LARGE).map(|place| (place * 31 + place / 253 + (place >> 13) * 7) as u8).collect()
}

fn tree() -> Vec<u8> {
    let mut tree = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(LARGE as u64);
    header.set_mode(0o644);
    tree.append_data(&mut header, "large", noise().as_slice()).expect("append");
    tree.into_inner().expect("an archive")
}

/// It fails for want of room, says so, leaves nothing, and the engine goes on.
#[track_caller]
fn refused(machine: &Machine, said: crate::machine::Said, before: u64) {
    let text = format!("{}{}", said.out, said.err);
    assert!(said.code != 0 && text.contains("no space left on device"), "{text}");
    machine.until("what was written is gone", |machine| used(machine) <= before + 64);
    assert_eq!(machine.docker(["images", "--format", "{{.Repository}}"]).ok(), "busybox");
    assert_eq!(machine.docker(["run", "--rm", "busybox", "echo", "on"]).ok(), "on");
}

#[test]
fn imports_loads_and_builds_that_do_not_fit_leave_nothing() {
    let machine = small();
    let before = used(&machine);
    refused(&machine, machine.docker_with_input(["import", "-", "large"], &tree()), before);

    let other = Machine::new();
    other.docker_with_input(["import", "-", "large"], &tree()).ok();
    let saved = other.command(["save", "large"]).output().expect("docker").stdout;
    drop(other);
    refused(&machine, machine.docker_with_input(["load"], &saved), before);

    let folder = machine.path("context");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("Dockerfile"), "FROM busybox\nCOPY large /large\n").expect("write");
    std::fs::write(folder.join("large"), noise()).expect("write");
    refused(&machine, machine.docker(["build", "-t", "large", &folder.display().to_string()]), before);
}

#[test]
fn a_pull_that_does_not_fit_leaves_nothing() {
    let machine = small();
    let source = Machine::new();
    source.docker_with_input(["import", "-", "127.0.0.1:5000/large"], &tree()).ok();
    let kept = machine.path("registry-5000");
    {
        let _registry = Registry::start(&source);
        source.docker(["push", "127.0.0.1:5000/large"]).ok();
        let copied =
            std::process::Command::new("cp").arg("-r").arg(source.path("registry-5000")).arg(&kept).status();
        assert!(copied.expect("cp").success());
    }
    let _registry = Registry::start(&machine);
    let before = used(&machine);
    refused(&machine, machine.docker(["pull", "127.0.0.1:5000/large"]), before);
}
