//! Tells a session's browsers what is so: its topology and terminals.

use std::sync::Arc;
use std::time::Duration;

use drydock_agent::client::AgentError;
use drydock_wire::session::Terminal;
use drydock_wire::topology::{Fault, Topology};
use serde_json::json;

use super::create::chain;
use super::{Instance, Playground, Session, roles};

/// Changes within it are sent as one.
const SETTLE: Duration = Duration::from_millis(50);

impl Playground {
    /// Starts the session's tasks. They end with it.
    pub(super) fn attend(self: &Arc<Self>, session: &Arc<Session>) {
        let (publisher, playground) = (session.clone(), self.clone());
        session.tasks.spawn(async move {
            let faults = || playground.faults(&publisher);
            publisher.ended.clone().run_until_cancelled(publisher.publish_topology(faults)).await;
        });
        let (served, registry) = (session.clone(), self.registry.clone());
        session.tasks.spawn(async move {
            served.ended.clone().run_until_cancelled(super::registry::serve(&served, registry)).await;
        });
        let sampled = session.clone();
        session.tasks.spawn(async move {
            sampled.ended.clone().run_until_cancelled(super::stats::sample(&sampled)).await;
        });
    }
}

impl Session {
    /// Runs until it is dropped.
    async fn publish_topology(self: &Arc<Self>, faults: impl Fn() -> Vec<Fault>) {
        loop {
            self.publish_topology_now(faults());
            self.changed.notified().await;
            tokio::time::sleep(SETTLE).await;
        }
    }

    fn publish_topology_now(&self, faults: Vec<Fault>) {
        let instances = self.instances();
        let mut nodes: Vec<_> = instances.iter().map(|instance| instance.observed().clone()).collect();
        let swarm: Vec<_> = instances.iter().map(|instance| instance.swarm()).collect();
        let all: Vec<_> = swarm.iter().collect();
        roles::mark(nodes.iter_mut().zip(&swarm), &all);
        nodes.sort_by(|a, b| order(&a.hostname).cmp(&order(&b.hostname)));
        let topology = serde_json::to_value(Topology { nodes, faults }).expect("a topology is plain data");
        self.events.publish_state("session topology", "", vec![topology]);
    }

    /// Tells which terminals an instance has.
    pub async fn publish_terminals(&self, instance: &Instance) {
        match instance.terminals().await {
            Ok(terminals) => {
                let args = vec![json!(instance.name()), json!(terminals)];
                self.events.publish_state("instance terminals", instance.name(), args);
            }
            Err(error) => {
                tracing::warn!(node.id = instance.name(), error = %chain(&error), "terminals not listed");
            }
        }
    }
}

impl Instance {
    pub async fn terminals(&self) -> Result<Vec<Terminal>, AgentError> {
        let terminals = self.agent().terminals().await?;
        Ok(terminals
            .into_iter()
            .map(|terminal| Terminal {
                id: terminal.id.to_string(),
                cols: terminal.size.cols,
                rows: terminal.size.rows,
                title: String::new(),
            })
            .collect())
    }
}

/// `node2` before `node10`.
fn order(hostname: &str) -> (&str, u32, &str) {
    let stem = hostname.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem, hostname[stem.len()..].parse().unwrap_or(0), hostname)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_stand_in_the_order_of_their_numbers() {
        let mut names = ["node10", "node2", "manager", "node1", "node99999999999"];
        names.sort_by(|a, b| order(a).cmp(&order(b)));
        assert_eq!(names, ["manager", "node99999999999", "node1", "node2", "node10"]);
    }
}
