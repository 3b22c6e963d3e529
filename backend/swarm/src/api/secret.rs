//! Secrets, whose data is never told, and configs, whose data is.

use bollard_stubs::models as wire;

use super::{date, version};
use crate::objects::{Config, ConfigSpec, Secret, SecretSpec};

pub fn secret(secret: &Secret) -> wire::Secret {
    let labels = Some(secret.spec.labels.clone().unwrap_or_default());
    wire::Secret {
        id: Some(secret.id.to_string()),
        version: Some(version(secret.meta.version)),
        created_at: Some(date(secret.meta.created_at)),
        updated_at: Some(date(secret.meta.updated_at)),
        spec: Some(SecretSpec { data: None, labels, ..secret.spec.clone() }),
    }
}

pub fn config(config: &Config) -> wire::Config {
    let labels = Some(config.spec.labels.clone().unwrap_or_default());
    wire::Config {
        id: Some(config.id.to_string()),
        version: Some(version(config.meta.version)),
        created_at: Some(date(config.meta.created_at)),
        updated_at: Some(date(config.meta.updated_at)),
        spec: Some(ConfigSpec { labels, ..config.spec.clone() }),
    }
}
