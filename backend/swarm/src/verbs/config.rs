//! `docker config create`, label changes and `rm`.

use super::{in_use, missing, named, users};
use crate::objects::{Config, ConfigId, ConfigSpec, Version};
use crate::random::Random;
use crate::status::Status;
use crate::store::Transaction;
use crate::validate::validate_config;

pub fn create(tx: &mut Transaction<'_>, spec: ConfigSpec, random: &mut Random) -> Result<ConfigId, Status> {
    validate_config(&spec)?;
    let id = ConfigId::from(random.id());
    let name = spec.name.clone().unwrap_or_default();
    tx.create(Config { id: id.clone(), spec, ..Config::default() })
        .map_err(|refusal| named(refusal, || format!("config {name} already exists")))?;
    Ok(id)
}

/// Labels alone can be changed. A spec without data keeps it.
pub fn update(tx: &mut Transaction<'_>, id: &ConfigId, version: u64, spec: ConfigSpec) -> Result<(), Status> {
    let Some(config) = tx.configs().get(id.as_str()) else { return Err(missing("config", id.as_str())) };
    let other_data = spec.data.is_some() && spec.data != config.spec.data;
    if spec.name != config.spec.name || other_data {
        return Err(Status::invalid("only updates to Labels are allowed"));
    }
    let mut config = Config::clone(config);
    config.meta.version = Version { index: version };
    config.spec.labels = spec.labels;
    Ok(tx.update(config)?)
}

pub fn remove(tx: &mut Transaction<'_>, id: &ConfigId) -> Result<(), Status> {
    let Some(config) = tx.configs().get(id.as_str()) else {
        return Err(Status::not_found(format!("could not find config {id}")));
    };
    let name = config.spec.name.clone().unwrap_or_default();
    let users = users(tx, |container| {
        container.configs.iter().flatten().any(|it| it.config_id.as_deref() == Some(id.as_str()))
    });
    in_use("config", &name, &users)?;
    Ok(tx.delete::<Config>(id)?)
}
