//! `encoding/json`'s complaints about text that is not JSON. What is JSON is read by `serde_json`.

use serde_json::Value;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error("unexpected end of JSON input")]
    End,
    #[error("invalid character {} {place}", shown(*.letter))]
    Character { letter: char, place: String },
}

/// In single quotes, as Go quotes a letter.
fn shown(letter: char) -> String {
    match letter {
        '\'' => "'\\''".to_owned(),
        '"' => "'\"'".to_owned(),
        '\n' => "'\\n'".to_owned(),
        '\t' => "'\\t'".to_owned(),
        '\r' => "'\\r'".to_owned(),
        other => format!("'{other}'"),
    }
}

pub fn parse(text: &str) -> Result<Value, SyntaxError> {
    match serde_json::from_str(text) {
        Ok(value) => Ok(value),
        Err(_) => Err(complain(text)),
    }
}

/// What is wrong with text that is not JSON.
fn complain(text: &str) -> SyntaxError {
    let mut scanner = Scanner { rest: text };
    let found: Result<(), SyntaxError> = scanner.value().and_then(|()| {
        scanner.space();
        match scanner.peek() {
            Some(_) => Err(scanner.wrong("after top-level value")),
            None => Err(SyntaxError::End),
        }
    });
    found.err().unwrap_or(SyntaxError::End)
}

struct Scanner<'a> {
    rest: &'a str,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.rest = &self.rest[letter.len_utf8()..];
        Some(letter)
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n']);
    }

    /// The next letter does not belong there.
    fn wrong(&self, place: &str) -> SyntaxError {
        match self.peek() {
            Some(letter) => SyntaxError::Character { letter, place: place.to_owned() },
            None => SyntaxError::End,
        }
    }

    fn value(&mut self) -> Result<(), SyntaxError> {
        self.space();
        match self.peek() {
            Some('{') => self.object(),
            Some('[') => self.array(),
            Some('"') => self.string(),
            Some('-' | '0'..='9') => self.number(),
            Some('t') => self.literal("true"),
            Some('f') => self.literal("false"),
            Some('n') => self.literal("null"),
            _ => Err(self.wrong("looking for beginning of value")),
        }
    }

    fn object(&mut self) -> Result<(), SyntaxError> {
        self.next();
        self.space();
        if self.peek() == Some('}') {
            self.next();
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some('"') {
                return Err(self.wrong("looking for beginning of object key string"));
            }
            self.string()?;
            self.space();
            if self.peek() != Some(':') {
                return Err(self.wrong("after object key"));
            }
            self.next();
            self.value()?;
            self.space();
            match self.peek() {
                Some(',') => self.next(),
                Some('}') => {
                    self.next();
                    return Ok(());
                }
                _ => return Err(self.wrong("after object key:value pair")),
            };
        }
    }

    fn array(&mut self) -> Result<(), SyntaxError> {
        self.next();
        self.space();
        if self.peek() == Some(']') {
            self.next();
            return Ok(());
        }
        loop {
            self.value()?;
            self.space();
            match self.peek() {
                Some(',') => self.next(),
                Some(']') => {
                    self.next();
                    return Ok(());
                }
                _ => return Err(self.wrong("after array element")),
            };
        }
    }

    fn string(&mut self) -> Result<(), SyntaxError> {
        self.next();
        loop {
            match self.peek() {
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('\\') => {
                    self.next();
                    self.escape()?;
                }
                Some('\0'..='\u{1f}') | None => return Err(self.wrong("in string literal")),
                Some(_) => drop(self.next()),
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        match self.peek() {
            Some('b' | 'f' | 'n' | 'r' | 't' | '\\' | '/' | '"') => drop(self.next()),
            Some('u') => {
                self.next();
                for _ in 0..4 {
                    match self.peek() {
                        Some(digit) if digit.is_ascii_hexdigit() => drop(self.next()),
                        _ => return Err(self.wrong("in \\u hexadecimal character escape")),
                    }
                }
            }
            _ => return Err(self.wrong("in string escape code")),
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some('-') {
            self.next();
        }
        match self.peek() {
            Some('0') => drop(self.next()),
            Some('1'..='9') => self.digits(),
            _ => return Err(self.wrong("in numeric literal")),
        }
        if self.peek() == Some('.') {
            self.next();
            if !self.peek().is_some_and(|digit| digit.is_ascii_digit()) {
                return Err(self.wrong("after decimal point in numeric literal"));
            }
            self.digits();
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            self.next();
            if matches!(self.peek(), Some('+' | '-')) {
                self.next();
            }
            if !self.peek().is_some_and(|digit| digit.is_ascii_digit()) {
                return Err(self.wrong("in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        self.rest = self.rest.trim_start_matches(|digit: char| digit.is_ascii_digit());
    }

    fn literal(&mut self, word: &'static str) -> Result<(), SyntaxError> {
        for expected in word.chars() {
            if self.peek() != Some(expected) {
                return Err(self.wrong(&format!("in literal {word} (expecting '{expected}')")));
            }
            self.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_gos() {
        let cases = [
            ("", "unexpected end of JSON input"),
            ("{\"a\"", "unexpected end of JSON input"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("[1 2]", "invalid character '2' after array element"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u12g\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("\"a\nb\"", "invalid character '\\n' in string literal"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("nul", "unexpected end of JSON input"),
            ("01", "invalid character '1' after top-level value"),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text).expect_err(text).to_string(), expected, "{text}");
        }
        assert_eq!(parse(" {\"a\": [1, -2.5e3, null]} ").map(|value| value["a"][0].as_i64()), Ok(Some(1)));
    }
}
