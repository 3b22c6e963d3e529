//! `lab.md` → [`Lab`]. Pure: text in, a lab or every problem with its line out.
//!
//! The file is Markdown, cut at its top level: `## ` headings begin steps, fences whose first word is known become
//! blocks, a list of `( )` or `[ ]` items becomes a quiz, and all between them stays prose. A fence inside a list
//! or a quotation is prose too.

mod blocks;
mod fence;
mod front;
mod links;
mod quiz;

use std::collections::HashSet;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

use crate::lab::{Answer, Block, INTRODUCTION, Init, Kind, Lab, Port, Quiz, Role, Step};

pub(crate) const MARKDOWN: Options =
    Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH).union(Options::ENABLE_HEADING_ATTRIBUTES);

/// Something wrong at a line, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub line: u32,
    pub fault: Fault,
}

#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Fault {
    #[error("the file begins with front matter between two `---` lines")]
    NoFrontMatter,
    #[error("front matter: {reason}")]
    FrontMatter { reason: String },
    #[error("`{level}` is not a level: beginner, intermediate or advanced")]
    Level { level: String },
    #[error("`{hostname}` is not a node's name: node1, node2, … in order")]
    NodeName { hostname: String },
    #[error("the swarm has no manager: `swarm: manager`")]
    NoManager,
    #[error("the lab has no `## ` step")]
    NoSteps,
    #[error("a step's heading takes `{{gated}}` and `{{#id}}`, not `{attribute}`")]
    HeadingAttribute { attribute: String },
    #[error("the id `{id}` is taken already")]
    DuplicateId { id: String },
    #[error("`{id}` is not an id: small letters, digits and `-`")]
    BadId { id: String },
    #[error("`{kind}` is not a kind of block, and a code fence takes a language alone")]
    UnknownKind { kind: String },
    #[error("`{kind}` knows no attribute `{attribute}`")]
    UnknownAttribute { kind: String, attribute: String },
    #[error("`{kind}` wants `{attribute}=…`")]
    MissingAttribute { kind: String, attribute: &'static str },
    #[error("`{attribute}` is given twice")]
    RepeatedAttribute { attribute: String },
    #[error("`{attribute}` wants a value: `{attribute}=…`")]
    NoValue { attribute: String },
    #[error("`{attribute}` takes no value")]
    UnwantedValue { attribute: String },
    #[error("`{value}` is not a value of `{attribute}`")]
    BadValue { attribute: String, value: String },
    #[error("a quotation mark is never closed")]
    UnclosedQuote,
    #[error("the lab has no node `{node}`")]
    MissingNode { node: String },
    #[error(
        "`{line}` is not one of `cut`, `heal` and `lose 30%` with nodes, and perhaps `|` and the nodes across"
    )]
    LinkOrder { line: String },
    #[error("the fence is never closed")]
    UnclosedFence,
    #[error("the block is empty")]
    Empty,
    #[error("`init` stands before the first step")]
    InitInStep,
    #[error("a quiz stands below a paragraph that asks")]
    NoQuestion,
    #[error("every item of a quiz begins with `( )` or `(x)`, or every one with `[ ]` or `[x]`")]
    MixedQuiz,
    #[error("no answer is marked right")]
    NothingRight,
    #[error("only one answer of a `( )` quiz is right; use `[ ]` for several")]
    SeveralRight,
    #[error("the answer's pattern: {reason}")]
    Pattern { reason: String },
    #[error("the example `{example}` does not match the pattern")]
    Example { example: String },
    #[error("`{link}` is not a port link: `port:node1:8080`")]
    PortLink { link: String },
    #[error("nothing in this step says when it is done: no check and no quiz")]
    NoTask,
    #[error("this check could not fail: its script is only comments")]
    IdleCheck,
    #[error("`${name}` is used before a block captures it")]
    UnknownCapture { name: String },
    #[error("images are not shown in the lab pane")]
    Image,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.line, self.fault)
    }
}

/// Reads the text of `<id>/lab.md`.
pub fn parse(id: &str, text: &str) -> Result<Lab, Vec<Problem>> {
    let (front, body) = front::read(text).map_err(|problem| vec![problem])?;
    let nodes = front.nodes();
    let mut cutter = Cutter::new(text, nodes.iter().map(|node| node.hostname.clone()).collect());
    for (index, node) in nodes.iter().enumerate() {
        // Hostnames are what the playground gives its nodes, in the order in which they are made.
        if node.hostname != format!("node{}", index + 1) {
            cutter.report(1, Fault::NodeName { hostname: node.hostname.clone() });
        }
    }
    let swarm: Vec<Role> = nodes.iter().filter_map(|node| node.swarm).collect();
    if !swarm.is_empty() && !swarm.contains(&Role::Manager) {
        cutter.report(1, Fault::NoManager);
    }
    cutter.cut(body);
    let Cutter { steps, init, problems, .. } = cutter;
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Lab {
        id: id.to_owned(),
        title: front.title,
        summary: front.summary,
        level: front.level,
        minutes: front.minutes,
        tags: front.tags,
        nodes,
        init,
        steps,
    })
}

/// Cuts the body into steps and blocks, in one pass over the top level of the Markdown.
struct Cutter<'a> {
    text: &'a str,
    nodes: Vec<String>,
    steps: Vec<Step>,
    init: Vec<Init>,
    problems: Vec<Problem>,
    ids: HashSet<String>,
    /// Top-level pieces of prose not yet made a block; whether each is a paragraph.
    prose: Vec<Piece>,
}

struct Piece {
    start: usize,
    end: usize,
    paragraph: bool,
}

/// One top-level element of the document, with its events.
struct Element<'a> {
    start: usize,
    end: usize,
    events: Vec<(Event<'a>, std::ops::Range<usize>)>,
}

impl<'a> Cutter<'a> {
    fn new(text: &'a str, nodes: Vec<String>) -> Self {
        Self {
            text,
            nodes,
            steps: Vec::new(),
            init: Vec::new(),
            problems: Vec::new(),
            ids: HashSet::from([INTRODUCTION.to_owned()]),
            prose: Vec::new(),
        }
    }

    fn cut(&mut self, body: usize) {
        self.steps.push(Step {
            line: self.line(body),
            id: INTRODUCTION.to_owned(),
            title: "Introduction".to_owned(),
            gated: false,
            blocks: Vec::new(),
        });
        for element in elements(self.text, body) {
            self.element(element);
        }
        self.flush();
        if self.steps.len() == 1 {
            self.report(self.line(self.text.len()), Fault::NoSteps);
        }
        if self.steps[0].blocks.is_empty() {
            self.steps.remove(0);
        }
    }

    fn element(&mut self, element: Element<'a>) {
        match &element.events[0].0 {
            // The title, for readers of the plain file; the page takes the front matter's.
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) => {}
            Event::Start(Tag::Heading { level: HeadingLevel::H2, id, attrs, .. }) => {
                let id = id.as_ref().map(ToString::to_string);
                let attributes: Vec<String> = attrs.iter().map(|(name, _)| name.to_string()).collect();
                self.heading(&element, id, &attributes);
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let info = info.to_string();
                self.fence(&element, &info);
            }
            Event::Start(Tag::List(_)) => self.list(&element),
            Event::Start(Tag::Paragraph) => self.paragraph(&element),
            _ => self.keep(&element, false),
        }
    }

    fn heading(&mut self, element: &Element, id: Option<String>, attributes: &[String]) {
        self.flush();
        let line = self.line(element.start);
        let title: String = element.events.iter().filter_map(|(event, _)| text_of(event)).collect();
        if let Some(attribute) = attributes.iter().find(|name| *name != "gated") {
            self.report(line, Fault::HeadingAttribute { attribute: attribute.clone() });
        }
        let id = id.unwrap_or_else(|| slug(&title));
        self.claim(line, &id);
        let gated = attributes.iter().any(|name| name == "gated");
        self.steps.push(Step { line, id, title, gated, blocks: Vec::new() });
    }

    fn fence(&mut self, element: &Element, info: &str) {
        let line = self.line(element.start);
        let source = &self.text[element.start..element.end];
        if !is_closed(source) {
            return self.report(line, Fault::UnclosedFence);
        }
        let text: String = element.events.iter().filter_map(|(event, _)| text_of(event)).collect();
        match blocks::read(info, &text, &self.nodes) {
            Err(fault) => self.report(line, fault),
            Ok(blocks::Read::Init { init, hidden }) => {
                if self.steps.len() > 1 {
                    return self.report(line, Fault::InitInStep);
                }
                if !hidden {
                    let shown = Kind::Code { language: "sh".to_owned(), text: init.script.clone() };
                    self.push(line, None, shown);
                }
                self.init.push(Init { line, ..init });
            }
            Ok(blocks::Read::Answer { answer, id }) => self.quiz(line, id, answer),
            Ok(blocks::Read::Block { kind, id }) => self.push(line, id, kind),
        }
    }

    fn list(&mut self, element: &Element) {
        let line = self.line(element.start);
        let items: Option<Vec<&str>> =
            top_items(element).into_iter().map(|range| quiz::item_text(&self.text[range])).collect();
        match items.as_deref().and_then(quiz::choices) {
            None => self.keep(element, false),
            Some(Err(fault)) => self.report(line, fault),
            Some(Ok(answer)) => self.quiz(line, None, answer),
        }
    }

    /// The last paragraph of the pending prose is what the quiz asks.
    fn quiz(&mut self, line: u32, id: Option<String>, answer: Answer) {
        match self.prose.pop() {
            Some(Piece { start, end, paragraph: true }) => {
                let question = self.text[start..end].trim().to_owned();
                self.push(line, id, Kind::Quiz(Quiz { question, answer }));
            }
            _ => self.report(line, Fault::NoQuestion),
        }
    }

    /// A link `[label](port:node1:8080)` becomes a block of its own after its paragraph, or instead of it where it stands
    /// alone in one.
    fn paragraph(&mut self, element: &Element) {
        let links = port_links(element);
        let alone = links.len() == 1 && {
            let inside = &element.events[1..element.events.len() - 1];
            matches!(inside.first(), Some((Event::Start(Tag::Link { .. }), _)))
                && matches!(inside.last(), Some((Event::End(TagEnd::Link), _)))
                && inside.iter().filter(|(event, _)| matches!(event, Event::Start(Tag::Link { .. }))).count()
                    == 1
        };
        if !alone {
            self.keep(element, true);
        }
        for (at, link, label) in links {
            let line = self.line(at);
            match port(&link, label) {
                None => self.report(line, Fault::PortLink { link }),
                Some(port) if !self.nodes.contains(&port.node) => {
                    self.report(line, Fault::MissingNode { node: port.node });
                }
                Some(port) => self.push(line, None, Kind::Port(port)),
            }
        }
    }

    fn keep(&mut self, element: &Element, paragraph: bool) {
        let image = element.events.iter().find(|(event, _)| matches!(event, Event::Start(Tag::Image { .. })));
        if let Some((_, range)) = image {
            self.report(self.line(range.start), Fault::Image);
        }
        self.prose.push(Piece { start: element.start, end: element.end, paragraph });
    }

    fn push(&mut self, line: u32, id: Option<String>, kind: Kind) {
        self.flush();
        self.add(line, id, kind);
    }

    fn flush(&mut self) {
        let pieces = std::mem::take(&mut self.prose);
        let Some(first) = pieces.first() else { return };
        let markdown: String = pieces
            .iter()
            .map(|piece| self.text[piece.start..piece.end].trim_end())
            .collect::<Vec<_>>()
            .join("\n\n");
        self.add(self.line(first.start), None, Kind::Prose(markdown));
    }

    fn add(&mut self, line: u32, id: Option<String>, kind: Kind) {
        let step = self.steps.last().expect("the introduction is always there");
        let name = name(&kind);
        let earlier = step.blocks.iter().filter(|block| self::name(&block.kind) == name).count();
        let id = id.unwrap_or_else(|| format!("{}-{name}-{}", step.id, earlier + 1));
        self.claim(line, &id);
        self.steps.last_mut().expect("as above").blocks.push(Block { line, id, kind });
    }

    /// Ids stand in paths, so they are plain.
    fn claim(&mut self, line: u32, id: &str) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if id.is_empty() || !id.chars().all(plain) {
            self.report(line, Fault::BadId { id: id.to_owned() });
        } else if !self.ids.insert(id.to_owned()) {
            self.report(line, Fault::DuplicateId { id: id.to_owned() });
        }
    }

    fn report(&mut self, line: u32, fault: Fault) {
        self.problems.push(Problem { line, fault });
    }

    fn line(&self, at: usize) -> u32 {
        1 + self.text[..at].bytes().filter(|byte| *byte == b'\n').count() as u32
    }
}

fn elements(text: &str, body: usize) -> Vec<Element<'_>> {
    let mut found = Vec::new();
    let mut depth = 0usize;
    for (event, range) in Parser::new_ext(&text[body..], MARKDOWN).into_offset_iter() {
        let range = range.start + body..range.end + body;
        if depth == 0 {
            found.push(Element { start: range.start, end: range.end, events: Vec::new() });
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth -= 1,
            _ => {}
        }
        if let Some(element) = found.last_mut() {
            element.events.push((event, range));
        }
    }
    found
}

/// Where the items of a list element lie, nested lists left inside their item.
fn top_items(element: &Element) -> Vec<std::ops::Range<usize>> {
    let mut depth = 0usize;
    let mut items = Vec::new();
    for (event, range) in &element.events {
        match event {
            Event::Start(tag) => {
                if depth == 1 && matches!(tag, Tag::Item) {
                    items.push(range.clone());
                }
                depth += 1;
            }
            Event::End(_) => depth -= 1,
            _ => {}
        }
    }
    items
}

/// Offset, address and label of each `port:` link in a paragraph.
fn port_links(element: &Element) -> Vec<(usize, String, String)> {
    let mut links = Vec::new();
    let mut open = false;
    for (event, range) in &element.events {
        match event {
            Event::Start(Tag::Link { dest_url, .. }) if dest_url.starts_with("port:") => {
                open = true;
                links.push((range.start, dest_url.to_string(), String::new()));
            }
            Event::End(TagEnd::Link) => open = false,
            other => {
                if let (true, Some(text), Some(link)) = (open, text_of(other), links.last_mut()) {
                    link.2.push_str(text);
                }
            }
        }
    }
    links
}

fn port(link: &str, label: String) -> Option<Port> {
    let (node, port) = link.strip_prefix("port:")?.split_once(':')?;
    Some(Port { node: node.to_owned(), port: port.parse().ok().filter(|port| *port != 0)?, label })
}

fn text_of<'e>(event: &'e Event) -> Option<&'e str> {
    match event {
        Event::Text(text) | Event::Code(text) => Some(text),
        Event::SoftBreak | Event::HardBreak => Some(" "),
        _ => None,
    }
}

fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Prose(_) => "prose",
        Kind::Code { .. } => "code",
        Kind::Run(_) => "run",
        Kind::File(_) => "file",
        Kind::Link(_) => "link",
        Kind::Port(_) => "port",
        Kind::Check(_) => "check",
        Kind::Solve(_) => "solve",
        Kind::Hint { .. } => "hint",
        Kind::Quiz(_) => "quiz",
    }
}

fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

/// Markdown closes an open fence at the end of the file by itself; an author never means that.
fn is_closed(source: &str) -> bool {
    let source = source.trim_end();
    let Some(mark) = source.trim_start().chars().next() else { return false };
    let length = source.trim_start().chars().take_while(|c| *c == mark).count();
    let Some((_, last)) = source.rsplit_once('\n') else { return false };
    let last = last.trim();
    last.chars().all(|c| c == mark) && last.chars().count() >= length
}

#[cfg(test)]
mod tests;
