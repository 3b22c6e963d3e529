//! Labs of other platforms → the text of a `lab.md`. Pure: text in, text out, then read as any lab.
//!
//! [`post`] knows play-with-docker's training posts, [`scenario`] Killercoda's scenarios.

pub mod post;
pub mod scenario;

use regex::Regex;

/// Why a foreign lab cannot become one of ours.
#[derive(Debug, thiserror::Error)]
pub enum Untranslatable {
    #[error("the post begins with front matter between two `---` lines")]
    NoFrontMatter,
    #[error("front matter")]
    FrontMatter(#[source] serde_yaml_ng::Error),
    #[error("index.json")]
    Index(#[source] serde_json::Error),
    #[error("index.json names {name}, which cannot be read")]
    Missing { name: String, source: std::io::Error },
}

/// The head of a `lab.md`. `summary` and `title` may hold anything.
fn head(title: &str, summary: &str, level: &str, tags: &[String], nodes: u32) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let tags: Vec<String> = tags.iter().map(|tag| quoted(tag)).collect();
    let nodes: Vec<String> = (1..=nodes).map(|number| format!("node{number}")).collect();
    format!(
        "---\ntitle: {}\nsummary: {}\nlevel: {level}\nminutes: 30\ntags: [{}]\nnodes: [{}]\n---\n\n",
        quoted(title),
        quoted(summary),
        tags.join(", "),
        nodes.join(", ")
    )
}

/// A line that opens or closes a fence: its backticks, and what stands behind them.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let length = line.len() - line.trim_start_matches('`').len();
    (length >= 3).then(|| line.split_at(length))
}

/// The lab pane shows no images; their words stay.
fn without_images(line: &str) -> String {
    pattern(r"!\[([^\]]*)\]\([^)]*\)").replace_all(line, "*$1*").replace("**", "")
}

/// A line that holds nothing but HTML tags.
fn is_markup(line: &str) -> bool {
    pattern(r"^\s*(<[^>]+>\s*)+$").is_match(line)
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern of this crate is one")
}
