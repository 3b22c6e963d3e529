//! A fence's info string and text → a block.

use std::time::Duration;

use super::fence::Fence;
use super::{Fault, links};
use crate::lab::{Answer, Check, File, Init, Kind, Run, Solve, Wait};

/// A check that takes longer has failed.
const CHECK_SECONDS: u64 = 10;

pub(super) enum Read {
    Block {
        kind: Kind,
        id: Option<String>,
    },
    Init {
        init: Init,
        hidden: bool,
    },
    /// Belongs to the paragraph before it.
    Answer {
        answer: Answer,
        id: Option<String>,
    },
}

pub(super) fn read(info: &str, text: &str, nodes: &[String]) -> Result<Read, Fault> {
    let first = info.split_whitespace().next().unwrap_or_default();
    let reader = match first {
        "run" => run,
        "file" => file,
        "link" => link,
        "check" => check,
        "solve" => solve,
        "hint" => hint,
        "init" => return init(Fence::read(info)?, text, nodes),
        "answer" => return answer(Fence::read(info)?, text),
        _ if info.trim() == first => {
            let kind = Kind::Code { language: first.to_owned(), text: text.to_owned() };
            return Ok(Read::Block { kind, id: None });
        }
        _ => return Err(Fault::UnknownKind { kind: first.to_owned() }),
    };
    let mut fence = Fence::read(info)?;
    let id = fence.value("id")?;
    let kind = reader(&mut fence, text, nodes)?;
    fence.finish()?;
    Ok(Read::Block { kind, id })
}

fn run(fence: &mut Fence, text: &str, nodes: &[String]) -> Result<Kind, Fault> {
    let interrupt = fence.word("interrupt")?;
    let enter = !fence.word("input")?;
    let text = text.trim_end_matches('\n');
    if text.is_empty() && !interrupt {
        return Err(Fault::Empty);
    }
    let wait = match fence.value("wait")?.as_deref() {
        None if enter => Wait::Prompt,
        None => Wait::Nothing,
        Some("prompt") => Wait::Prompt,
        Some("nothing") => Wait::Nothing,
        Some(output) => Wait::Output(output.to_owned()),
    };
    Ok(Kind::Run(Run {
        node: node(fence, nodes)?,
        terminal: fence.number("terminal", 1)?,
        text: if enter { text.to_owned() } else { control(text) },
        interrupt,
        enter: enter && !text.is_empty(),
        capture: fence.value("capture")?.map(variable).transpose()?,
        wait,
    }))
}

fn file(fence: &mut Fence, text: &str, nodes: &[String]) -> Result<Kind, Fault> {
    let path = fence.required("path")?;
    if !path.starts_with('/') {
        return Err(Fault::BadValue { attribute: "path".to_owned(), value: path });
    }
    let mode = fence.value("mode")?.unwrap_or_else(|| "644".to_owned());
    let bits = u32::from_str_radix(&mode, 8).ok().filter(|bits| *bits <= 0o7777);
    let mode = bits.ok_or(Fault::BadValue { attribute: "mode".to_owned(), value: mode })?;
    Ok(Kind::File(File { node: node(fence, nodes)?, path, mode, text: text.to_owned() }))
}

fn link(_: &mut Fence, text: &str, nodes: &[String]) -> Result<Kind, Fault> {
    links::read(text, nodes).map(Kind::Link)
}

fn check(fence: &mut Fence, text: &str, nodes: &[String]) -> Result<Kind, Fault> {
    let on_demand = fence.word("on-demand")?;
    let continuous = fence.word("continuous")? || !on_demand;
    if continuous && on_demand {
        let value = "with `continuous`".to_owned();
        return Err(Fault::BadValue { attribute: "on-demand".to_owned(), value });
    }
    Ok(Kind::Check(Check {
        title: fence.required("title")?,
        node: node(fence, nodes)?,
        continuous,
        limit: Duration::from_secs(fence.number("timeout", CHECK_SECONDS)?),
        script: script(text)?,
    }))
}

fn solve(fence: &mut Fence, text: &str, nodes: &[String]) -> Result<Kind, Fault> {
    let terminal = match fence.number("terminal", 0)? {
        0 => None,
        number => Some(number),
    };
    Ok(Kind::Solve(Solve { node: node(fence, nodes)?, terminal, script: script(text)? }))
}

fn hint(fence: &mut Fence, text: &str, _: &[String]) -> Result<Kind, Fault> {
    let title = fence.value("title")?.unwrap_or_else(|| "Hint".to_owned());
    Ok(Kind::Hint { title, markdown: script(text)? })
}

fn init(mut fence: Fence, text: &str, nodes: &[String]) -> Result<Read, Fault> {
    let hidden = fence.word("hidden")?;
    let init = Init { line: 0, node: node(&mut fence, nodes)?, script: script(text)? };
    fence.finish()?;
    Ok(Read::Init { init, hidden })
}

fn answer(mut fence: Fence, text: &str) -> Result<Read, Fault> {
    let id = fence.value("id")?;
    let example = fence.required("example")?;
    fence.finish()?;
    let pattern = text.trim().to_owned();
    if let Err(error) = regex::Regex::new(&pattern) {
        return Err(Fault::Pattern { reason: error.to_string() });
    }
    let answer = Answer::Text { pattern, example: example.clone() };
    if !answer.accepts(std::slice::from_ref(&example)) {
        return Err(Fault::Example { example });
    }
    Ok(Read::Answer { answer, id })
}

/// `node=…`, by default the lab's first.
fn node(fence: &mut Fence, nodes: &[String]) -> Result<String, Fault> {
    match fence.value("node")? {
        None => Ok(nodes[0].clone()),
        Some(node) if nodes.contains(&node) => Ok(node),
        Some(node) => Err(Fault::MissingNode { node }),
    }
}

fn script(text: &str) -> Result<String, Fault> {
    if text.trim().is_empty() {
        return Err(Fault::Empty);
    }
    Ok(text.to_owned())
}

fn variable(name: String) -> Result<String, Fault> {
    let letter = |c: char| c.is_ascii_uppercase() || c == '_';
    let whole = name.chars().all(|c| letter(c) || c.is_ascii_digit());
    if name.starts_with(letter) && whole {
        return Ok(name);
    }
    Err(Fault::BadValue { attribute: "capture".to_owned(), value: name })
}

/// `^P^Q` → the bytes that those keys send; `^^` is a caret.
fn control(text: &str) -> String {
    let mut typed = String::new();
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '^' => match letters.next() {
                Some(key @ ('@'..='_' | 'a'..='z')) if key != '^' => {
                    typed.push(char::from(key.to_ascii_uppercase() as u8 & 0x1f));
                }
                Some('?') => typed.push('\x7f'),
                Some(other) => typed.push(other),
                None => typed.push('^'),
            },
            plain => typed.push(plain),
        }
    }
    typed
}
