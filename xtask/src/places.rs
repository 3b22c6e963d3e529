//! Where things lie: the checkout, `dist/`, and the caches outside the checkout.

use std::path::PathBuf;

pub fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the checkout").to_path_buf()
}

pub fn dist() -> PathBuf {
    checkout().join("dist")
}

/// `$XDG_CACHE_HOME/drydock`, by default `~/.cache/drydock`: outlives a clone, so that a second build is incremental.
pub fn cache() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache")
    });
    base.join("drydock")
}

/// Cargo's target directory for programs: `CARGO_TARGET_DIR` when given, else in the cache.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).unwrap_or_else(|| cache().join("target"))
}

/// Where `cargo build --release` leaves programs (`.cargo/config.toml` names the target triple).
pub fn release() -> PathBuf {
    target().join("x86_64-unknown-linux-gnu").join("release")
}
