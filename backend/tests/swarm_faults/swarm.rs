//! A session whose nodes form a swarm, and what can be done to them.

use std::collections::BTreeMap;

use drydock::config::Config;
use drydock_wire::session::Instance;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{Gateway, Play, eventually};

/// Moby's words when the managers that are left are too few.
const NO_LEADER: &str = "Error response from daemon: rpc error: code = Unknown desc = The swarm does not have a leader. It's \
                             possible that too few managers are online. Make sure more than half of the managers are online.";

/// Stands in for an engine that is to stay away: it waits for its leave, and becomes the engine.
const AWAY: &str = r#"#!/bin/sh
while [ -e /root/away ]; do sleep 0.05; done
umount -l /usr/local/bin/drydock-engine
exec /usr/local/bin/drydock-engine "$@"
"#;

/// What a command said.
#[derive(Debug)]
pub struct Said {
    pub code: i64,
    pub out: String,
    pub err: String,
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

pub struct Swarm {
    gateway: Gateway,
    pub play: Play,
    /// By hostname.
    pub nodes: Vec<Instance>,
}

impl Swarm {
    /// A session of that template, ready.
    pub async fn of(template: &str) -> Self {
        Self::with(template, |_| {}).await
    }

    pub async fn with(template: &str, change: impl FnOnce(&mut Config)) -> Self {
        let gateway = Gateway::start_with(change).await;
        let play = gateway.session(&[("stack_name", template)]).await;
        let nodes = play.ready().await;
        Self { gateway, play, nodes }
    }

    pub async fn end(self) {
        self.gateway.end().await;
    }

    /// Runs a script in a node.
    pub async fn sh(&self, node: usize, script: &str) -> Said {
        run(&self.play, &self.nodes[node].name, script).await
    }

    /// `docker WORDS` in a node, which may not take for ever: an engine that was killed does not answer.
    pub async fn docker(&self, node: usize, words: &str) -> Said {
        self.sh(node, &format!("timeout 30 docker {words}")).await
    }

    /// The node's line of `docker node ls`, `Ready Leader`, as `by` shows it; nothing while it cannot.
    pub async fn listed(&self, by: usize, node: usize) -> Option<String> {
        self.list(by).await?.remove(&self.nodes[node].hostname)
    }

    /// `docker node ls`, by hostname.
    pub async fn list(&self, by: usize) -> Option<BTreeMap<String, String>> {
        let said = self.docker(by, "node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}'").await;
        let line = |line: &str| {
            let (name, state) = line.split_once(' ')?;
            Some((name.to_owned(), state.trim().to_owned()))
        };
        (said.code == 0).then(|| said.out.lines().filter_map(line).collect())
    }

    /// Who leads, as `by` sees it.
    pub async fn leader(&self, by: usize) -> Option<usize> {
        let list = self.list(by).await?;
        let leaders: Vec<_> = list.iter().filter(|(_, state)| state.ends_with("Leader")).collect();
        let [(name, _)] = leaders.as_slice() else { return None };
        self.nodes.iter().position(|node| node.hostname == **name)
    }

    /// Waits until a manager that is left without the others says that there is no leader; a write is refused likewise.
    pub async fn decides_nothing(&self, node: usize) {
        eventually(async || (self.docker(node, "node ls").await.err == NO_LEADER).then_some(())).await;
        let refused = self.sh(node, "echo lost | docker config create lost -").await;
        assert_eq!((refused.code, refused.err.as_str()), (1, NO_LEADER));
        let info = self.docker(node, "info -f '{{.Swarm.Error}}'").await.ok();
        assert_eq!(format!("Error response from daemon: {info}"), NO_LEADER);
    }

    /// Waits until `by` shows that many nodes that are `Ready`, one of which leads.
    pub async fn all_ready(&self, by: usize, count: usize) {
        eventually(async || {
            let list = self.list(by).await?;
            let ready = list.values().filter(|state| state.starts_with("Ready")).count();
            let leaders = list.values().filter(|state| state.ends_with("Leader")).count();
            (ready == count && leaders == 1).then_some(())
        })
        .await;
    }

    /// `kill -9` of a node's engine. Its node's first process starts another at once.
    pub async fn kill_engine(&self, node: usize) {
        self.play.run(&self.nodes[node].name, "kill -9 $(pidof drydock-engine)").await;
    }

    /// `kill -9` of a node's engine, which stays away until [`Self::let_back`].
    pub async fn kill_for_good(&self, node: usize) {
        let script = format!(
            "touch /root/away; cat > /root/stand-in <<'END'\n{AWAY}END\nchmod +x /root/stand-in; \
             mount --bind /root/stand-in /usr/local/bin/drydock-engine; kill -9 $(pidof drydock-engine)"
        );
        self.play.run(&self.nodes[node].name, &script).await;
    }

    pub async fn let_back(&self, node: usize) {
        self.play.run(&self.nodes[node].name, "rm /root/away").await;
    }

    /// Takes the cable between two nodes away, or gives it back.
    pub async fn set_way(&self, one: usize, other: usize, cable: Cable) {
        let path = format!("{}/{}", self.nodes[one].name, self.nodes[other].name);
        self.set_loss(&path, cable).await;
    }

    /// The same between a node and all others.
    pub async fn set_cable(&self, node: usize, cable: Cable) {
        self.set_loss(&self.nodes[node].name, cable).await;
    }

    async fn set_loss(&self, path: &str, cable: Cable) {
        let loss = if cable == Cable::Cut { 100 } else { 0 };
        let url = format!("{}/links/{path}", self.play.url);
        let set = self.play.http.put(url).json(&json!({ "loss": loss })).send().await.unwrap();
        assert_eq!(set.status(), 200);
    }

    /// The containers of a service's tasks that run, by node.
    pub async fn containers(&self, service: &str) -> Vec<Vec<String>> {
        let words = format!("ps -q --filter label=com.docker.swarm.service.name={service}");
        let asked = (0..self.nodes.len()).map(|node| self.docker(node, &words));
        join_all(asked).await.into_iter().map(|said| said.out.lines().map(str::to_owned).collect()).collect()
    }

    /// Waits until a service has just so many containers on all nodes together; where they are.
    pub async fn runs(&self, service: &str, count: usize) -> Vec<Vec<String>> {
        eventually(async || {
            let containers = self.containers(service).await;
            (containers.iter().flatten().count() == count).then_some(containers)
        })
        .await
    }

    /// What the manager says of the object: `docker KIND inspect -f FORMAT NAME`.
    pub async fn inspect(&self, by: usize, kind: &str, name: &str, format: &str) -> Option<String> {
        let said = self.docker(by, &format!("{kind} inspect -f '{format}' {name}")).await;
        (said.code == 0).then(|| said.out.trim().to_owned())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cable {
    Cut,
    Whole,
}

/// Runs a script in a node of a session.
pub async fn run(play: &Play, node: &str, script: &str) -> Said {
    let path = format!("/instances/{node}/exec");
    let answer = play.post(&path, &json!({ "command": ["bash", "-c", script] })).await;
    let ran: Value = answer.error_for_status().unwrap().json().await.unwrap();
    let text = |name: &str| ran[name].as_str().unwrap().trim_end().to_owned();
    Said { code: ran["status_code"].as_i64().unwrap(), out: text("stdout"), err: text("stderr") }
}
