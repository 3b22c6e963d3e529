//! Labs as the lab pane shows them. Markdown is rendered by the server (raw HTML in it is escaped), so the
//! browser carries no parser.

use std::collections::BTreeMap;

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
    /// As many as the lab's page counts: an introduction is one.
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
        /// ^C goes first.
        interrupt: bool,
        /// Enter is typed after `text`; false where `text` is raw keys (control characters among them).
        enter: bool,
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
    /// Cuts, heals or worsens cables on click, as [`Block::File`] is written.
    Link {
        id: String,
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
    /// What blocks captured (a join token), by name; a later `run` block's `$NAME` stands for it ([`Progress::fill`]).
    #[serde(default)]
    pub values: BTreeMap<String, String>,
}

impl Progress {
    /// `text` as it is to be typed: captured values in place of their names. Other names are the shell's own.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        let mut from = 0;
        for (range, name) in variables(text) {
            if let Some(value) = self.values.get(name) {
                filled.push_str(&text[from..range.start]);
                filled.push_str(value);
                from = range.end;
            }
        }
        filled.push_str(&text[from..]);
        filled
    }
}

/// Where `$NAME` or `${NAME}` stands in a text, and the name.
pub fn variables(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
    text.match_indices('$').filter_map(move |(at, _)| {
        let rest = &text[at + 1..];
        let letter = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        if let Some(braced) = rest.strip_prefix('{') {
            let name = &braced[..braced.find('}')?];
            return (!name.is_empty() && name.chars().all(letter)).then_some((at..at + name.len() + 3, name));
        }
        let end = rest.find(|c: char| !letter(c)).unwrap_or(rest.len());
        (end > 0).then(|| (at..at + 1 + end, &rest[..end]))
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_values_are_filled_in_and_the_shell_keeps_its_own() {
        let values = BTreeMap::from([("TOKEN".to_owned(), "SWMTKN-1".to_owned())]);
        let progress = Progress { values, ..Progress::default() };
        for (text, typed) in [
            ("join --token $TOKEN 10.0.0.1", "join --token SWMTKN-1 10.0.0.1"),
            ("${TOKEN}x $TOKENS $HOME $ $(id) ${", "SWMTKN-1x $TOKENS $HOME $ $(id) ${"),
            ("plain", "plain"),
        ] {
            assert_eq!(progress.fill(text), typed);
        }
    }
}
