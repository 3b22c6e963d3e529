//! Labs as the lab pane shows them. Markdown is rendered by the server (raw HTML in it is escaped), so the
//! browser carries no parser.

use serde::{Deserialize, Serialize};

/// A row of `GET /labs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The folder's name; `GET /labs/{id}` is the whole lab.
    pub id: String,
    pub title: String,
    pub summary: String,
    pub level: String,
    pub minutes: u32,
    pub tags: Vec<String>,
    pub steps: u32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lab {
    #[serde(flatten)]
    pub summary: Summary,
    /// Hostnames of the nodes it wants, in order.
    pub nodes: Vec<String>,
    pub contents: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub id: String,
    pub title: String,
    /// Closed until every check of the step before holds.
    pub gated: bool,
    pub blocks: Vec<Block>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// Rendered Markdown.
    Prose {
        html: String,
    },
    /// Typed into a terminal on click. `terminal` counts from 1 in its node and is made when missing.
    Run {
        id: String,
        node: String,
        terminal: u32,
        text: String,
        interrupt: bool,
    },
    /// Shown, with a copy button only.
    Code {
        language: String,
        text: String,
    },
    /// Written to `path` on `node` on click (`POST /sessions/{s}/lab/blocks/{id}`).
    File {
        id: String,
        node: String,
        path: String,
        text: String,
    },
    /// Opens a published port of `node`.
    Port {
        node: String,
        port: u16,
        label: String,
    },
    /// Watched by the server; its state comes with [`Progress`].
    Check {
        id: String,
        title: String,
        continuous: bool,
    },
    Hint {
        title: String,
        html: String,
    },
    Quiz {
        id: String,
        question_html: String,
        answer: QuizAnswer,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum QuizAnswer {
    Single { choices_html: Vec<String> },
    Multiple { choices_html: Vec<String> },
    Text,
}

/// `lab progress`: sent whole when it changes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    pub lab: String,
    /// `preparing` until nodes and init scripts are done, `running`, `completed`, or `failed` (`message` says why).
    pub state: String,
    pub message: String,
    /// In the lab's order.
    pub steps: Vec<StepProgress>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StepProgress {
    pub id: String,
    pub open: bool,
    pub done: bool,
    pub checks: Vec<CheckProgress>,
}

/// A check's or a quiz's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckProgress {
    pub id: String,
    /// `waiting`, `checking`, `passed` or `failed`.
    pub state: String,
    /// The hint the check printed, for the student.
    pub output: String,
}
