//! The words inside `{{ … }}`.

/// One word, and where it begins in the whole text.
#[derive(Clone, Debug, PartialEq)]
pub struct Word {
    pub kind: Kind,
    pub at: usize,
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `.`
    Dot,
    /// `.Name`
    Field(String),
    /// `name`
    Identifier(String),
    Text(String),
    Int(i64),
    /// `$`
    Dollar,
    Pipe,
    Open,
    Close,
    Space,
}

/// Cuts the inside of an action, which begins at `offset` of the whole text.
pub fn words(text: &str, offset: usize) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (kind, length) = match first {
            ' ' | '\t' | '\r' | '\n' => (Kind::Space, rest.len() - rest.trim_start().len()),
            '|' => (Kind::Pipe, 1),
            '(' => (Kind::Open, 1),
            ')' => (Kind::Close, 1),
            '"' => quoted(rest)?,
            '`' => raw(rest)?,
            '$' if name_length(&rest[1..]) == 0 => (Kind::Dollar, 1),
            '$' => return Err(format!("undefined variable \"{}\"", &rest[..1 + name_length(&rest[1..])])),
            '.' => match name_length(&rest[1..]) {
                0 => (Kind::Dot, 1),
                length => (Kind::Field(rest[1..=length].to_owned()), length + 1),
            },
            '0'..='9' | '+' | '-' => number(rest)?,
            _ if name_length(rest) > 0 => {
                let length = name_length(rest);
                (Kind::Identifier(rest[..length].to_owned()), length)
            }
            other => {
                return Err(format!("unexpected {} in command", super::super::quote(&other.to_string())));
            }
        };
        words.push(Word { kind, at: offset + at, end: offset + at + length });
        at += length;
    }
    Ok(words)
}

fn name_length(text: &str) -> usize {
    text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len())
}

fn quoted(text: &str) -> Result<(Kind, usize), String> {
    let unterminated = || "unterminated quoted string".to_owned();
    let (mut out, mut letters) = (String::new(), text.char_indices().skip(1));
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return Ok((Kind::Text(out), at + 1)),
            '\n' => return Err(unterminated()),
            '\\' => out.push(match letters.next().ok_or_else(unterminated)?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                other => other,
            }),
            plain => out.push(plain),
        }
    }
    Err(unterminated())
}

fn raw(text: &str) -> Result<(Kind, usize), String> {
    let end = text[1..].find('`').ok_or("unterminated raw quoted string")?;
    Ok((Kind::Text(text[1..=end].to_owned()), end + 2))
}

fn number(text: &str) -> Result<(Kind, usize), String> {
    let digits = text[1..].find(|letter: char| !letter.is_alphanumeric()).map_or(text.len(), |end| end + 1);
    let number = text[..digits].parse().map_err(|_| format!("bad number syntax: \"{}\"", &text[..digits]))?;
    Ok((Kind::Int(number), digits))
}
