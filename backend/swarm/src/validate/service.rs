//! The spec of a service.

use std::collections::BTreeSet;

use bollard_stubs::models::{
    ServiceSpecMode, TaskSpecResources as Resources, TaskSpecRestartPolicy as RestartPolicy,
};

use super::{Verdict, container, names, refuse_if};
use crate::allocator::is_ingress;
use crate::objects::{EndpointSpec, Mode, ResolutionMode, ServiceSpec, TaskSpec};
use crate::scheduler::{constraint, protocol};
use crate::status::{Code, Status};

pub fn validate_service(spec: &ServiceSpec) -> Verdict {
    let mode = spec.mode.clone().unwrap_or_default();
    one_mode(&mode)?;
    let default = TaskSpec::default();
    let template = spec.task_template.as_ref().unwrap_or(&default);
    runtime(template)?;
    names::dns_label(spec.name.as_deref().unwrap_or_default())?;
    task(template)?;
    counts(&mode)?;
    if Mode::of(spec).is_job() {
        refuse_if(spec.update_config.is_some(), || "Jobs may not have an update config".into())?;
    } else if let Some(config) = &spec.update_config {
        update(config.delay, config.monitor, config.max_failure_ratio)?;
    }
    spec.endpoint_spec.as_ref().map_or(Ok(()), endpoint)
}

fn one_mode(mode: &ServiceSpecMode) -> Verdict {
    let said = [
        mode.global.is_some(),
        mode.replicated.is_some(),
        mode.replicated_job.is_some(),
        mode.global_job.is_some(),
    ];
    if said.iter().filter(|said| **said).count() > 1 {
        return Err(Status::bad_parameter("must specify only one service mode"));
    }
    Ok(())
}

/// Containers only: a plugin is installed by its own command.
fn runtime(template: &TaskSpec) -> Verdict {
    match template.runtime.as_deref().unwrap_or_default() {
        "" | "container" if template.container_spec.is_some() => Ok(()),
        "" | "container" => Err(Status::bad_parameter("mismatched Runtime and *Spec fields")),
        "plugin" | "attachment" => {
            Err(Status::new(Code::Unimplemented, "RuntimeSpec: unimplemented runtime in service spec"))
        }
        _ => Err(Status::bad_parameter("unsupported runtime")),
    }
}

fn task(template: &TaskSpec) -> Verdict {
    template.resources.as_ref().map_or(Ok(()), resources)?;
    template.restart_policy.as_ref().map_or(Ok(()), restart)?;
    constraint::parse(constraint::of(template)).map_err(|bad| Status::new(Code::Unknown, bad.to_string()))?;
    let Some(spec) = &template.container_spec else { return Ok(()) };
    container::secret_references(spec)?;
    container::config_references(spec)?;
    container::validate(spec)
}

fn resources(resources: &Resources) -> Verdict {
    let limits = resources.limits.as_ref().map(|limits| (limits.nano_cpus, limits.memory_bytes));
    let reserved =
        resources.reservations.as_ref().map(|reserved| (reserved.nano_cpus, reserved.memory_bytes));
    for (cpus, memory) in [limits, reserved].into_iter().flatten() {
        let (cpus, memory) = (cpus.unwrap_or(0), memory.unwrap_or(0));
        refuse_if(cpus != 0 && cpus < 1_000_000, || {
            format!("invalid cpu value {}: Must be at least 0.001", general(cpus as f64 / 1e9))
        })?;
        refuse_if(memory != 0 && memory < 4 << 20, || {
            format!("invalid memory value {memory}: Must be at least 4MiB")
        })?;
    }
    Ok(())
}

/// As Go's `%g`: small numbers with an exponent of two digits.
fn general(number: f64) -> String {
    if number == 0.0 || number.abs() >= 1e-4 {
        return number.to_string();
    }
    let text = format!("{number:e}");
    match text.split_once("e-") {
        Some((mantissa, exponent)) => format!("{mantissa}e-{exponent:0>2}"),
        None => text,
    }
}

fn restart(policy: &RestartPolicy) -> Verdict {
    let below = |time: Option<i64>| time.is_some_and(|time| time < 0);
    refuse_if(below(policy.delay), || "TaskSpec: restart-delay cannot be negative".into())?;
    refuse_if(below(policy.window), || "TaskSpec: restart-window cannot be negative".into())
}

fn update(delay: Option<i64>, monitor: Option<i64>, ratio: Option<f64>) -> Verdict {
    let below = |time: Option<i64>| time.is_some_and(|time| time < 0);
    refuse_if(below(delay), || "TaskSpec: update-delay cannot be negative".into())?;
    refuse_if(below(monitor), || "TaskSpec: update-monitor cannot be negative".into())?;
    refuse_if(ratio.is_some_and(|ratio| !(0.0..=1.0).contains(&ratio)), || {
        "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1".into()
    })
}

fn counts(mode: &ServiceSpecMode) -> Verdict {
    let below = |count: Option<i64>| count.is_some_and(|count| count < 0);
    let replicas = mode.replicated.as_ref().and_then(|replicated| replicated.replicas);
    refuse_if(below(replicas), || "Number of replicas must be non-negative".into())?;
    let job = mode.replicated_job.as_ref();
    refuse_if(below(job.and_then(|job| job.max_concurrent)), || {
        "Maximum concurrent jobs must not be negative".into()
    })?;
    refuse_if(below(job.and_then(|job| job.total_completions)), || {
        "Total completed jobs must not be negative".into()
    })
}

fn endpoint(endpoint: &EndpointSpec) -> Verdict {
    let mut published = BTreeSet::new();
    for port in endpoint.ports.iter().flatten() {
        refuse_if(endpoint.mode == Some(ResolutionMode::DNSRR) && is_ingress(port), || {
            "EndpointSpec: port published with ingress mode can't be used with dnsrr mode".into()
        })?;
        let number = port.published_port.unwrap_or(0);
        let twice = number != 0 && !published.insert((protocol(port.protocol), number));
        refuse_if(twice, || "EndpointSpec: duplicate published ports provided".into())?;
    }
    Ok(())
}
