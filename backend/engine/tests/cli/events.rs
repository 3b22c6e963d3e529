//! `docker events` and what it filters.

use crate::machine::Machine;

/// What happened so far, of what `filters` take.
fn told(machine: &Machine, filters: &[&str]) -> String {
    // `0s` would be the beginning of this second.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
    let now = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
    let mut words = vec!["events", "--since", "1", "--until", &now, "--format", "{{.Type}} {{.Action}}"];
    words.extend(filters.iter().flat_map(|filter| ["-f", filter]));
    machine.docker_words(&words).ok()
}

#[test]
fn filters_take_by_action_image_and_the_beginning_of_a_name() {
    let machine = Machine::new();
    machine.docker(["run", "--name", "one", "busybox", "true"]).ok();
    machine.docker(["run", "--name", "other", "-v", "vol:/v", "busybox", "true"]).ok();
    assert_eq!(told(&machine, &["container=one", "event=die"]), "container die");
    assert_eq!(told(&machine, &["container=o", "event=die"]), "container die\ncontainer die");
    assert_eq!(told(&machine, &["daemon=oth", "event=start"]), "container start");
    assert_eq!(told(&machine, &["volume=vol", "type=volume"]), "volume create\nvolume mount\nvolume unmount");
    assert_eq!(told(&machine, &["image=busybox", "type=container", "event=die"]).lines().count(), 2);
    assert_eq!(told(&machine, &["scope=swarm"]), "");
    let all = told(&machine, &[]);
    assert_eq!(told(&machine, &["bogus=x"]), all, "a filter that nobody knows takes everything");
}

#[test]
fn a_health_check_is_told_from_its_making() {
    let machine = Machine::new();
    let health = ["--health-cmd", "true", "--health-interval", "100ms"];
    machine
        .docker_words(
            &[&["run", "-d", "--init", "--name", "box"], &health[..], &["busybox", "sleep", "1000"]].concat(),
        )
        .ok();
    machine.until("it is healthy", |machine| machine.inspect("box", "{{.State.Health.Status}}") == "healthy");
    for event in ["exec_create", "exec_start", "exec_die", "health_status"] {
        assert!(told(&machine, &[&format!("event={event}")]).contains(event), "{event}");
    }
}

#[test]
fn a_time_that_ends_before_it_begins_is_refused() {
    let machine = Machine::new();
    let said = machine.docker(["events", "--since", "10", "--until", "5"]).fails(1);
    assert!(said.contains("`since` time (10) cannot be after `until` time (5)"), "{said}");
}

#[test]
fn a_commit_is_an_image_that_is_made_and_named() {
    let machine = Machine::new();
    machine.docker(["create", "--name", "box", "busybox", "true"]).ok();
    machine.docker(["commit", "box", "kept"]).ok();
    let said = told(&machine, &["event=create", "event=tag", "event=commit"]);
    assert!(said.ends_with("image create\nimage tag\ncontainer commit"), "{said}");
}
