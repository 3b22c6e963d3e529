//! What Go's standard library and moby's small packages do with text that a person wrote, and how they complain: users and
//! scripts know these words. Pure functions.
//!
//! This room knows nothing of Docker: what is a size and what a duration, its callers say. Begin with [`units`] and
//! [`template`].
#![forbid(unsafe_code)]

use std::fmt::Write;

pub mod json;
pub mod numbers;
pub mod template;
pub mod units;
pub mod url;

/// The kernel's own words in small letters, without a number, as Go prints an `Errno`.
pub fn os_error(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

/// `%q` of a string.
pub fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            // Writing to a string cannot fail.
            control if (control as u32) < 0x80 && control.is_control() => {
                let _ = write!(quoted, "\\x{:02x}", control as u32);
            }
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", control as u32);
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// `%q` of a list: `["a" "b"]`.
pub fn quote_list(words: &[String]) -> String {
    let words: Vec<String> = words.iter().map(|word| quote(word)).collect();
    format!("[{}]", words.join(" "))
}

/// `%v` of a list: `[a b]`.
pub fn list(words: &[String]) -> String {
    format!("[{}]", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_as_go_does() {
        assert_eq!(quote("a\"b\\c\n\u{1}é"), r#""a\"b\\c\n\x01é""#);
        assert_eq!(quote_list(&["/bin/sh".into(), "-c".into()]), r#"["/bin/sh" "-c"]"#);
    }
}
