//! `docker service create`, `update`, `rollback` and `rm`.

use bollard_stubs::models::{ServiceSpecMode, ServiceSpecModeReplicated, TaskSpecContainerSpecIsolationEnum};

use super::{missing, named};
use crate::allocator::{allocate_service, is_ingress, needs_ingress, ports_of};
use crate::objects::{
    EndpointPortConfig as Port, JobStatus, Mode, Moment, PublishMode, Service, ServiceId, ServiceSpec,
    Timestamp, UpdateState, UpdateStatus, Version, networks_of,
};
use crate::random::Random;
use crate::scheduler::protocol;
use crate::status::{Code, Status};
use crate::store::{Transaction, View};
use crate::validate::validate_service;

/// Which spec an update is to.
#[derive(Clone, Debug)]
pub enum To {
    Spec(Box<ServiceSpec>),
    /// The one before; a second time comes back.
    Previous,
}

pub fn create(
    tx: &mut Transaction<'_>,
    spec: ServiceSpec,
    registry_auth: Option<String>,
    now: Timestamp,
    random: &mut Random,
) -> Result<ServiceId, Status> {
    let spec = normalized(spec);
    check(tx, &spec)?;
    ports_are_free(tx, &spec, None)?;
    references_exist(tx, &spec)?;
    let id = ServiceId::from(random.id());
    let job = Mode::of(&spec).is_job();
    let name = spec.name.clone().unwrap_or_default();
    let service = Service {
        id: id.clone(),
        spec,
        spec_version: Some(Version::default()),
        job_status: job.then(|| JobStatus { last_execution: now, ..JobStatus::default() }),
        registry_auth,
        ..Service::default()
    };
    tx.create(service).map_err(|refusal| {
        named(refusal, || format!("name conflicts with an existing object: service {name} already exists"))
    })?;
    allocate_service(tx, &id);
    Ok(id)
}

/// `version` is the one the user saw. Without new credentials for the registry the old ones stay.
pub fn update(
    tx: &mut Transaction<'_>,
    id: &ServiceId,
    version: u64,
    to: To,
    registry_auth: Option<String>,
    now: impl Into<Moment>,
) -> Result<(), Status> {
    let now = now.into();
    let Some(current) = tx.services().get(id.as_str()).cloned() else {
        return Err(missing("service", id.as_str()));
    };
    let mut service = Service::clone(&current);
    match to {
        To::Spec(spec) => take_spec(tx, &mut service, normalized(*spec), version)?,
        To::Previous => go_back(&mut service, now)?,
    }
    ingress_exists(tx, &service.spec)?;
    service.registry_auth = registry_auth.or(service.registry_auth);
    service.meta.version = Version { index: version };
    if let Some(job) = &mut service.job_status {
        job.iteration.index += 1;
        job.last_execution = now.wall;
    }
    tx.update(service)?;
    allocate_service(tx, id);
    Ok(())
}

pub fn remove(tx: &mut Transaction<'_>, id: &ServiceId) -> Result<(), Status> {
    tx.delete::<Service>(id).map_err(|_| missing("service", id.as_str()))
}

fn take_spec(view: &View, service: &mut Service, spec: ServiceSpec, version: u64) -> Result<(), Status> {
    check(view, &spec)?;
    if spec.endpoint_spec.is_some() && spec.endpoint_spec != service.spec.endpoint_spec {
        ports_are_free(view, &spec, Some(&service.id))?;
    }
    let unimplemented = |message: &str| Err(Status::new(Code::Unimplemented, message));
    if moves_old_networks(&service.spec, &spec) {
        return unimplemented("networks must be migrated to TaskSpec before being changed");
    }
    references_exist(view, &spec)?;
    if kind_of(&service.spec) != kind_of(&spec) {
        return unimplemented("service mode change is not allowed");
    }
    if service.spec.name != spec.name {
        return unimplemented("renaming services is not supported");
    }
    service.previous_spec = Some(Box::new(std::mem::replace(&mut service.spec, spec)));
    service.previous_spec_version = service.spec_version;
    service.spec_version = Some(Version { index: version });
    service.update_status = None;
    Ok(())
}

fn go_back(service: &mut Service, now: Moment) -> Result<(), Status> {
    let Some(previous) = service.previous_spec.take() else {
        let message = format!("service {} does not have a previous spec", service.id);
        return Err(Status::new(Code::FailedPrecondition, message));
    };
    service.previous_spec = Some(Box::new(std::mem::replace(&mut service.spec, *previous)));
    std::mem::swap(&mut service.spec_version, &mut service.previous_spec_version);
    service.update_status =
        Some(UpdateStatus::begin(UpdateState::ROLLBACK_STARTED, "manually requested rollback", now));
    Ok(())
}

/// What is said by saying nothing, written out.
fn normalized(mut spec: ServiceSpec) -> ServiceSpec {
    spec.labels.get_or_insert_default();
    let template = spec.task_template.get_or_insert_default();
    template.force_update.get_or_insert(0);
    if template.runtime.as_deref().unwrap_or_default().is_empty() {
        template.runtime = Some("container".into());
    }
    // What answers say where nothing was chosen comes back with updates, and is no change.
    if let Some(container) = &mut template.container_spec {
        container.isolation = container.isolation.filter(|isolation| {
            !matches!(
                isolation,
                TaskSpecContainerSpecIsolationEnum::DEFAULT | TaskSpecContainerSpecIsolationEnum::EMPTY
            )
        });
    }
    for port in spec.endpoint_spec.iter_mut().flat_map(|endpoint| endpoint.ports.iter_mut().flatten()) {
        port.protocol = Some(protocol(port.protocol));
        port.publish_mode = Some(if is_ingress(port) { PublishMode::INGRESS } else { PublishMode::HOST });
    }
    let mode = spec.mode.get_or_insert_default();
    if *mode == ServiceSpecMode::default() {
        mode.replicated = Some(ServiceSpecModeReplicated::default());
    }
    if let Some(replicated) = &mut mode.replicated {
        replicated.replicas.get_or_insert(1);
    }
    if let Some(job) = &mut mode.replicated_job {
        let concurrent = *job.max_concurrent.get_or_insert(1);
        job.total_completions.get_or_insert(concurrent);
    }
    spec
}

fn check(view: &View, spec: &ServiceSpec) -> Result<(), Status> {
    validate_service(spec)?;
    for target in networks_of(spec).iter().filter_map(|network| network.target.as_deref()) {
        let network = view.networks().get(target).or_else(|| view.networks().named(target));
        if let Some(network) = network.filter(|network| network.is_ingress()) {
            let name = network.name();
            let message = format!("Service cannot be explicitly attached to the ingress network {name:?}");
            return Err(Status::invalid(message));
        }
    }
    ingress_exists(view, spec)
}

fn ingress_exists(view: &View, spec: &ServiceSpec) -> Result<(), Status> {
    if needs_ingress(spec) && view.ingress_network().is_none() {
        let message = "service needs ingress network, but no ingress network is present";
        return Err(Status::new(Code::FailedPrecondition, message));
    }
    Ok(())
}

/// Ports on nodes may be shared, as long as each node runs one of those who want them; a port in
/// the mesh is its service's alone.
fn ports_are_free(view: &View, spec: &ServiceSpec, own: Option<&ServiceId>) -> Result<(), Status> {
    let wanted: Vec<&Port> = ports_of(spec).iter().filter(|port| number(port) != 0).collect();
    for other in view.services().iter().filter(|service| Some(&service.id) != own) {
        let given = other.endpoint.as_ref().map(|endpoint| endpoint.ports.as_slice()).unwrap_or_default();
        for taken in ports_of(&other.spec).iter().chain(given) {
            let same = |port: &&&Port| {
                number(port) == number(taken) && protocol(port.protocol) == protocol(taken.protocol)
            };
            let conflict = wanted.iter().filter(same).any(|port| is_ingress(port) || is_ingress(taken));
            if conflict {
                let how = if is_ingress(taken) { "an ingress port" } else { "a host-published port" };
                return Err(Status::invalid(format!(
                    "port '{}' is already in use by service '{}' ({}) as {how}",
                    number(taken),
                    other.name(),
                    other.id
                )));
            }
        }
    }
    Ok(())
}

fn number(port: &Port) -> i64 {
    port.published_port.unwrap_or(0)
}

/// Secrets and configs are named by id, and the name has to be theirs.
fn references_exist(view: &View, spec: &ServiceSpec) -> Result<(), Status> {
    let Some(container) = spec.task_template.as_ref().and_then(|template| template.container_spec.as_ref())
    else {
        return Ok(());
    };
    let secrets = container.secrets.iter().flatten().filter(|reference| {
        let secret = view.secrets().get(reference.secret_id.as_deref().unwrap_or_default());
        secret.is_none_or(|secret| secret.spec.name != reference.secret_name)
    });
    all_found("secret", secrets.filter_map(|reference| reference.secret_name.as_deref()).collect())?;
    let configs = container.configs.iter().flatten().filter(|reference| {
        let config = view.configs().get(reference.config_id.as_deref().unwrap_or_default());
        config.is_none_or(|config| config.spec.name != reference.config_name)
    });
    all_found("config", configs.filter_map(|reference| reference.config_name.as_deref()).collect())
}

fn all_found(kind: &str, missing: Vec<&str>) -> Result<(), Status> {
    let plural = if missing.len() == 1 { "" } else { "s" };
    if missing.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(format!("{kind}{plural} not found: {}", missing.join(", "))))
}

/// Whether networks in the old place of the spec change, and not on their way to the new place.
fn moves_old_networks(before: &ServiceSpec, after: &ServiceSpec) -> bool {
    let old = |spec: &ServiceSpec| spec.networks.clone().unwrap_or_default();
    let new = |spec: &ServiceSpec| {
        spec.task_template.as_ref().and_then(|template| template.networks.clone()).unwrap_or_default()
    };
    old(before) != old(after) && new(before) == new(after)
}

fn kind_of(spec: &ServiceSpec) -> std::mem::Discriminant<Mode> {
    std::mem::discriminant(&Mode::of(spec))
}
