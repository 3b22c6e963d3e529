//! The filters of the list endpoints.
//!
//! Names and ids match by their beginning, as with moby's engine; several values of one filter
//! widen it, several filters narrow the list.

use std::collections::{BTreeMap, HashMap};

use super::{ambiguous, not_found};
use crate::objects::{
    Config, Membership, Mode, Node, ObservedRole, Secret, Service, Stored, Task, TaskSpec, TaskState,
};
use crate::orchestrator::is_outdated;
use crate::status::Status;
use crate::store::{Table, View};

/// What a client asked for: filters, each with its values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(BTreeMap<String, Vec<String>>);

impl Filters {
    pub fn new(filters: BTreeMap<String, Vec<String>>) -> Self {
        Self(filters)
    }

    fn accept(&self, known: &[&str]) -> Result<(), Status> {
        match self.0.keys().find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(Status::bad_parameter(format!("invalid filter '{name}'"))),
            None => Ok(()),
        }
    }

    fn values(&self, name: &str) -> &[String] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    fn begins(&self, name: &str, found: &str) -> bool {
        let values = self.values(name);
        values.is_empty() || values.iter().any(|value| found.starts_with(value.as_str()))
    }

    fn is_one(&self, name: &str, found: &str) -> bool {
        let values = self.values(name);
        values.is_empty() || values.iter().any(|value| value == found)
    }

    /// `key` for any value, or `key=value`; all of them.
    fn has_labels(&self, name: &str, labels: Option<&HashMap<String, String>>) -> bool {
        self.values(name).iter().all(|wanted| {
            let (key, value) = wanted.split_once('=').unwrap_or((wanted, ""));
            let found = labels.and_then(|labels| labels.get(key));
            found.is_some_and(|found| value.is_empty() || found == value)
        })
    }
}

/// Containers unless something else is asked for.
fn runtime_of(template: Option<&TaskSpec>) -> &str {
    match template {
        Some(template) if template.network_attachment_spec.is_some() => "attachment",
        Some(template) if template.plugin_spec.is_some() => "plugin",
        _ => "container",
    }
}

#[derive(Clone, Debug)]
pub struct ServiceFilter(Filters);

impl ServiceFilter {
    pub fn parse(mut filters: Filters) -> Result<Self, Status> {
        filters.accept(&["name", "id", "label", "mode", "runtime"])?;
        filters.0.entry("runtime".into()).or_insert_with(|| vec!["container".into()]);
        Ok(Self(filters))
    }

    pub fn matches(&self, service: &Service) -> bool {
        let mode = match service.mode() {
            Mode::Replicated { .. } => "replicated",
            Mode::Global => "global",
            Mode::ReplicatedJob { .. } => "replicated-job",
            Mode::GlobalJob => "global-job",
        };
        self.0.begins("name", service.name())
            && self.0.begins("id", service.id.as_str())
            && self.0.has_labels("label", service.spec.labels.as_ref())
            && self.0.is_one("mode", mode)
            && self.0.is_one("runtime", runtime_of(service.spec.task_template.as_ref()))
    }
}

#[derive(Clone, Debug)]
pub struct NodeFilter(Filters);

impl NodeFilter {
    pub fn parse(filters: Filters) -> Result<Self, Status> {
        filters.accept(&["name", "id", "label", "role", "membership", "node.label"])?;
        let known = |name: &str, values: [&str; 2]| {
            let bad = |value: &&String| {
                !value.is_empty() && !values.iter().any(|it| it.eq_ignore_ascii_case(value))
            };
            match filters.values(name).iter().find(bad) {
                Some(value) => Err(Status::plain(format!("Invalid {name} filter: '{value}'"))),
                None => Ok(()),
            }
        };
        known("role", ["manager", "worker"])?;
        known("membership", ["accepted", "pending"])?;
        Ok(Self(lowered(filters, &["role", "membership"])))
    }

    pub fn matches(&self, node: &Node) -> bool {
        let engine = node.description.as_ref().and_then(|description| description.engine.as_ref());
        let role = match node.observed_role {
            ObservedRole::Manager => "manager",
            ObservedRole::Worker => "worker",
        };
        let membership = match node.membership {
            Membership::Accepted => "accepted",
            Membership::Pending => "pending",
        };
        self.0.begins("name", node.hostname())
            && self.0.begins("id", node.id.as_str())
            && self.0.has_labels("label", engine.and_then(|engine| engine.labels.as_ref()))
            && self.0.has_labels("node.label", node.spec.labels.as_ref())
            && self.0.is_one("role", role)
            && self.0.is_one("membership", membership)
    }
}

/// Values whose case does not matter; empty ones ask for nothing.
fn lowered(mut filters: Filters, names: &[&str]) -> Filters {
    for name in names {
        if let Some(values) = filters.0.get_mut(*name) {
            values.retain(|value| !value.is_empty());
            values.iter_mut().for_each(|value| value.make_ascii_lowercase());
        }
    }
    filters
}

#[derive(Clone, Debug)]
pub struct TaskFilter(Filters);

impl TaskFilter {
    /// Services and nodes may be named in any way a user names them.
    pub fn parse(view: &View, mut filters: Filters) -> Result<Self, Status> {
        filters.accept(&[
            "name",
            "id",
            "label",
            "service",
            "node",
            "desired-state",
            "_up-to-date",
            "runtime",
        ])?;
        resolve(view, view.services(), "service", &mut filters)?;
        resolve(view, view.nodes(), "node", &mut filters)?;
        filters.0.entry("runtime".into()).or_insert_with(|| vec!["container".into()]);
        let bad =
            |value: &&String| !value.is_empty() && value.to_ascii_lowercase().parse::<TaskState>().is_err();
        if let Some(value) = filters.values("desired-state").iter().find(bad) {
            return Err(Status::plain(format!("Invalid desired-state filter: '{value}'")));
        }
        Ok(Self(lowered(filters, &["desired-state"])))
    }

    pub fn matches(&self, view: &View, task: &Task) -> bool {
        let service = task.service_id.as_ref().map_or("", |id| id.as_str());
        let node = task.node_id.as_ref().map_or("", |id| id.as_str());
        self.0.begins("name", &task.full_name())
            && self.0.begins("id", task.id.as_str())
            && self.0.has_labels("label", Some(&task.service_annotations.labels))
            && self.0.is_one("service", service)
            && self.0.is_one("node", node)
            && self.0.is_one("desired-state", &task.desired_state.to_string())
            && self.0.is_one("runtime", runtime_of(Some(&task.spec)))
            && (self.0.values("_up-to-date").is_empty() || is_up_to_date(view, task))
    }
}

fn is_up_to_date(view: &View, task: &Task) -> bool {
    let service = task.service_id.as_ref().and_then(|id| view.services().get(id.as_str()));
    let node = task.node_id.as_ref().and_then(|id| view.nodes().get(id.as_str()));
    service.is_some_and(|service| !is_outdated(service, task, node.map(AsRef::as_ref)))
}

/// Puts full ids in the place of what the user typed.
fn resolve<T: Stored>(
    view: &View,
    table: &Table<T>,
    kind: &str,
    filters: &mut Filters,
) -> Result<(), Status> {
    for value in filters.0.get_mut(kind).into_iter().flatten() {
        match view.resolve(table, value) {
            Ok(Some(found)) => *value = found.id().to_string(),
            Ok(None) => return Err(not_found(kind, value)),
            Err(several) => return Err(ambiguous(kind, value, several)),
        }
    }
    Ok(())
}

/// For secrets and configs.
#[derive(Clone, Debug)]
pub struct SecretFilter(Filters);

impl SecretFilter {
    pub fn for_secrets(filters: Filters) -> Result<Self, Status> {
        filters.accept(&["names", "name", "id", "label"])?;
        Ok(Self(filters))
    }

    pub fn for_configs(filters: Filters) -> Result<Self, Status> {
        filters.accept(&["name", "id", "label"])?;
        Ok(Self(filters))
    }

    /// Secrets that the swarm keeps for itself are not listed.
    pub fn matches_secret(&self, secret: &Secret) -> bool {
        !secret.internal && self.matches(secret.name(), secret.id.as_str(), secret.spec.labels.as_ref())
    }

    pub fn matches_config(&self, config: &Config) -> bool {
        self.matches(config.name(), config.id.as_str(), config.spec.labels.as_ref())
    }

    /// Unlike elsewhere one of the whole names, beginnings of names or of ids is enough.
    fn matches(&self, name: &str, id: &str, labels: Option<&HashMap<String, String>>) -> bool {
        let asked = |filter: &str| !self.0.values(filter).is_empty();
        let any = asked("names") || asked("name") || asked("id");
        let found = (asked("names") && self.0.is_one("names", name))
            || (asked("name") && self.0.begins("name", name))
            || (asked("id") && self.0.begins("id", id));
        (!any || found) && self.0.has_labels("label", labels)
    }
}
