//! What stands on a logical line: the instruction's name, its flags, its arguments in their several forms.

use super::problem::{Fault, Problem};

/// Text, and where it stands in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice<'a> {
    pub text: &'a str,
    pub offset: usize,
}

impl<'a> Slice<'a> {
    /// Without spaces around it.
    fn trimmed(self) -> Self {
        let text = self.text.trim_start();
        Self { offset: self.offset + self.text.len() - text.len(), text: text.trim_end() }
    }

    fn from(self, offset: usize) -> Self {
        Self { text: &self.text[offset..], offset: self.offset + offset }
    }

    /// The first word and what follows the blanks behind it.
    pub fn first(self) -> (Self, Option<Self>) {
        match self.text.find(is_blank) {
            None => (self, None),
            Some(end) => {
                let rest = self.text[end..].trim_start_matches(is_blank);
                let first = Self { text: &self.text[..end], ..self };
                (first, Some(self.from(self.text.len() - rest.len())))
            }
        }
    }

    /// The words between blanks. Blanks at the ends make empty words, as they do in Go.
    pub fn words(self) -> Vec<Word> {
        let mut words = Vec::new();
        let mut rest = Some(self);
        while let Some(slice) = rest {
            let (word, more) = slice.first();
            words.push(Word { text: word.text.to_owned(), offset: word.offset });
            rest = more;
        }
        words
    }
}

/// An argument of its own, and where it stands in its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    pub text: String,
    pub offset: usize,
}

/// What separates words: not every space there is.
fn is_blank(letter: char) -> bool {
    matches!(letter, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// An instruction in its parts.
#[derive(Clone, Debug)]
pub struct Command<'a> {
    pub name: &'a str,
    pub flags: Vec<Word>,
    pub arguments: Slice<'a>,
}

/// Takes the name and the flags off a line. `base` is where `line` begins in its logical line.
pub fn split_command(line: &str, base: usize, escape: char) -> Command<'_> {
    let (name, rest) = Slice { text: line, offset: base }.trimmed().first();
    let end = Slice { text: "", offset: base + line.len() };
    let (flags, arguments) = take_flags(rest.unwrap_or(end), escape);
    Command { name: name.text, flags, arguments: arguments.trimmed() }
}

/// The words that begin with `--`, up to the first that does not.
fn take_flags(line: Slice<'_>, escape: char) -> (Vec<Word>, Slice<'_>) {
    let mut flags = Vec::new();
    let mut rest = line;
    loop {
        rest = rest.from(rest.text.len() - rest.text.trim_start().len());
        if !rest.text.starts_with("--") {
            return (flags, rest);
        }
        let (word, end) = flag_word(rest.text, escape);
        let offset = rest.offset;
        rest = rest.from(end);
        if word == "--" {
            return (flags, rest);
        }
        flags.push(Word { text: word, offset });
    }
}

/// One word with quotes and escapes taken off, and its length.
fn flag_word(text: &str, escape: char) -> (String, usize) {
    let mut word = String::new();
    let mut quote = None;
    let mut letters = text.char_indices();
    while let Some((place, letter)) = letters.next() {
        match quote {
            None if letter.is_whitespace() => return (word, place),
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            Some(mark) if letter == mark => quote = None,
            _ if letter == escape => word.extend(letters.next().map(|(_, escaped)| escaped)),
            _ => word.push(letter),
        }
    }
    (word, text.len())
}

/// Words for `NAME=value` forms: split at spaces outside quotes, quotes and escapes kept.
pub fn quoted_words(line: Slice<'_>, escape: char) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut current: Option<Word> = None;
    let mut quote = None;
    let mut letters = line.text.char_indices();
    while let Some((place, letter)) = letters.next() {
        if quote.is_none() && letter.is_whitespace() {
            words.extend(current.take());
            continue;
        }
        let begin = || Word { text: String::new(), offset: line.offset + place };
        let word = &mut current.get_or_insert_with(begin).text;
        match quote {
            Some(mark) if letter == mark => quote = None,
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            _ => {}
        }
        if letter == escape && quote != Some('\'') {
            // An escape at the very end is dropped.
            let Some((_, escaped)) = letters.next() else { break };
            word.push(letter);
            word.push(escaped);
        } else {
            word.push(letter);
        }
    }
    words.extend(current.filter(|word| !word.text.is_empty()));
    words
}

/// Why an argument is not a JSON list of strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotJson {
    /// It is something else altogether.
    NoList,
    /// A list, but not of strings only.
    OtherValues,
}

/// `["a", "b"]`.
pub fn json_list(text: &str) -> Result<Vec<String>, NotJson> {
    let text = text.trim_start();
    if !text.starts_with('[') {
        return Err(NotJson::NoList);
    }
    let values: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| NotJson::NoList)?;
    let words = values.into_iter().map(|value| match value {
        serde_json::Value::String(word) => Ok(word),
        _ => Err(NotJson::OtherValues),
    });
    words.collect()
}

/// The arguments of `CMD`, `RUN` and their like: a list, or one string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    Exec(Vec<String>),
    Shell(String),
}

pub fn exec_or_shell(line: Slice<'_>) -> Result<Form, Fault> {
    match json_list(line.text) {
        Ok(words) => Ok(Form::Exec(words)),
        Err(NotJson::OtherValues) => Err(Fault { offset: line.offset, problem: Problem::NotStrings }),
        Err(NotJson::NoList) => Ok(Form::Shell(line.text.to_owned())),
    }
}

/// The arguments of `COPY`, `ADD` and `VOLUME`: a list, or words.
pub fn json_or_words(line: Slice<'_>) -> Result<Vec<Word>, Fault> {
    match json_list(line.text) {
        Ok(words) => Ok(words.into_iter().map(|text| Word { text, offset: line.offset }).collect()),
        Err(NotJson::OtherValues) => Err(Fault { offset: line.offset, problem: Problem::NotStrings }),
        Err(NotJson::NoList) if line.text.is_empty() => Ok(Vec::new()),
        Err(NotJson::NoList) => Ok(line.words()),
    }
}
