//! The session socket, with real engines behind it.

mod support;

use serde_json::{Value, json};
use support::Gateway;

fn containers(args: &[Value]) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let nodes = args[0]["nodes"].as_array().into_iter().flatten();
    nodes
        .flat_map(|node| node["containers"].as_array().into_iter().flatten())
        .map(|container| (text(&container["name"]), text(&container["state"])))
        .collect()
}

#[tokio::test]
async fn the_topology_follows_what_docker_does() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let mut events = play.events().await;
    events.until("session expires", |_| true).await;
    let node = play.node().await;
    let new = events.until("instance new", |_| true).await;
    assert_eq!(new.args, [json!(node.name), json!(node.ip), json!("node1"), json!(node.proxy_host)]);
    events.until("session topology", |args| args[0]["nodes"][0]["state"] == "ready").await;

    play.run(&node.name, "docker run -d --name web -p 8080:80 nginx").await;
    events
        .until("session topology", |args| {
            containers(args).contains(&("web".to_owned(), "running".to_owned()))
        })
        .await;
    events
        .told("instance docker ports", |args| args[0] == json!({ "instance": node.name, "ports": [8080] }))
        .await;
    // One who comes late is told the same.
    let mut late = play.events().await;
    late.until("session topology", |args| {
        containers(args).contains(&("web".to_owned(), "running".to_owned()))
    })
    .await;
    play.run(&node.name, "docker rm -f web").await;
    events.until("session topology", |args| containers(args).is_empty()).await;

    let stats = events.until("instance stats", |args| args[0]["instance"] == json!(node.name)).await;
    assert!(stats.args[0]["memory_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{stats:?}");

    play.http.delete(format!("{}/instances/{}", play.url, node.name)).send().await.unwrap();
    events.until("instance delete", |args| args == [json!(node.name)]).await;
    events.until("session topology", |args| args[0]["nodes"] == json!([])).await;
    events.send("session close", json!([])).await;
    events.until("session end", |args| args == [json!("closed")]).await;
    gateway.end().await;
}

#[tokio::test]
async fn play_with_dockers_clients_type_over_the_session_socket() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut events = play.events().await;
    events.send("instance viewport resize", json!([120, 40])).await;
    events
        .send("instance terminal in", json!([node.name, "echo dr\u{f6}dock-$((40+2)) $(tput cols)\r"]))
        .await;
    events.until("instance terminal status", |args| args == [json!(node.name), json!("connect")]).await;
    let mut text = String::new();
    while !text.contains("dr\u{f6}dock-42 120") {
        let out = events.until("instance terminal out", |args| args[0] == json!(node.name)).await;
        text.push_str(out.args[1].as_str().unwrap());
    }
    // Its terminal is closed: the node's next one takes its place.
    let closed = format!("{}/instances/{}/terminals/1", play.url, node.name);
    assert_eq!(play.http.delete(closed).send().await.unwrap().status(), 200);
    events.until("instance terminal status", |args| args == [json!(node.name), json!("reconnect")]).await;
    events.send("instance terminal in", json!([node.name, "echo again-$((40+2))\r"])).await;
    while !text.contains("again-42") {
        let out = events.until("instance terminal out", |args| args[0] == json!(node.name)).await;
        text.push_str(out.args[1].as_str().unwrap());
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_node_that_powers_off_leaves_the_session() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut events = play.events().await;
    let mut screen = play.watch(&node.name, "1", "").await;
    gateway.state.playground.sessions()[0].instances()[0].agent().shutdown().await.unwrap();
    events.until("instance delete", |args| args == [json!(node.name)]).await;
    while screen.receive().await {}
    assert!(screen.closed.is_some());
    assert!(play.show().await.instances.is_empty());
    gateway.end().await;
}
