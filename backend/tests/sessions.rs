//! The session API, with real nodes behind it.

mod support;

use serde_json::{Value, json};
use support::process::Process;
use support::{Gateway, Play, eventually};
use time::Duration;

#[tokio::test]
async fn a_session_is_made_shown_extended_and_closed() {
    let gateway = Gateway::start_with(|config| config.life.longest = Duration::hours(5)).await;
    assert_eq!(gateway.http.get(format!("{}/ping", gateway.url)).send().await.unwrap().status(), 200);
    let play = gateway.session(&[("session-duration", "1h")]).await;
    let session = play.show().await;
    assert_eq!(session.id, play.id);
    assert!(session.ready && session.instances.is_empty());

    let extended: Value = play.post("/extend", &json!({})).await.json().await.unwrap();
    assert!(extended["expires_at"].as_str().unwrap() > session.expires_at.as_str());
    assert_eq!(play.show().await.expires_at, extended["expires_at"].as_str().unwrap());

    let page = gateway.http.get(format!("{}/p/{}", gateway.url, play.id)).send().await.unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors 'none'"));
    assert!(page.text().await.unwrap().contains("the page"));

    assert_eq!(play.http.delete(&play.url).send().await.unwrap().status(), 200);
    let gone = play.http.get(&play.url).send().await.unwrap();
    assert_eq!(gone.status(), 404);
    assert_eq!(gone.json::<Value>().await.unwrap()["error"], "not_found");
    gateway.end().await;
}

#[tokio::test]
async fn a_form_without_script_is_sent_to_its_session() {
    let gateway = Gateway::start().await;
    let answer = gateway.http.post(&gateway.url).form(&[("stack_name", "empty")]).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert!(answer.headers()["location"].to_str().unwrap().starts_with("/p/"));
    // Play-with-docker's clients may send no body at all.
    let answer = gateway.http.post(&gateway.url).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    gateway.end().await;
}

#[tokio::test]
async fn two_nodes_are_made_at_once_and_reach_each_other() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[("stack_name", "two-nodes")]).await;
    let nodes = play.ready().await;
    let hostnames: Vec<_> = nodes.iter().map(|node| node.hostname.as_str()).collect();
    assert_eq!(hostnames, ["node1", "node2"]);
    let [one, two] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert_ne!(one.ip, two.ip);
    assert_eq!(play.run(&one.name, "hostname").await, "node1");
    play.run(&one.name, &format!("ping -c1 -W5 {}", two.ip)).await;
    play.run(&two.name, "docker version").await;
    gateway.end().await;
}

/// As a student types it: no flag, no variable, and compose finds the same builder.
#[tokio::test]
async fn images_are_built_in_a_node_by_docker_and_by_compose() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let files = "mkdir /root/app && cd /root/app && printf 'FROM alpine\nRUN echo built > /made\nCMD cat /made\n' > Dockerfile \
        && printf 'services:\n  app:\n    build: .\n' > compose.yaml";
    play.run(&node.name, files).await;
    let told = play.run(&node.name, "cd /root/app && docker build -q -t app . && docker run --rm app").await;
    assert!(told.starts_with("sha256:") && told.ends_with("built"), "{told}");
    let told = play.run(&node.name, "cd /root/app && docker compose run --build --rm app 2>/dev/null").await;
    assert!(told.ends_with("built"), "{told}");
    gateway.end().await;
}

#[tokio::test]
async fn nodes_are_numbered_ended_and_refused_beyond_the_limit() {
    let gateway = Gateway::start_with(|config| config.capacity.instances_per_session = 2).await;
    let play = gateway.session(&[]).await;
    let one = play.node().await;
    assert_eq!(one.hostname, "node1");
    assert_eq!(play.node().await.hostname, "node2");
    let refused = play.post("/instances", &json!({})).await;
    assert_eq!(refused.status(), 409);
    assert_eq!(refused.json::<Value>().await.unwrap()["error"], "max_instances");

    let url = format!("{}/instances/{}", play.url, one.name);
    assert_eq!(play.http.delete(&url).send().await.unwrap().status(), 200);
    assert_eq!(play.http.get(&url).send().await.unwrap().status(), 404);
    assert_eq!(play.node().await.hostname, "node3");
    gateway.end().await;
}

#[tokio::test]
async fn what_a_client_may_not_choose_is_refused() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    for body in [
        json!({ "Privileged": true }),
        json!({ "ImageName": "attacker/image" }),
        json!({ "Hostname": "../../x" }),
    ] {
        assert_eq!(play.post("/instances", &body).await.status(), 400, "{body}");
    }
    for form in [
        [("stack_name", "nonsense")],
        [("image_name", "attacker/image")],
        [("session-duration", "for ever")],
        [("session-duration", "900h")],
        [("lab", "../../etc")],
    ] {
        assert_eq!(gateway.create(&form).await.status(), 400, "{form:?}");
    }
    // Nor more than was offered; what clients of play-with-docker leave out is not missed.
    let bare = gateway.http.post(format!("{}/instances", play.url)).send().await.unwrap();
    assert_eq!(bare.status(), 200);
    let plain = gateway.http.post(format!("{}/instances", play.url)).body("{\"Hostname\":\"plain\"}");
    assert_eq!(plain.send().await.unwrap().json::<Value>().await.unwrap()["hostname"], "plain");
    assert_eq!(play.post("/setup", &json!("x")).await.status(), 400);
    for path in
        ["/sessions/..%2f..", "/sessions/x", "/sessions/x/instances", "/sessions/x/instances/y/file?path=/"]
    {
        let answer = gateway.http.get(format!("{}{path}", gateway.url)).send().await.unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn another_sessions_node_is_out_of_reach() {
    let gateway = Gateway::start().await;
    let (mine, theirs) = (gateway.session(&[]).await, gateway.session(&[]).await);
    let node = theirs.node().await;
    let stolen = mine.post(&format!("/instances/{}/exec", node.name), &json!({ "command": ["true"] })).await;
    assert_eq!(stolen.status(), 404);
    gateway.end().await;
}

#[tokio::test]
async fn a_full_server_says_so_and_a_busy_client_waits() {
    let gateway = Gateway::start_with(|config| {
        config.capacity.sessions = 1;
        config.creation.burst = 2;
        config.creation.every = Duration::hours(1);
    })
    .await;
    let play = gateway.session(&[]).await;
    assert_eq!(gateway.http.get(format!("{}/ping", gateway.url)).send().await.unwrap().status(), 503);
    let full = gateway.create(&[]).await;
    assert_eq!(full.status(), 503);
    assert!(full.headers().contains_key("retry-after"));
    assert_eq!(full.json::<Value>().await.unwrap()["error"], "out_of_capacity");
    let limited = gateway.create(&[]).await;
    assert_eq!(limited.status(), 429);
    play.http.delete(&play.url).send().await.unwrap();
    assert_eq!(gateway.http.get(format!("{}/ping", gateway.url)).send().await.unwrap().status(), 200);
    gateway.end().await;
}

#[tokio::test]
async fn a_session_ends_when_its_time_is_over() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[("session-duration", "2s")]).await;
    let mut events = play.events().await;
    let ended = events.until("session end", |_| true).await;
    assert_eq!(ended.args, [json!("expired")]);
    eventually(async || (play.http.get(&play.url).send().await.unwrap().status() == 404).then_some(())).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_session_ends_when_its_last_browser_stays_away() {
    let gateway = Gateway::start_with(|config| config.life.orphan_after = Duration::seconds(1)).await;
    let (watched, left) = (gateway.session(&[]).await, gateway.session(&[]).await);
    let mut events = watched.events().await;
    events.until("session topology", |_| true).await;
    eventually(async || (left.http.get(&left.url).send().await.unwrap().status() == 404).then_some(())).await;
    watched.show().await;
    gateway.end().await;
}

#[tokio::test]
async fn setup_makes_the_nodes_it_names_and_runs_their_commands() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let setup = json!({ "instances": [
        { "hostname": "manager1", "run": [["touch", "/root/first"], ["mv", "/root/first", "/root/second"]] },
        { "hostname": "worker1" },
    ]});
    assert_eq!(play.post("/setup", &setup).await.status(), 200);
    let nodes = play.ready().await;
    assert_eq!(nodes[0].hostname, "manager1");
    assert_eq!(play.run(&nodes[0].name, "ls /root").await, "second");
    assert_eq!(play.post("/setup", &setup).await.status(), 409);
    gateway.end().await;
}

#[tokio::test]
async fn a_restart_finds_sessions_nodes_and_running_commands_again() {
    let process = Process::start(tempfile::tempdir().unwrap()).await;
    let play = process.session().await;
    let node = play.node().await;
    play.run(&node.name, "setsid sleep 1000 >/dev/null 2>&1 & echo $! > /root/pid").await;
    let before = play.show().await;

    let process = Process::start(process.terminate()).await;
    let play = Play { url: format!("http://{}/sessions/{}", process.address, play.id), ..play };
    let after = play.show().await;
    assert_eq!(after.expires_at, before.expires_at);
    assert_eq!(after.instances.keys().collect::<Vec<_>>(), [&node.name]);
    play.run(&node.name, "kill -0 $(cat /root/pid)").await;
    process.end();
}

/// What the host keeps of nodes and sessions, by folder.
fn kept(data: &std::path::Path) -> Vec<String> {
    let mut kept = Vec::new();
    for folder in ["nodes", "sessions", "runtime"] {
        let entries = std::fs::read_dir(data.join(folder)).into_iter().flatten().flatten();
        kept.extend(entries.map(|entry| entry.path().display().to_string()));
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of_ours = |line: &&str| line.contains(data.to_str().unwrap());
    kept.extend(mounts.lines().filter(of_ours).map(str::to_owned));
    kept
}

#[tokio::test]
async fn a_session_closed_while_its_nodes_boot_leaves_nothing() {
    let gateway = Gateway::start().await;
    for stack in ["two-nodes", "empty", "two-nodes"] {
        let play = gateway.session(&[("stack_name", stack)]).await;
        // More nodes are asked for while it closes: each is made or refused, and none stays.
        let asked = (0..3).map(|_| {
            let (http, url) = (play.http.clone(), format!("{}/instances", play.url));
            tokio::spawn(async move { http.post(url).json(&json!({})).send().await.unwrap().status() })
        });
        let asked: Vec<_> = asked.collect();
        tokio::task::yield_now().await;
        assert_eq!(play.http.delete(&play.url).send().await.unwrap().status(), 200);
        for answer in asked {
            assert!([200, 404].contains(&answer.await.unwrap().as_u16()));
        }
        eventually(async || kept(&gateway.state.config.data).is_empty().then_some(())).await;
        assert!(gateway.state.playground.host.nodes().is_empty());
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_server_killed_while_nodes_come_and_go_is_whole_again() {
    let mut process = Process::start(tempfile::tempdir().unwrap()).await;
    for round in 0..4_u32 {
        let play = process.session_of("two-nodes").await;
        if round % 2 == 1 {
            let nodes = play.ready().await;
            let (http, url) = (play.http.clone(), format!("{}/instances/{}", play.url, nodes[0].name));
            // Its end is under way when the server dies, or not begun.
            tokio::spawn(async move { http.delete(url).send().await });
            tokio::time::sleep(std::time::Duration::from_millis(u64::from(round) * 5)).await;
        }
        process = Process::start(process.kill()).await;
        let play = Play { url: format!("http://{}/sessions/{}", process.address, play.id), ..play };
        let session = play.show().await;
        for node in session.instances.keys() {
            play.run(node, "docker version").await;
        }
        // Only what the session has is on the host.
        let nodes = std::fs::read_dir(process.data().join("nodes")).unwrap().count();
        assert_eq!(nodes, session.instances.len(), "round {round}");
        let node = play.node().await;
        play.run(&node.name, "true").await;
        assert_eq!(play.http.delete(&play.url).send().await.unwrap().status(), 200);
        let data = process.data();
        eventually(async || kept(&data).is_empty().then_some(())).await;
    }
    process.end();
}
