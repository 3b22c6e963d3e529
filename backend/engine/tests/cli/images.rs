//! Images: lists, names, archives, commits, registries.

use crate::machine::{Machine, Said};
use crate::registry::Registry;

/// Lines of an output.
fn lines(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).collect()
}

/// Makes an image of its own from the machine's busybox: `text` tells it from others.
fn make(machine: &Machine, name: &str, text: &str) -> String {
    let change = format!("LABEL text={text}");
    machine.docker(["create", "--name", "maker", "busybox", "true"]).ok();
    let file = machine.path("made");
    std::fs::write(&file, text).expect("write");
    machine.docker(["cp", &file.display().to_string(), "maker:/made"]).ok();
    let id = machine.docker(["commit", "--change", &change, "maker", name]).ok();
    machine.docker(["rm", "maker"]).ok();
    id
}

#[test]
fn a_commit_keeps_what_was_written_and_says_so() {
    let machine = Machine::new();
    let base = machine.inspect("busybox", "{{.Id}}");
    machine
        .docker([
            "run",
            "--name",
            "writer",
            "-e",
            "KEPT=1",
            "busybox",
            "sh",
            "-c",
            "echo x > /new; rm /data/seed",
        ])
        .ok();
    let id = machine
        .docker([
            "commit",
            "-a",
            "Ann",
            "-m",
            "why",
            "-c",
            "CMD [\"cat\", \"/new\"]",
            "-c",
            "ENV A=1 B=\"2 3\"",
            "-c",
            "EXPOSE 80",
            "writer",
            "made:1",
        ])
        .ok();
    assert_eq!(machine.docker(["run", "--rm", "made:1"]).ok(), "x");
    assert!(machine.docker(["run", "--rm", "made:1", "cat", "/data/seed"]).fails(1).contains("No such file"));
    assert_eq!(
        machine.inspect("made:1", "{{.Id}} {{.Parent}} {{.Author}} {{.Comment}}"),
        format!("{id} {base} Ann why")
    );
    assert_eq!(
        machine.inspect("made:1", "{{json .Config.Cmd}} {{json .Config.Env}}"),
        r#"["cat","/new"] ["A=1","B=2 3","KEPT=1"]"#
    );
    assert_eq!(
        machine.inspect("made:1", "{{len .RootFS.Layers}} {{json .Config.ExposedPorts}}"),
        r#"2 {"80/tcp":{}}"#
    );
    let history = machine
        .docker([
            "history",
            "--no-trunc",
            "--format",
            "{{.ID}} {{.CreatedBy}} {{.Size}} {{.Comment}}",
            "made:1",
        ])
        .ok();
    let rows = lines(&history);
    assert_eq!(rows[0], format!("{id} sh -c echo x > /new; rm /data/seed 2B why"));
    assert!(rows[1].starts_with(&base) && rows[1].ends_with("Imported from -"), "{history}");
}

#[test]
fn a_commit_that_changes_nothing_has_no_layer_of_its_own() {
    let machine = Machine::new();
    machine.docker(["run", "--name", "idle", "busybox", "true"]).ok();
    assert_eq!(machine.docker(["diff", "idle"]).ok(), "", "the engine's own mounts are no changes");
    machine.docker(["commit", "idle", "same"]).ok();
    assert_eq!(machine.inspect("same", "{{len .RootFS.Layers}}"), "1");
    assert_eq!(machine.docker(["history", "--format", "{{.Size}}", "same"]).ok().lines().next(), Some("0B"));
}

#[test]
fn a_running_container_is_paused_for_its_commit_unless_told_otherwise() {
    let machine = Machine::new();
    machine.docker(["run", "-d", "--name", "busy", "busybox", "sleep", "1000"]).ok();
    let since = machine.docker(["inspect", "--format", "{{.Created}}", "busy"]).ok();
    machine.docker(["commit", "busy", "paused"]).ok();
    machine.docker(["commit", "--pause=false", "busy", "unpaused"]).ok();
    assert_eq!(machine.inspect("busy", "{{.State.Status}}"), "running");
    let until = machine.docker(["info", "--format", "{{.SystemTime}}"]).ok();
    let said = machine
        .docker([
            "events",
            "--since",
            &since,
            "--until",
            &until,
            "--filter",
            "container=busy",
            "--format",
            "{{.Action}}",
        ])
        .ok();
    assert_eq!(lines(&said), ["create", "start", "pause", "commit", "unpause", "commit"]);
}

#[test]
fn bad_commits_change_nothing() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "box", "busybox", "true"]).ok();
    let before = machine.docker(["images", "-aq"]).ok();
    assert!(machine.docker(["commit", "nobody"]).fails(1).contains("No such container: nobody"));
    assert!(
        machine
            .docker(["commit", "-c", "RUN x", "box"])
            .fails(1)
            .contains("RUN is not a valid change command")
    );
    assert!(machine.docker(["commit", "box", "Upper"]).fails(1).contains("must be lowercase"));
    assert_eq!(machine.docker(["images", "-aq"]).ok(), before);
}

#[test]
fn lists_are_filtered_and_formatted() {
    let machine = Machine::new();
    make(&machine, "first:1", "one");
    machine.docker(["tag", "first:1", "registry.test:5000/team/second:2"]).ok();
    make(&machine, "first:1", "two");
    let format = "{{.Repository}}:{{.Tag}}";
    let list = |filter: &str| {
        let said = machine.docker(["images", "--filter", filter, "--format", format]).ok();
        let mut names: Vec<String> = said.lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    assert_eq!(list("reference=first"), "first:1");
    assert_eq!(list("reference=*/*/second:*"), "registry.test:5000/team/second:2");
    assert_eq!(list("label=text=one"), "registry.test:5000/team/second:2");
    assert_eq!(list("label=text"), "first:1 registry.test:5000/team/second:2");
    assert_eq!(list("dangling=false"), "busybox:latest first:1 registry.test:5000/team/second:2");
    assert_eq!(list("dangling=true"), "");
    machine.docker(["rmi", "registry.test:5000/team/second:2"]).ok();
    make(&machine, "first:1", "three");
    assert_eq!(list("dangling=true"), "<none>:<none>", "the second lost its name");
    assert!(
        machine.docker(["images", "--filter", "colour=red"]).fails(1).contains("invalid filter 'colour'")
    );
    assert!(
        machine.docker(["images", "--filter", "before=none"]).fails(1).contains("No such image: none:latest")
    );
    let full = machine.docker(["images", "--no-trunc", "--quiet", "busybox"]).ok();
    assert_eq!(full, machine.inspect("busybox", "{{.Id}}"));
    assert!(
        machine
            .docker(["images", "--digests"])
            .ok()
            .lines()
            .next()
            .is_some_and(|head| head.contains("DIGEST"))
    );
}

#[test]
fn names_are_taken_away_before_the_image_goes() {
    let machine = Machine::new();
    let id = make(&machine, "one:1", "x");
    machine.docker(["tag", "one:1", "two:2"]).ok();
    assert_eq!(machine.docker(["rmi", "two:2"]).ok(), "Untagged: two:2");
    machine.docker(["tag", "one:1", "two:2"]).ok();
    let short = &id["sha256:".len()..][..12];
    let complaint = machine.docker(["rmi", short]).fails(1);
    assert!(
        complaint.contains(&format!("conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories")),
        "{complaint}"
    );
    let gone = machine.docker(["rmi", "-f", short]).ok();
    let gone = lines(&gone);
    assert_eq!(gone[..3], ["Untagged: one:1", "Untagged: two:2", &format!("Deleted: {id}")]);
    assert!(
        gone[3].starts_with("Deleted: sha256:") && gone.len() == 4,
        "its own layer, not its parent's: {gone:?}"
    );
    assert!(machine.docker(["rmi", "one:1"]).fails(1).contains("No such image: one:1"));
    assert!(machine.docker(["tag", "one:1", "x"]).fails(1).contains("No such image: one:1"));
}

#[test]
fn an_image_in_use_stays() {
    let machine = Machine::new();
    let id = make(&machine, "used:1", "x");
    machine.docker(["run", "-d", "--name", "user", "used:1", "sleep", "1000"]).ok();
    let complaint = machine.docker(["rmi", "used:1"]).fails(1);
    let expected = "conflict: unable to remove repository reference \"used:1\" (must force) - container ";
    assert!(
        complaint.contains(expected) && complaint.contains(" is using its referenced image "),
        "{complaint}"
    );
    assert_eq!(machine.docker(["rmi", "-f", "used:1"]).ok(), "Untagged: used:1", "only the name goes");
    let complaint = machine.docker(["rmi", "-f", &id]).fails(1);
    assert!(
        complaint.contains("(cannot be forced) - image is being used by running container"),
        "{complaint}"
    );
    machine.docker(["kill", "user"]).ok();
    let complaint = machine.docker(["rmi", &id]).fails(1);
    assert!(complaint.contains("(must be forced) - image is being used by stopped container"), "{complaint}");
    assert_eq!(
        machine.docker(["image", "prune", "-af", "--filter", "label=text"]).ok(),
        "Total reclaimed space: 0B"
    );
    machine.docker(["rm", "user"]).ok();
    let pruned = machine.docker(["image", "prune", "-f"]).ok();
    assert!(
        pruned.contains(&format!("deleted: {id}")) && pruned.contains("Total reclaimed space: 1B"),
        "{pruned}"
    );
}

#[test]
fn an_image_that_others_were_made_from_outlives_its_name() {
    let machine = Machine::new();
    let base = machine.inspect("busybox", "{{.Id}}");
    make(&machine, "child", "x");
    let complaint = machine.docker(["rmi", &base]).fails(1);
    assert!(complaint.contains("(cannot be forced) - image has dependent child images"), "{complaint}");
    assert_eq!(machine.docker(["rmi", "busybox"]).ok(), "Untagged: busybox:latest");
    assert_eq!(machine.docker(["images", "--format", "{{.Repository}}"]).ok(), "child");
    assert_eq!(machine.docker(["images", "-a", "--quiet"]).ok().lines().count(), 2);
    let gone = machine.docker(["rmi", "child"]).ok();
    assert!(gone.contains(&format!("Deleted: {base}")), "a nameless parent goes with its last child: {gone}");
    assert_eq!(machine.docker(["images", "-aq"]).ok(), "");
}

#[test]
fn archives_carry_images_from_one_engine_to_another() {
    let (here, there) = (Machine::new(), Machine::new());
    let id = make(&here, "carried:1", "x");
    here.docker(["tag", "carried:1", "carried:2"]).ok();
    let file = here.path("saved.tar").display().to_string();
    here.docker(["save", "-o", &file, "carried", "busybox"]).ok();
    let said = there.docker(["load", "-i", &file]).ok();
    for name in ["busybox:latest", "carried:1", "carried:2"] {
        assert!(said.contains(&format!("Loaded image: {name}")), "{said}");
    }
    assert_eq!(there.inspect("carried:2", "{{.Id}}"), id);
    assert_eq!(there.docker(["run", "--rm", "carried:1", "cat", "/made"]).ok(), "x");
    // What was loaded is saved again bit for bit.
    let again = here.path("again.tar").display().to_string();
    there.docker(["save", "-o", &again, "carried", "busybox"]).ok();
    assert_eq!(std::fs::read(&file).expect("read"), std::fs::read(&again).expect("read"));
    let by_id = here.path("id.tar").display().to_string();
    here.docker(["save", "-o", &by_id, &id]).ok();
    there.docker(["rmi", "carried:1", "carried:2"]).ok();
    assert_eq!(there.docker(["load", "-i", &by_id]).ok(), format!("Loaded image ID: {id}"));
    assert!(here.docker(["save", "-o", &by_id, "none"]).fails(1).contains("No such image: none"));
    assert!(there.docker_with_input(["load"], b"no archive").code != 0);
}

#[test]
fn a_tree_is_exported_and_imported() {
    let machine = Machine::new();
    machine.docker(["run", "--name", "source", "busybox", "sh", "-c", "echo x > /new"]).ok();
    let file = machine.path("tree.tar").display().to_string();
    machine.docker(["export", "-o", &file, "source"]).ok();
    let id =
        machine.docker(["import", "-m", "brought", "-c", "CMD [\"cat\", \"/new\"]", &file, "tree:1"]).ok();
    assert_eq!(machine.docker(["run", "--rm", "tree:1"]).ok(), "x");
    assert_eq!(
        machine.inspect("tree:1", "{{.Id}} {{.Comment}} {{len .RootFS.Layers}}"),
        format!("{id} brought 1")
    );
    assert!(
        machine
            .docker(["import", "-c", "RUN x", &file])
            .fails(1)
            .contains("RUN is not a valid change command")
    );
}

#[test]
fn what_is_pushed_is_pulled_by_tag_and_digest() {
    let machine = Machine::new();
    let _registry = Registry::start(&machine);
    let id = make(&machine, "127.0.0.1:5000/team/app:1", "x");
    let pushed = machine.docker(["push", "127.0.0.1:5000/team/app:1"]).ok();
    assert!(pushed.contains("The push refers to repository [127.0.0.1:5000/team/app]"), "{pushed}");
    assert!(pushed.contains(": Pushed"), "{pushed}");
    let digest = pushed.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next()).expect("a digest");
    machine.docker(["tag", "127.0.0.1:5000/team/app:1", "127.0.0.1:5000/team/other"]).ok();
    let other = machine.docker(["push", "127.0.0.1:5000/team/other"]).ok();
    assert!(other.contains("Mounted from team/app") || other.contains("Layer already exists"), "{other}");
    // The command line itself asks the registry.
    let mut inspect = machine.inside("docker");
    inspect.args(["manifest", "inspect", "--insecure", "127.0.0.1:5000/team/app:1"]);
    inspect.env("DOCKER_CONFIG", machine.path("docker-config"));
    let manifest = Said::from(inspect.output().expect("nsenter, of util-linux")).ok();
    assert!(manifest.contains(&id), "{manifest}");

    let by_digest = format!("127.0.0.1:5000/team/app@{digest}");
    assert_eq!(machine.inspect("127.0.0.1:5000/team/app:1", "{{index .RepoDigests 0}}"), by_digest);
    machine.docker(["rmi", "127.0.0.1:5000/team/other", "127.0.0.1:5000/team/app:1"]).ok();
    assert!(
        machine.docker(["inspect", &id]).fails(1).contains("No such object"),
        "digests go with the last tag"
    );
    let pulled = machine.docker(["pull", &by_digest]).ok();
    assert!(
        pulled.contains(&format!("Digest: {digest}")) && pulled.contains("Status: Downloaded newer image"),
        "{pulled}"
    );
    assert_eq!(machine.inspect(&by_digest, "{{.Id}} {{len .RepoTags}}"), format!("{id} 0"));
    let pulled = machine.docker(["pull", "127.0.0.1:5000/team/app:1"]).ok();
    assert!(pulled.contains("Status: Downloaded newer image for 127.0.0.1:5000/team/app:1"), "{pulled}");
    let pulled = machine.docker(["pull", "127.0.0.1:5000/team/app:1"]).ok();
    assert!(pulled.contains("Status: Image is up to date for 127.0.0.1:5000/team/app:1"), "{pulled}");
    assert_eq!(machine.docker(["run", "--rm", &by_digest, "cat", "/made"]).ok(), "x");
    let list =
        machine.docker(["images", "--digests", "--format", "{{.Digest}}", "127.0.0.1:5000/team/app"]).ok();
    assert_eq!(list, digest);
    let complaint = machine.docker(["pull", "127.0.0.1:5000/team/none"]).fails(1);
    assert!(complaint.contains("manifest for 127.0.0.1:5000/team/none:latest not found"), "{complaint}");
    let push = machine.docker(["push", "127.0.0.1:5000/none"]);
    assert!(
        push.err.contains("An image does not exist locally with the tag: 127.0.0.1:5000/none"),
        "{push:?}"
    );
}

#[test]
fn an_image_for_another_platform_is_not_the_one_that_is_wanted() {
    let machine = Machine::new();
    let said = machine.docker(["create", "--pull", "never", "--platform", "linux/arm64", "busybox", "true"]);
    let said = said.fails(1);
    let words = "but its platform (linux/amd64) does not match the specified platform (linux/arm64)";
    assert!(said.contains(words), "{said}");
    let said = machine.docker(["create", "--platform", "bogus", "busybox", "true"]).fails(1);
    assert!(said.contains("\"bogus\": unknown operating system or architecture"), "{said}");
    machine.docker(["create", "--platform", "linux/amd64", "busybox", "true"]).ok();
}
