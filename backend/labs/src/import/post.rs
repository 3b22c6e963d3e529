//! Play-with-docker's training posts: Jekyll Markdown whose fences `.termN` are typed into terminal N, each a node of
//! its own, with `{:.quiz}` lists and links that carry `data-term` and `data-port`.

use regex::Captures;
use serde::Deserialize;

use super::{Untranslatable, fence, head, is_markup, pattern, without_images};

#[derive(Debug, Deserialize)]
struct Front {
    title: String,
    #[serde(default)]
    tags: Words,
    #[serde(default)]
    categories: Words,
    #[serde(default = "one")]
    terms: u32,
}

/// `a, b` or `[a, b]`, or nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(untagged)]
enum Words {
    List(Vec<String>),
    Text(String),
    /// `tags:` with nothing behind it.
    #[default]
    Nothing,
}

impl Words {
    fn list(self) -> Vec<String> {
        match self {
            Self::Nothing => Vec::new(),
            Self::List(words) => words,
            Self::Text(text) => {
                text.split([',', ' ']).filter(|word| !word.is_empty()).map(str::to_owned).collect()
            }
        }
    }
}

fn one() -> u32 {
    1
}

/// The text of a `lab.md` with the same content.
pub fn translate(post: &str) -> Result<String, Untranslatable> {
    let post = post.replace("\r\n", "\n");
    let rest = post.strip_prefix("---\n").ok_or(Untranslatable::NoFrontMatter)?;
    let (yaml, body) = rest.split_once("\n---").ok_or(Untranslatable::NoFrontMatter)?;
    let body = body.split_once('\n').map_or("", |(_, body)| body);
    let front: Front = serde_yaml_ng::from_str(yaml).map_err(Untranslatable::FrontMatter)?;
    let levels = front.categories.list();
    let level = levels
        .iter()
        .map(String::as_str)
        .find(|word| ["beginner", "intermediate", "advanced"].contains(word))
        .unwrap_or("beginner");
    let mut text =
        head(&front.title, &summary(body, &front.title), level, &front.tags.list(), front.terms.max(1));
    text.push_str(&translate_body(body));
    Ok(text)
}

/// The first line of prose.
fn summary(body: &str, title: &str) -> String {
    let prose = |line: &&str| line.starts_with(|c: char| c.is_alphabetic()) && !line.contains(['{', '<']);
    body.lines().map(str::trim).find(prose).unwrap_or(title).to_owned()
}

fn translate_body(body: &str) -> String {
    let top = headings(body).map(|(level, _)| level).min();
    let mut text = String::new();
    if top.is_none() {
        text.push_str("## Lab {#step-1}\n\n");
    }
    let mut open: Option<&str> = None;
    let mut steps = 0;
    for line in body.lines() {
        let translated = match (fence(line), open) {
            (Some((marks, "")), Some(opened)) if marks.len() >= opened.len() => {
                open = None;
                line.trim_start().to_owned()
            }
            (_, Some(_)) => line.to_owned(),
            (Some((marks, info)), None) => {
                open = Some(marks);
                format!("{marks}{}", block(info))
            }
            (None, None) if is_markup(line) || is_attribute(line) => continue,
            (None, None) => match heading(line) {
                Some((level, title)) if Some(level) == top => {
                    steps += 1;
                    format!("## {title} {{#step-{steps}}}")
                }
                Some((_, title)) => format!("### {title}"),
                None => prose(line),
            },
        };
        text.push_str(&translated);
        text.push('\n');
    }
    text
}

/// What stands behind the backticks: a terminal, or a language alone.
fn block(info: &str) -> String {
    match info.trim().strip_prefix(".term").and_then(|number| number.parse::<u32>().ok()) {
        Some(number) => format!("run node=node{number}"),
        None => info
            .trim()
            .split(|c: char| !c.is_ascii_alphanumeric())
            .find(|word| !word.is_empty() && !CLAIMED.contains(word))
            .unwrap_or_default()
            .to_owned(),
    }
}

/// Words which would make a block of ours of a fence.
const CLAIMED: &[&str] = &["run", "file", "check", "solve", "init", "hint", "answer"];

fn headings(body: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut open: Option<usize> = None;
    body.lines().filter_map(move |line| {
        match (fence(line), open) {
            (Some((marks, "")), Some(length)) if marks.len() >= length => open = None,
            (Some((marks, _)), None) => open = Some(marks.len()),
            _ => {}
        }
        if open.is_some() { None } else { heading(line) }
    })
}

/// Level and title, without kramdown's attributes.
fn heading(line: &str) -> Option<(usize, &str)> {
    let title = line.trim_start_matches('#');
    let level = line.len() - title.len();
    let title = title.split('{').next().unwrap_or_default().trim().trim_end_matches('#').trim();
    ((1..=6).contains(&level) && !title.is_empty()).then_some((level, title))
}

/// `{:.quiz}`, and Liquid's tags.
fn is_attribute(line: &str) -> bool {
    pattern(r"^\s*(\{:[^}]*\}|\{%.*%\})\s*$").is_match(line)
}

fn prose(line: &str) -> String {
    let line = pattern(r"\[([^\]]*)\]\([^)]*\)((?:\{:[^}]*\})+)").replace_all(line, port_link);
    let line = pattern(r"\{:[^}]*\}|\{%.*?%\}|\{\{.*?\}\}").replace_all(&line, "");
    let line = pattern(r"^(\s*[-*+] )\[X\]").replace(&line, "$1[x]");
    without_images(&line)
}

fn port_link(link: &Captures) -> String {
    let attribute = |name: &str| {
        let found = pattern(&format!(r#"{name}\s*=\s*["']?([^"'}}]+)"#))
            .captures(&link[2])
            .map(|found| found[1].to_owned());
        found.unwrap_or_default()
    };
    let node = attribute("data-term").trim_start_matches(".term").parse::<u32>();
    match (node, attribute("data-port").parse::<u16>()) {
        (Ok(node), Ok(port)) => format!("[{}](port:node{node}:{port})", &link[1]),
        _ => link[1].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::{Answer, Kind};
    use crate::parse;

    const POST: &str = r#"---
layout: post
title:  "Two nodes: a \"stack\""
date: 2017-01-28
tags: [linux, operations]
categories: intermediate
terms: 2
---
Let us deploy.

{:.no_toc}
## Begin {#begin}

![swarm](/images/swarm.png)

```.term1
docker swarm init
# not a heading
```

```.term2
docker info
```

## Begin

```bash
$ looks like this
```

It runs: [APP](/){:data-term=".term1"}{:data-port="5000"}

{:.quiz}
What is a stack?
- (x) services
- ( ) hay

{:.quiz}
It can:
- [X] grow
- [ ] fly
"#;

    #[test]
    fn a_post_becomes_a_lab() {
        let text = translate(POST).unwrap();
        let lab = parse("stack", &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        assert_eq!((lab.title.as_str(), lab.level.as_str()), ("Two nodes: a \"stack\"", "intermediate"));
        assert_eq!((lab.summary.as_str(), lab.nodes.len()), ("Let us deploy.", 2));
        let titles: Vec<&str> = lab.steps.iter().map(|step| step.title.as_str()).collect();
        assert_eq!(titles, ["Introduction", "Begin", "Begin"]);
        let kinds = |step: usize| lab.steps[step].blocks.iter().map(|block| &block.kind).collect::<Vec<_>>();
        assert!(matches!(kinds(1)[..], [Kind::Prose(_), Kind::Run(first), Kind::Run(second)]
            if first.text == "docker swarm init\n# not a heading" && second.node == "node2"));
        assert!(
            matches!(&kinds(2)[..], [Kind::Code { language, .. }, Kind::Prose(_), Kind::Port(port), Kind::Quiz(one), Kind::Quiz(several)]
            if language == "bash" && port.port == 5000
            && matches!(&one.answer, Answer::Single { right: 0, .. })
            && matches!(&several.answer, Answer::Multiple { right, .. } if right == &[0])),
            "{:#?}",
            kinds(2)
        );
    }

    #[test]
    fn what_is_no_post_is_refused() {
        assert!(translate("---\ntitle: T\ntags:\n---\nText.\n").unwrap().contains("## Lab"));
        assert!(matches!(translate("# A file\n"), Err(Untranslatable::NoFrontMatter)));
        assert!(matches!(translate("---\ntitle: [\n---\n"), Err(Untranslatable::FrontMatter(_))));
    }
}
