//! What a service's containers are made from.

use std::collections::{BTreeMap, BTreeSet};

use bollard_stubs::models::{
    HealthConfig, TaskSpecContainerSpec as Container, TaskSpecContainerSpecConfigs as ConfigReference,
    TaskSpecContainerSpecSecrets as SecretReference,
};

use super::image::is_reference;
use super::{Verdict, refuse_if};
use crate::status::Status;

pub fn validate(container: &Container) -> Verdict {
    let image = container.image.as_deref().unwrap_or_default();
    refuse_if(image.is_empty(), || "ContainerSpec: image reference must be provided".into())?;
    refuse_if(!is_reference(image), || format!("ContainerSpec: {image:?} is not a valid repository/tag"))?;
    mounts(container)?;
    container.health_check.as_ref().map_or(Ok(()), health)
}

fn mounts(container: &Container) -> Verdict {
    let mut targets = BTreeSet::new();
    for mount in container.mounts.iter().flatten() {
        let target = mount.target.as_deref().unwrap_or_default();
        refuse_if(!targets.insert(target), || format!("ContainerSpec: duplicate mount point: {target}"))?;
    }
    Ok(())
}

/// Times are nothing, or a millisecond and more.
fn health(check: &HealthConfig) -> Verdict {
    let times = [
        ("Interval", check.interval),
        ("Timeout", check.timeout),
        ("StartPeriod", check.start_period),
        ("StartInterval", check.start_interval),
    ];
    for (name, time) in times {
        let short = time.is_some_and(|time| time != 0 && time < 1_000_000);
        refuse_if(short, || format!("ContainerSpec: {name} in HealthConfig cannot be less than 1ms"))?;
    }
    refuse_if(check.retries.is_some_and(|retries| retries < 0), || {
        "ContainerSpec: Retries in HealthConfig cannot be negative".into()
    })
}

pub fn secret_references(container: &Container) -> Verdict {
    let mut targets = BTreeMap::new();
    for reference in container.secrets.iter().flatten() {
        let SecretReference { file, secret_id, secret_name } = reference;
        let name = mandatory(secret_id.as_deref(), secret_name.as_deref(), "secret")?;
        let file = file.as_ref().map(|file| file.name.as_deref().unwrap_or_default());
        let Some(file) = file else {
            return Err(Status::invalid("malformed secret reference, no target provided"));
        };
        one_target(&mut targets, "secret", name, file)?;
    }
    Ok(())
}

pub fn config_references(container: &Container) -> Verdict {
    let mut targets = BTreeMap::new();
    let credentials =
        container.privileges.as_ref().and_then(|privileges| privileges.credential_spec.as_ref());
    let wanted = credentials.and_then(|spec| spec.config.as_deref()).unwrap_or_default();
    let mut found = wanted.is_empty();
    for reference in container.configs.iter().flatten() {
        let ConfigReference { file, runtime, config_id, config_name } = reference;
        let name = mandatory(config_id.as_deref(), config_name.as_deref(), "config")?;
        let bare = file.is_none() && runtime.is_none();
        refuse_if(bare, || "malformed config reference, no target provided".into())?;
        if let Some(file) = file {
            one_target(&mut targets, "config", name, file.name.as_deref().unwrap_or_default())?;
        }
        found |= runtime.is_some() && config_id.as_deref() == Some(wanted);
    }
    refuse_if(!found, || {
        format!(
            "CredentialSpec references config '{wanted}', but that config isn't in config references with RuntimeTarget"
        )
    })
}

fn mandatory<'a>(id: Option<&str>, name: Option<&'a str>, kind: &str) -> Result<&'a str, Status> {
    match (id, name) {
        (Some(id), Some(name)) if !id.is_empty() && !name.is_empty() => Ok(name),
        _ => Err(Status::invalid(format!("malformed {kind} reference"))),
    }
}

/// Notes the file a reference comes to; two may not come to the same.
fn one_target<'a>(
    targets: &mut BTreeMap<&'a str, &'a str>,
    kind: &str,
    name: &'a str,
    file: &'a str,
) -> Verdict {
    refuse_if(file.is_empty(), || {
        format!("malformed file {kind} reference, invalid target file name provided")
    })?;
    match targets.insert(file, name) {
        Some(earlier) => Err(Status::invalid(format!(
            "{kind} references '{earlier}' and '{name}' have a conflicting target: '{file}'"
        ))),
        None => Ok(()),
    }
}
