//! Variables and quotes in an instruction's words: `$NAME`, `${NAME:-word}` and the rest, by the rules of the Dockerfile
//! reference ("Environment replacement"), which are a shell's with some left out.

use crate::glob::Glob;
use drydock_golang as go;

/// `${a:-${b:-…}}`: deeper than anyone writes, and less than a stack holds.
const DEEPEST: usize = 100;

/// A word could not be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to process {}: {problem}", go::quote(.word))]
pub struct ExpandError {
    pub word: String,
    pub problem: Problem,
}

/// What is wrong with a word, in moby's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("unexpected end of statement while looking for matching single-quote")]
    SingleQuote,
    #[error("unexpected end of statement while looking for matching double-quote")]
    DoubleQuote,
    #[error("unexpected end of statement while looking for matching {0}")]
    Unmatched(char),
    #[error("syntax error: missing '{0}'")]
    Missing(&'static str),
    #[error("syntax error: missing '/' in ${{}}")]
    MissingSlash,
    #[error("syntax error: bad substitution")]
    BadSubstitution,
    #[error("unsupported modifier ({0}) in substitution")]
    Modifier(String),
    #[error("{name}: {message}")]
    Demanded { name: String, message: String },
    #[error("invalid pattern ({pattern}) in substitution: invalid escape '\\{letter}'")]
    Pattern { pattern: String, letter: char },
    #[error("syntax error: substitutions are nested too deeply")]
    TooDeep,
}

/// How to read a word. [`Lex::new`] is what instructions use; the other fields serve the search for heredocs.
#[derive(Clone, Copy, Debug)]
pub struct Lex {
    pub escape: char,
    /// Quotes stay in the result.
    pub raw_quotes: bool,
    /// Escapes stay in the result.
    pub raw_escapes: bool,
    /// A variable that is not set stays as it was written.
    pub keep_unset: bool,
}

/// Where variables come from.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Lex {
    pub const fn new(escape: char) -> Self {
        Self { escape, raw_quotes: false, raw_escapes: false, keep_unset: false }
    }

    /// The word with its variables replaced and its quotes taken off. Spaces stay.
    pub fn word(&self, word: &str, variables: Variables<'_>) -> Result<String, ExpandError> {
        self.run(word, variables).map(|words| words.whole)
    }

    /// The words that it makes: split at spaces outside quotes, after variables were replaced.
    pub fn words(&self, word: &str, variables: Variables<'_>) -> Result<Vec<String>, ExpandError> {
        self.run(word, variables).map(|words| words.split)
    }

    fn run(&self, word: &str, variables: Variables<'_>) -> Result<Words, ExpandError> {
        let mut scanner = Scanner {
            lex: *self,
            letters: word.chars().collect(),
            place: 0,
            raw_escapes: self.raw_escapes,
            depth: 0,
            variables,
        };
        scanner.until(None).map_err(|problem| ExpandError { word: word.to_owned(), problem })
    }
}

/// What was read: in one piece, and in words.
#[derive(Default)]
struct Words {
    whole: String,
    split: Vec<String>,
    word: String,
}

impl Words {
    /// Text that spaces split.
    fn loose(&mut self, text: &str) {
        self.whole.push_str(text);
        for letter in text.chars() {
            if !letter.is_whitespace() {
                self.word.push(letter);
            } else if !self.word.is_empty() {
                self.split.push(std::mem::take(&mut self.word));
            }
        }
    }

    /// Text that belongs together.
    fn firm(&mut self, text: &str) {
        self.whole.push_str(text);
        self.word.push_str(text);
    }

    fn finish(mut self) -> Self {
        if !self.word.is_empty() {
            self.split.push(std::mem::take(&mut self.word));
        }
        self
    }
}

struct Scanner<'a> {
    lex: Lex,
    letters: Vec<char>,
    place: usize,
    raw_escapes: bool,
    depth: usize,
    variables: Variables<'a>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<char> {
        self.letters.get(self.place).copied()
    }

    fn next(&mut self) -> Option<char> {
        let letter = self.peek();
        self.place += usize::from(letter.is_some());
        letter
    }

    /// Reads to `stop`, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<Words, Problem> {
        let mut words = Words::default();
        while let Some(letter) = self.peek() {
            if stop == Some(letter) {
                self.place += 1;
                return Ok(words.finish());
            }
            match letter {
                '\'' => words.firm(&self.single_quoted()?),
                '"' => words.firm(&self.double_quoted()?),
                '$' => words.loose(&self.dollar()?),
                '<' => words.firm(&self.less_than()),
                _ => self.plain(&mut words),
            }
        }
        match stop {
            Some(letter) => Err(Problem::Unmatched(letter)),
            None => Ok(words.finish()),
        }
    }

    fn plain(&mut self, words: &mut Words) {
        let Some(letter) = self.next() else { return };
        let mut buffer = [0; 4];
        if letter != self.lex.escape {
            words.loose(letter.encode_utf8(&mut buffer));
            return;
        }
        if self.raw_escapes {
            words.firm(letter.encode_utf8(&mut buffer));
        }
        // An escape at the very end is dropped.
        if let Some(escaped) = self.next() {
            words.firm(escaped.encode_utf8(&mut buffer));
        }
    }

    /// Everything up to the next `'` as it is.
    fn single_quoted(&mut self) -> Result<String, Problem> {
        let mut text = String::new();
        self.quote_mark(&mut text);
        loop {
            match self.peek().ok_or(Problem::SingleQuote)? {
                '\'' => {
                    self.quote_mark(&mut text);
                    return Ok(text);
                }
                letter => {
                    self.place += 1;
                    text.push(letter);
                }
            }
        }
    }

    fn quote_mark(&mut self, text: &mut String) {
        let mark = self.next();
        text.extend(mark.filter(|_| self.lex.raw_quotes));
    }

    /// Only variables and escapes of `"`, `$` and the escape itself count.
    fn double_quoted(&mut self) -> Result<String, Problem> {
        let mut text = String::new();
        self.quote_mark(&mut text);
        loop {
            match self.peek().ok_or(Problem::DoubleQuote)? {
                '"' => {
                    self.quote_mark(&mut text);
                    return Ok(text);
                }
                '$' => text.push_str(&self.dollar()?),
                letter if letter == self.lex.escape => self.escape_in_quotes(&mut text),
                letter => {
                    self.place += 1;
                    text.push(letter);
                }
            }
        }
    }

    fn escape_in_quotes(&mut self, text: &mut String) {
        let escape = self.lex.escape;
        self.place += 1;
        if self.raw_escapes {
            text.push(escape);
        }
        match self.peek() {
            None => {}
            Some(letter) if letter == '"' || letter == '$' || letter == escape => {
                self.place += 1;
                text.push(letter);
            }
            Some(_) => text.push(escape),
        }
    }

    /// `<< EOF` is one word, so that heredocs may have spaces before their names.
    fn less_than(&mut self) -> String {
        self.place += 1;
        if self.peek() != Some('<') {
            return "<".to_owned();
        }
        self.place += 1;
        let mut text = "<<".to_owned();
        while let Some(space @ ('\t' | '\r' | ' ')) = self.peek() {
            self.place += 1;
            text.push(space);
        }
        text
    }

    fn dollar(&mut self) -> Result<String, Problem> {
        self.place += 1;
        if self.peek() != Some('{') {
            let name = self.name();
            return Ok(match (self.variables)(&name) {
                _ if name.is_empty() => "$".to_owned(),
                Some(value) => value,
                None if self.lex.keep_unset => format!("${name}"),
                None => String::new(),
            });
        }
        self.place += 1;
        match self.peek() {
            None => return Err(Problem::Missing("}")),
            Some('{' | '}' | ':') => return Err(Problem::BadSubstitution),
            Some(_) => {}
        }
        if self.depth == DEEPEST {
            return Err(Problem::TooDeep);
        }
        self.depth += 1;
        let value = self.braces();
        self.depth -= 1;
        value
    }

    /// A name: letters, digits and `_`; or digits alone; or one of the shell's special parameters.
    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.peek().is_some_and(char::is_numeric) {
            while let Some(digit) = self.peek().filter(|letter| letter.is_numeric()) {
                self.place += 1;
                name.push(digit);
            }
            return name;
        }
        if let Some(special @ ('@' | '*' | '#' | '?' | '-' | '$' | '!')) = self.peek() {
            self.place += 1;
            return special.to_string();
        }
        while let Some(letter) = self.peek().filter(|letter| letter.is_alphanumeric() || *letter == '_') {
            self.place += 1;
            name.push(letter);
        }
        name
    }

    /// After `${`.
    fn braces(&mut self) -> Result<String, Problem> {
        let name = self.name();
        let value = (self.variables)(&name);
        match self.next() {
            Some('}') => Ok(match value {
                Some(value) => value,
                None if self.lex.keep_unset => format!("${{{name}}}"),
                None => String::new(),
            }),
            Some(':') => match self.next() {
                Some(sign @ ('+' | '-' | '?')) => {
                    self.otherwise(&name, value, sign, value_is_missing_when_empty)
                }
                Some(other) => Err(Problem::Modifier(format!(":{other}"))),
                None => Err(Problem::Modifier(":\u{fffd}".into())),
            },
            Some(sign @ ('+' | '-' | '?')) => self.otherwise(&name, value, sign, |_| false),
            Some(sign @ ('#' | '%')) => self.trimmed(&name, value, sign),
            Some('/') => self.replaced(&name, value),
            Some(other) => Err(Problem::Modifier(other.to_string())),
            None => Err(Problem::Modifier('\u{fffd}'.into())),
        }
    }

    /// The word of a modifier, up to `}`.
    fn operand(&mut self, raw_escapes: bool) -> Result<String, Problem> {
        let outer = std::mem::replace(&mut self.raw_escapes, raw_escapes);
        let word = self.until(Some('}'));
        self.raw_escapes = outer;
        match word {
            Ok(words) => Ok(words.whole),
            Err(problem @ Problem::TooDeep) => Err(problem),
            Err(_) if self.peek().is_none() => Err(Problem::Missing("}")),
            Err(problem) => Err(problem),
        }
    }

    /// `${a-b}`, `${a+b}`, `${a?b}`, each with or without `:`.
    fn otherwise(
        &mut self,
        name: &str,
        value: Option<String>,
        sign: char,
        counts_as_unset: fn(&str) -> bool,
    ) -> Result<String, Problem> {
        let colon = if counts_as_unset("") { ":" } else { "" };
        let word = self.operand(false)?;
        if self.lex.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{colon}{sign}{word}}}"));
        }
        let is_set = value.is_some();
        let value = value.filter(|value| !counts_as_unset(value));
        match (sign, value) {
            ('-', None) => Ok(word),
            ('+', Some(_)) => Ok(word),
            ('+', None) => Ok(String::new()),
            ('?', None) => {
                let what = if is_set { "empty" } else { "unset" };
                let message = if word.is_empty() { format!("is not allowed to be {what}") } else { word };
                Err(Problem::Demanded { name: name.to_owned(), message })
            }
            (_, Some(value)) => Ok(value),
            (_, None) => Ok(String::new()),
        }
    }

    /// `${a#x}`, `${a##x}`, `${a%x}`, `${a%%x}`.
    fn trimmed(&mut self, name: &str, value: Option<String>, sign: char) -> Result<String, Problem> {
        let word = self.operand(true)?;
        if self.lex.keep_unset && value.is_none() {
            return Ok(format!("${{{name}{sign}{word}}}"));
        }
        let value = value.unwrap_or_default();
        let (pattern, longest) = match word.strip_prefix(sign) {
            Some(pattern) => (pattern, true),
            None => (word.as_str(), false),
        };
        let glob = parse_glob(pattern)?;
        Ok(if sign == '#' {
            glob.without_prefix(&value, longest)
        } else {
            glob.without_suffix(&value, longest)
        })
    }

    /// `${a/x/y}`, `${a//x/y}`.
    fn replaced(&mut self, name: &str, value: Option<String>) -> Result<String, Problem> {
        let all = self.peek() == Some('/');
        self.place += usize::from(all);
        let outer = std::mem::replace(&mut self.raw_escapes, true);
        let pattern = self.until(Some('/'));
        self.raw_escapes = outer;
        let pattern = match pattern {
            Ok(words) => words.whole,
            Err(_) if self.peek().is_none() => return Err(Problem::MissingSlash),
            Err(problem) => return Err(problem),
        };
        let replacement = self.operand(true)?;
        match value {
            None if self.lex.keep_unset => Ok(format!("${{{name}/{pattern}/{replacement}}}")),
            value => Ok(parse_glob(&pattern)?.replace(&value.unwrap_or_default(), &replacement, all)),
        }
    }
}

fn value_is_missing_when_empty(value: &str) -> bool {
    value.is_empty()
}

fn parse_glob(pattern: &str) -> Result<Glob, Problem> {
    Glob::parse(pattern).map_err(|letter| Problem::Pattern { pattern: pattern.to_owned(), letter })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        let value = match name {
            "A" => "one",
            "B" => "two words",
            "EMPTY" => "",
            "PATHS" => "/a/b/c.tar.gz",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn words_expand_as_moby_expands_them() {
        let table: &[(&str, &str)] = &[
            ("$A", "one"),
            ("${A}x$A", "onexone"),
            ("$A_x", ""),
            ("\\$A", "$A"),
            ("'$A'", "$A"),
            ("\"$A'\"", "one'"),
            ("\"\\$A \\\" \\n\"", "$A \" \\n"),
            ("$", "$"),
            ("$ A", "$ A"),
            ("a$1b", "ab"),
            ("$NONE", ""),
            ("${NONE:-x$A}", "xone"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY-x}", ""),
            ("${A:+x}", "x"),
            ("${EMPTY:+x}", ""),
            ("${EMPTY+x}", "x"),
            ("${NONE+x}", ""),
            ("${A:?must}", "one"),
            ("${NONE:-${ALSO:-deep}}", "deep"),
            ("${PATHS#*/}", "a/b/c.tar.gz"),
            ("${PATHS##*/}", "c.tar.gz"),
            ("${PATHS%.*}", "/a/b/c.tar"),
            ("${PATHS%%.*}", "/a/b/c"),
            ("${PATHS/b/x}", "/a/x/c.tar.gz"),
            ("${PATHS//a/x}", "/x/b/c.txr.gz"),
            ("${PATHS//\\//-}", "-a-b-c.tar.gz"),
            ("trailing\\", "trailing"),
            ("a < b", "a < b"),
        ];
        for (word, expected) in table {
            assert_eq!(Lex::new('\\').word(word, &variables).as_deref(), Ok(*expected), "{word}");
        }
    }

    #[test]
    fn the_escape_can_be_a_backtick() {
        assert_eq!(Lex::new('`').word("`$A \\ $A", &variables).as_deref(), Ok("$A \\ one"));
    }

    #[test]
    fn words_are_split_after_expansion_and_not_in_quotes() {
        let lex = Lex::new('\\');
        assert_eq!(
            lex.words("80 $B \"$B\" a\\ b", &variables).expect("words"),
            ["80", "two", "words", "two words", "a b"]
        );
    }

    #[test]
    fn mistakes_are_named_in_mobys_words() {
        for (word, complaint) in [
            ("'x", "unexpected end of statement while looking for matching single-quote"),
            ("\"x", "unexpected end of statement while looking for matching double-quote"),
            ("${A", "unsupported modifier (\u{fffd}) in substitution"),
            ("${", "syntax error: missing '}'"),
            ("${}", "syntax error: bad substitution"),
            ("${A:x}", "unsupported modifier (:x) in substitution"),
            ("${A:-x", "syntax error: missing '}'"),
            ("${NONE:?}", "NONE: is not allowed to be unset"),
            ("${EMPTY:?}", "EMPTY: is not allowed to be empty"),
            ("${NONE?set it}", "NONE: set it"),
            ("${A#\\x}", "invalid pattern (\\x) in substitution: invalid escape '\\x'"),
        ] {
            let error = Lex::new('\\').word(word, &variables).expect_err(word);
            assert_eq!(error.to_string(), format!("failed to process {}: {complaint}", go::quote(word)));
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let word = "${x:-".repeat(50_000);
        assert_eq!(Lex::new('\\').word(&word, &variables).expect_err("too deep").problem, Problem::TooDeep);
    }
}
