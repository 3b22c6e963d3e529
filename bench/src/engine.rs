//! What a user waits for, through the Engine API and the docker command line.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::http::Client;
use crate::table::{Samples, row};

/// Runs of each figure and contestant.
const RUNS: usize = 30;
/// Runs of what takes a while.
const LONG_RUNS: usize = 5;
/// Containers at a time.
const CROWD: usize = 50;
/// Containers whose shims are weighed together.
const WEIGHED: usize = 50;

struct Contestant {
    name: String,
    socket: String,
    client: Client,
    image: String,
    /// A running container that `exec` goes into.
    sleeper: String,
    /// One that has printed 10,000 lines.
    printer: String,
}

struct Figure {
    name: &'static str,
    unit: &'static str,
    runs: usize,
    /// What the issue asks for, and what is aimed at.
    limit: &'static str,
    /// How many bare containers one run costs at least; none where that is no measure.
    bare: f64,
    run: fn(&mut Contestant) -> Result<f64>,
}

const FIGURES: &[Figure] = &[
    Figure { name: "GET /info", unit: "ms", runs: RUNS, limit: "–", bare: 0.0, run: info },
    Figure {
        name: "create+start+wait+delete, bridge",
        unit: "ms",
        runs: RUNS,
        limit: "60, aim 15",
        bare: 1.0,
        run: |engine| cycle(engine, "bridge"),
    },
    Figure {
        name: "create+start+wait+delete, network none",
        unit: "ms",
        runs: RUNS,
        limit: "60, aim 10",
        bare: 1.0,
        run: |engine| cycle(engine, "none"),
    },
    Figure { name: "exec", unit: "ms", runs: RUNS, limit: "aim 8", bare: 1.0, run: exec },
    Figure {
        name: "docker run --rm true",
        unit: "ms",
        runs: RUNS,
        limit: "aim 50",
        bare: 1.0,
        run: command_line,
    },
    Figure {
        name: "50 containers in parallel",
        unit: "ms",
        runs: LONG_RUNS,
        limit: "aim 500",
        bare: 25.0,
        run: crowd,
    },
    Figure { name: "memory per container", unit: "MiB", runs: 1, limit: "aim 0.3", bare: 0.0, run: weight },
    Figure { name: "network create+rm", unit: "ms", runs: RUNS, limit: "aim 10", bare: 0.0, run: network },
    Figure { name: "logs, 10,000 lines", unit: "ms", runs: RUNS, limit: "aim 5", bare: 0.0, run: logs },
];

/// Prints a row per figure; `bare` is a bare container's milliseconds, `contestants` are `NAME=SOCKET`, ours first.
pub fn compare(image: &str, bare: f64, contestants: &[String]) -> Result<()> {
    let mut engines = contestants.iter().map(|word| contestant(word, image)).collect::<Result<Vec<_>>>()?;
    for figure in FIGURES {
        let mut samples: Vec<(String, Samples)> =
            engines.iter().map(|engine| (engine.name.clone(), Samples::default())).collect();
        // The first tenth does not count: caches are cold.
        let warm_up = figure.runs / 10;
        for round in 0..warm_up + figure.runs {
            for (engine, (_, samples)) in engines.iter_mut().zip(&mut samples) {
                let value =
                    (figure.run)(engine).with_context(|| format!("{} on {}", figure.name, engine.name))?;
                if round >= warm_up {
                    samples.push(value);
                }
            }
        }
        let floor = (figure.bare > 0.0).then_some(figure.bare * bare);
        println!("{}", row(figure.name, figure.unit, &samples, figure.limit, floor));
    }
    engines.iter_mut().try_for_each(|engine| {
        remove(engine, &engine.sleeper.clone())?;
        remove(engine, &engine.printer.clone())
    })
}

fn contestant(word: &str, image: &str) -> Result<Contestant> {
    let (name, socket) = word.split_once('=').context("a contestant is NAME=SOCKET")?;
    let mut client = Client::connect(socket)?;
    let sleeper = begin(&mut client, image, &["sleep", "600"], "none")?;
    let printer = begin(&mut client, image, &["sh", "-c", "busybox seq 10000"], "none")?;
    client.call("POST", &format!("/v1.41/containers/{printer}/wait"), None)?;
    let [name, socket, image] = [name, socket, image].map(str::to_owned);
    Ok(Contestant { name, socket, client, image, sleeper, printer })
}

fn create(client: &mut Client, image: &str, command: &[&str], network: &str) -> Result<String> {
    let body = json!({"Image": image, "Cmd": command, "HostConfig": {"NetworkMode": network}});
    text(&client.call("POST", "/v1.41/containers/create", Some(&body))?, "Id")
}

fn begin(client: &mut Client, image: &str, command: &[&str], network: &str) -> Result<String> {
    let id = create(client, image, command, network)?;
    client.call("POST", &format!("/v1.41/containers/{id}/start"), None)?;
    Ok(id)
}

fn remove(engine: &mut Contestant, id: &str) -> Result<()> {
    engine.client.call("DELETE", &format!("/v1.41/containers/{id}?force=1"), None).map(drop)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed().as_secs_f64() * 1e3)
}

fn info(engine: &mut Contestant) -> Result<f64> {
    timed(|| engine.client.call("GET", "/v1.41/info", None).map(drop))
}

fn cycle(engine: &mut Contestant, network: &str) -> Result<f64> {
    timed(|| whole_life(&mut engine.client, &engine.image, network))
}

fn whole_life(client: &mut Client, image: &str, network: &str) -> Result<()> {
    let id = begin(client, image, &["true"], network)?;
    client.call("POST", &format!("/v1.41/containers/{id}/wait"), None)?;
    client.call("DELETE", &format!("/v1.41/containers/{id}"), None).map(drop)
}

fn exec(engine: &mut Contestant) -> Result<f64> {
    let path = format!("/v1.41/containers/{}/exec", engine.sleeper);
    timed(|| {
        let id = text(&engine.client.call("POST", &path, Some(&json!({"Cmd": ["true"]})))?, "Id")?;
        engine.client.call("POST", &format!("/v1.41/exec/{id}/start"), Some(&json!({"Detach": true})))?;
        while engine.client.call("GET", &format!("/v1.41/exec/{id}/json"), None)?["Running"] == json!(true) {
            std::thread::yield_now();
        }
        Ok(())
    })
}

/// With the command line's own start, which takes most of it.
fn command_line(engine: &mut Contestant) -> Result<f64> {
    timed(|| {
        let host = format!("unix://{}", engine.socket);
        let mut docker = Command::new("docker");
        docker.args(["--host", &host, "run", "--rm", &engine.image, "true"]).stdin(Stdio::null());
        ensure!(docker.status().context("docker, of docker-cli")?.success(), "docker run failed");
        Ok(())
    })
}

fn crowd(engine: &mut Contestant) -> Result<f64> {
    let connect = |_| Client::connect(&engine.socket);
    let clients = (0..CROWD).map(connect).collect::<Result<Vec<_>>>()?;
    let image = &engine.image;
    timed(|| {
        std::thread::scope(|scope| {
            let lives: Vec<_> = clients
                .into_iter()
                .map(|mut client| scope.spawn(move || whole_life(&mut client, image, "bridge")))
                .collect();
            lives.into_iter().try_for_each(|life| life.join().expect("no life panics"))
        })
    })
}

/// The proportional memory of the processes that stay beside containers.
fn weight(engine: &mut Contestant) -> Result<f64> {
    let mut ids = Vec::new();
    let mut keepers = BTreeSet::new();
    for _ in 0..WEIGHED {
        let id = begin(&mut engine.client, &engine.image, &["sleep", "600"], "none")?;
        let seen = engine.client.call("GET", &format!("/v1.41/containers/{id}/json"), None)?;
        let pid = seen["State"]["Pid"].as_i64().context("a running container has a pid")?;
        keepers.insert(field(&format!("/proc/{pid}/status"), "PPid:")?);
        ids.push(id);
    }
    let weights = keepers.iter().map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:"));
    let kib: i64 = weights.collect::<Result<Vec<_>>>()?.iter().sum();
    ids.iter().try_for_each(|id| remove(engine, id))?;
    Ok(kib as f64 / 1024.0 / WEIGHED as f64)
}

fn field(file: &str, name: &str) -> Result<i64> {
    let status = std::fs::read_to_string(file).with_context(|| format!("read {file}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let word = line.and_then(|line| line.split_whitespace().next()).with_context(|| format!("no {name}"))?;
    Ok(word.parse()?)
}

fn network(engine: &mut Contestant) -> Result<f64> {
    let body = json!({"Name": "drydock-bench", "CheckDuplicate": true});
    timed(|| {
        let id = text(&engine.client.call("POST", "/v1.41/networks/create", Some(&body))?, "Id")?;
        engine.client.call("DELETE", &format!("/v1.41/networks/{id}"), None).map(drop)
    })
}

fn logs(engine: &mut Contestant) -> Result<f64> {
    let path = format!("/v1.41/containers/{}/logs?stdout=1", engine.printer);
    timed(|| engine.client.call("GET", &path, None).map(drop))
}

fn text(answer: &Value, field: &str) -> Result<String> {
    Ok(answer[field].as_str().with_context(|| format!("the answer has no {field}"))?.to_owned())
}
