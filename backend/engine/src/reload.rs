//! SIGHUP: `daemon.json` is read again, and what may change does (moby's `daemon/reload.go`).

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{Live, LoadError, Sources};
use crate::engine::Engine;
use crate::logging::Level;
use crate::settings::{self, SettingsError};

#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

/// All of it or nothing.
pub fn reload(engine: &Arc<Engine>, sources: &Sources, level: &Level) -> Result<(), ReloadError> {
    tracing::info!(config_file = %sources.path().display(), "Got signal to reload configuration");
    let old = engine.live();
    let fresh = sources.reload(&old)?;
    settings::default_runtime(&fresh)?;
    if fresh.debug != old.debug {
        level.set_debug(fresh.debug);
    }
    engine.images.configure(&fresh);
    let attributes = attributes(&fresh, &engine.host.name);
    engine.set_live(fresh);
    engine.events.publish("daemon", "reload", &engine.id, attributes);
    tracing::info!("Reloaded configuration");
    Ok(())
}

/// What the event tells.
fn attributes(live: &Live, name: &str) -> BTreeMap<String, String> {
    let list = |words: &[String]| serde_json::to_string(words).unwrap_or_default();
    let features: Vec<String> = live.features.iter().map(|(name, on)| format!("{name}:{on}")).collect();
    let runtimes: Vec<String> =
        live.runtimes.iter().map(|(name, runtime)| format!("{name}:{}", runtime.path)).collect();
    [
        ("debug", live.debug.to_string()),
        ("default-cgroupns-mode", live.default_cgroupns_mode.clone()),
        ("default-ipc-mode", live.default_ipc_mode.clone()),
        ("default-runtime", live.default_runtime.clone()),
        ("default-shm-size", live.default_shm_size.to_string()),
        ("features", format!("map[{}]", features.join(" "))),
        ("insecure-registries", list(&live.insecure_registries)),
        ("labels", list(&live.labels)),
        ("live-restore", live.live_restore.to_string()),
        ("max-concurrent-downloads", live.max_concurrent_downloads.to_string()),
        ("max-concurrent-uploads", live.max_concurrent_uploads.to_string()),
        ("max-download-attempts", live.max_download_attempts.to_string()),
        ("name", name.to_owned()),
        ("registry-mirrors", list(&live.registry_mirrors)),
        ("runtimes", runtimes.join(" ")),
        ("shutdown-timeout", live.shutdown_timeout_s.to_string()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}
