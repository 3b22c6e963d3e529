//! Volumes by the commands of `docker volume`.

use crate::machine::Machine;

#[test]
fn a_volume_that_is_there_is_answered_whatever_is_asked_of_it() {
    let machine = Machine::new();
    machine.docker(["volume", "create", "--label", "a=b", "kept"]).ok();
    assert_eq!(machine.docker(["volume", "create", "-o", "bogus", "--label", "a=z", "kept"]).ok(), "kept");
    assert_eq!(
        machine.docker(["volume", "inspect", "-f", "{{.Labels.a}} {{.Options}}", "kept"]).ok(),
        "b map[]"
    );
    assert!(
        machine
            .docker(["volume", "create", "-o", "bogus", "other"])
            .fails(1)
            .contains("invalid option: \"bogus\"")
    );
}

#[test]
fn names_are_filtered_by_patterns() {
    let machine = Machine::new();
    for name in ["one-vol", "vol-two", "other"] {
        machine.docker(["volume", "create", name]).ok();
    }
    let names = |filter: &str| machine.docker(["volume", "ls", "-q", "-f", filter]).ok();
    assert_eq!(names("name=vol"), "one-vol\nvol-two");
    assert_eq!(names("name=^vol"), "vol-two");
    let complaint = machine.docker(["volume", "ls", "-f", "dangling=x"]).fails(1);
    assert!(complaint.contains("invalid filter 'dangling=[x]'"), "{complaint}");
}

#[test]
fn a_prune_leaves_what_has_a_name_and_what_has_options() {
    let machine = Machine::new();
    machine.docker(["run", "--name", "box", "-v", "/anonymous", "-v", "named:/n", "busybox", "true"]).ok();
    machine.docker(["rm", "box"]).ok();
    machine.docker(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "memory"]).ok();
    assert_eq!(machine.docker(["volume", "ls", "-q"]).ok().lines().count(), 3);
    machine.docker(["volume", "prune", "-f"]).ok();
    assert_eq!(machine.docker(["volume", "ls", "-q"]).ok(), "memory\nnamed");
    let complaint = machine.docker(["volume", "prune", "-f", "--filter", "all=bogus"]).fails(1);
    assert!(complaint.contains("invalid filter 'all': strconv.ParseBool: parsing \"bogus\""), "{complaint}");
    machine.docker(["volume", "prune", "-af"]).ok();
    assert_eq!(machine.docker(["volume", "ls", "-q"]).ok(), "memory");
}

#[test]
fn nobody_lists_the_names_of_volumes_but_root() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let place = machine
        .docker(["volume", "inspect", "-f", "{{.Mountpoint}}", &machine.docker(["volume", "create"]).ok()])
        .ok();
    let place = std::path::Path::new(&place);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).expect("a folder").permissions().mode() & 0o7777;
    assert_eq!(mode(place), 0o755);
    for above in place.ancestors().skip(1).take(2) {
        assert_eq!(mode(above), 0o701, "{}", above.display());
    }
}

#[test]
fn a_bound_folder_outlives_its_volume() {
    let machine = Machine::new();
    let folder = machine.path("theirs");
    std::fs::create_dir_all(&folder).expect("a folder");
    let device = format!("device={}", folder.display());
    machine.docker(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "bound"]).ok();
    for name in ["one", "two"] {
        machine.docker(["run", "--rm", "-v", "bound:/t", "busybox", "touch", &format!("/t/{name}")]).ok();
    }
    machine.docker(["volume", "rm", "bound"]).ok();
    assert!(
        folder.join("one").exists() && folder.join("two").exists(),
        "another's files went with the volume"
    );
    assert_eq!(machine.docker(["volume", "ls", "-q"]).ok(), "");
}
