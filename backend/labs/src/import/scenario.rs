//! Killercoda's scenarios: an `index.json` that names Markdown files and scripts, with `{{exec}}` behind what is run by
//! click and `{{TRAFFIC_HOST1_80}}` where a port is linked.

use std::io;

use regex::Captures;
use serde::Deserialize;

use super::{Untranslatable, fence, head, is_markup, pattern, without_images};

#[derive(Debug, Deserialize)]
struct Index {
    title: String,
    #[serde(default)]
    description: String,
    details: Details,
}

#[derive(Debug, Deserialize)]
struct Details {
    #[serde(default)]
    intro: Page,
    #[serde(default)]
    steps: Vec<Page>,
    #[serde(default)]
    finish: Page,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Page {
    title: String,
    /// Names of files beside `index.json`.
    text: Option<String>,
    foreground: Option<String>,
    background: Option<String>,
    verify: Option<String>,
}

/// The text of a `lab.md` with the same content. `read` gives a file beside `index.json` by its name there.
pub fn translate(index: &str, read: impl Fn(&str) -> io::Result<String>) -> Result<String, Untranslatable> {
    let index: Index = serde_json::from_str(index).map_err(Untranslatable::Index)?;
    let load = |name: &Option<String>| match name {
        None => Ok(String::new()),
        Some(name) => read(name).map_err(|source| Untranslatable::Missing { name: name.clone(), source }),
    };
    let details = &index.details;
    let mut body = String::new();
    for script in [&details.intro.background, &details.intro.foreground] {
        push_fence(&mut body, "init hidden", &load(script)?);
    }
    if details.steps.is_empty() {
        body.push_str("\n## Begin {#begin}\n\n");
    }
    body.push_str(&translate_page(&load(&details.intro.text)?));
    let mut gate = "";
    for (number, page) in (1..).zip(&details.steps) {
        let title = if page.title.is_empty() { format!("Step {number}") } else { plain(&page.title) };
        body.push_str(&format!("\n## {title} {{{gate}#step-{number}}}\n\n"));
        for script in [&page.background, &page.foreground] {
            push_fence(&mut body, "run", load(script)?.trim_start_matches("#!/bin/bash"));
        }
        body.push_str(&translate_page(&load(&page.text)?));
        let verify = load(&page.verify)?;
        push_fence(&mut body, "check title=\"The step is done\" on-demand timeout=60", &verify);
        gate = if verify.is_empty() { "" } else { "gated " };
    }
    if details.finish.text.is_some() {
        body.push_str(&format!("\n## Finish {{{gate}#finish}}\n\n"));
        body.push_str(&translate_page(&load(&details.finish.text)?));
    }
    let link = pattern(r"port:node(\d+):");
    let nodes = link.captures_iter(&body).filter_map(|host| host[1].parse().ok()).max().unwrap_or(1);
    let summary = if index.description.is_empty() { &index.title } else { &index.description };
    Ok(head(&index.title, summary, "beginner", &[], nodes) + &body)
}

fn push_fence(body: &mut String, info: &str, script: &str) {
    let script = script.trim();
    if !script.is_empty() {
        body.push_str(&format!("\n````{info}\n{script}\n````\n\n"));
    }
}

/// Braces behind a heading's title would be its attributes.
fn plain(title: &str) -> String {
    title.replace(['{', '}'], "")
}

fn translate_page(page: &str) -> String {
    let mut text = String::new();
    // Lines of the fence that is open, its backticks first.
    let mut open: Option<(String, Vec<&str>)> = None;
    // Commands met inside a paragraph, which become blocks behind it.
    let mut pending = Vec::new();
    for line in page.lines() {
        match (fence(line), &mut open) {
            (Some((marks, action)), Some((opened, lines)))
                if marks.len() >= opened.trim_end_matches(|c| c != '`').len()
                    && (action.trim().is_empty() || action.trim_start().starts_with("{{")) =>
            {
                let (info, script) = (info(action.trim(), opened), lines.join("\n"));
                text.push_str(&format!("````{info}\n{script}\n````\n"));
                open = None;
            }
            (_, Some((_, lines))) => lines.push(line),
            (Some((marks, language)), None) => {
                open = Some((format!("{marks}{}", language.trim()), Vec::new()))
            }
            (None, None) if is_markup(line) => {}
            (None, None) => {
                if line.trim().is_empty() {
                    flush(&mut text, &mut pending);
                }
                text.push_str(&prose(line, &mut pending));
                text.push('\n');
            }
        }
    }
    flush(&mut text, &mut pending);
    text
}

fn flush(text: &mut String, pending: &mut Vec<(String, String)>) {
    for (action, command) in pending.drain(..) {
        text.push_str(&format!("\n````{action}\n{command}\n````\n\n"));
    }
}

/// What a fence becomes by the words in braces behind its end.
fn info(action: &str, opened: &str) -> String {
    match run(action) {
        Some(run) => run,
        None => {
            let language = opened.trim_start_matches('`');
            language.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default().to_owned()
        }
    }
}

/// `{{exec}}`, `{{exec interrupt}}`, `{{execute T2}}`.
fn run(action: &str) -> Option<String> {
    let words = action.strip_prefix("{{")?.strip_suffix("}}")?;
    let mut words = words.split([' ', '\'', '"']);
    let first = words.next()?;
    if !matches!(first, "exec" | "execute") {
        return None;
    }
    let mut run = "run".to_owned();
    for word in words {
        match word.strip_prefix('T').and_then(|number| number.parse::<u32>().ok()) {
            Some(number) => run.push_str(&format!(" terminal={number}")),
            None if word == "interrupt" => run.push_str(" interrupt"),
            None => {}
        }
    }
    Some(run)
}

fn prose(line: &str, pending: &mut Vec<(String, String)>) -> String {
    let line = match line.trim_start_matches('#') {
        title if title.len() < line.len() && title.starts_with(' ') => format!("### {}", plain(title.trim())),
        _ => line.to_owned(),
    };
    let line = pattern(r"`([^`]+)`(\{\{[^}]*\}\})").replace_all(&line, |found: &Captures| {
        if let Some(run) = run(&found[2]) {
            pending.push((run, found[1].to_owned()));
        }
        format!("`{}`", &found[1])
    });
    let line = pattern(r"\]\(\{\{TRAFFIC_HOST(\d+)_(\d+)\}\}[^)]*\)").replace_all(&line, "](port:node$1:$2)");
    let line = pattern(r"\{\{TRAFFIC_HOST(\d+)_(\d+)\}\}\S*").replace_all(&line, "[port $2](port:node$1:$2)");
    without_images(&line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::Kind;
    use crate::parse;

    const INDEX: &str = r#"{"title": "Ports", "description": "See: them", "details": {
        "intro": {"text": "intro.md", "background": "prepare.sh"},
        "steps": [
            {"title": "Serve", "text": "step1.md", "verify": "verify.sh"},
            {"text": "step2.md", "foreground": "prepare.sh"}],
        "finish": {"text": "intro.md"}},
        "backend": {"imageid": "ubuntu"}}"#;

    fn file(name: &str) -> io::Result<String> {
        Ok(match name {
            "intro.md" => "<br>\n\n# Welcome\n\nHello.\n",
            "prepare.sh" => "#!/bin/bash\ntouch prepared\n",
            "step1.md" => {
                "### Serve\n\nRun `docker ps`{{exec}} and `copy`{{copy}}.\n\n```bash\ndocker run -d \\\n  nginx\n```{{exec interrupt}}\n\n```yaml\na: b\n```{{copy}}\n\n[Open]({{TRAFFIC_HOST2_80}}/x)\n"
            }
            "verify.sh" => "docker ps | grep nginx\n",
            "step2.md" => "`top`{{execute T2}}\n",
            other => return Err(io::Error::new(io::ErrorKind::NotFound, other.to_owned())),
        }
        .to_owned())
    }

    #[test]
    fn a_scenario_becomes_a_lab() {
        let text = translate(INDEX, file).unwrap();
        let lab = parse("ports", &text).unwrap_or_else(|problems| panic!("{problems:?}\n{text}"));
        assert_eq!((lab.title.as_str(), lab.summary.as_str(), lab.nodes.len()), ("Ports", "See: them", 2));
        assert_eq!(lab.init[0].script, "#!/bin/bash\ntouch prepared\n");
        let steps: Vec<(&str, bool)> =
            lab.steps.iter().map(|step| (step.title.as_str(), step.gated)).collect();
        assert_eq!(steps, [("Introduction", false), ("Serve", false), ("Step 2", true), ("Finish", false)]);
        let kinds = |step: usize| lab.steps[step].blocks.iter().map(|block| &block.kind).collect::<Vec<_>>();
        assert!(
            matches!(&kinds(1)[..], [Kind::Prose(_), Kind::Run(inline), Kind::Run(fenced), Kind::Code { .. }, Kind::Port(port), Kind::Check(check)]
            if inline.text == "docker ps" && fenced.interrupt && fenced.text == "docker run -d \\\n  nginx"
            && port.node == "node2" && !check.continuous),
            "{:#?}",
            kinds(1)
        );
        assert!(
            matches!(kinds(2)[..], [Kind::Run(prepare), Kind::Prose(_), Kind::Run(top)]
            if prepare.text == "touch prepared" && top.terminal == 2),
            "{:#?}",
            kinds(2)
        );
    }

    #[test]
    fn a_scenario_of_one_page_has_one_step() {
        let index = r#"{"title": "T", "details": {"intro": {"text": "intro.md"}}}"#;
        let lab = parse("one", &translate(index, file).unwrap()).unwrap();
        assert_eq!(lab.steps.len(), 1);
    }

    #[test]
    fn a_missing_file_is_named() {
        let index = r#"{"title": "T", "details": {"steps": [{"text": "nowhere.md"}]}}"#;
        let error = translate(index, file).unwrap_err();
        assert_eq!(error.to_string(), "index.json names nowhere.md, which cannot be read");
        assert!(matches!(translate("{", file), Err(Untranslatable::Index(_))));
    }
}
