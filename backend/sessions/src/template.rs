//! What a session can begin with.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// `stack_name` of `POST /`.
    pub name: &'static str,
    pub title: &'static str,
    pub summary: &'static str,
    /// Outside any swarm: `node1`, `node2`, …
    pub nodes: u32,
    /// Of a swarm that is there from the start: `manager1`, …, `worker1`, …
    pub managers: u32,
    pub workers: u32,
}

impl Template {
    pub fn size(&self) -> u32 {
        self.nodes + self.managers + self.workers
    }
}

const NOTHING: Template = Template { name: "", title: "", summary: "", nodes: 0, managers: 0, workers: 0 };

pub const TEMPLATES: &[Template] = &[
    Template {
        name: "empty",
        title: "Empty",
        summary: "A session without nodes: add them as you need them.",
        ..NOTHING
    },
    Template {
        name: "two-nodes",
        title: "2 nodes",
        summary: "Two Docker hosts side by side on one network.",
        nodes: 2,
        ..NOTHING
    },
    Template {
        name: "1-manager",
        title: "1 manager",
        summary: "A swarm of one node, to grow from.",
        managers: 1,
        ..NOTHING
    },
    Template {
        name: "3-managers-2-workers",
        title: "3 managers + 2 workers",
        summary: "A swarm that outlives the loss of a manager, with room for services.",
        managers: 3,
        workers: 2,
        ..NOTHING
    },
    Template {
        name: "5-managers",
        title: "5 managers",
        summary: "A swarm that outlives the loss of two managers.",
        managers: 5,
        ..NOTHING
    },
];

/// The template of that name; the empty name, play-with-docker's default, is the empty one.
pub fn find(name: &str) -> Option<&'static Template> {
    let name = if name.is_empty() { "empty" } else { name };
    TEMPLATES.iter().find(|template| template.name == name)
}
