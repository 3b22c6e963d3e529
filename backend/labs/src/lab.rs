//! A lab as its author wrote it, hidden parts included. `present` makes what a student may see of it.

use std::time::Duration;

#[derive(Debug, Clone, PartialEq)]
pub struct Lab {
    /// The folder's name.
    pub id: String,
    pub title: String,
    pub summary: String,
    pub level: String,
    pub minutes: u32,
    pub tags: Vec<String>,
    /// Never empty: `node1` where the author names none.
    pub nodes: Vec<Node>,
    /// Run in order before the first step opens.
    pub init: Vec<Init>,
    /// In order; the text before the first heading is a step of its own, [`INTRODUCTION`].
    pub steps: Vec<Step>,
}

/// What [`Lab::level`] may be, the easiest first.
pub const LEVELS: &[&str] = &["beginner", "intermediate", "advanced"];

/// The id of the step made of the text before the first `## ` heading.
pub const INTRODUCTION: &str = "introduction";

#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub hostname: String,
    /// Empty for the playground's default image.
    pub image: String,
    /// In the swarm that the lab begins with, if it is in it.
    pub swarm: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Worker,
    Manager,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Init {
    pub line: u32,
    pub node: String,
    pub script: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub line: u32,
    pub id: String,
    pub title: String,
    /// Closed until the step before is done.
    pub gated: bool,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    pub line: u32,
    /// `<step>-<kind>-<n>` or the author's `id=`; unique in the lab.
    pub id: String,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Markdown.
    Prose(String),
    Code {
        language: String,
        text: String,
    },
    Run(Run),
    File(File),
    Link(Links),
    Port(Port),
    Check(Check),
    Solve(Solve),
    Hint {
        title: String,
        markdown: String,
    },
    Quiz(Quiz),
}

/// Typed into a terminal.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    pub node: String,
    pub terminal: u32,
    /// Without the last line break; [`Run::enter`] says whether one is typed.
    pub text: String,
    /// ^C is typed first.
    pub interrupt: bool,
    /// False for `input`: the bytes of `text` and nothing else.
    pub enter: bool,
    /// The name under which the last line that the command prints is kept for later blocks and checks.
    pub capture: Option<String>,
    pub wait: Wait,
}

/// When a block that was typed is done.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// A shell, the node's or a container's, asks for the next command.
    Prompt,
    /// This text stands in the output.
    Output(String),
    /// At once.
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
pub struct File {
    pub node: String,
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    pub text: String,
}

/// What is done to cables on click.
#[derive(Debug, Clone, PartialEq)]
pub struct Links {
    /// As the author wrote it.
    pub text: String,
    /// In order.
    pub set: Vec<Link>,
}

/// What a node's cable, or the way from it to another node, is to lose.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub one: String,
    pub other: Option<String>,
    /// Of a hundred packets: 0 heals, 100 cuts.
    pub loss: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Port {
    pub node: String,
    pub port: u16,
    pub label: String,
}

/// Holds when `script` exits with 0; the last line it prints otherwise is the student's hint.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub title: String,
    pub node: String,
    pub continuous: bool,
    pub limit: Duration,
    pub script: String,
}

/// What the reader is asked to find out; done for him in a rehearsal only.
#[derive(Debug, Clone, PartialEq)]
pub struct Solve {
    pub node: String,
    /// Typed there when given, else run as a script.
    pub terminal: Option<u32>,
    pub script: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Quiz {
    /// Markdown.
    pub question: String,
    pub answer: Answer,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Markdown of each choice, and the index of the right one.
    Single { choices: Vec<String>, right: usize },
    /// Markdown of each choice, and the indices of the right ones in order.
    Multiple { choices: Vec<String>, right: Vec<usize> },
    /// A regular expression that the whole trimmed answer matches, and one answer that does.
    Text { pattern: String, example: String },
}

impl Lab {
    pub fn block(&self, id: &str) -> Option<(&Step, &Block)> {
        self.steps
            .iter()
            .find_map(|step| step.blocks.iter().find(|block| block.id == id).map(|block| (step, block)))
    }
}

impl Step {
    /// The blocks a student must satisfy to be done with this step.
    pub fn tasks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.iter().filter(|block| matches!(block.kind, Kind::Check(_) | Kind::Quiz(_)))
    }
}

impl Answer {
    /// Whether `given` is right: indices of the chosen ones, or the one text.
    pub fn accepts(&self, given: &[String]) -> bool {
        match self {
            Self::Single { right, .. } => indices(given).is_some_and(|chosen| chosen == [*right]),
            Self::Multiple { right, .. } => indices(given).is_some_and(|chosen| chosen == *right),
            Self::Text { pattern, .. } => match given {
                [text] => regex::Regex::new(&format!("^(?:{pattern})$"))
                    .is_ok_and(|pattern| pattern.is_match(text.trim())),
                _ => false,
            },
        }
    }

    /// One right answer, in the form in which a browser sends it.
    pub fn example(&self) -> Vec<String> {
        match self {
            Self::Single { right, .. } => vec![right.to_string()],
            Self::Multiple { right, .. } => right.iter().map(usize::to_string).collect(),
            Self::Text { example, .. } => vec![example.clone()],
        }
    }
}

fn indices(given: &[String]) -> Option<Vec<usize>> {
    let mut chosen = given.iter().map(|text| text.parse().ok()).collect::<Option<Vec<usize>>>()?;
    chosen.sort_unstable();
    chosen.dedup();
    Some(chosen)
}
