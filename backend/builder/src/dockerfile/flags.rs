//! `--name=value` between an instruction and its arguments.

use super::problem::{Fault, Problem, nearest};
use super::words::Word;

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Switch,
    Text,
    /// May stand several times.
    Texts,
}

/// The flags of one instruction, checked against those it knows.
#[derive(Debug)]
pub struct Flags {
    given: Vec<(&'static str, Word)>,
}

impl Flags {
    pub fn read(words: &[Word], known: &[(&'static str, Kind)]) -> Result<Self, Fault> {
        let mut given: Vec<(&'static str, Word)> = Vec::new();
        for word in words {
            let fault = |problem| Fault { offset: word.offset, problem };
            let written = word.text.trim_start_matches("--");
            let (name, value) = match written.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (written, None),
            };
            let Some((known_name, kind)) = known.iter().find(|(known, _)| *known == name) else {
                let hint = nearest(name, known.iter().map(|(known, _)| *known));
                return Err(fault(Problem::UnknownFlag { name: name.to_owned(), hint }));
            };
            if *kind != Kind::Texts && given.iter().any(|(given, _)| given == known_name) {
                return Err(fault(Problem::RepeatedFlag(name.to_owned())));
            }
            let value = check(*kind, name, value).map_err(fault)?;
            given.push((known_name, Word { text: value, offset: word.offset }));
        }
        Ok(Self { given })
    }

    /// The value of a flag.
    pub fn text(&self, name: &str) -> Option<&Word> {
        self.given.iter().find(|(given, _)| *given == name).map(|(_, value)| value)
    }

    /// The value, or nothing.
    pub fn value(&self, name: &str) -> String {
        self.text(name).map(|value| value.text.clone()).unwrap_or_default()
    }

    pub fn texts(&self, name: &str) -> impl Iterator<Item = &Word> {
        self.given.iter().filter(move |(given, _)| *given == name).map(|(_, value)| value)
    }

    /// A switch, if it was given.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.text(name).map(|value| value.text == "true")
    }
}

fn check(kind: Kind, name: &str, value: Option<&str>) -> Result<String, Problem> {
    if kind != Kind::Switch {
        return value.map(str::to_owned).ok_or_else(|| Problem::FlagValue(name.to_owned()));
    }
    match value.map(str::to_ascii_lowercase).as_deref() {
        Some("") => Err(Problem::FlagValue(name.to_owned())),
        None | Some("true") => Ok("true".to_owned()),
        Some("false") => Ok("false".to_owned()),
        Some(_) => {
            Err(Problem::FlagBoolean { name: name.to_owned(), value: value.unwrap_or_default().to_owned() })
        }
    }
}
