//! A client that goes on writing to the swarm through one manager, and knows what was acknowledged.

use std::collections::BTreeSet;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{PATIENCE, Play, eventually};
use crate::swarm::{Swarm, run};

pub struct Writer {
    acknowledged: watch::Receiver<Vec<String>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Writer {
    /// Makes configurations and services in turn, until it is stopped. What is refused is left out.
    pub fn begin(swarm: &Swarm, through: usize) -> Self {
        let play =
            Play { id: swarm.play.id.clone(), url: swarm.play.url.clone(), http: swarm.play.http.clone() };
        let node = swarm.nodes[through].name.clone();
        let (told, acknowledged) = watch::channel(Vec::new());
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            for number in 0.. {
                if *stopped.borrow() {
                    return;
                }
                let name = format!("written{number}");
                let make = match number % 2 {
                    0 => format!("echo {name} | docker config create {name} -"),
                    _ => format!("docker service create -d -q --replicas 0 --name {name} alpine true"),
                };
                if run(&play, &node, &make).await.code == 0 {
                    told.send_modify(|names: &mut Vec<String>| names.push(name));
                }
            }
        });
        Self { acknowledged, stop, task }
    }

    /// Waits until so many more are acknowledged than are now.
    pub async fn goes_on(&mut self, count: usize) {
        let now = self.acknowledged.borrow().len();
        let more = self.acknowledged.wait_for(|names| names.len() >= now + count);
        let came = tokio::time::timeout(PATIENCE, more).await;
        assert!(came.is_ok_and(|came| came.is_ok()), "writes are not acknowledged any more");
    }

    /// All that was acknowledged.
    pub async fn stop(self) -> BTreeSet<String> {
        self.stop.send_replace(true);
        self.task.await.unwrap();
        self.acknowledged.borrow().iter().cloned().collect()
    }
}

impl Swarm {
    /// What was written and this manager shows.
    async fn written(&self, by: usize) -> BTreeSet<String> {
        let script = "docker config ls --format '{{.Name}}'; docker service ls --format '{{.Name}}'";
        self.sh(by, script).await.out.lines().map(str::to_owned).collect()
    }

    /// Waits until each of the managers shows all of it.
    pub async fn all_have(&self, managers: &[usize], acknowledged: &BTreeSet<String>) {
        for manager in managers {
            eventually(async || self.written(*manager).await.is_superset(acknowledged).then_some(())).await;
        }
    }
}
