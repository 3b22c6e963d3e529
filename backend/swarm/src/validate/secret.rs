//! Secrets and configs.

use super::{Verdict, names, refuse_if};
use crate::objects::{ConfigSpec, SecretSpec};

const MOST_SECRET: usize = 500 * 1024;
const MOST_CONFIG: usize = 1000 * 1024;

/// A secret that a driver keeps has no data of its own.
pub fn validate_secret(spec: &SecretSpec) -> Verdict {
    names::file_name(spec.name.as_deref().unwrap_or_default())?;
    if let Some(driver) = &spec.driver {
        return refuse_if(driver.name.is_empty(), || "secret driver must have a name".into());
    }
    let size = decoded_length(spec.data.as_deref().unwrap_or_default());
    refuse_if(!(1..MOST_SECRET).contains(&size), || {
        format!("secret data must be larger than 0 and less than {MOST_SECRET} bytes")
    })
}

pub fn validate_config(spec: &ConfigSpec) -> Verdict {
    names::file_name(spec.name.as_deref().unwrap_or_default())?;
    let size = decoded_length(spec.data.as_deref().unwrap_or_default());
    refuse_if(!(1..MOST_CONFIG).contains(&size), || {
        format!("config data must be larger than 0 and less than {MOST_CONFIG} bytes")
    })
}

/// How many bytes the base64 text stands for.
fn decoded_length(text: &str) -> usize {
    let digits = text.trim_end_matches('=').bytes().filter(|it| !it.is_ascii_whitespace()).count();
    digits * 3 / 4
}
