//! What a user waits for, through the Engine API.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::http::Client;
use crate::table::{Samples, row};

/// Runs of each figure and contestant.
const RUNS: usize = 30;
/// First runs that do not count.
const WARM_UP: usize = 3;

struct Contestant {
    name: String,
    client: Client,
    /// A running container that `exec` goes into.
    sleeper: String,
}

type Figure = (&'static str, fn(&mut Contestant, &str) -> Result<()>);

const FIGURES: &[Figure] = &[
    ("GET /info", |engine, _| engine.client.call("GET", "/v1.41/info", None).map(drop)),
    ("create+start+wait+delete, bridge", |engine, image| cycle(engine, image, "bridge")),
    ("create+start+wait+delete, network none", |engine, image| cycle(engine, image, "none")),
    ("exec", |engine, _| exec(engine)),
    ("network create+rm", |engine, _| network(engine)),
];

/// Prints a row per figure; `contestants` are `NAME=SOCKET`, ours first.
pub fn compare(image: &str, contestants: &[String]) -> Result<()> {
    let mut engines = contestants.iter().map(|word| contestant(word, image)).collect::<Result<Vec<_>>>()?;
    for (figure, run) in FIGURES {
        let mut samples: Vec<(String, Samples)> =
            engines.iter().map(|engine| (engine.name.clone(), Samples::default())).collect();
        for round in 0..WARM_UP + RUNS {
            for (engine, (_, samples)) in engines.iter_mut().zip(&mut samples) {
                let begun = Instant::now();
                run(engine, image).with_context(|| format!("{figure} on {}", engine.name))?;
                if round >= WARM_UP {
                    samples.push(begun.elapsed());
                }
            }
        }
        println!("{}", row(figure, &samples));
    }
    engines.iter_mut().try_for_each(|engine| {
        let path = format!("/v1.41/containers/{}?force=1", engine.sleeper);
        engine.client.call("DELETE", &path, None).map(drop)
    })
}

fn contestant(word: &str, image: &str) -> Result<Contestant> {
    let (name, socket) = word.split_once('=').context("a contestant is NAME=SOCKET")?;
    let mut client = Client::connect(socket)?;
    let body = json!({"Image": image, "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}});
    let sleeper = create(&mut client, &body)?;
    client.call("POST", &format!("/v1.41/containers/{sleeper}/start"), None)?;
    Ok(Contestant { name: name.to_owned(), client, sleeper })
}

fn cycle(engine: &mut Contestant, image: &str, network: &str) -> Result<()> {
    let body = json!({"Image": image, "Cmd": ["true"], "HostConfig": {"NetworkMode": network}});
    let id = create(&mut engine.client, &body)?;
    engine.client.call("POST", &format!("/v1.41/containers/{id}/start"), None)?;
    engine.client.call("POST", &format!("/v1.41/containers/{id}/wait"), None)?;
    engine.client.call("DELETE", &format!("/v1.41/containers/{id}"), None)?;
    Ok(())
}

fn exec(engine: &mut Contestant) -> Result<()> {
    let path = format!("/v1.41/containers/{}/exec", engine.sleeper);
    let id = text(&engine.client.call("POST", &path, Some(&json!({"Cmd": ["true"]})))?, "Id")?;
    engine.client.call("POST", &format!("/v1.41/exec/{id}/start"), Some(&json!({"Detach": true})))?;
    while engine.client.call("GET", &format!("/v1.41/exec/{id}/json"), None)?["Running"] == json!(true) {
        std::thread::yield_now();
    }
    Ok(())
}

fn network(engine: &mut Contestant) -> Result<()> {
    let body = json!({"Name": "drydock-bench", "CheckDuplicate": true});
    let id = text(&engine.client.call("POST", "/v1.41/networks/create", Some(&body))?, "Id")?;
    engine.client.call("DELETE", &format!("/v1.41/networks/{id}"), None).map(drop)
}

fn create(client: &mut Client, body: &Value) -> Result<String> {
    text(&client.call("POST", "/v1.41/containers/create", Some(body))?, "Id")
}

fn text(answer: &Value, field: &str) -> Result<String> {
    Ok(answer[field].as_str().with_context(|| format!("the answer has no {field}"))?.to_owned())
}
