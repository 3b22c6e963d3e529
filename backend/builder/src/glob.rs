//! Shell patterns with `*` and `?` only, as `${NAME#pattern}` has them.

/// A parsed pattern.
#[derive(Clone, Debug)]
pub struct Glob {
    tokens: Vec<Token>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Letter(char),
    One,
    Many,
}

impl Token {
    fn takes(self, letter: char) -> bool {
        match self {
            Self::Letter(own) => own == letter,
            // As in the regular expressions that moby makes of patterns.
            Self::One | Self::Many => letter != '\n',
        }
    }
}

impl Glob {
    /// The error is the letter that must not be escaped.
    pub fn parse(pattern: &str) -> Result<Self, char> {
        let mut tokens = Vec::new();
        let mut letters = pattern.chars().peekable();
        while let Some(letter) = letters.next() {
            tokens.push(match letter {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match letters.next() {
                    Some(letter @ ('*' | '?' | '\\' | '}' | '/')) => Token::Letter(letter),
                    other => return Err(other.unwrap_or('\u{fffd}')),
                },
                letter => Token::Letter(letter),
            });
        }
        Ok(Self { tokens })
    }

    pub fn without_prefix(&self, text: &str, longest: bool) -> String {
        let letters: Vec<char> = text.chars().collect();
        let end = prefix(&self.tokens, &letters, longest).unwrap_or(0);
        letters[end..].iter().collect()
    }

    pub fn without_suffix(&self, text: &str, longest: bool) -> String {
        let letters: Vec<char> = text.chars().rev().collect();
        let tokens: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let end = prefix(&tokens, &letters, longest).unwrap_or(0);
        letters[end..].iter().rev().collect()
    }

    /// Replaces the first, or every, longest match.
    pub fn replace(&self, text: &str, replacement: &str, all: bool) -> String {
        let letters: Vec<char> = text.chars().collect();
        let mut replaced = String::new();
        let mut place = 0;
        while place <= letters.len() {
            match prefix(&self.tokens, &letters[place..], true) {
                Some(length) => {
                    replaced.push_str(replacement);
                    place += length;
                    if !all {
                        break;
                    }
                    if length == 0 {
                        replaced.extend(letters.get(place));
                        place += 1;
                    }
                }
                None => {
                    replaced.extend(letters.get(place));
                    place += 1;
                }
            }
        }
        replaced.extend(letters.get(place..).into_iter().flatten());
        replaced
    }
}

/// How many letters from the start match: the fewest, or the most.
fn prefix(tokens: &[Token], letters: &[char], longest: bool) -> Option<usize> {
    // `reached[n]`: the tokens so far can match the first n letters.
    let mut reached = vec![false; letters.len() + 1];
    reached[0] = true;
    for token in tokens {
        let mut next = vec![false; letters.len() + 1];
        for place in 0..=letters.len() {
            if *token == Token::Many {
                let grown = place > 0 && next[place - 1] && token.takes(letters[place - 1]);
                next[place] = reached[place] || grown;
            } else {
                next[place] = place > 0 && reached[place - 1] && token.takes(letters[place - 1]);
            }
        }
        reached = next;
    }
    let mut ends = reached.iter().enumerate().filter(|(_, is_end)| **is_end).map(|(place, _)| place);
    if longest { ends.next_back() } else { ends.next() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_and_the_longest_match_differ() {
        let glob = Glob::parse("*b").expect("a pattern");
        assert_eq!(glob.without_prefix("abab-", false), "ab-");
        assert_eq!(glob.without_prefix("abab-", true), "-");
        let glob = Glob::parse("b*").expect("a pattern");
        assert_eq!(glob.without_suffix("-abab", false), "-aba");
        assert_eq!(glob.without_suffix("-abab", true), "-a");
        assert_eq!(Glob::parse("x?").expect("a pattern").replace("xaxbx", "-", true), "--x");
    }
}
