//! What happens to containers when the engine comes back.
//!
//! A shim that answers: its container runs on, and is watched again. A shim that is gone: its `exit.json` says how
//! the container ended; what the run needed is given back; then `--rm` and the restart policy are honoured. Steps of
//! builds go: their builds are gone.

use std::sync::Arc;
use std::time::Duration;

use drydock_shim::protocol::{ContainerState, Reply, Request};

use crate::container::record::Status;
use crate::container::restart::{self, Verdict};
use crate::container::shim::{self, Connection};
use crate::container::{Container, Record, monitor, start, stray};
use crate::engine::Engine;
use crate::network::{Join, Joined};

/// Takes over containers whose shims still run, and settles the others.
pub async fn restore(engine: &Arc<Engine>) {
    stray::clear_halves(engine);
    let mut live = Vec::new();
    let mut ended = Vec::new();
    for container in engine.containers.all() {
        if container.record().of_build {
            container.note(|record| record.host_config.auto_remove = Some(true));
        }
        match reach(&container).await {
            Some(found) => live.push((container, found)),
            None => ended.push(container),
        }
    }
    stray::end(engine, &ended).await;
    let sandboxes = live.iter().filter_map(|(container, _)| sandbox(&container.record())).collect();
    engine.networks.restore(sandboxes).await;
    for (container, _) in &live {
        let record = container.record();
        if record.network_mode() == "host" {
            engine.networks.welcome(&container.id, &record.name, record.networks.get("host"));
        }
    }
    for (container, (control, state, pid)) in live {
        take_over(engine, &container, control, state, pid).await;
    }
    for container in ended {
        settle(engine, &container).await;
    }
}

/// Its shim, if it answers for a container that has not ended.
async fn reach(container: &Container) -> Option<(Connection, ContainerState, i32)> {
    if !container.status().is_live() {
        return None;
    }
    let mut control = Connection::open(&container.run_dir).await.ok()?;
    match control.ask(&Request::State).await.ok()? {
        Reply::State { state: ContainerState::Stopped, .. } => None,
        Reply::State { state, pid } => Some((control, state, pid)),
        _ => None,
    }
}

/// What the network service answered when this container was started.
fn sandbox(record: &Record) -> Option<(Join, Joined)> {
    let sandbox = record.sandbox.clone()?;
    let joined = Joined {
        sandbox: sandbox.path,
        sandbox_id: sandbox.id,
        endpoints: record.networks.clone(),
        gateway: sandbox.gateway,
        ports: record.ports.clone(),
        ..Joined::default()
    };
    Some((start::ask_network(record), joined))
}

async fn take_over(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    control: Connection,
    state: ContainerState,
    pid: i32,
) {
    let run = container.run.clone().lock_owned().await;
    container.note(|record| {
        record.state.pid = pid;
        record.state.status = if state == ContainerState::Paused { Status::Paused } else { Status::Running };
    });
    container.advance(|phase| phase.running = true);
    tracing::info!(container.id = %container.id, "still running");
    monitor::watch(engine, container, control, run);
}

async fn settle(engine: &Arc<Engine>, container: &Arc<Container>) {
    let (status, policy, stopped_by_user, auto_remove, of_build) = {
        let record = container.record();
        let policy = record.host_config.restart_policy.clone();
        (record.state.status, policy, record.stopped_by_user, record.auto_remove(), record.of_build)
    };
    let was_running = status.counts_as_running();
    if status.is_live() {
        let exit = match shim::read_exit(&container.run_dir) {
            Some(exit) => exit,
            None => monitor::lost(engine, container).await,
        };
        let verdict = monitor::settle(engine, container, &exit);
        monitor::release(engine, container).await;
        let (engine, container) = (engine.clone(), container.clone());
        tokio::spawn(async move { monitor::follow(&engine, &container, verdict, Duration::ZERO).await });
    } else if status == Status::Removing || of_build || (auto_remove && status == Status::Exited) {
        monitor::remove_in_background(engine, container);
    } else if restart::at_boot(policy.as_ref(), stopped_by_user, was_running) && status != Status::Created {
        container.note(|record| record.state.status = Status::Restarting);
        let (engine, container) = (engine.clone(), container.clone());
        tokio::spawn(
            async move { monitor::follow(&engine, &container, Verdict::Restart, Duration::ZERO).await },
        );
    }
}
