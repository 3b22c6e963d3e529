//! From text to a tree.

use super::lex::{Kind, Word, words};
use super::{TemplateError, functions};

/// A template that was understood.
#[derive(Clone, Debug)]
pub struct Template {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Text(String),
    Show(Pipeline),
    /// `if`, `with`, `range`: what to do with a value, and without one.
    Branch {
        kind: Branch,
        pipeline: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Branch {
    If,
    With,
    Range,
}

/// Commands, each with the answer of the one before it as its last argument.
#[derive(Clone, Debug)]
pub(super) struct Pipeline {
    pub commands: Vec<Command>,
}

/// A place in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub at: usize,
    pub end: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Command {
    pub operands: Vec<Operand>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(super) struct Operand {
    pub term: Term,
    /// `.a.b` after it, each with where it begins.
    pub fields: Vec<(String, usize)>,
    pub span: Span,
}

#[derive(Clone, Debug)]
pub(super) enum Term {
    Dot,
    Root,
    Nil,
    Bool(bool),
    Int(i64),
    Text(String),
    Function(String),
    Group(Pipeline),
}

/// What a template's text is made of.
enum Piece<'a> {
    Text(&'a str),
    Action { inside: &'a str, at: usize },
}

impl Template {
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let mut parser = Parser { name, text, pieces: Vec::new(), next: 0 };
        parser.pieces = parser.cut()?;
        let (nodes, end) = parser.list()?;
        match end {
            Stop::Text => Ok(Self { name: name.to_owned(), text: text.to_owned(), nodes }),
            Stop::End(at) => Err(parser.wrong(at, "unexpected {{end}}")),
            Stop::Else(at, _) => Err(parser.wrong(at, "unexpected {{else}}")),
        }
    }
}

/// Why a list of nodes ended.
enum Stop {
    Text,
    End(usize),
    /// With what follows the word.
    Else(usize, Vec<Word>),
}

struct Parser<'a> {
    name: &'a str,
    text: &'a str,
    pieces: Vec<Piece<'a>>,
    next: usize,
}

impl<'a> Parser<'a> {
    fn wrong(&self, at: usize, why: impl Into<String>) -> TemplateError {
        let line = self.text[..at.min(self.text.len())].matches('\n').count() + 1;
        TemplateError::Parse { name: self.name.to_owned(), line, why: why.into() }
    }

    fn cut(&self) -> Result<Vec<Piece<'a>>, TemplateError> {
        let (mut pieces, mut at, mut trim) = (Vec::new(), 0, false);
        loop {
            let rest = &self.text[at..];
            let open = rest.find("{{");
            let mut plain = &rest[..open.unwrap_or(rest.len())];
            if trim {
                plain = plain.trim_start();
            }
            let Some(open) = open else {
                pieces.push(Piece::Text(plain));
                return Ok(pieces);
            };
            let mut begin = at + open + 2;
            if self.text[begin..].starts_with("- ") {
                plain = plain.trim_end();
                begin += 2;
            }
            pieces.push(Piece::Text(plain));
            let length = action_length(&self.text[begin..]).map_err(|why| self.wrong(begin, why))?;
            let mut inside = &self.text[begin..begin + length];
            trim = inside.ends_with(" -");
            if trim {
                inside = &inside[..inside.len() - 2];
            }
            if !inside.trim_start().starts_with("/*") {
                pieces.push(Piece::Action { inside, at: begin });
            }
            at = begin + length + 2;
        }
    }

    fn list(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.get(self.next) {
            self.next += 1;
            let (inside, at) = match *piece {
                Piece::Text("") => continue,
                Piece::Text(text) => {
                    nodes.push(Node::Text(text.to_owned()));
                    continue;
                }
                Piece::Action { inside, at } => (inside, at),
            };
            let words = words(inside, at).map_err(|why| self.wrong(at, why))?;
            let words = trimmed(&words);
            let keyword = match words.first().map(|word| &word.kind) {
                Some(Kind::Identifier(name)) => name.as_str(),
                _ => "",
            };
            match keyword {
                "end" => return Ok((nodes, Stop::End(at))),
                "else" => return Ok((nodes, Stop::Else(at, trimmed(&words[1..]).to_vec()))),
                "if" => nodes.push(self.branch(Branch::If, at, &words[1..])?),
                "with" => nodes.push(self.branch(Branch::With, at, &words[1..])?),
                "range" => nodes.push(self.branch(Branch::Range, at, &words[1..])?),
                "define" | "block" | "template" | "break" | "continue" => {
                    return Err(self.wrong(at, format!("unexpected {{{{{keyword}}}}}")));
                }
                _ => nodes.push(Node::Show(self.pipeline(words, at)?)),
            }
        }
        Ok((nodes, Stop::Text))
    }

    fn branch(&mut self, kind: Branch, at: usize, words: &[Word]) -> Result<Node, TemplateError> {
        let pipeline = self.pipeline(trimmed(words), at)?;
        let (then, end) = self.list()?;
        let otherwise = match end {
            Stop::Text => return Err(self.wrong(self.text.len(), "unexpected EOF")),
            Stop::End(_) => Vec::new(),
            Stop::Else(at, words) => match words.first().map(|word| &word.kind) {
                None => {
                    let (otherwise, end) = self.list()?;
                    if !matches!(end, Stop::End(_)) {
                        return Err(self.wrong(self.text.len(), "unexpected EOF"));
                    }
                    otherwise
                }
                // `{{else if …}}` has the same end.
                Some(Kind::Identifier(word)) if word == "if" => {
                    vec![self.branch(Branch::If, at, &words[1..])?]
                }
                Some(Kind::Identifier(word)) if word == "with" => {
                    vec![self.branch(Branch::With, at, &words[1..])?]
                }
                Some(_) => return Err(self.wrong(at, "unexpected word in else")),
            },
        };
        Ok(Node::Branch { kind, pipeline, then, otherwise })
    }

    fn pipeline(&self, words: &[Word], at: usize) -> Result<Pipeline, TemplateError> {
        let mut reader = Reader { parser: self, words, next: 0 };
        let pipeline = reader.pipeline(at)?;
        match words.get(reader.next) {
            Some(word) => Err(self.wrong(word.at, "unexpected right paren")),
            None => Ok(pipeline),
        }
    }
}

/// Up to the `}}` that is in no string and no comment.
fn action_length(text: &str) -> Result<usize, &'static str> {
    if text.trim_start().starts_with("/*") {
        let end = text.find("*/").ok_or("unclosed comment")?;
        return text[end..]
            .find("}}")
            .map(|length| end + length)
            .ok_or("comment ends before closing delimiter");
    }
    let (mut quote, mut escaped) = (None, false);
    for (at, letter) in text.char_indices() {
        match quote {
            Some('"') if escaped => escaped = false,
            Some('"') if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '`') => quote = Some(letter),
            None if text[at..].starts_with("}}") => return Ok(at),
            None => {}
        }
    }
    match quote {
        Some('"') => Err("unterminated quoted string"),
        Some(_) => Err("unterminated raw quoted string"),
        None => Err("unclosed action"),
    }
}

fn trimmed(mut words: &[Word]) -> &[Word] {
    while let [Word { kind: Kind::Space, .. }, rest @ ..] = words {
        words = rest;
    }
    while let [rest @ .., Word { kind: Kind::Space, .. }] = words {
        words = rest;
    }
    words
}

/// Reads one action's words.
struct Reader<'p, 'a> {
    parser: &'p Parser<'a>,
    words: &'p [Word],
    next: usize,
}

impl Reader<'_, '_> {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.next)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|word| word.kind == Kind::Space) {
            self.next += 1;
        }
    }

    fn pipeline(&mut self, at: usize) -> Result<Pipeline, TemplateError> {
        let mut commands = vec![self.command(at)?];
        while self.peek().is_some_and(|word| word.kind == Kind::Pipe) {
            self.next += 1;
            commands.push(self.command(at)?);
        }
        Ok(Pipeline { commands })
    }

    fn command(&mut self, at: usize) -> Result<Command, TemplateError> {
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            match self.peek().map(|word| &word.kind) {
                None | Some(Kind::Pipe | Kind::Close) => break,
                Some(_) => operands.push(self.operand()?),
            }
        }
        let (Some(first), Some(last)) = (operands.first(), operands.last()) else {
            return Err(self.parser.wrong(at, "missing value for command"));
        };
        let span = Span { at: first.span.at, end: last.span.end };
        Ok(Command { operands, span })
    }

    fn operand(&mut self) -> Result<Operand, TemplateError> {
        let Word { kind, at, end } = self.words[self.next].clone();
        self.next += 1;
        let (mut fields, mut end) = (Vec::new(), end);
        let term = match kind {
            Kind::Dot => Term::Dot,
            Kind::Dollar => Term::Root,
            Kind::Field(name) => {
                fields.push((name, at));
                Term::Dot
            }
            Kind::Int(number) => Term::Int(number),
            Kind::Text(text) => Term::Text(text),
            Kind::Identifier(name) => match name.as_str() {
                "true" | "false" => Term::Bool(name == "true"),
                "nil" => Term::Nil,
                _ if functions::exists(&name) => Term::Function(name),
                _ => return Err(self.parser.wrong(at, format!("function \"{name}\" not defined"))),
            },
            Kind::Open => {
                let inner = self.pipeline(at)?;
                let Some(Word { kind: Kind::Close, end: close, .. }) = self.peek() else {
                    return Err(self.parser.wrong(at, "unclosed left paren"));
                };
                end = *close;
                self.next += 1;
                Term::Group(inner)
            }
            Kind::Pipe | Kind::Close | Kind::Space => {
                return Err(self.parser.wrong(at, "unexpected word in operand"));
            }
        };
        while let Some(Word { kind: Kind::Field(name), at, end: field_end }) = self.peek() {
            fields.push((name.clone(), *at));
            end = *field_end;
            self.next += 1;
        }
        Ok(Operand { term, fields, span: Span { at, end } })
    }
}
