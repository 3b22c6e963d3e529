//! Settings that are right one by one, and not together or not on this machine. In dockerd's words; checked before
//! anything is opened, so that a start that fails leaves nothing behind.

use drydock_networks::Cidr;

mod storage;

pub use storage::StorageError;

use crate::config::{Config, Live};
use crate::log::options::{self, OptionError};

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("You specified -b & --bip, mutually exclusive options. Please specify only one")]
    BridgeAndAddress,
    #[error("You specified -b & --bip6, mutually exclusive options. Please specify only one")]
    BridgeAndAddress6,
    #[error("specified default runtime '{0}' does not exist")]
    NoRuntime(String),
    #[error(
        "specified default runtime '{0}' cannot be used: this engine starts containers with its own; remove \
         default-runtime, or set it to runc"
    )]
    OtherRuntime(String),
    /// Twice, as dockerd says it.
    #[error("failed to set log opts: failed to set log opts: {0}")]
    LogOptions(#[source] OptionError),
    #[error("error initializing graphdriver: {0}")]
    Storage(#[from] StorageError),
    #[error(
        "Error initializing network controller: error obtaining controller instance: could not construct local address \
         space: network at index {at} (&{{{base} {size}}}) has a smaller prefix (/{own}) than the target size of that \
         pool (/{size})"
    )]
    Pool { at: usize, base: String, own: u8, size: u8 },
}

pub fn verify(config: &Config) -> Result<(), SettingsError> {
    if config.bridge.is_some() && config.bip.is_some() {
        return Err(SettingsError::BridgeAndAddress);
    }
    if config.bridge.is_some() && config.bip6.is_some() {
        return Err(SettingsError::BridgeAndAddress6);
    }
    default_runtime(&config.live)?;
    if !config.log_opts.is_empty() {
        options::validate(&config.log_driver, &config.log_opts).map_err(SettingsError::LogOptions)?;
    }
    storage::check(config)?;
    networks(config)
}

/// One that is known, and that containers can be started with.
pub fn default_runtime(live: &Live) -> Result<(), SettingsError> {
    let name = &live.default_runtime;
    if live.runtimes.contains_key(name) {
        return Err(SettingsError::OtherRuntime(name.clone()));
    }
    if live.knows_runtime(name) { Ok(()) } else { Err(SettingsError::NoRuntime(name.clone())) }
}

fn networks(config: &Config) -> Result<(), SettingsError> {
    for (at, pool) in config.default_address_pools.iter().enumerate() {
        let own = pool.base.parse::<Cidr>().map_or(0, Cidr::prefix);
        if own > pool.size {
            return Err(SettingsError::Pool { at, base: pool.base.clone(), own, size: pool.size });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Given};

    fn said(line: &str) -> String {
        let words = ["--config-file="].into_iter().chain(line.split_whitespace()).map(str::to_owned);
        let (config, _) = config::load(Given::parse(words).expect(line), &Default::default()).expect(line);
        verify(&config).map_or_else(|error| error.to_string(), |()| "right".to_owned())
    }

    /// What dockerd 28.5.2 said after `failed to start daemon: `, where it is dockerd that refuses.
    #[test]
    fn what_cannot_be_is_refused_in_dockerds_words() {
        for (line, expected) in [
            (
                "-b x --bip 10.0.0.1/24",
                "You specified -b & --bip, mutually exclusive options. Please specify only one",
            ),
            ("--default-runtime nope", "specified default runtime 'nope' does not exist"),
            ("-s nope --storage-opt foo", "error initializing graphdriver: driver not supported: nope"),
            ("--storage-opt foo=bar", "error initializing graphdriver: overlay2: unknown option foo"),
            (
                "--default-address-pool base=10.0.0.0/24,size=16",
                "Error initializing network controller: error obtaining controller instance: could not construct local \
                 address space: network at index 0 (&{10.0.0.0/24 16}) has a smaller prefix (/24) than the target size \
                 of that pool (/16)",
            ),
            ("--log-driver nope", "right"),
            ("--log-opt max-size=1m --bip 10.0.0.1/24 --default-runtime io.containerd.runc.v2", "right"),
        ] {
            assert_eq!(said(line), expected, "{line}");
        }
        assert!(said("--add-runtime x=/x --default-runtime x").contains("cannot be used"));
        assert!(
            said("--log-opt nope=1")
                .starts_with("failed to set log opts: failed to set log opts: unknown log opt")
        );
    }
}
