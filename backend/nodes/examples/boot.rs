//! Times the boot of nodes: `boot [--bin DIR] [--layer DIR]… [--store DIR [--layout DIR] [--image REF]] [--rounds N] [--agent-only]`.
//!
//! Prints medians of: request → agent answers, request → engine answers `_ping`, end; the same for five in parallel; and the
//! memory (PSS) of an idle node's agent and engine.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use drydock_nodes::{Host, HostConfig, Node, NodeImage, NodeSpec};

struct Options {
    bin: PathBuf,
    layers: Vec<PathBuf>,
    store: Option<PathBuf>,
    layout: Option<PathBuf>,
    image: String,
    rounds: usize,
    engine: bool,
    data: PathBuf,
    keep: bool,
}

fn options() -> Options {
    let mut options = Options {
        bin: "dist/bin".into(),
        layers: Vec::new(),
        store: None,
        layout: None,
        image: "drydock/node".to_owned(),
        rounds: 20,
        engine: true,
        data: format!("/tmp/nodes-bench-{}", std::process::id()).into(),
        keep: false,
    };
    let mut words = std::env::args().skip(1);
    while let Some(flag) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| panic!("{flag} needs a value"));
        match flag.as_str() {
            "--bin" => options.bin = value().into(),
            "--layer" => options.layers.push(value().into()),
            "--store" => options.store = Some(value().into()),
            "--layout" => options.layout = Some(value().into()),
            "--image" => options.image = value(),
            "--rounds" => options.rounds = value().parse().expect("--rounds takes a number"),
            "--data" => options.data = value().into(),
            "--agent-only" => options.engine = false,
            "--keep" => options.keep = true,
            other => panic!("unknown option {other}"),
        }
    }
    options
}

#[tokio::main]
async fn main() {
    tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).init();
    let options = options();
    let image = match options.layers.is_empty() {
        true => NodeImage::Reference(options.image.clone()),
        false => NodeImage::Layers(options.layers.clone()),
    };
    if let (Some(store), Some(layout)) = (&options.store, &options.layout) {
        let store = drydock_images::Store::open(store, None).unwrap();
        store.import_layout(layout).unwrap();
    }
    let bin = options.bin.canonicalize().expect("--bin must exist");
    let mut config = HostConfig::new(&options.data, bin, image);
    config.store = options.store.clone();
    let host = Host::open(config).await.unwrap();
    let session = "bench".parse().unwrap();
    host.create_session(&session).await.unwrap();

    let (mut agent, mut engine, mut end) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let begun = Instant::now();
        let node = boot(&host, &format!("n{round}")).await;
        node.agent().terminals().await.unwrap();
        agent.push(begun.elapsed());
        if options.engine {
            node.ready().await.unwrap();
            engine.push(begun.elapsed());
        }
        let begun = Instant::now();
        host.end(node.id()).await.unwrap();
        end.push(begun.elapsed());
    }
    report("node boot to agent", agent, "");
    report("node boot to engine", engine, "150 ms, aim 60 ms");
    report("node end", end, "");

    let mut all = Vec::new();
    for round in 0..options.rounds.div_ceil(4) {
        let begun = Instant::now();
        let boots = (0..5).map(|number| {
            let (host, name, engine) = (host.clone(), format!("p{round}-{number}"), options.engine);
            tokio::spawn(async move {
                let node = boot(&host, &name).await;
                match engine {
                    true => node.ready().await.unwrap(),
                    false => drop(node.agent().terminals().await.unwrap()),
                }
            })
        });
        for boot in boots.collect::<Vec<_>>() {
            boot.await.unwrap();
        }
        all.push(begun.elapsed());
        if round == 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for node in host.nodes().iter().take(2) {
                memory(node);
            }
        }
        for node in host.nodes() {
            host.end(node.id()).await.unwrap();
        }
    }
    report("5 nodes in parallel, all ready", all, "150 ms");
    if options.keep {
        let node = boot(&host, "kept").await;
        println!("kept: pid {:?}, {}", node.pid(), node.docker_socket().display());
        return;
    }
    host.reset().await.unwrap();
    drop(host);
    fs::remove_dir_all(&options.data).unwrap();
}

async fn boot(host: &Host, name: &str) -> Node {
    let spec = NodeSpec::new("bench".parse().unwrap(), name.parse().unwrap(), name);
    match host.boot(spec).await {
        Ok(node) => node,
        Err(error) => {
            let mut chain = format!("{error}");
            let mut source = std::error::Error::source(&error);
            while let Some(cause) = source {
                chain += &format!(": {cause}");
                source = cause.source();
            }
            panic!("{chain}");
        }
    }
}

/// `limit` is that of the median.
fn report(what: &str, mut times: Vec<Duration>, limit: &str) {
    times.sort_unstable();
    if let (Some(least), Some(most)) = (times.first(), times.last()) {
        let median = times[times.len() / 2];
        println!(
            "{what:34} median {median:>8.1?}   least {least:>8.1?}   most {most:>8.1?}   n {:<3} {}",
            times.len(),
            if limit.is_empty() { String::new() } else { format!("limit {limit}") }
        );
    }
}

/// PSS by process of the node, KiB.
fn memory(node: &Node) {
    let Some(first) = node.pid() else { return };
    let namespace = fs::read_link(format!("/proc/{first}/ns/pid")).ok();
    let mut total = 0;
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        if namespace.is_none() || fs::read_link(path.join("ns/pid")).ok() != namespace {
            continue;
        }
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        let pss = pss_kib(&fs::read_to_string(path.join("smaps_rollup")).unwrap_or_default());
        println!("  {:20} {pss:>6} KiB PSS", name.trim());
        total += pss;
    }
    println!("idle node {:24} {total:>6} KiB PSS   limit 8192", node.id());
}

fn pss_kib(smaps: &str) -> u64 {
    let line = smaps.lines().find_map(|line| line.strip_prefix("Pss:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
}
