//! What comes out of a project and goes into it: logs, exec, run, cp, events, watch.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use super::Project;

#[test]
fn logs_of_all_services_are_told_apart_cut_stamped_and_followed() {
    let project = Project::new(
        "services:\n\
         \x20 one: {image: busybox, command: sh -c 'seq 3; echo end'}\n\
         \x20 two: {image: busybox, command: echo other}\n",
    );
    project.compose(["up", "-d"]).ok();
    project.machine.until("both have ended", |_| project.services("exited") == ["one", "two"]);
    let all = project.logs(["logs"]);
    assert!(all.contains("one-1  | 3") && all.contains("two-1  | other"), "{all}");
    assert_eq!(project.logs(["logs", "--no-log-prefix", "--tail", "2", "one"]), "3\nend");
    let stamped = project.logs(["logs", "-t", "--no-log-prefix", "two"]);
    assert!(stamped.starts_with("20") && stamped.ends_with("Z other"), "{stamped}");
    assert_eq!(project.logs(["logs", "-f", "--no-log-prefix", "one"]), "1\n2\n3\nend");
}

#[test]
fn exec_run_and_cp_reach_one_container_of_a_service() {
    let project = Project::new(
        "services:\n\
         \x20 app: {image: busybox, init: true, command: sleep 1000, environment: {GIVEN: by-file}, ports: ['18080:80'], depends_on: [base]}\n\
         \x20 base: {image: busybox, init: true, command: sleep 1000}\n",
    );
    project.compose(["up", "-d", "--scale", "base=2"]).ok();
    let said = project.compose([
        "exec",
        "-T",
        "-e",
        "MORE=x",
        "-u",
        "33",
        "-w",
        "/data",
        "app",
        "sh",
        "-c",
        "echo $GIVEN $MORE $PWD; id; exit 4",
    ]);
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(said.out, "by-file x /data\nuid=33(web) gid=33(web) groups=33(web)\n");
    let hostname = |index| project.compose(["exec", "-T", "--index", index, "base", "hostname"]).ok();
    assert_ne!(hostname("1"), hostname("2"));
    let once = project.compose([
        "run",
        "--no-deps",
        "--rm",
        "-T",
        "-e",
        "GIVEN=by-hand",
        "app",
        "sh",
        "-c",
        "echo $GIVEN; exit 5",
    ]);
    assert_eq!((once.code, once.out.as_str()), (5, "by-hand\n"), "{once:?}");
    assert_eq!(project.machine.docker(["ps", "-aq"]).ok().lines().count(), 3, "the run was not removed");
    project.write("note", "noted\n");
    project.compose(["cp", "note", "app:/data/note"]).ok();
    assert_eq!(project.shell("app", "cat /data/note"), "noted");
    project.compose(["cp", "app:/data", "back"]).ok();
    assert_eq!(std::fs::read_to_string(project.folder().join("back/note")).expect("a copy"), "noted\n");
}

#[test]
fn events_tell_of_the_project_alone() {
    let project = Project::new("services:\n  app: {image: busybox, command: 'true'}\n");
    let mut following = project
        .command(["events", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker (apt-get install docker-cli)");
    let lines = BufReader::new(following.stdout.take().expect("its output")).lines();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let first = std::thread::scope(|scope| {
        // The listener may not listen yet: it goes on until it has heard.
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                project.machine.docker(["run", "--rm", "busybox", "true"]).ok();
                project.compose(["up", "-d", "--force-recreate"]).ok();
            }
        });
        let heard: Vec<String> = lines.map_while(Result::ok).take(3).collect();
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        heard
    });
    following.kill().expect("kill");
    following.wait().expect("its end");
    assert!(first.iter().all(|line| line.contains("\"service\":\"app\"")), "{first:?}");
}

#[test]
fn watched_files_go_into_the_running_container() {
    let project = Project::new(
        "services:\n\
         \x20 app:\n\
         \x20   build: .\n\
         \x20   init: true\n\
         \x20   develop:\n\
         \x20     watch:\n\
         \x20       - {action: sync, path: src, target: /src}\n\
         \x20       - {action: rebuild, path: Dockerfile}\n",
    );
    project.write("Dockerfile", "FROM busybox\nCOPY src /src\nCMD sleep 1000\n");
    project.write("src/page", "old\n");
    project.write("src/gone", "soon\n");
    project.compose(["up", "-d", "--build"]).ok();
    let id = project.inspect("app", "{{.Id}}");
    let mut watching = project.command(["watch", "--no-up"]).stdout(Stdio::piped()).spawn().expect("compose");
    let mut lines = BufReader::new(watching.stdout.take().expect("its output")).lines();
    assert!(lines.any(|line| line.is_ok_and(|line| line.contains("Watch enabled"))), "it does not watch");
    let rest = std::thread::spawn(move || lines.for_each(drop));
    project.write("src/page", "new\n");
    project.machine.until("the page is new", |_| {
        project.compose(["exec", "-T", "app", "cat", "/src/page"]).out == "new\n"
    });
    // Compose starts the process that removes it twice, and reads the refusal in its stream.
    std::fs::remove_file(project.folder().join("src/gone")).expect("a file");
    project.machine.until("what is gone is gone there", |_| project.shell("app", "ls /src") == "page");
    assert_eq!(project.inspect("app", "{{.Id}}"), id);
    project.write("Dockerfile", "FROM busybox\nCOPY src /src\nENV BUILT=again\nCMD sleep 1000\n");
    project.machine.until("it is built again", |_| {
        project.compose(["exec", "-T", "app", "sh", "-c", "echo $BUILT"]).out == "again\n"
    });
    watching.kill().expect("kill");
    watching.wait().expect("its end");
    rest.join().expect("its output's end");
}
