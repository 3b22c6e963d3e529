//! Watches a running container: its end is told to waiters first, taken down second, and then its restart policy
//! is asked.
//!
//! Task tree: one `watch` task per running container; it owns the container's `run` guard, so that no start begins
//! before the last run is taken down. A restart is started by the same task after its guard is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bollard_stubs::models::EndpointSettings;
use drydock_shim::exit::Exit;
use drydock_shim::protocol::{Reply, Request};
use tokio::sync::OwnedMutexGuard;

use crate::container::record::{Status, now};
use crate::container::restart::{self, Verdict};
use crate::container::shim::{self, Connection};
use crate::container::{Container, Record, remove, stray, summary};
use crate::engine::Engine;

/// A run at least this long makes the next restart's delay short again.
const LONG_RUN: Duration = Duration::from_secs(10);
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// The code of a container whose shim was killed, so that nobody saw its end.
const LOST: i32 = 137;

/// Begins to watch. `control` is a connection to its shim that is free to wait on.
pub fn watch(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    control: Connection,
    run: OwnedMutexGuard<()>,
) {
    let (engine, container) = (engine.clone(), container.clone());
    super::health::begin(&engine, &container);
    tokio::spawn(async move {
        let begun = Instant::now();
        let exit = wait(&engine, &container, control).await;
        container.heard().await;
        let verdict = settle(&engine, &container, &exit);
        release(&engine, &container).await;
        drop(run);
        follow(&engine, &container, verdict, begun.elapsed()).await;
    });
}

async fn wait(engine: &Engine, container: &Container, mut control: Connection) -> Exit {
    if let Ok(Reply::Exited(exit)) = control.ask(&Request::Wait { exec_id: None }).await {
        return exit;
    }
    // The shim publishes before it leaves: either the file is there, or the shim was killed.
    match shim::read_exit(&container.run_dir) {
        Some(exit) => exit,
        None => lost(engine, container).await,
    }
}

/// The shim is gone without a word: what it held is ended, for nobody can reach it any more, and its cgroups and the
/// runtime's state, which the shim would have removed, go too.
pub async fn lost(engine: &Engine, container: &Container) -> Exit {
    let pid = container.record().state.pid;
    tracing::warn!(container.id = %container.id, "the shim was killed");
    if belongs_to(pid, container) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    let (root, id) = (engine.config.exec_root.join("runtime"), container.id.to_string());
    let swept = tokio::task::spawn_blocking(move || stray::forget(&root, &id)).await;
    if let Ok(Err(error)) = swept {
        tracing::error!(container.id = %container.id, "{}", crate::error::chain(&error));
    }
    Exit { code: LOST, signal: Some(9), oom_killed: false, finished_at: now(), pid }
}

/// Whether process `pid` is in this container's cgroup; numbers are used again.
fn belongs_to(pid: i32, container: &Container) -> bool {
    pid > 0
        && std::fs::read_to_string(format!("/proc/{pid}/cgroup"))
            .is_ok_and(|text| text.contains(container.id.as_str()))
}

/// Writes the end down and releases the waiters. Nothing is taken down yet.
pub fn settle(engine: &Engine, container: &Container, exit: &Exit) -> Verdict {
    let verdict = container
        .note(|record| {
            let verdict = match engine.is_stopping() {
                // The next engine asks the policy.
                true => Verdict::Stay,
                false => restart::decide(
                    record.host_config.restart_policy.as_ref(),
                    exit.code,
                    record.restart_count,
                    record.stopped_by_user,
                ),
            };
            record.state.status =
                if verdict == Verdict::Restart { Status::Restarting } else { Status::Exited };
            record.state.exit_code = exit.code;
            record.state.oom_killed = exit.oom_killed;
            record.state.finished_at.clone_from(&exit.finished_at);
            record.state.pid = 0;
            // Nobody checks any more.
            if let Some(health) = &mut record.state.health {
                health.status = "unhealthy".into();
            }
            // Nobody answers there any more, even before it is given back.
            forget_network(record);
            verdict
        })
        .unwrap_or(Verdict::Stay);
    let restarting = verdict == Verdict::Restart;
    if exit.oom_killed {
        super::publish(engine, container, "oom", []);
    }
    engine.execs.forget_idle(&container.id);
    let ran = {
        let record = container.record();
        summary::unix(&record.state.finished_at) - summary::unix(&record.state.started_at)
    };
    let more = [("execDuration", ran.max(0).to_string()), ("exitCode", exit.code.to_string())];
    super::publish(engine, container, "die", more);
    container.advance(|phase| {
        phase.running = restarting;
        phase.exits += 1;
        phase.exit_code = exit.code;
    });
    container.interrupt.notify_waiters();
    verdict
}

/// Gives back what a run needed: network, mounts, the bundle.
pub async fn release(engine: &Engine, container: &Container) {
    if let Err(error) = engine.networks.leave(&container.id).await {
        tracing::error!(container.id = %container.id, "{}", crate::error::chain(&error));
    }
    let shm = container.run_dir.join("shm");
    if shm.exists() {
        let _ = nix::mount::umount2(&shm, nix::mount::MntFlags::MNT_DETACH);
    }
    match engine.images.detach_rootfs(container.id.as_str()) {
        Ok(None) => {}
        Ok(Some(root)) => {
            // A start waits until it is free, a removal does not.
            let busy = container.freeing.clone().lock_owned().await;
            tokio::task::spawn_blocking(move || {
                drop(root);
                drop(busy);
            });
        }
        Err(error) => tracing::error!(container.id = %container.id, "{}", crate::error::chain(&error)),
    }
    let points = container.record().mounts.clone();
    for point in points.iter().filter(|point| !point.name.is_empty()) {
        engine.volumes.note_use("unmount", &point.name, &container.id, &point.destination);
        if !engine.volume_is_live(&point.name) {
            engine.volumes.unmount(&point.name);
        }
    }
    container.note(|record| {
        forget_network(record);
        forget_attachments(record);
    });
    engine.fabric.note_detached();
}

/// The swarm's places are given back, and what it chose for them is nobody's wish.
fn forget_attachments(record: &mut Record) {
    for own in std::mem::take(&mut record.attachments).iter().filter(|own| own.is_given) {
        let endpoints = record.networks.values_mut();
        let its = endpoints.filter(|endpoint| endpoint.network_id.as_deref() == Some(&own.network));
        its.filter_map(|endpoint| endpoint.ipam_config.as_mut())
            .for_each(|config| config.ipv4_address = None);
    }
}

/// Leaves of the network what was asked for.
fn forget_network(record: &mut Record) {
    record.sandbox = None;
    record.ports.clear();
    for endpoint in record.networks.values_mut() {
        // Clients compare a stopped container's networks with those it should be on.
        *endpoint = EndpointSettings {
            network_id: endpoint.network_id.take(),
            dns_names: endpoint.dns_names.take(),
            ..super::start::asked_only(endpoint)
        };
    }
}

/// Starts it again, or removes it, as it was created to.
pub async fn follow(engine: &Arc<Engine>, container: &Arc<Container>, verdict: Verdict, ran: Duration) {
    match verdict {
        Verdict::Restart => again(engine, container, ran).await,
        Verdict::Stay if container.record().auto_remove() => remove_in_background(engine, container),
        Verdict::Stay => {}
    }
}

async fn again(engine: &Arc<Engine>, container: &Arc<Container>, ran: Duration) {
    let delay = if ran >= LONG_RUN { FIRST_DELAY } else { delay(container.record().restart_count) };
    tokio::select! {
        () = tokio::time::sleep(delay) => {}
        () = container.interrupt.notified() => {}
    }
    let _one_verb = container.verbs.lock().await;
    // Stopped, started or removed by the user meanwhile.
    if container.status() != Status::Restarting {
        return;
    }
    container.note(|record| record.restart_count += 1);
    // Its own task: the future of a start contains this one.
    if let Err(error) = Box::pin(super::start::start_locked(engine, container)).await {
        tracing::warn!(container.id = %container.id, "restart: {}", crate::error::chain(&error));
    }
}

/// Doubles with every restart, up to a minute.
fn delay(restarts: i64) -> Duration {
    FIRST_DELAY.saturating_mul(1 << restarts.clamp(0, 10)).min(LONGEST_DELAY)
}

/// `--rm`: nobody waits for it.
pub fn remove_in_background(engine: &Arc<Engine>, container: &Arc<Container>) {
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        let options = remove::Options { force: true, volumes: true };
        match remove::remove(&engine, &container, options).await {
            // The user was faster.
            Ok(()) | Err(remove::RemoveError::Gone(_) | remove::RemoveError::InProgress(_)) => {}
            Err(error) => tracing::error!(container.id = %container.id, "{}", crate::error::chain(&error)),
        }
    });
}
