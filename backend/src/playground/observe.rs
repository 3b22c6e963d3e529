//! Watches an instance: its engine's events, and its end.
//!
//! ```text
//!   booting ──▶ ready ◀──▶ engine-down
//! ```

use std::sync::Arc;
use std::time::Duration;

use drydock_wire::topology;
use serde_json::json;

use super::create::chain;
use super::engine::{Changes, Engine, EngineError, Inventory};
use super::{Instance, Playground, Session, roles};

/// Events within it are answered by one look: `docker run` alone makes four.
const SETTLE: Duration = Duration::from_millis(60);
const RETRY: Duration = Duration::from_millis(500);

impl Playground {
    /// Starts the instance's tasks. They end with it.
    pub(super) fn tend(self: &Arc<Self>, session: &Arc<Session>, instance: &Arc<Instance>) {
        let observer = (session.clone(), instance.clone());
        session.tasks.spawn(async move {
            let (session, instance) = observer;
            instance.ended.clone().run_until_cancelled(observe(&session, &instance)).await;
        });
        let followed = (session.clone(), instance.clone());
        session.tasks.spawn(async move {
            let (session, instance) = followed;
            instance.ended.clone().run_until_cancelled(roles::follow(&session, &instance)).await;
        });
        let (playground, session_of, instance) = (self.clone(), session.clone(), instance.clone());
        session.tasks.spawn(async move {
            let exited = instance.node.exited();
            if instance.ended.clone().run_until_cancelled(exited).await.is_some() {
                tracing::warn!(node.id = instance.name(), "PID 1 of this node ended");
                // The tracker of the session must not wait for its own task.
                tokio::spawn(async move {
                    if let Err(error) =
                        playground.end_instance(&session_of, &instance.record.name).await
                    {
                        tracing::error!(node.id = instance.name(), error = %chain(&error), "node left remains");
                    }
                });
            }
        });
    }
}

/// Runs until it is dropped.
async fn observe(session: &Session, instance: &Instance) {
    let engine = Engine::at(instance.node.docker_socket());
    loop {
        let error = follow(&engine, session, instance).await;
        tracing::debug!(node.id = instance.name(), error = %chain(&error), "the engine is away");
        set_state(session, instance, "engine-down");
        tokio::time::sleep(RETRY).await;
    }
}

/// Follows one run of the engine until it goes away.
async fn follow(engine: &Engine, session: &Session, instance: &Instance) -> EngineError {
    let mut changes = match engine.changes().await {
        Ok(changes) => changes,
        Err(error) => return error,
    };
    let mut watchers = session.watchers();
    loop {
        // Nobody watches: what changes meanwhile is looked at when somebody comes.
        tokio::select! {
            watched = watchers.wait_for(|watchers| *watchers > 0) => drop(watched),
            error = drain(&mut changes) => return error,
        }
        match engine.inventory().await {
            Ok(inventory) => show(session, instance, inventory),
            Err(error) => return error,
        }
        if let Err(error) = changes.next().await {
            return error;
        }
        tokio::select! {
            () = tokio::time::sleep(SETTLE) => {}
            error = drain(&mut changes) => return error,
        }
    }
}

/// Reads events away until the stream breaks.
async fn drain(changes: &mut Changes) -> EngineError {
    loop {
        if let Err(error) = changes.next().await {
            return error;
        }
    }
}

fn show(session: &Session, instance: &Instance, inventory: Inventory) {
    let ports = published(&inventory);
    let changed = {
        let mut observed = instance.observed();
        let before = observed.clone();
        observed.state = "ready".to_owned();
        observed.networks = inventory.networks;
        observed.containers = inventory.containers;
        *observed != before
    };
    if changed {
        session.changed.notify_one();
    }
    let name = instance.name();
    let shown = json!({ "instance": name, "ports": ports });
    session.events.publish_state("instance docker ports", name, vec![shown]);
}

fn set_state(session: &Session, instance: &Instance, state: &str) {
    let before = std::mem::replace(&mut instance.observed().state, state.to_owned());
    if before != state {
        session.changed.notify_one();
    }
}

/// The node's ports that lead somewhere, in order.
fn published(inventory: &Inventory) -> Vec<u16> {
    let of = |container: &topology::Container| {
        container.ports.iter().filter_map(|port| port.host_port).collect::<Vec<_>>()
    };
    let mut ports: Vec<u16> = inventory.containers.iter().flat_map(of).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
