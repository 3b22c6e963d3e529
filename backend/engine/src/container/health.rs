//! Health checks: a command in the container, run again and again; three failures in a row are `unhealthy`.

use std::sync::Arc;
use std::time::Duration;

use bollard_stubs::models::HealthConfig;

use crate::container::exec::{Exec, ExecConfig};
use crate::container::record::{Health, Probe, Status, now};
use crate::container::{Container, Record};
use crate::engine::Engine;

/// The user's check, completed by the image's. `["NONE"]` switches the image's off.
pub fn merge(own: Option<HealthConfig>, image: Option<&HealthConfig>) -> Option<HealthConfig> {
    let Some(mut own) = own else { return image.cloned() };
    let Some(image) = image else { return Some(own) };
    if own.test.as_ref().is_none_or(Vec::is_empty) {
        own.test.clone_from(&image.test);
    }
    let fill = |own: &mut Option<i64>, image: Option<i64>| {
        if own.unwrap_or(0) == 0 {
            *own = image;
        }
    };
    fill(&mut own.interval, image.interval);
    fill(&mut own.timeout, image.timeout);
    fill(&mut own.start_period, image.start_period);
    fill(&mut own.start_interval, image.start_interval);
    fill(&mut own.retries, image.retries);
    Some(own)
}

/// What the state says of health at a start: nothing without a check.
pub fn first_state(record: &Record) -> Option<Health> {
    let test = record.config.healthcheck.as_ref()?.test.as_ref()?;
    let on = !test.is_empty() && test[0] != "NONE";
    on.then(|| Health { status: "starting".into(), ..Health::default() })
}

const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: i64 = 3;
/// Results `docker inspect` shows, and how much of each one's output.
const KEPT: usize = 5;
const OUTPUT: usize = 4096;

/// A container's check with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    command: Vec<String>,
    interval: Duration,
    timeout: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: i64,
}

impl Check {
    fn of(record: &Record) -> Option<Self> {
        let config = record.config.healthcheck.as_ref()?;
        let (kind, rest) = config.test.as_ref()?.split_first()?;
        let command = match kind.as_str() {
            "CMD" => rest.to_vec(),
            "CMD-SHELL" => {
                let shell = record.config.shell.clone().filter(|words| !words.is_empty());
                let mut words = shell.unwrap_or_else(|| vec!["/bin/sh".into(), "-c".into()]);
                words.extend(rest.first().cloned());
                words
            }
            _ => return None,
        };
        let or = |nanos: Option<i64>, default: Duration| match nanos {
            Some(nanos) if nanos > 0 => Duration::from_nanos(nanos.unsigned_abs()),
            _ => default,
        };
        Some(Self {
            command,
            interval: or(config.interval, INTERVAL),
            timeout: or(config.timeout, TIMEOUT),
            start_period: or(config.start_period, Duration::ZERO),
            start_interval: or(config.start_interval, START_INTERVAL),
            retries: config.retries.filter(|retries| *retries > 0).unwrap_or(RETRIES),
        })
    }
}

/// What a result does to the state. Failures while the container starts do not count.
fn judge(health: &mut Health, probe: Probe, retries: i64, starting: bool) {
    if probe.exit_code == 0 {
        health.status = "healthy".into();
        health.failing_streak = 0;
    } else if !(starting && health.status == "starting") {
        health.failing_streak += 1;
        if health.failing_streak >= retries {
            health.status = "unhealthy".into();
        }
    }
    health.log.push(probe);
    if health.log.len() > KEPT {
        health.log.remove(0);
    }
}

/// Checks the container until this run of it ends. Nothing happens without a check.
pub fn begin(engine: &Arc<Engine>, container: &Arc<Container>) {
    let Some(check) = Check::of(&container.record()) else { return };
    let (engine, container) = (engine.clone(), container.clone());
    tokio::spawn(async move {
        let mut phase = container.phase();
        let run = phase.borrow().exits;
        let ended = phase.wait_for(|phase| phase.exits > run || phase.removed);
        tokio::select! {
            _ = ended => {}
            () = watch(&engine, &container, &check) => {}
        }
    });
}

async fn watch(engine: &Engine, container: &Arc<Container>, check: &Check) {
    let begun = tokio::time::Instant::now();
    loop {
        let young = begun.elapsed() < check.start_period;
        tokio::time::sleep(if young { check.start_interval.min(check.interval) } else { check.interval })
            .await;
        if container.status() != Status::Running {
            continue;
        }
        let starting = begun.elapsed() < check.start_period;
        let probe = probe(engine, container, check).await;
        let changed = container.note(|record| {
            let health = record.state.health.get_or_insert_default();
            let before = health.status.clone();
            judge(health, probe, check.retries, starting);
            (health.status != before).then(|| health.status.clone())
        });
        if let Some(Some(status)) = changed {
            super::publish(engine, container, &format!("health_status: {status}"), []);
        }
    }
}

async fn probe(engine: &Engine, container: &Arc<Container>, check: &Check) -> Probe {
    let start = now();
    let config = ExecConfig { cmd: check.command.clone(), ..ExecConfig::default() };
    let exec = Exec::new(container.clone(), config);
    exec.tell(engine, "exec_create");
    engine.metrics.health_check();
    let (exit_code, output) = match tokio::time::timeout(check.timeout, exec.run(engine, OUTPUT)).await {
        Ok(Ok((output, exit))) => {
            (exit.map_or(-1, |exit| exit.code), String::from_utf8_lossy(&output).into_owned())
        }
        Ok(Err(error)) => {
            engine.metrics.health_check_failed();
            (-1, error.to_string())
        }
        Err(_) => {
            exec.kill().await;
            (-1, format!("Health check exceeded timeout ({})", go_duration(check.timeout)))
        }
    };
    Probe { start, end: now(), exit_code, output }
}

/// `1m30s`, `200ms`: as Go writes durations.
fn go_duration(duration: Duration) -> String {
    let (seconds, nanos) = (duration.as_secs(), duration.subsec_nanos());
    if seconds == 0 {
        return format!("{}ms", f64::from(nanos) / 1e6);
    }
    let rest = (seconds % 60) as f64 + f64::from(nanos) / 1e9;
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_go_writes_them() {
        for (ms, text) in
            [(200, "200ms"), (30_000, "30s"), (90_000, "1m30s"), (3_600_000, "1h0m0s"), (1500, "1.5s")]
        {
            assert_eq!(go_duration(Duration::from_millis(ms)), text);
        }
    }

    fn result(exit_code: i32) -> Probe {
        Probe { exit_code, ..Probe::default() }
    }

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
        let mut health = Health { status: "starting".into(), ..Health::default() };
        judge(&mut health, result(1), 2, true);
        assert_eq!((health.status.as_str(), health.failing_streak), ("starting", 0));
        judge(&mut health, result(1), 2, false);
        assert_eq!(health.status, "starting");
        judge(&mut health, result(1), 2, false);
        assert_eq!(health.status, "unhealthy");
        judge(&mut health, result(0), 2, false);
        assert_eq!((health.status.as_str(), health.failing_streak, health.log.len()), ("healthy", 0, 4));
    }
}
