//! How labs are read: one flat shape for what is tagged or nested in Rust.
//!
//! serde reads an internally tagged enum or a flattened struct into a tree of its own first, and that machinery was a
//! fifth of what the browser had to load. The JSON is the same.

use serde::Deserialize;

use super::{Block, Lab, QuizAnswer, Step, Summary};

#[derive(Deserialize)]
pub struct FlatLab {
    id: String,
    title: String,
    summary: String,
    level: String,
    minutes: u32,
    tags: Vec<String>,
    steps: u32,
    nodes: Vec<String>,
    contents: Vec<Step>,
}

impl From<FlatLab> for Lab {
    fn from(flat: FlatLab) -> Self {
        let FlatLab { id, title, summary, level, minutes, tags, steps, nodes, contents } = flat;
        Self { summary: Summary { id, title, summary, level, minutes, tags, steps }, nodes, contents }
    }
}

/// The fields of all kinds; those of the other kinds stay empty.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct FlatBlock {
    kind: String,
    id: String,
    node: String,
    terminal: u32,
    text: String,
    interrupt: bool,
    enter: Option<bool>,
    html: String,
    language: String,
    path: String,
    port: u16,
    label: String,
    title: String,
    continuous: bool,
    question_html: String,
    answer: FlatAnswer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct FlatAnswer {
    form: String,
    choices_html: Vec<String>,
}

impl TryFrom<FlatBlock> for Block {
    type Error = &'static str;

    fn try_from(flat: FlatBlock) -> Result<Self, Self::Error> {
        let FlatBlock { id, node, text, html, title, .. } = flat;
        Ok(match flat.kind.as_str() {
            "prose" => Self::Prose { html },
            "run" => Self::Run {
                id,
                node,
                text,
                terminal: flat.terminal,
                interrupt: flat.interrupt,
                enter: flat.enter.unwrap_or(true),
            },
            "code" => Self::Code { language: flat.language, text },
            "file" => Self::File { id, node, path: flat.path, text },
            "port" => Self::Port { node, port: flat.port, label: flat.label },
            "check" => Self::Check { id, title, continuous: flat.continuous },
            "hint" => Self::Hint { title, html },
            "quiz" => Self::Quiz { id, question_html: flat.question_html, answer: flat.answer.try_into()? },
            _ => return Err("no such kind of block"),
        })
    }
}

impl TryFrom<FlatAnswer> for QuizAnswer {
    type Error = &'static str;

    fn try_from(FlatAnswer { form, choices_html }: FlatAnswer) -> Result<Self, Self::Error> {
        match form.as_str() {
            "single" => Ok(Self::Single { choices_html }),
            "multiple" => Ok(Self::Multiple { choices_html }),
            "text" => Ok(Self::Text),
            _ => Err("no such form of answer"),
        }
    }
}
