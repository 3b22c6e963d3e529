//! The end of the engine without live restore: its containers end before it does.

use std::sync::Arc;
use std::time::Duration;

use crate::container::{Container, stop};
use crate::engine::Engine;

/// What a container gets beyond its own time to stop.
const GRACE_S: i64 = 5;

/// Stops all containers, each in its own time, and no longer than the engine is to take for it.
pub async fn run(engine: &Arc<Engine>) {
    let live = engine.live();
    if live.live_restore {
        return;
    }
    engine.begin_stopping();
    let running: Vec<_> = engine
        .containers
        .all()
        .into_iter()
        .filter(|container| container.status().counts_as_running())
        .collect();
    let all = tokio::task::JoinSet::from_iter(
        running.iter().cloned().map(|container| end(engine.clone(), container)),
    );
    match timeout(live.shutdown_timeout_s, &running) {
        None => drop(all.join_all().await),
        Some(limit) => {
            if tokio::time::timeout(limit, all.join_all()).await.is_err() {
                tracing::error!("Force shutdown daemon");
            }
        }
    }
}

/// `--shutdown-timeout`, or the longest time a container may take; `None`: for ever.
fn timeout(own_s: i64, containers: &[Arc<Container>]) -> Option<Duration> {
    let stops = containers.iter().map(|container| stop::patience_s(&container.record()));
    let longest = stops.clone().max().map_or(own_s, |longest| own_s.max(longest + GRACE_S));
    if own_s < 0 || stops.into_iter().any(|stop| stop < 0) {
        return None;
    }
    Some(Duration::from_secs(longest.unsigned_abs()))
}

async fn end(engine: Arc<Engine>, container: Arc<Container>) {
    if let Err(error) = stop::at_shutdown(&engine, &container).await {
        tracing::error!(container.id = %container.id, "shut down container: {}", crate::error::chain(&error));
    }
    // What the run needed is given back.
    drop(container.run.lock().await);
}
