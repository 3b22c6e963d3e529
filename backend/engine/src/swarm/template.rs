//! Templates in a service's spec: `{{.Node.Hostname}}`, `{{.Service.Name}}`, `{{.Task.Slot}}` in the environment, the
//! host name and mounts, filled in for each task on its node.

use std::collections::BTreeMap;

use drydock_swarm::objects::{Task, TaskSpecContainerSpec};

use crate::golang::template::{Object, Template, TemplateError, Value};

/// The node that a task runs on.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    pub hostname: &'a str,
    pub architecture: &'a str,
}

/// What a template may name.
#[derive(Debug)]
struct Context(BTreeMap<&'static str, Value<'static>>);

impl Object for Context {
    fn type_name(&self) -> &'static str {
        "template.Context"
    }

    fn get(&self, name: &str, _: &[Value<'_>]) -> Option<Result<Value<'static>, String>> {
        self.0.get(name).cloned().map(Ok)
    }
}

/// Fills in what is a template.
pub fn expand(spec: &mut TaskSpecContainerSpec, task: &Task, place: Place<'_>) -> Result<(), TemplateError> {
    let context = Context::of(task, place);
    if let Some(hostname) = &mut spec.hostname {
        *hostname = context.fill(hostname)?;
    }
    for line in spec.env.iter_mut().flatten() {
        *line = context.fill(line)?;
    }
    for mount in spec.mounts.iter_mut().flatten() {
        for text in [&mut mount.source, &mut mount.target].into_iter().flatten() {
            *text = context.fill(text)?;
        }
    }
    Ok(())
}

impl Context {
    fn of(task: &Task, place: Place<'_>) -> Self {
        let node = task.node_id.as_ref().map_or("", |id| id.as_str());
        let service = task.service_id.as_ref().map_or("", |id| id.as_str());
        // A task of a global service is told apart by its node.
        let slot = if task.slot == 0 { node.to_owned() } else { task.slot.to_string() };
        let own = &task.service_annotations;
        let labels = own.labels.iter().map(|(key, value)| (key.clone(), text(value))).collect();
        let platform = map([("Architecture", text(place.architecture)), ("OS", text("linux"))]);
        Self(BTreeMap::from([
            (
                "Service",
                map([("ID", text(service)), ("Name", text(&own.name)), ("Labels", Value::Map(labels))]),
            ),
            ("Node", map([("ID", text(node)), ("Hostname", text(place.hostname)), ("Platform", platform)])),
            (
                "Task",
                map([
                    ("ID", text(task.id.as_str())),
                    ("Name", text(&task.full_name())),
                    ("Slot", text(&slot)),
                ]),
            ),
        ]))
    }

    fn fill(&self, template: &str) -> Result<String, TemplateError> {
        if !template.contains("{{") {
            return Ok(template.to_owned());
        }
        Template::parse("expansion", template)?.execute(self)
    }
}

fn text(text: &str) -> Value<'static> {
    Value::Text(text.to_owned())
}

fn map<const N: usize>(fields: [(&str, Value<'static>); N]) -> Value<'static> {
    Value::Map(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const PLACE: Place<'_> = Place { hostname: "node1", architecture: "x86_64" };

    fn expanded(spec: serde_json::Value) -> Result<TaskSpecContainerSpec, TemplateError> {
        let task: Task = serde_json::from_value(json!({
            "id": "t", "service_id": "s", "slot": 3, "node_id": "n",
            "service_annotations": {"name": "web", "labels": {"tier": "front"}},
        }))
        .expect("a task");
        let mut spec = serde_json::from_value(spec).expect("a spec");
        expand(&mut spec, &task, PLACE).map(|()| spec)
    }

    #[test]
    fn what_a_spec_leaves_open_is_filled_in_for_the_task() {
        let spec = expanded(json!({
            "Hostname": "{{.Service.Name}}-{{.Task.Slot}}.{{.Node.Hostname}}",
            "Env": ["A={{.Task.Name}}", "B=plain", "C={{index .Service.Labels \"tier\"}}"],
            "Mounts": [{"Type": "volume", "Source": "data-{{.Task.Slot}}", "Target": "/{{.Node.Platform.OS}}"}],
        }))
        .expect("expanded");
        assert_eq!(spec.hostname.as_deref(), Some("web-3.node1"));
        assert_eq!(spec.env.unwrap(), ["A=web.3.t", "B=plain", "C=front"]);
        let mount = &spec.mounts.unwrap()[0];
        assert_eq!((mount.source.as_deref(), mount.target.as_deref()), (Some("data-3"), Some("/linux")));
    }

    #[test]
    fn what_cannot_be_filled_in_is_told() {
        let refused = expanded(json!({"Env": ["A={{.Task"]})).expect_err("no template");
        assert!(refused.to_string().starts_with("template: expansion:1:"), "{refused}");
        expanded(json!({"Hostname": "{{.Nothing.There}}"})).expect_err("nothing of that name");
    }
}
