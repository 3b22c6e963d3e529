//! How long a swarm takes: its nodes to be ready, tasks to run, and those of a dead node to run elsewhere.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::Client;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);
/// Longer than any peer takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// An engine of the swarm that is to be.
struct Node {
    address: String,
    client: Client,
    pid: i32,
}

/// `image` is on every node; each of `nodes` is `ADDRESS=PID=SOCKET`, the first becomes the manager. The last is killed.
pub fn measure(image: &str, nodes: &[String]) -> Result<()> {
    ensure!(nodes.len() >= 4, "a swarm of at least four nodes");
    let mut nodes = nodes.iter().map(|node| open(node)).collect::<Result<Vec<_>>>()?;
    let began = Instant::now();
    form(&mut nodes, 4)?;
    report("4 nodes Ready after init", began, "aim 60 ms");
    for at in 4..nodes.len() {
        join(&mut nodes, at)?;
    }
    until("all nodes are Ready", || Ok(ready(&mut nodes[0].client)? == nodes.len()))?;
    let began = Instant::now();
    let web = create(&mut nodes[0].client, "web", image, 10)?;
    until_running(&mut nodes[0].client, &web, 10, None)?;
    report("service create to 10/10 running", began, "aim 250 ms");
    let began = Instant::now();
    let many = create(&mut nodes[0].client, "many", image, 100)?;
    until_running(&mut nodes[0].client, &many, 100, None)?;
    report("100 replicas on all nodes", began, "aim 3000 ms");
    nodes[0].client.call("DELETE", &format!("/services/{many}"), None)?;
    let dead = node_id(&mut nodes.last_mut().context("a last node")?.client)?;
    let began = Instant::now();
    kill(nodes.last().context("a last node")?.pid)?;
    let manager = &mut nodes[0].client;
    until("the dead node is seen", || is_down(manager, &dead))?;
    report("node killed to Down", began, "aim 1000 ms");
    let seen = Instant::now();
    until_running(manager, &web, 10, Some(&dead))?;
    report("Down to 10/10 elsewhere", seen, "aim 500 ms");
    Ok(())
}

fn open(text: &str) -> Result<Node> {
    let mut parts = text.splitn(3, '=');
    let mut part = || parts.next().with_context(|| format!("`{text}` is not ADDRESS=PID=SOCKET"));
    let (address, pid, socket) = (part()?.to_owned(), part()?.parse()?, part()?);
    Ok(Node { address, client: Client::connect(socket)?, pid })
}

fn form(nodes: &mut [Node], count: usize) -> Result<()> {
    let address = format!("{}:2377", nodes[0].address);
    let body = json!({ "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": address, "Spec": {} });
    nodes[0].client.call("POST", "/swarm/init", Some(&body))?;
    let request = join_request(nodes)?;
    thread::scope(|scope| {
        let joining: Vec<_> = nodes[1..count]
            .iter_mut()
            .map(|node| scope.spawn(|| node.client.call("POST", "/swarm/join", Some(&request))))
            .collect();
        joining.into_iter().try_for_each(|thread| {
            thread.join().map_err(|_| anyhow::anyhow!("a thread panicked"))??;
            Ok::<(), anyhow::Error>(())
        })
    })?;
    until("four nodes are Ready", || Ok(ready(&mut nodes[0].client)? == count))
}

fn join_request(nodes: &mut [Node]) -> Result<Value> {
    let swarm = nodes[0].client.call("GET", "/swarm", None)?;
    let token = swarm["JoinTokens"]["Worker"].as_str().context("a token")?;
    let remote = format!("{}:2377", nodes[0].address);
    Ok(json!({ "ListenAddr": "0.0.0.0:2377", "RemoteAddrs": [remote], "JoinToken": token }))
}

fn join(nodes: &mut [Node], at: usize) -> Result<()> {
    let request = join_request(nodes)?;
    nodes[at].client.call("POST", "/swarm/join", Some(&request)).map(drop)
}

fn ready(manager: &mut Client) -> Result<usize> {
    let nodes = manager.call("GET", "/nodes", None)?;
    Ok(nodes.as_array().map_or(0, |all| all.iter().filter(|node| node["Status"]["State"] == "ready").count()))
}

fn node_id(client: &mut Client) -> Result<String> {
    let info = client.call("GET", "/info", None)?;
    Ok(info["Swarm"]["NodeID"].as_str().context("a node id")?.to_owned())
}

fn is_down(manager: &mut Client, node: &str) -> Result<bool> {
    Ok(manager.call("GET", &format!("/nodes/{node}"), None)?["Status"]["State"] == "down")
}

fn create(manager: &mut Client, name: &str, image: &str, replicas: u64) -> Result<String> {
    let container = json!({ "Image": image, "Command": ["sleep", "100000"], "StopGracePeriod": 0 });
    let body = json!({
        "Name": name, "TaskTemplate": { "ContainerSpec": container },
        "Mode": { "Replicated": { "Replicas": replicas } },
    });
    let made = manager.call("POST", "/services/create", Some(&body))?;
    Ok(made["ID"].as_str().context("a service id")?.to_owned())
}

fn until_running(manager: &mut Client, service: &str, replicas: usize, not_on: Option<&str>) -> Result<()> {
    // {"service":["ID"],"desired-state":["running"]}
    let path = format!(
        "/tasks?filters=%7B%22service%22%3A%5B%22{service}%22%5D%2C%22desired-state%22%3A%5B%22running%22%5D%7D"
    );
    let looked = || {
        let tasks = manager.call("GET", &path, None)?;
        let running = tasks.as_array().into_iter().flatten().filter(|task| {
            task["Status"]["State"] == "running" && not_on.is_none_or(|node| task["NodeID"] != node)
        });
        Ok(running.count() == replicas)
    };
    until("tasks run", looked)
}

fn until(what: &str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !holds()? {
        ensure!(Instant::now() < end, "in vain: {what}");
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// The node's whole session, as a power cut would end it.
fn kill(pid: i32) -> Result<()> {
    let killed = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{pid}")]).status()?;
    ensure!(killed.success(), "kill the process group {pid}");
    Ok(())
}

fn report(figure: &str, began: Instant, aim: &str) {
    println!("{figure:<40} {:8.1} ms   {aim}", began.elapsed().as_secs_f64() * 1e3);
}
