//! Resources a node's owner made up: a count (`ssd=3`) or named things (`gpu=UUID1`). A task asks
//! for a number of a kind and gets that many of the count, or of the names.

use bollard_stubs::models::{
    GenericResourcesInnerDiscreteResourceSpec as Discrete, GenericResourcesInnerNamedResourceSpec as Named,
};

use crate::objects::GenericResourcesInner as Resource;

/// The kind and number a task asks for. A named thing cannot be asked for.
fn request(resource: &Resource) -> Option<(&str, i64)> {
    let discrete = resource.discrete_resource_spec.as_ref()?;
    Some((discrete.kind.as_deref()?, discrete.value.unwrap_or(0)))
}

fn count_of<'a>(resource: &'a mut Resource, kind: &str) -> Option<&'a mut i64> {
    let discrete = resource.discrete_resource_spec.as_mut()?;
    (discrete.kind.as_deref() == Some(kind)).then(|| discrete.value.get_or_insert(0))
}

fn is_named(resource: &Resource, kind: &str) -> bool {
    resource.named_resource_spec.as_ref().is_some_and(|named| named.kind.as_deref() == Some(kind))
}

pub fn has_enough(available: &[Resource], wanted: &Resource) -> bool {
    let Some((kind, number)) = request(wanted) else { return false };
    let named = available.iter().filter(|resource| is_named(resource, kind)).count() as i64;
    let counted = available.iter().filter_map(request).filter(|(other, _)| *other == kind);
    named.max(counted.map(|(_, value)| value).max().unwrap_or(0)) >= number
}

/// Takes what is asked for out of what is there, and answers what it was.
pub fn claim(available: &mut Vec<Resource>, wanted: &[Resource]) -> Vec<Resource> {
    let mut claimed = Vec::new();
    for (kind, number) in wanted.iter().filter_map(request) {
        if let Some(count) = available.iter_mut().find_map(|resource| count_of(resource, kind)) {
            *count -= number;
            claimed.push(discrete(kind, number));
            continue;
        }
        for _ in 0..number {
            if let Some(place) = available.iter().position(|resource| is_named(resource, kind)) {
                claimed.push(available.remove(place));
            }
        }
    }
    claimed
}

/// Takes out what a task has been given.
pub fn consume(available: &mut Vec<Resource>, given: &[Resource]) {
    for resource in given {
        if let Some((kind, number)) = request(resource) {
            if let Some(count) = available.iter_mut().find_map(|resource| count_of(resource, kind)) {
                *count -= number;
            }
        } else if let Some(place) = available.iter().position(|other| other == resource) {
            available.remove(place);
        }
    }
}

/// Whether what a task has been given is still there.
pub fn has_all(available: &[Resource], given: &[Resource]) -> bool {
    given.iter().all(|resource| match &resource.named_resource_spec {
        Some(_) => available.contains(resource),
        None => has_enough(available, resource),
    })
}

pub fn discrete(kind: &str, value: i64) -> Resource {
    Resource {
        discrete_resource_spec: Some(Discrete { kind: Some(kind.to_owned()), value: Some(value) }),
        named_resource_spec: None,
    }
}

pub fn named(kind: &str, value: &str) -> Resource {
    Resource {
        named_resource_spec: Some(Named { kind: Some(kind.to_owned()), value: Some(value.to_owned()) }),
        discrete_resource_spec: None,
    }
}
