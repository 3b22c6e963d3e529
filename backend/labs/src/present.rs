//! A lab → what the browser gets: Markdown as HTML, and neither scripts of checks nor answers nor solves.

use pulldown_cmark::{Event, Parser, Tag, TagEnd, html};

use drydock_wire::lab as wire;

use crate::lab::{Answer, Block, Kind, Lab, Quiz, Step};
use crate::parse::MARKDOWN;

pub fn summary(lab: &Lab) -> wire::Summary {
    wire::Summary {
        id: lab.id.clone(),
        title: lab.title.clone(),
        summary: lab.summary.clone(),
        level: lab.level.clone(),
        minutes: lab.minutes,
        tags: lab.tags.clone(),
        steps: lab.steps.len() as u32,
    }
}

pub fn lab(lab: &Lab) -> wire::Lab {
    wire::Lab {
        summary: summary(lab),
        nodes: lab.nodes.iter().map(|node| node.hostname.clone()).collect(),
        contents: lab.steps.iter().map(step).collect(),
    }
}

fn step(step: &Step) -> wire::Step {
    wire::Step {
        id: step.id.clone(),
        title: step.title.clone(),
        gated: step.gated,
        blocks: step.blocks.iter().filter_map(block).collect(),
    }
}

/// `None` for what a student never sees.
fn block(block: &Block) -> Option<wire::Block> {
    let id = block.id.clone();
    Some(match &block.kind {
        Kind::Prose(markdown) => wire::Block::Prose { html: html(markdown) },
        Kind::Code { language, text } => wire::Block::Code { language: language.clone(), text: text.clone() },
        Kind::Run(run) => wire::Block::Run {
            id,
            node: run.node.clone(),
            terminal: run.terminal,
            text: run.text.clone(),
            interrupt: run.interrupt,
            enter: run.enter,
        },
        Kind::File(file) => wire::Block::File {
            id,
            node: file.node.clone(),
            path: file.path.clone(),
            text: file.text.clone(),
        },
        Kind::Link(links) => wire::Block::Link { id, text: links.text.clone() },
        Kind::Port(port) => {
            wire::Block::Port { node: port.node.clone(), port: port.port, label: port.label.clone() }
        }
        Kind::Check(check) => {
            wire::Block::Check { id, title: check.title.clone(), continuous: check.continuous }
        }
        Kind::Solve(_) => return None,
        Kind::Hint { title, markdown } => wire::Block::Hint { title: title.clone(), html: html(markdown) },
        Kind::Quiz(quiz) => {
            wire::Block::Quiz { id, question_html: html(&quiz.question), answer: answer(quiz) }
        }
    })
}

fn answer(quiz: &Quiz) -> wire::QuizAnswer {
    let rendered = |choices: &[String]| choices.iter().map(|choice| inline(choice)).collect();
    match &quiz.answer {
        Answer::Single { choices, .. } => wire::QuizAnswer::Single { choices_html: rendered(choices) },
        Answer::Multiple { choices, .. } => wire::QuizAnswer::Multiple { choices_html: rendered(choices) },
        Answer::Text { .. } => wire::QuizAnswer::Text,
    }
}

/// Markdown → HTML that is safe to put into a page: raw HTML is shown as text, links lead to the web or nowhere.
pub fn html(markdown: &str) -> String {
    let mut rendered = String::new();
    let mut linked = Vec::new();
    let events = Parser::new_ext(markdown, MARKDOWN).filter_map(|event| safe(event, &mut linked));
    html::push_html(&mut rendered, events);
    rendered
}

/// A choice's text stands inside a label: without the paragraph around it.
fn inline(markdown: &str) -> String {
    let rendered = html(markdown);
    let rendered = rendered.trim();
    match rendered.strip_prefix("<p>").and_then(|rest| rest.strip_suffix("</p>")) {
        Some(inner) if !inner.contains("<p>") => inner.to_owned(),
        _ => rendered.to_owned(),
    }
}

fn safe<'e>(event: Event<'e>, linked: &mut Vec<bool>) -> Option<Event<'e>> {
    match event {
        Event::Html(raw) | Event::InlineHtml(raw) => Some(Event::Text(raw)),
        Event::Start(Tag::Link { ref dest_url, .. }) => {
            let web = is_web(dest_url);
            linked.push(web);
            web.then(|| {
                let mut opening = "<a target=\"_blank\" rel=\"noopener noreferrer\" href=\"".to_owned();
                escape_attribute(&mut opening, dest_url);
                opening.push_str("\">");
                Event::InlineHtml(opening.into())
            })
        }
        Event::End(TagEnd::Link) => linked.pop().unwrap_or(false).then(|| Event::InlineHtml("</a>".into())),
        Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => None,
        other => Some(other),
    }
}

fn is_web(address: &str) -> bool {
    address.starts_with("https://") || address.starts_with("http://")
}

/// Escapes an address for a double-quoted attribute.
fn escape_attribute(out: &mut String, address: &str) {
    for letter in address.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            plain => out.push(plain),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse;

    #[test]
    fn what_a_student_must_not_see_stays_on_the_server() {
        let text = "---\ntitle: T\nsummary: S\nminutes: 1\n---\n```init hidden\nsecret-init\n```\n\n## One\n\n\
            ```check title=a\nsecret-check\n```\n\n```solve\nsecret-solve\n```\n\nWhich?\n\n- ( ) this\n- (x) that\n\n\
            What?\n\n```answer example=secret-example\nsecret-\\w+\n```\n";
        let shown = lab(&parse("demo", text).unwrap());
        let debug = format!("{shown:?}");
        assert!(!debug.contains("secret"), "{debug}");
        assert!(!debug.contains("right") && !debug.contains("(x)"), "{debug}");
        assert_eq!(shown.summary.steps, 1);
        let answers: Vec<&wire::Block> = shown.contents[0]
            .blocks
            .iter()
            .filter(|block| matches!(block, wire::Block::Quiz { .. }))
            .collect();
        assert_eq!(answers.len(), 2);
    }

    #[test]
    fn html_in_a_lab_is_text_and_links_lead_to_the_web_only() {
        for (markdown, expected) in [
            ("a *b* `c`", "<p>a <em>b</em> <code>c</code></p>\n"),
            ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
            ("x <img src=x onerror=y> z", "<p>x &lt;img src=x onerror=y&gt; z</p>\n"),
            ("[x](javascript:alert(1))", "<p>x</p>\n"),
            (
                "[x](https://a.example/?b=1&c=\"2\")",
                "<p><a target=\"_blank\" rel=\"noopener noreferrer\" href=\"https://a.example/?b=1&amp;c=&quot;2&quot;\">x</a></p>\n",
            ),
            ("now [open it](port:node1:80)", "<p>now open it</p>\n"),
        ] {
            assert_eq!(html(markdown), expected, "{markdown}");
        }
        assert_eq!(inline("a `b`"), "a <code>b</code>");
    }
}
