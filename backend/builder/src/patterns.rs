//! Patterns of paths: `COPY`'s (Go's `filepath.Match`) and `.dockerignore`'s, which know `**` and `!` besides.

/// A pattern cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct BadPattern;

/// One pattern.
#[derive(Clone, Debug)]
pub struct Pattern {
    tokens: Vec<Token>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Letter(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[a-z]`, `[^a-z]`
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
    /// `**` at the end.
    Anything,
    /// `**` elsewhere: any number of folders.
    Folders,
}

impl Pattern {
    /// A pattern of `COPY`: no letter of it matches `/`, except `/`.
    pub fn shallow(text: &str) -> Result<Self, BadPattern> {
        Self::parse(text, false)
    }

    /// A pattern of `.dockerignore`.
    pub fn deep(text: &str) -> Result<Self, BadPattern> {
        Self::parse(text, true)
    }

    fn parse(text: &str, deep: bool) -> Result<Self, BadPattern> {
        let mut tokens = Vec::new();
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            tokens.push(match letter {
                '*' if deep && letters.next_if_eq(&'*').is_some() => {
                    letters.next_if_eq(&'/');
                    if letters.peek().is_none() { Token::Anything } else { Token::Folders }
                }
                '*' => Token::Many,
                '?' => Token::One,
                '[' => class(&mut letters)?,
                '\\' => Token::Letter(letters.next().ok_or(BadPattern)?),
                letter => Token::Letter(letter),
            });
        }
        Ok(Self { tokens })
    }

    pub fn matches(&self, path: &str) -> bool {
        let letters: Vec<char> = path.chars().collect();
        // `reached[n]`: the tokens so far can match the first n letters.
        let mut reached = vec![false; letters.len() + 1];
        reached[0] = true;
        for token in &self.tokens {
            reached = token.step(&reached, &letters);
        }
        reached[letters.len()]
    }
}

impl Token {
    fn step(&self, reached: &[bool], letters: &[char]) -> Vec<bool> {
        let mut next = vec![false; reached.len()];
        let mut begun = false;
        for place in 0..reached.len() {
            let before = place.checked_sub(1).map(|before| letters[before]);
            let one_on = |fits: bool| place > 0 && reached[place - 1] && fits;
            next[place] = match self {
                Self::Letter(own) => one_on(before == Some(*own)),
                Self::One => one_on(before != Some('/')),
                Self::Class { not, ranges } => one_on(before.is_some_and(|letter| {
                    ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter)) != *not
                })),
                Self::Many => reached[place] || (place > 0 && next[place - 1] && before != Some('/')),
                Self::Anything => reached[place] || (place > 0 && next[place - 1]),
                Self::Folders => reached[place] || (begun && before == Some('/')),
            };
            begun |= reached[place];
        }
        next
    }
}

fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Token, BadPattern> {
    let not = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    let letter = |letters: &mut std::iter::Peekable<std::str::Chars<'_>>| match letters.next() {
        Some('\\') => letters.next().ok_or(BadPattern),
        Some('-' | ']') | None => Err(BadPattern),
        Some(letter) => Ok(letter),
    };
    loop {
        if !ranges.is_empty() && letters.next_if_eq(&']').is_some() {
            return Ok(Token::Class { not, ranges });
        }
        let low = letter(letters)?;
        let high = if letters.next_if_eq(&'-').is_some() { letter(letters)? } else { low };
        ranges.push((low, high));
    }
}

/// Whether a source of `COPY` is a pattern.
pub fn has_wildcards(path: &str) -> bool {
    let mut letters = path.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => drop(letters.next()),
            '*' | '?' | '[' => return true,
            _ => {}
        }
    }
    false
}

/// The lines of a `.dockerignore`, or of several `--exclude`.
#[derive(Clone, Debug, Default)]
pub struct Ignore {
    patterns: Vec<(Pattern, Sense)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    LeaveOut,
    /// `!`
    Keep,
}

impl Ignore {
    /// Reads a `.dockerignore` file.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::new(text.lines().filter(|line| !line.starts_with('#')))
    }

    pub fn new<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, BadPattern> {
        let mut patterns = Vec::new();
        for line in lines {
            let (text, sense) = match line.trim().strip_prefix('!') {
                Some(text) => (text.trim(), Sense::Keep),
                None => (line.trim(), Sense::LeaveOut),
            };
            match (clean(text), sense) {
                (text, _) if !text.is_empty() => patterns.push((Pattern::deep(&text)?, sense)),
                (_, Sense::Keep) => return Err(BadPattern),
                _ => {}
            }
        }
        Ok(Self { patterns })
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// Whether a path, relative and clean, is left out: by itself or with a folder it lies in. The last line that fits
    /// decides.
    pub fn leaves_out(&self, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        let tried: Vec<&str> = folders.chain([path]).collect();
        let mut out = false;
        for (pattern, sense) in &self.patterns {
            let would_change = (*sense == Sense::LeaveOut) != out;
            if would_change && tried.iter().any(|path| pattern.matches(path)) {
                out = !out;
            }
        }
        out
    }

    /// Whether something below a folder that is left out may be kept.
    pub fn has_exceptions(&self) -> bool {
        self.patterns.iter().any(|(_, sense)| *sense == Sense::Keep)
    }
}

/// Go's `filepath.Clean`, relative to the root.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_patterns_stay_in_their_folder() {
        for (pattern, path, expected) in [
            ("*.txt", "a.txt", true),
            ("*.txt", "d/a.txt", false),
            ("d/*", "d/a", true),
            ("d/?", "d/ab", false),
            ("[a-c]x", "bx", true),
            ("[^a-c]x", "bx", false),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("**", "a/b", false),
            ("", "", true),
        ] {
            assert_eq!(Pattern::shallow(pattern).expect(pattern).matches(path), expected, "{pattern} {path}");
        }
        for bad in ["[", "[]", "[a", "[a-]", "\\"] {
            assert!(Pattern::shallow(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ignore_files_match_as_mobys_do() {
        for (lines, path, expected) in [
            ("*.md", "a.md", true),
            ("*.md", "d/a.md", false),
            ("**/*.md", "d/e/a.md", true),
            ("**/*.md", "a.md", true),
            ("node_modules", "node_modules/x/y", true),
            ("/node_modules/", "node_modules/x", true),
            ("**/temp*", "a/b/temporary", true),
            ("docs/**", "docs/a/b", true),
            ("*\n!README.md", "README.md", false),
            ("*\n!README.md", "other", true),
            ("*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true),
            ("# comment\n\n  spaced  ", "spaced", true),
            ("a/../b", "b", true),
            ("**/foo", "foo", true),
            ("**/foo", "xfoo", false),
        ] {
            assert_eq!(Ignore::parse(lines).expect(lines).leaves_out(path), expected, "{lines:?} {path}");
        }
    }

    #[test]
    fn hard_patterns_take_no_longer_than_easy_ones() {
        let pattern = Pattern::deep(&"*a".repeat(200)).expect("a pattern");
        assert!(!pattern.matches(&"a".repeat(2_000).replace("aaaaaaaaaa", "ab")));
    }
}
