//! What a node says of itself to the swarm: the scheduler chooses by it.

use bollard_stubs::models::{
    EngineDescription, EngineDescriptionPlugins, NodeDescription, Platform, ResourceObject,
};

use crate::engine::Engine;

pub fn describe(engine: &Engine) -> NodeDescription {
    let plugin = |typ: &str, name: &str| EngineDescriptionPlugins {
        typ: Some(typ.to_owned()),
        name: Some(name.to_owned()),
    };
    let logs = crate::log::options::DRIVERS.iter().map(|name| plugin("Log", name));
    let networks =
        ["bridge", "host", "ipvlan", "macvlan", "null", "overlay"].map(|name| plugin("Network", name));
    let plugins = logs.chain(networks).chain([plugin("Volume", "local")]).collect();
    let live = engine.live();
    let labels = live.labels.iter().map(|label| match label.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => (label.clone(), String::new()),
    });
    NodeDescription {
        hostname: Some(engine.host.name.clone()),
        platform: Some(Platform { architecture: Some("x86_64".into()), os: Some("linux".into()) }),
        resources: Some(ResourceObject {
            nano_cpus: Some(engine.host.cpus as i64 * 1_000_000_000),
            memory_bytes: Some(engine.host.memory),
            generic_resources: None,
        }),
        engine: Some(EngineDescription {
            engine_version: Some(crate::api::RELEASE.to_owned()),
            labels: Some(labels.collect()),
            plugins: Some(plugins),
        }),
        tls_info: None,
    }
}
