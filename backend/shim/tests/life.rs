//! A container and its shim, as an engine meets them.

mod engine;

use drydock_shim::config::{Announcement, FailureKind, Size};
use drydock_shim::protocol::{ContainerState, Reply, Request, Stream, Streams};
use engine::{ALL, Folder, json_file, process, wait_until};
use serde_json::json;

#[test]
fn output_is_logged_and_the_exit_is_published() {
    let folder = Folder::new("echo out; echo err >&2; printf unfinished; exit 3");
    let pid = folder.launched();
    let exit = folder.exit();
    assert_eq!((exit.code, exit.signal, exit.pid), (3, None, pid));
    let mut log = folder.log();
    log.sort();
    let entry = |stream: &str, text: &str| (stream.to_owned(), text.to_owned());
    assert_eq!(log, [entry("stderr", "err\n"), entry("stdout", "out\n"), entry("stdout", "unfinished")]);
}

#[test]
fn a_signal_is_told_apart_from_a_status() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    assert_eq!(folder.ask(&Request::Kill { signal: 9, all: false }), Reply::Done);
    let exit = folder.exit();
    assert_eq!((exit.code, exit.signal), (137, Some(9)));
}

#[test]
fn a_failed_start_says_what_kind_and_leaves_nothing() {
    for (args, kind, text) in [
        (json!(["nope"]), FailureKind::NotFound, "executable file not found in $PATH"),
        (json!(["/proc/version"]), FailureKind::Permission, "permission denied"),
    ] {
        let mut folder = Folder::new("");
        folder.config["process"]["args"] = args;
        let Announcement::Failed(failure) = folder.launch() else { panic!("it started") };
        assert_eq!(failure.kind, kind, "{failure:?}");
        assert!(failure.message.contains(text), "{failure:?}");
        folder.assert_nothing_left();
        assert!(!folder.dir.join("shim.sock").exists() && !folder.dir.join("exit.json").exists());
    }
}

#[test]
fn a_held_container_prints_nothing_before_its_client_says_start() {
    let folder = Folder::new("echo first; cat; echo last").held();
    folder.launched();
    let mut client = folder.attach(ALL);
    let Reply::State { state, .. } = folder.ask(&Request::State) else { panic!() };
    assert_eq!(state, ContainerState::Created);
    assert!(matches!(folder.ask(&Request::Start), Reply::Started { .. }));
    client.send(Stream::Stdin, b"typed\n");
    client.send(Stream::CloseStdin, b"");
    let (stdout, stderr, exit) = client.finish();
    assert_eq!(
        (String::from_utf8(stdout).unwrap().as_str(), &stderr[..]),
        ("first\ntyped\nlast\n", &b""[..])
    );
    assert_eq!(exit.unwrap().code, 0);
    folder.exit();
}

#[test]
fn a_program_that_cannot_be_executed_after_all_says_so_itself() {
    let mut folder = Folder::new("").held();
    std::fs::write(folder.dir.join("rootfs/bin/broken"), "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.dir.join("rootfs/bin/broken"), mode).unwrap();
    folder.config["process"]["args"] = json!(["broken"]);
    folder.launched();
    let client = folder.attach(ALL);
    assert!(matches!(folder.ask(&Request::Start), Reply::Started { .. }));
    let (_, stderr, exit) = client.finish();
    assert_eq!(String::from_utf8(stderr).unwrap(), "exec /bin/broken: no such file or directory\n");
    assert_eq!(exit.unwrap().code, 255);
    folder.exit();
}

#[test]
fn waiters_are_told_when_it_ends_and_exit_json_is_there_by_then() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let mut waiter = folder.connect();
    waiter.ask(&Request::Wait { exec_id: None });
    folder.ask(&Request::Kill { signal: 15, all: true });
    folder.ask(&Request::Kill { signal: 9, all: true });
    let Reply::Exited(exit) = waiter.reply() else { panic!() };
    assert_eq!(exit.code, 137);
    assert!(folder.dir.join("exit.json").exists());
    folder.exit();
}

#[test]
fn a_client_may_leave_and_come_back() {
    let folder = Folder::new("n=0; while true; do n=$((n+1)); echo line $n; sleep 0.02; done");
    folder.launched();
    let output = Streams { stdin: false, stdout: true, stderr: true };
    folder.attach(output).read_until("line");
    let mut second = folder.attach(output);
    second.read_until("line");
    second.send(Stream::Detach, b"");
    assert_eq!(second.finish().2, None, "left, not ended");
    folder.attach(output).read_until("line");
    let Reply::State { state, .. } = folder.ask(&Request::State) else { panic!() };
    assert_eq!(state, ContainerState::Running);
}

#[test]
fn a_slow_client_holds_the_container_back_and_loses_nothing() {
    // 8 MiB: far more than all buffers on the way together.
    let folder = Folder::new("dd if=/dev/zero bs=65536 count=128 2>/dev/null; echo end >&2").held();
    let pid = folder.launched();
    let client = folder.attach(ALL);
    folder.ask(&Request::Start);
    let shim = parent_of(pid);
    wait_until("the container is blocked on its output", || {
        std::fs::read_to_string(format!("/proc/{pid}/wchan")).is_ok_and(|place| place.contains("pipe"))
            || children_wait_on_pipes(pid)
    });
    let resident = resident_kib(shim);
    assert!(resident < 16 * 1024, "the shim grew to {resident} KiB");
    let (stdout, stderr, exit) = client.finish();
    assert_eq!((stdout.len(), &stderr[..], exit.unwrap().code), (8 << 20, &b"end\n"[..], 0));
    folder.exit();
}

fn parent_of(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn children_wait_on_pipes(pid: i32) -> bool {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().any(|child| {
        std::fs::read_to_string(format!("/proc/{child}/wchan")).is_ok_and(|place| place.contains("pipe"))
    })
}

fn resident_kib(pid: i32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_terminal_echoes_resizes_and_ends() {
    let mut folder = Folder::new("stty size; read line; stty size; echo got $line").with_terminal().held();
    folder.shim.size = Some(Size { cols: 100, rows: 30 });
    folder.launched();
    let mut client = folder.attach(ALL);
    folder.ask(&Request::Start);
    client.read_until("30 100");
    client.send(Stream::Resize, &serde_json::to_vec(&Size { cols: 80, rows: 24 }).unwrap());
    client.send(Stream::Stdin, b"hello\n");
    let (stdout, _, exit) = client.finish();
    let text = String::from_utf8(stdout).unwrap();
    assert!(text.contains("24 80\r\ngot hello\r\n"), "{text:?}");
    assert_eq!(exit.unwrap().code, 0);
    folder.exit();
}

#[test]
fn executed_processes_have_their_own_streams_and_ends() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let (mut first, reply) = folder.exec("one", process("cat; exit 5"), ALL);
    assert!(matches!(reply, Reply::Started { .. }));
    let (second, _) = folder.exec("two", process("echo out; echo err >&2"), ALL);
    let (stdout, stderr, exit) = second.finish();
    assert_eq!((&stdout[..], &stderr[..], exit.unwrap().code), (&b"out\n"[..], &b"err\n"[..], 0));
    first.send(Stream::Stdin, b"through\n");
    first.read_until("through");
    first.send(Stream::CloseStdin, b"");
    assert_eq!(first.finish().2.unwrap().code, 5);
    let Reply::Exited(late) = folder.ask(&Request::Wait { exec_id: Some("one".into()) }) else { panic!() };
    assert_eq!(late.code, 5);
    assert_eq!(folder.log(), [], "an executed process is not the container's log");
}

#[test]
fn an_executed_terminal_is_its_own() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let mut wanted = process("tty; stty size");
    wanted["terminal"] = json!(true);
    wanted["consoleSize"] = json!({"height": 11, "width": 77});
    let (client, _) = folder.exec("tty", wanted, ALL);
    let (stdout, _, _) = client.finish();
    assert_eq!(String::from_utf8(stdout).unwrap(), "/dev/pts/0\r\n11 77\r\n");
}

#[test]
fn an_exec_that_cannot_start_says_why_and_the_container_goes_on() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let mut wanted = process("");
    wanted["args"] = json!(["nope"]);
    let (_, reply) = folder.exec("bad", wanted, ALL);
    let Reply::Failed(failure) = reply else { panic!("it started") };
    assert_eq!(failure.kind, FailureKind::NotFound, "{failure:?}");
    assert!(matches!(folder.ask(&Request::State), Reply::State { state: ContainerState::Running, .. }));
}

#[test]
fn a_detached_exec_outlives_its_client_and_is_waited_for() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let (client, reply) = folder.exec("bg", process("sleep 0.1; exit 4"), Streams::default());
    assert!(matches!(reply, Reply::Started { .. }));
    drop(client);
    let Reply::Exited(exit) = folder.ask(&Request::Wait { exec_id: Some("bg".into()) }) else { panic!() };
    assert_eq!(exit.code, 4);
}

#[test]
fn executed_processes_end_with_the_container_and_tell_their_clients() {
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let (client, _) = folder.exec("long", process("sleep 1001"), ALL);
    folder.ask(&Request::Kill { signal: 9, all: false });
    assert_eq!(client.finish().2.unwrap().code, 137);
    folder.exit();
}

#[test]
fn pausing_resuming_limits_and_pids_are_answered() {
    let folder = Folder::new("sleep 1000 & sleep 1001; true");
    folder.launched();
    assert_eq!(folder.ask(&Request::Pause), Reply::Done);
    assert!(matches!(folder.ask(&Request::State), Reply::State { state: ContainerState::Paused, .. }));
    assert_eq!(folder.ask(&Request::Resume), Reply::Done);
    let resources = serde_json::from_str(r#"{"pids":{"limit":50}}"#).unwrap();
    assert_eq!(folder.ask(&Request::Update { resources: Box::new(resources) }), Reply::Done);
    wait_until(
        "three processes",
        || matches!(folder.ask(&Request::Pids), Reply::Pids(pids) if pids.len() == 3),
    );
}

#[test]
fn running_out_of_memory_is_told() {
    let mut folder = Folder::new("tail /dev/zero; exit 0");
    folder.config["linux"]["resources"] = json!({"memory": {"limit": 16 << 20}});
    folder.launched();
    let exit = folder.exit();
    assert!(exit.oom_killed, "{exit:?}");
}

#[test]
fn a_full_log_is_rotated() {
    let mut folder = Folder::new("n=0; while [ $n -lt 100 ]; do n=$((n+1)); echo line $n; done");
    folder.shim.log = json_file(&folder.dir, Some(2000), 3);
    folder.launched();
    folder.exit();
    assert!(folder.log().last().unwrap().1.contains("line 100"));
    assert!(folder.dir.join("json.log.2").exists() && !folder.dir.join("json.log.3").exists());
}

#[test]
fn nonsense_on_the_socket_ends_only_that_connection() {
    use std::io::Write;
    let folder = Folder::new("sleep 1000");
    folder.launched();
    let mut client = folder.connect();
    client.stream.write_all(&[0, 0, 0, 3, b'{', b'x', b'}']).unwrap();
    assert!(matches!(client.reply(), Reply::Failed(_)));
    let mut huge = folder.connect();
    huge.stream.write_all(&[0xff; 8]).unwrap();
    assert!(matches!(huge.reply(), Reply::Failed(_)));
    assert!(matches!(folder.ask(&Request::State), Reply::State { state: ContainerState::Running, .. }));
}

#[test]
fn an_init_reaps_orphans_and_ends_as_its_command_does() {
    let mut folder = Folder::new("");
    std::fs::copy(env!("CARGO_BIN_EXE_drydock-shim"), folder.dir.join("rootfs/init")).unwrap();
    let script = "(sleep 0.05 &) ; sleep 0.2; ps | tail -n +2 | head -1; exit 6";
    folder.config["process"]["args"] = json!(["/init", "--", "sh", "-c", script]);
    folder.launched();
    assert_eq!(folder.exit().code, 6);
    assert!(folder.log()[0].1.contains("/init -- sh"), "{:?}", folder.log());
}
