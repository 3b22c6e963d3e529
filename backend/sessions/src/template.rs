//! What a session can begin with.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    /// `stack_name` of `POST /`.
    pub name: &'static str,
    pub title: &'static str,
    pub summary: &'static str,
    pub nodes: u32,
}

pub const TEMPLATES: &[Template] = &[
    Template {
        name: "empty",
        title: "Empty",
        summary: "A session without nodes: add them as you need them.",
        nodes: 0,
    },
    Template {
        name: "two-nodes",
        title: "2 nodes",
        summary: "Two Docker hosts side by side on one network.",
        nodes: 2,
    },
];

/// The template of that name; the empty name, play-with-docker's default, is the empty one.
pub fn find(name: &str) -> Option<&'static Template> {
    let name = if name.is_empty() { "empty" } else { name };
    TEMPLATES.iter().find(|template| template.name == name)
}
