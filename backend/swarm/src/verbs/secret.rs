//! `docker secret create`, label changes and `rm`.

use super::{in_use, missing, named, users};
use crate::objects::{Secret, SecretId, SecretSpec, Version};
use crate::random::Random;
use crate::status::Status;
use crate::store::Transaction;
use crate::validate::validate_secret;

pub fn create(tx: &mut Transaction<'_>, spec: SecretSpec, random: &mut Random) -> Result<SecretId, Status> {
    validate_secret(&spec)?;
    let id = SecretId::from(random.id());
    let name = spec.name.clone().unwrap_or_default();
    tx.create(Secret { id: id.clone(), spec, ..Secret::default() })
        .map_err(|refusal| named(refusal, || format!("secret {name} already exists")))?;
    Ok(id)
}

/// Labels alone can be changed. A spec without data keeps it.
pub fn update(tx: &mut Transaction<'_>, id: &SecretId, version: u64, spec: SecretSpec) -> Result<(), Status> {
    let Some(secret) = tx.secrets().get(id.as_str()) else { return Err(missing("secret", id.as_str())) };
    let other_data = spec.data.is_some() && spec.data != secret.spec.data;
    if spec.name != secret.spec.name || other_data {
        return Err(Status::invalid("only updates to Labels are allowed"));
    }
    let mut secret = Secret::clone(secret);
    secret.meta.version = Version { index: version };
    secret.spec.labels = spec.labels;
    Ok(tx.update(secret)?)
}

pub fn remove(tx: &mut Transaction<'_>, id: &SecretId) -> Result<(), Status> {
    let Some(secret) = tx.secrets().get(id.as_str()) else {
        return Err(Status::not_found(format!("could not find secret {id}")));
    };
    let name = secret.spec.name.clone().unwrap_or_default();
    let users = users(tx, |container| {
        container.secrets.iter().flatten().any(|it| it.secret_id.as_deref() == Some(id.as_str()))
    });
    in_use("secret", &name, &users)?;
    Ok(tx.delete::<Secret>(id)?)
}
