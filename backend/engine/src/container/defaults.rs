//! What the daemon's settings give to every container that does not ask for something else: limits, a filter of system
//! calls, and the promise to gain no privileges.

use std::path::PathBuf;

use bollard_stubs::models::{HostConfig, ResourcesUlimits};

use crate::config::{Config, Ulimit};
use crate::golang::os_error;

const BUILTIN: &str = "builtin";
const UNCONFINED: &str = "unconfined";

/// Read once, at the start.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    ulimits: std::collections::BTreeMap<String, Ulimit>,
    no_new_privileges: bool,
    /// `unconfined`, or a profile's text; none: the built-in one.
    seccomp: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum DefaultsError {
    #[error("opening seccomp profile ({path}) failed: open {path}: {}", os_error(source))]
    Open { path: String, source: std::io::Error },
    #[error("decoding seccomp profile ({path}) failed: {source}")]
    Profile { path: String, source: serde_json::Error },
}

impl Defaults {
    pub fn read(config: &Config) -> Result<Self, DefaultsError> {
        let seccomp = match config.seccomp_profile.as_str() {
            "" | BUILTIN => None,
            UNCONFINED => Some(UNCONFINED.to_owned()),
            path => Some(profile(path)?),
        };
        Ok(Self {
            ulimits: config.default_ulimits.clone(),
            no_new_privileges: config.no_new_privileges,
            seccomp,
        })
    }

    /// Fills in what the container's own configuration leaves open.
    pub fn apply(&self, host: &mut HostConfig) {
        let own = host.ulimits.get_or_insert_default();
        for (name, limit) in &self.ulimits {
            if !own.iter().any(|other| other.name.as_deref() == Some(name)) {
                let (name, soft, hard) = (Some(name.clone()), Some(limit.soft), Some(limit.hard));
                own.push(ResourcesUlimits { name, soft, hard });
            }
        }
        let privileged = host.privileged.unwrap_or(false);
        let options = host.security_opt.get_or_insert_default();
        let says = |key: &str| options.iter().any(|option| option.split(['=', ':']).next() == Some(key));
        let mut more = Vec::new();
        if self.no_new_privileges && !says("no-new-privileges") {
            more.push("no-new-privileges=true".to_owned());
        }
        if let Some(profile) = self.seccomp.as_ref().filter(|_| !privileged && !says("seccomp")) {
            more.push(format!("seccomp={profile}"));
        }
        options.extend(more);
    }
}

fn profile(path: &str) -> Result<String, DefaultsError> {
    let text = std::fs::read_to_string(PathBuf::from(path))
        .map_err(|source| DefaultsError::Open { path: path.to_owned(), source })?;
    let checked: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&text);
    checked.map_err(|source| DefaultsError::Profile { path: path.to_owned(), source })?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_own_word_wins_over_the_daemons() {
        let defaults = Defaults {
            ulimits: [
                ("nofile".to_owned(), Ulimit { soft: 1, hard: 2 }),
                ("core".to_owned(), Ulimit { soft: 0, hard: 0 }),
            ]
            .into(),
            no_new_privileges: true,
            seccomp: Some(UNCONFINED.to_owned()),
        };
        let own = ResourcesUlimits { name: Some("nofile".into()), soft: Some(7), hard: Some(8) };
        let mut host = HostConfig {
            ulimits: Some(vec![own.clone()]),
            security_opt: Some(vec!["no-new-privileges:false".into()]),
            ..HostConfig::default()
        };
        defaults.apply(&mut host);
        let ulimits = host.ulimits.expect("limits");
        assert_eq!((ulimits.len(), &ulimits[0]), (2, &own));
        assert_eq!(host.security_opt.expect("options"), ["no-new-privileges:false", "seccomp=unconfined"]);
        let mut privileged = HostConfig { privileged: Some(true), ..HostConfig::default() };
        defaults.apply(&mut privileged);
        assert_eq!(privileged.security_opt.expect("options"), ["no-new-privileges=true"]);
    }
}
