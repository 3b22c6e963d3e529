//! Real nodes on this host, each test in a data directory, subnet and cgroups of its own. Needs root.

mod faults;
mod traffic;
mod yard;

use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use drydock_agent::protocol::Exit;
use drydock_nodes::{BootError, Limits, NodeSpec, SessionId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use yard::{HANGS, Yard, boot, chain, out, sh, spec};

fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_nodes_made_and_ended_leave_nothing() {
    let yard = Yard::new();
    let host = yard.open().await;
    let session = session("twenty");
    host.create_session(&session).await.unwrap();
    for round in 0..4 {
        let boots = (0..5).map(|number| {
            let (host, session) = (host.clone(), session.clone());
            tokio::spawn(async move { boot(&host, &session, &format!("n{round}-{number}")).await })
        });
        let mut nodes = Vec::new();
        for boot in boots.collect::<Vec<_>>() {
            nodes.push(boot.await.unwrap());
        }
        for node in nodes {
            host.end(node.id()).await.unwrap();
        }
    }
    host.end_session(&session).await.unwrap();
    assert_eq!(yard.leftovers(), Vec::<String>::new());
    host.reset().await.unwrap();
    assert_eq!(groups_and_links(&yard), Vec::<String>::new());
}

/// Those that carry the data directory's key.
fn groups_and_links(yard: &Yard) -> Vec<String> {
    let key = yard.key();
    let mut found = Vec::new();
    for hierarchy in yard::entries("/sys/fs/cgroup".as_ref()) {
        let of_ours = yard::entries(&hierarchy)
            .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(&key)));
        found.extend(of_ours.map(|path| path.display().to_string()));
    }
    let links = yard::entries("/sys/class/net".as_ref());
    found.extend(links.map(|path| path.display().to_string()).filter(|path| path.contains(&key)));
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_is_root_only_in_its_own_ids() {
    let yard = Yard::new();
    let host = yard.open().await;
    let session = session("ids");
    host.create_session(&session).await.unwrap();
    let node = boot(&host, &session, "node1").await;
    assert_eq!(
        out(&sh(&node, "id -u; hostname; cat /proc/self/uid_map").await)
            .split_whitespace()
            .collect::<Vec<_>>(),
        ["0", "node1", "0", "1000000", "65536"]
    );
    for forbidden in [
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "cd /sys/fs/cgroup; echo 99999999999 > $(ls memory/memory.limit_in_bytes memory.max 2>/dev/null)",
        "echo x > /usr/local/bin/drydock-agent",
        "cat /dev/vda || cat /dev/kmsg",
    ] {
        let output = sh(&node, &format!("{{ {forbidden}; }} 2>&1")).await;
        assert_ne!(output.exit, Exit::Code(0), "{forbidden}: {}", out(&output));
    }
    let output =
        sh(&node, "echo mine > /root/file && chown 1000:1000 /root/file && stat -c %u /root/file").await;
    assert_eq!(out(&output), "1000", "{output:?}");
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_disk_is_a_hard_quota() {
    let yard = Yard::new();
    let host = yard.open().await;
    let session = session("quota");
    host.create_session(&session).await.unwrap();
    let limits = Limits { disk: 64 << 20, ..Limits::default() };
    let node = host.boot(NodeSpec { limits, ..spec(&session, "small") }).await;
    let node = node.unwrap_or_else(|error| panic!("{}", chain(&error)));
    for place in ["/root", "/var/lib/docker"] {
        let output = sh(&node, &format!("dd if=/dev/zero of={place}/fill bs=1M count=200 2>&1; sync")).await;
        assert!(out(&output).contains("No space left"), "{place}: {}", out(&output));
        sh(&node, &format!("rm {place}/fill")).await;
    }
    let stats = node.agent().stats().await.unwrap();
    assert!(stats.disk_limit_bytes <= 64 << 20, "{stats:?}");
    assert_eq!(stats.memory_limit_bytes, Limits::default().memory, "{stats:?}");
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_one_session_meet_by_name_and_those_of_two_never() {
    let yard = Yard::new();
    let host = yard.open().await;
    let (ours, theirs) = (session("ours"), session("theirs"));
    let gateway = host.create_session(&ours).await.unwrap().gateway();
    host.create_session(&theirs).await.unwrap();
    let first = boot(&host, &ours, "first").await;
    let second = boot(&host, &ours, "second").await;
    let stranger = boot(&host, &theirs, "stranger").await;
    for node in [&second, &stranger] {
        sh(node, "(while true; do echo hello | nc -l -p 7000; done) >/dev/null 2>&1 &").await;
    }
    let reach = |address: String| {
        format!("for n in 1 2 3; do nc -w 2 {address} 7000 </dev/null && exit; done; false")
    };
    let output = sh(&first, &reach("second".to_owned())).await;
    assert_eq!(out(&output), "hello", "{output:?}");
    // A question over TCP: what a resolver turns to for long answers. Its length, then 42 bytes with the reply's own.
    let question = r"\000\030\007\011\001\000\000\001\000\000\000\000\000\000\006second\000\000\001\000\001";
    let ask = format!("printf '{question}' | nc -w 5 {gateway} 53 | wc -c");
    let output = sh(&first, &ask).await;
    assert_eq!(out(&output), "42", "{output:?}");
    let output = sh(&first, &reach(stranger.address().to_string())).await;
    assert_ne!(output.exit, Exit::Code(0), "{}", out(&output));
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_reaches_nothing_of_the_host_but_what_listens_for_its_session() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("alone");
    let switch = host.create_session(&id).await.unwrap();
    let node = boot(&host, &id, "node1").await;

    let listener = switch.listen(5000).await.unwrap();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            client.write_all(b"registry\n").await.unwrap();
        }
    });
    let output = sh(&node, &format!("nc -w 5 {} 5000 </dev/null", switch.gateway())).await;
    assert_eq!(out(&output), "registry", "{output:?}");

    let hosts = tokio::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
    let port = hosts.local_addr().unwrap().port();
    tokio::spawn(async move { while hosts.accept().await.is_ok() {} });
    let mut addresses = vec!["198.18.0.1".to_owned(), "198.18.0.5".to_owned(), switch.gateway().to_string()];
    addresses.extend(own_addresses());
    for address in addresses {
        let output = sh(&node, &format!("nc -w 1 {address} {port} </dev/null")).await;
        assert_ne!(output.exit, Exit::Code(0), "the node reaches {address}:{port}");
    }
    host.reset().await.unwrap();
}

fn own_addresses() -> Vec<String> {
    let output = Command::new("hostname").arg("-I").output().unwrap();
    String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_of_a_node_is_dialled_from_inside_its_session() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("ports");
    host.create_session(&id).await.unwrap();
    let node = boot(&host, &id, "node1").await;
    sh(&node, "(while true; do echo from-node | nc -l -p 8080; done) >/dev/null 2>&1 &").await;
    let answer = tokio::time::timeout(HANGS, async {
        loop {
            let Ok(mut stream) = node.dial(8080).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let mut answer = [0; 9];
            if stream.read_exact(&mut answer).await.is_ok() {
                return answer;
            }
        }
    });
    assert_eq!(&answer.await.unwrap(), b"from-node");
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_answers_on_the_same_socket_after_it_was_killed() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("engine");
    host.create_session(&id).await.unwrap();
    let node = boot(&host, &id, "node1").await;
    let log = async |what: &str| format!("{what}: {}", out(&sh(&node, "cat /var/log/docker.log").await));
    if let Err(error) = node.ready().await {
        panic!("{}", log(&error.to_string()).await);
    }
    let killed = sh(&node, "first=$(cat /var/run/docker.pid) && kill -9 $first && echo $first").await;
    assert_eq!(killed.exit, Exit::Code(0), "{killed:?}");
    node.ready().await.unwrap();
    let next = out(&sh(&node, "cat /var/run/docker.pid").await);
    assert_ne!(next, out(&killed), "{}", log("the engine is the old one").await);
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pids_are_limited() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("pids");
    host.create_session(&id).await.unwrap();
    let limits = Limits { pids: 40, ..Limits::default() };
    let node = host.boot(NodeSpec { limits, ..spec(&id, "node1") }).await.unwrap();
    let output = sh(&node, "for n in $(seq 100); do sleep 1000 & done; wait").await;
    assert_ne!(output.exit, Exit::Code(0));
    assert!(node.agent().stats().await.unwrap().pids <= 40);
    host.reset().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_booted_is_refused_with_a_reason_and_leaves_nothing() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("refused");
    assert!(matches!(host.boot(spec(&id, "a")).await, Err(BootError::NoSession(_))));
    let switch = host.create_session(&id).await.unwrap();
    let node = boot(&host, &id, "a").await;
    assert!(matches!(host.boot(spec(&id, "a")).await, Err(BootError::Exists(_))));
    let mut taken = spec(&id, "b");
    taken.address = Some(node.address());
    assert!(matches!(host.boot(taken).await, Err(BootError::Address(_))));
    let mut foreign = spec(&id, "b");
    foreign.address = Some(switch.gateway());
    assert!(matches!(host.boot(foreign).await, Err(BootError::Address(_))));
    let mut tiny = spec(&id, "c");
    tiny.limits.disk = 1024;
    assert!(matches!(host.boot(tiny).await, Err(BootError::Disk { .. })));
    host.end(node.id()).await.unwrap();
    assert_eq!(yard.leftovers().len(), 1, "only the session's namespace: {:?}", yard.leftovers());
    host.reset().await.unwrap();
    assert_eq!(yard.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_first_process_dies_says_so_and_is_removed_at_its_end() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("dying");
    host.create_session(&id).await.unwrap();
    let node = boot(&host, &id, "node1").await;
    node.agent().shutdown().await.unwrap();
    tokio::time::timeout(HANGS, node.exited()).await.expect("the node does not end");
    host.end(node.id()).await.unwrap();
    assert!(host.nodes().is_empty());
    host.reset().await.unwrap();
    assert_eq!(yard.leftovers(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_or_a_closed_session_meets_nodes_still_being_made() {
    let yard = Yard::new();
    let host = yard.open().await;
    let id = session("early");
    host.create_session(&id).await.unwrap();
    let booting = |name: &'static str| {
        let (host, spec) = (host.clone(), spec(&id, name));
        tokio::spawn(async move { host.boot(spec).await })
    };
    let reserved = async |name: &str| {
        tokio::time::timeout(HANGS, async {
            // The place of its sockets is made first.
            while !fs::exists(yard.data().join("nodes").join(name)).unwrap() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the boot does not begin");
    };
    let boot = booting("one");
    reserved("one").await;
    let name = "one".parse().unwrap();
    // Two callers at once: both return when the node is gone.
    let (first, second) = tokio::join!(host.end(&name), host.end(&name));
    first.unwrap();
    second.unwrap();
    assert!(host.node(&name).is_none());
    assert!(!fs::exists(yard.data().join("nodes/one")).unwrap());
    boot.await.unwrap().unwrap();

    let boots = [booting("two"), booting("three")];
    reserved("two").await;
    host.end_session(&id).await.unwrap();
    assert!(host.nodes().is_empty());
    for boot in boots {
        // Made and ended, or too late to be made.
        assert!(matches!(boot.await.unwrap(), Ok(_) | Err(BootError::NoSession(_))));
    }
    assert_eq!(yard.leftovers(), Vec::<String>::new());
    host.reset().await.unwrap();
    assert_eq!(groups_and_links(&yard), Vec::<String>::new());
}

/// Set in the process that [`nodes_reach_the_world_through_a_firewall_that_drops`] starts in a network of its own.
const BEHIND_FIREWALL: &str = "DRYDOCK_TEST_BEHIND_FIREWALL";

#[tokio::test(flavor = "multi_thread")]
async fn nodes_reach_the_world_through_a_firewall_that_drops() {
    if std::env::var_os(BEHIND_FIREWALL).is_some() {
        return behind_a_firewall().await;
    }
    let inside = Command::new("unshare")
        .arg("--net")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "nodes_reach_the_world_through_a_firewall_that_drops", "--nocapture"])
        .env(BEHIND_FIREWALL, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&inside.stderr);
    assert!(inside.status.success(), "{}{said}", String::from_utf8_lossy(&inside.stdout));
}

/// A network namespace that stands for the rest of the world; gone when dropped.
struct World(std::process::Child);

impl World {
    fn beyond(setup: &str) -> Self {
        let world = Self(Command::new("unshare").args(["--net", "sleep", "600"]).spawn().unwrap());
        let of = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        let pid = world.0.id().to_string();
        while of(&pid) == of("self") {
            std::thread::yield_now();
        }
        let ran = Command::new("sh").args(["-ec", setup]).env("WORLD", &pid).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        world
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn behind_a_firewall() {
    let _world = World::beyond(
        "ip link set lo up
         ip link add out type veth peer name in netns $WORLD
         ip address add 203.0.113.1/24 dev out
         ip link set out up
         nsenter --target $WORLD --net ip address add 203.0.113.2/24 dev in
         nsenter --target $WORLD --net ip link set in up
         ip route add default via 203.0.113.2
         iptables --policy FORWARD DROP",
    );
    let rules = || {
        let listed = Command::new("iptables").args(["--list-rules", "FORWARD"]).output().unwrap();
        String::from_utf8_lossy(&listed.stdout).into_owned()
    };
    let yard = Yard::new();
    let id = session("outward");
    for _ in 0..2 {
        let host = yard.open().await;
        host.create_session(&id).await.unwrap();
        let node = boot(&host, &id, "node1").await;
        let output = sh(&node, "ping -c 1 -W 20 203.0.113.2").await;
        assert_eq!(output.exit, Exit::Code(0), "{} {}", out(&output), rules());
        assert_eq!(rules().matches(&yard.key()).count(), 2, "{}", rules());
        host.end(node.id()).await.unwrap();
    }
    yard.open().await.reset().await.unwrap();
    assert_eq!(rules().trim(), "-P FORWARD DROP");
}

/// Set in the process that [`a_host_killed_at_any_moment_loses_and_leaves_nothing`] starts and kills.
const VICTIM: &str = "DRYDOCK_TEST_VICTIM";

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_at_any_moment_loses_and_leaves_nothing() {
    if let Ok(folder) = std::env::var(VICTIM) {
        return victim(folder.as_ref()).await;
    }
    let yard = Yard::new();
    let id = session("killed");
    let mut adopted = 0;
    for round in 0..6_u64 {
        // At first the host dies while it boots the first nodes, later among others.
        kill_after_lines(&yard, round);
        let host = yard.open().await;
        for node in host.nodes() {
            node.agent().terminals().await.unwrap();
            assert_eq!(out(&sh(&node, "hostname").await), node.hostname());
            adopted += 1;
            host.end(node.id()).await.unwrap();
        }
        let rest = yard.leftovers();
        assert!(rest.iter().all(|line| line.contains("/netns")), "round {round}: {rest:?}");
        if let Some(session) = host.session(&id) {
            assert_eq!(session.id(), &id);
            boot(&host, &id, "after").await;
        }
        host.reset().await.unwrap();
        assert_eq!(yard.leftovers(), Vec::<String>::new(), "round {round}");
        assert_eq!(groups_and_links(&yard), Vec::<String>::new(), "round {round}");
    }
    assert!(adopted > 0, "no node was ever adopted");
}

/// Boots nodes two at a time and prints a line for each, until it is killed.
async fn victim(folder: &std::path::Path) {
    let host = yard::open(&folder.join("data"), &folder.join("image")).await;
    let id = session("killed");
    host.create_session(&id).await.unwrap();
    println!("victim: session");
    for number in 0..100 {
        let (one, two) = (format!("one{number}"), format!("two{number}"));
        tokio::join!(boot(&host, &id, &one), boot(&host, &id, &two));
        println!("victim: nodes");
        if number % 2 == 0 {
            // The next boots meet its end.
            let (host, one) = (host.clone(), one.parse().unwrap());
            tokio::spawn(async move { host.end(&one).await.unwrap() });
        }
    }
}

/// Starts a host and kills it once it has printed so many lines, and a little later each time.
fn kill_after_lines(yard: &Yard, round: u64) {
    let mut host = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_host_killed_at_any_moment_loses_and_leaves_nothing", "--nocapture"])
        .env(VICTIM, yard.folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut seen = String::new();
    let mut output = host.stdout.take().unwrap();
    while (seen.matches("victim:").count() as u64) < 1 + round / 2 {
        let mut piece = [0; 64];
        let count = output.read(&mut piece).unwrap();
        assert_ne!(count, 0, "the host ended by itself: {seen}");
        seen += &String::from_utf8_lossy(&piece[..count]);
    }
    // Not a wait for anything: where in the next boot the kill falls shall differ.
    std::thread::sleep(std::time::Duration::from_millis(round * 7));
    host.kill().unwrap();
    host.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_host_on_the_same_folder_is_refused() {
    let yard = Yard::new();
    let _host = yard.open().await;
    let config = drydock_nodes::HostConfig::new(
        yard.data(),
        "/nonexistent",
        drydock_nodes::NodeImage::Layers(Vec::new()),
    );
    let refused = drydock_nodes::Host::open(config).await;
    assert!(matches!(refused, Err(drydock_nodes::OpenError::Locked { .. })));
    assert!(fs::exists(yard.data().join("lock")).unwrap());
}
