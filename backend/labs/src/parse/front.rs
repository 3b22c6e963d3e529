//! The YAML between the `---` lines at the top of a `lab.md`.

use serde::Deserialize;

use super::{Fault, Problem};
use crate::lab::{LEVELS, Node, Role};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Front {
    pub title: String,
    pub summary: String,
    #[serde(default = "beginner")]
    pub level: String,
    pub minutes: u32,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    nodes: Vec<NodeEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum NodeEntry {
    Name(String),
    Full {
        name: String,
        #[serde(default)]
        image: String,
        #[serde(default)]
        swarm: Option<RoleWord>,
    },
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RoleWord {
    Worker,
    Manager,
}

fn beginner() -> String {
    LEVELS[0].to_owned()
}

impl Front {
    pub fn nodes(&self) -> Vec<Node> {
        let plain =
            |hostname: &str| Node { hostname: hostname.to_owned(), image: String::new(), swarm: None };
        if self.nodes.is_empty() {
            return vec![plain("node1")];
        }
        let role = |word| match word {
            RoleWord::Worker => Role::Worker,
            RoleWord::Manager => Role::Manager,
        };
        let node = |entry: &NodeEntry| match entry {
            NodeEntry::Name(name) => plain(name),
            NodeEntry::Full { name, image, swarm } => {
                Node { image: image.clone(), swarm: swarm.map(role), ..plain(name) }
            }
        };
        self.nodes.iter().map(node).collect()
    }
}

/// Reads the front matter; also says at which byte the Markdown begins.
pub(super) fn read(text: &str) -> Result<(Front, usize), Problem> {
    let missing = || Problem { line: 1, fault: Fault::NoFrontMatter };
    let rest = text.strip_prefix("---\n").ok_or_else(missing)?;
    let end = rest.find("\n---\n").ok_or_else(missing)?;
    let yaml = &rest[..end + 1];
    let front: Front = serde_yaml_ng::from_str(yaml).map_err(|error| {
        // The first line of the YAML is the second of the file.
        let line = error.location().map_or(1, |place| place.line() as u32 + 1);
        Problem { line, fault: Fault::FrontMatter { reason: error.to_string() } }
    })?;
    if !LEVELS.contains(&front.level.as_str()) {
        return Err(Problem { line: 1, fault: Fault::Level { level: front.level } });
    }
    Ok((front, "---\n".len() + end + "\n---\n".len()))
}
