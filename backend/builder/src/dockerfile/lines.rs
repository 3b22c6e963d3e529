//! A file → logical lines: comments left out, continued lines joined, parser directives read. Each keeps where its parts
//! were, so that a mistake can be pointed at.

use super::heredoc::{self, Heredoc};
use super::problem::{Fault, ParseError, Problem};
use super::{Directives, Position};

/// As long as a physical line may be: what moby's scanner holds.
const LONGEST: usize = 65_535;

/// One instruction as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub text: String,
    pub heredocs: Vec<Heredoc>,
    /// The first and the last physical line.
    pub first: usize,
    pub last: usize,
    pieces: Vec<Piece>,
}

/// A part of a logical line that was written in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    /// Where it begins in the text, in bytes.
    offset: usize,
    at: Position,
}

impl Line {
    /// Where the byte at `offset` was written.
    pub fn position(&self, offset: usize) -> Position {
        let piece = self.pieces.iter().rev().find(|piece| piece.offset <= offset);
        let Some(piece) = piece else { return Position { line: self.first, column: 1 } };
        let between = self.text.get(piece.offset..offset).unwrap_or_default();
        Position { line: piece.at.line, column: piece.at.column + between.chars().count() }
    }

    /// An error about the byte at the fault's offset.
    pub fn error(&self, fault: Fault) -> ParseError {
        ParseError { at: self.position(fault.offset), line: self.first, problem: fault.problem }
    }
}

/// What the file's lines say.
#[derive(Debug, Default)]
pub struct Lines {
    pub lines: Vec<Line>,
    pub directives: Directives,
    pub warnings: Vec<String>,
}

/// Splits a Dockerfile into its logical lines.
pub fn read(text: &str) -> Result<Lines, ParseError> {
    let mut reader = Reader {
        rest: text.strip_prefix('\u{feff}').unwrap_or(text).split_inclusive('\n'),
        number: 0,
        directives: DirectiveReader::default(),
        found: Lines { directives: Directives::default(), ..Lines::default() },
    };
    while let Some(physical) = reader.physical()? {
        reader.logical(physical)?;
    }
    if reader.found.lines.is_empty() {
        return Err(reader.error(Problem::NoInstructions));
    }
    Ok(reader.found)
}

struct Reader<'a> {
    rest: std::str::SplitInclusive<'a, char>,
    number: usize,
    directives: DirectiveReader,
    found: Lines,
}

impl<'a> Reader<'a> {
    fn error(&self, problem: Problem) -> ParseError {
        let line = self.number.max(1);
        ParseError { at: Position { line, column: 1 }, line, problem }
    }

    /// The next line as it is in the file, with its end.
    fn physical(&mut self) -> Result<Option<&'a str>, ParseError> {
        let Some(physical) = self.rest.next() else { return Ok(None) };
        self.number += 1;
        if physical.len() > LONGEST { Err(self.error(Problem::LineTooLong)) } else { Ok(Some(physical)) }
    }

    fn directive(&mut self, line: &str) -> Result<(), ParseError> {
        let read = self.directives.read(line, &mut self.found.directives);
        read.map_err(|problem| self.error(problem))
    }

    fn logical(&mut self, physical: &'a str) -> Result<(), ParseError> {
        let line = physical.trim_end_matches(['\r', '\n']).trim_start();
        self.directive(line)?;
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        let first = self.number;
        let mut text = String::new();
        let mut pieces = Vec::new();
        let mut is_continued = self.append(physical, line, &mut text, &mut pieces);
        let mut has_empty = false;
        while is_continued {
            let Some(physical) = self.physical()? else { break };
            let line = physical.trim_end_matches(['\r', '\n']);
            self.directive(line)?;
            match line.trim_start() {
                "" => has_empty = true,
                comment if comment.starts_with('#') => {}
                _ => is_continued = self.append(physical, line, &mut text, &mut pieces),
            }
        }
        if has_empty {
            self.found.warnings.push(format!("Empty continuation line found in: {text}"));
        }
        if text.is_empty() {
            return Ok(());
        }
        let mut line = Line { text, heredocs: Vec::new(), first, last: self.number, pieces };
        self.heredocs(&mut line)?;
        self.found.lines.push(line);
        Ok(())
    }

    /// Adds a part; answers whether the next line belongs to it.
    fn append(&self, physical: &str, line: &str, text: &mut String, pieces: &mut Vec<Piece>) -> bool {
        let (line, indent) = (line, physical.find(line).unwrap_or(0));
        let column = physical[..indent].chars().count() + 1;
        pieces.push(Piece { offset: text.len(), at: Position { line: self.number, column } });
        let continued = without_continuation(line, self.found.directives.escape);
        text.push_str(continued.unwrap_or(line));
        continued.is_some()
    }

    fn heredocs(&mut self, line: &mut Line) -> Result<(), ParseError> {
        if !heredoc::may_have(&line.text, self.found.directives.escape) {
            return Ok(());
        }
        let begun = heredoc::find(&line.text);
        let begun = begun.map_err(|problem| line.error(Fault { offset: 0, problem }))?;
        for mut heredoc in begun {
            loop {
                let Some(physical) = self.physical()? else {
                    let offset = line.text.find("<<").unwrap_or(0);
                    return Err(line.error(Fault { offset, problem: Problem::UnterminatedHeredoc }));
                };
                if heredoc.is_ended_by(physical) {
                    break;
                }
                heredoc.content.push_str(physical);
            }
            line.heredocs.push(heredoc);
        }
        line.last = self.number;
        Ok(())
    }
}

/// The line without its continuation mark, if it has one. A doubled escape is none.
fn without_continuation(line: &str, escape: char) -> Option<&str> {
    let body = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    if body.ends_with(escape) { None } else { Some(body) }
}

/// Reads `# name=value` lines, which must come before anything else.
#[derive(Debug, Default)]
struct DirectiveReader {
    done: bool,
    seen: Vec<String>,
}

impl DirectiveReader {
    fn read(&mut self, line: &str, directives: &mut Directives) -> Result<(), Problem> {
        if self.done {
            return Ok(());
        }
        let Some((name, value)) = split_directive(line) else {
            self.done = true;
            return Ok(());
        };
        if !matches!(name.as_str(), "escape" | "syntax" | "check") {
            return Ok(());
        }
        if self.seen.contains(&name) {
            return Err(Problem::RepeatedDirective(name));
        }
        match (name.as_str(), value) {
            ("escape", "\\") => directives.escape = '\\',
            ("escape", "`") => directives.escape = '`',
            ("escape", other) => return Err(Problem::EscapeToken(other.to_owned())),
            ("syntax", value) => directives.syntax = Some(value.to_owned()),
            _ => {}
        }
        self.seen.push(name);
        Ok(())
    }
}

fn split_directive(line: &str) -> Option<(String, &str)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let (name, value) = (name.trim_ascii(), value.trim_ascii());
    let is_name = name.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (name.to_ascii_lowercase(), value))
}
