//! Sessions whose nodes form a swarm from the start, and what is shown of it.

mod support;

use drydock_wire::session::Instance;
use drydock_wire::topology::{Node, Topology};
use serde_json::{Value, json};
use support::{Gateway, Play, eventually};

/// `manager1 Ready Leader`, in order.
async fn listed(play: &Play, manager: &Instance) -> Vec<String> {
    let format = "{{.Hostname}} {{.Status}} {{.ManagerStatus}}";
    let said = play.run(&manager.name, &format!("docker node ls --format '{format}' | sort")).await;
    said.lines().map(|line| line.trim().to_owned()).collect()
}

fn nodes_of(args: &[Value]) -> Vec<Node> {
    serde_json::from_value::<Topology>(args[0].clone()).unwrap().nodes
}

/// `manager1=leader`, `worker1=worker · drain`, in order.
fn parts(args: &[Value]) -> Vec<String> {
    nodes_of(args).iter().map(|node| format!("{}={}", node.hostname, node.swarm())).collect()
}

/// The tasks on each node, `manager1:web.1`, in order.
fn tasks(args: &[Value]) -> Vec<String> {
    let mut tasks = Vec::new();
    for node in nodes_of(args) {
        let running = node.containers.iter().filter(|container| container.state == "running");
        tasks.extend(running.map(|container| format!("{}:{}", node.hostname, container.name)));
    }
    // On a node they are told in the order in which they began.
    tasks.sort_unstable();
    tasks
}

#[tokio::test]
async fn setup_forms_the_swarm_it_names_before_it_runs_commands() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let alone = json!({ "instances": [{ "hostname": "worker1", "is_swarm_worker": true }] });
    let refused = play.post("/setup", &alone).await;
    assert_eq!(refused.status(), 400);
    assert!(refused.text().await.unwrap().contains("need a manager"));
    assert!(play.show().await.instances.is_empty(), "nothing was made");

    let setup = json!({ "instances": [
        { "hostname": "manager1", "is_swarm_manager": true,
          "run": [["sh", "-c", "docker node ls -q | wc -l > /root/nodes"]] },
        { "hostname": "manager2", "is_swarm_manager": true, "is_swarm_worker": true },
        { "hostname": "manager3", "is_swarm_manager": true },
        { "hostname": "other" },
        { "hostname": "worker1", "is_swarm_worker": true },
    ]});
    let answer = play.post("/setup", &setup).await;
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let nodes = play.ready().await;
    let [manager, _, _, other, worker] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert_eq!(
        listed(&play, manager).await,
        ["manager1 Ready Leader", "manager2 Ready Reachable", "manager3 Ready Reachable", "worker1 Ready"]
    );
    assert_eq!(play.run(&manager.name, "cat /root/nodes").await, "4");
    let state = "docker info -f '{{.Swarm.LocalNodeState}}'";
    assert_eq!(play.run(&worker.name, state).await, "active");
    assert_eq!(play.run(&other.name, state).await, "inactive");
    assert_eq!(play.post("/setup", &setup).await.status(), 409);
    gateway.end().await;
}

#[tokio::test]
async fn a_template_begins_with_its_swarm_and_shows_who_leads_who_is_drained_and_where_tasks_go() {
    let gateway = Gateway::start().await;
    let offered: Value =
        gateway.http.get(format!("{}/playground", gateway.url)).send().await.unwrap().json().await.unwrap();
    let sizes =
        offered["templates"].as_array().unwrap().iter().map(|template| {
            (template["name"].as_str().unwrap().to_owned(), template["nodes"].as_u64().unwrap())
        });
    let sizes: Vec<_> = sizes.filter(|(name, _)| name.contains("manager")).collect();
    let expected = [("1-manager", 1), ("3-managers-2-workers", 5), ("5-managers", 5)];
    assert_eq!(sizes, expected.map(|(name, size)| (name.to_owned(), size)));

    let play = gateway.session(&[("stack_name", "3-managers-2-workers")]).await;
    let made = play.ready().await;
    let manager = &made[0];
    assert_eq!(listed(&play, manager).await.len(), 5);
    let mut events = play.events().await;
    let all = ["manager1=leader", "manager2=manager", "manager3=manager", "worker1=worker", "worker2=worker"];
    events.told("session topology", |args| parts(args) == all).await;
    let is_worker = json!([{ "instance": made[3].name, "is_manager": false, "is_worker": true }]);
    events.told("instance docker swarm status", |args| json!(args) == is_worker).await;

    let create =
        "docker service create -d -q --name web --replicas 2 --constraint node.role==worker alpine sleep 1d";
    play.run(&manager.name, create).await;
    let spread = |args: &[Value]| {
        let on = tasks(args);
        on.len() == 2 && on[0].starts_with("worker1:web.") && on[1].starts_with("worker2:web.")
    };
    events.told("session topology", spread).await;
    play.run(&manager.name, "docker node update --availability drain worker1").await;
    let moved = |args: &[Value]| {
        parts(args).contains(&"worker1=worker · drain".to_owned())
            && tasks(args) == ["worker2:web.1", "worker2:web.2"]
    };
    events.told("session topology", moved).await;
    gateway.end().await;
}

#[tokio::test]
async fn a_manager_that_is_cut_off_is_shown_unreachable_and_another_leads() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[("stack_name", "5-managers")]).await;
    let made = play.ready().await;
    let mut events = play.events().await;
    let leads = |args: &[Value], who: &str| {
        let leaders: Vec<_> = parts(args).into_iter().filter(|part| part.ends_with("=leader")).collect();
        leaders.len() == 1 && leaders[0].starts_with(who)
    };
    events.told("session topology", |args| leads(args, "manager1")).await;
    let links = format!("{}/links/{}", play.url, made[0].name);
    let cut = play.http.put(&links).json(&json!({ "loss": 100 })).send().await.unwrap();
    assert_eq!(cut.status(), 200);
    events
        .told("session topology", |args| {
            let lost = parts(args).contains(&"manager1=manager · unreachable".to_owned());
            lost && !leads(args, "manager1") && leads(args, "manager")
        })
        .await;
    play.http.delete(&links).send().await.unwrap();
    events.until("session topology", |args| parts(args).contains(&"manager1=manager".to_owned())).await;
    eventually(async || {
        let ready = listed(&play, &made[0]).await;
        (ready.iter().filter(|line| line.contains(" Ready ")).count() == 5).then_some(())
    })
    .await;
    gateway.end().await;
}

#[tokio::test]
async fn a_services_port_leads_to_its_task_at_the_host_of_every_node() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[("stack_name", "3-managers-2-workers")]).await;
    let nodes = play.ready().await;
    let create = "docker service create -q --name web -p 8080:80 whoami";
    play.run(&nodes[0].name, create).await;
    for node in &nodes {
        let host = format!("{}-8080.direct.localhost", node.proxy_host);
        let page = eventually(async || {
            let answer = gateway.at_host(&host, "/").await;
            (answer.status() == 200).then_some(answer)
        });
        let page = page.await.text().await.unwrap();
        assert!(page.contains("Hostname"), "{}: {page}", node.hostname);
    }
    let mut events = play.events().await;
    let shown = |args: &[Value], ports: &[u16]| nodes_of(args).iter().all(|node| node.swarm_ports == ports);
    events.told("session topology", |args| shown(args, &[8080])).await;
    let hostnames = ["manager1", "manager2", "manager3", "worker1", "worker2"];
    let told = |args: &[Value], ports: Value| {
        let mut instances: Vec<_> = args[0]["instances"].as_array().unwrap().iter().collect();
        instances.sort_by_key(|name| name.as_str());
        instances == hostnames && args[0]["manager"] == nodes[0].name && args[0]["ports"] == ports
    };
    events.told("instance docker swarm ports", |args| told(args, json!([8080]))).await;
    play.run(&nodes[0].name, "docker service update -q --publish-add mode=host,target=81,published=8081 web")
        .await;
    play.run(&nodes[0].name, "docker service update -q --publish-rm 80 web").await;
    events.until("session topology", |args| shown(args, &[])).await;
    events.told("instance docker swarm ports", |args| told(args, json!([]))).await;
    gateway.end().await;
}
