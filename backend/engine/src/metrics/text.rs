//! The figures as they are now.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::ACTIONS;
use crate::api::RELEASE;
use crate::container::record::Status;
use crate::engine::Engine;

pub fn all(engine: &Engine) -> String {
    let mut out = String::new();
    builds(&mut out, engine);
    actions(&mut out, engine);
    containers(&mut out, engine);
    host(&mut out, engine);
    events(&mut out, engine);
    health_checks(&mut out, engine);
    process(&mut out);
    out
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A family of one figure.
fn figure(out: &mut String, name: &str, kind: &str, help: &str, value: f64) {
    family(out, name, kind, help);
    let _ = writeln!(out, "{name} {value}");
}

fn builds(out: &mut String, engine: &Engine) {
    let count = engine.metrics.builds.load(Ordering::Relaxed);
    figure(
        out,
        "builder_builds_triggered_total",
        "counter",
        "Number of triggered image builds",
        count as f64,
    );
}

fn actions(out: &mut String, engine: &Engine) {
    let name = "engine_daemon_container_actions_seconds";
    let help = "The number of seconds it takes to process each container action";
    family(out, name, "histogram", help);
    for (action, histogram) in ACTIONS.iter().zip(&engine.metrics.actions) {
        histogram.write(out, name, &format!("action=\"{action}\""));
    }
}

fn containers(out: &mut String, engine: &Engine) {
    let name = "engine_daemon_container_states_containers";
    family(out, name, "gauge", "The count of containers in various states");
    let statuses: Vec<Status> = engine.containers.all().iter().map(|container| container.status()).collect();
    let count = |wanted: fn(&Status) -> bool| statuses.iter().filter(|status| wanted(status)).count();
    for (state, count) in [
        ("paused", count(|status| *status == Status::Paused)),
        ("running", count(|status| matches!(status, Status::Running | Status::Restarting))),
        ("stopped", count(|status| !status.counts_as_running())),
    ] {
        let _ = writeln!(out, "{name}{{state=\"{state}\"}} {count}");
    }
}

fn host(out: &mut String, engine: &Engine) {
    let host = &engine.host;
    let help = "The number of cpus that the host system of the engine has";
    figure(out, "engine_daemon_engine_cpus_cpus", "gauge", help, host.cpus as f64);
    let name = "engine_daemon_engine_info";
    family(out, name, "gauge", "The information related to the engine and the OS it is running on");
    let labels = [
        ("architecture", "x86_64"),
        ("commit", env!("CARGO_PKG_VERSION")),
        ("daemon_id", &engine.id),
        ("graphdriver", engine.images.driver_name()),
        ("kernel", &host.kernel),
        ("os", &host.os),
        ("os_type", "linux"),
        ("os_version", &host.os_version),
        ("version", RELEASE),
    ];
    let labels: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    let _ = writeln!(out, "{name}{{{}}} 1", labels.join(","));
    let help = "The number of bytes of memory that the host system of the engine has";
    figure(out, "engine_daemon_engine_memory_bytes", "gauge", help, host.memory as f64);
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn events(out: &mut String, engine: &Engine) {
    let help = "The number of current subscribers to events";
    let listeners = engine.events.listeners() as f64;
    figure(out, "engine_daemon_events_subscribers_total", "gauge", help, listeners);
    let help = "The number of events logged";
    figure(out, "engine_daemon_events_total", "counter", help, engine.events.published() as f64);
}

fn health_checks(out: &mut String, engine: &Engine) {
    let failed = engine.metrics.health_checks_failed.load(Ordering::Relaxed) as f64;
    let help = "The total number of failed health checks";
    figure(out, "engine_daemon_health_checks_failed_total", "counter", help, failed);
    let all = engine.metrics.health_checks.load(Ordering::Relaxed) as f64;
    figure(out, "engine_daemon_health_checks_total", "counter", "The total number of health checks", all);
}

/// As every program that Prometheus watches tells them.
fn process(out: &mut String) {
    /// The kernel's `USER_HZ`, on every x86.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may have anything in it: fields 14 and 15 of proc_pid_stat(5) are the 12th and 13th here.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let number = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    let help = "Total user and system CPU time spent in seconds.";
    figure(out, "process_cpu_seconds_total", "counter", help, (number(11) + number(12)) / TICKS);
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) as f64;
    figure(out, "process_open_fds", "gauge", "Number of open file descriptors.", descriptors);
    let resident = crate::api::debug::resident_bytes() as f64;
    figure(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", resident);
}
