//! What Go's standard library and moby's small packages do with text that a person wrote, and how they complain: users and
//! scripts know these words. Pure functions.

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

/// `%q`: in double quotes, with what cannot be printed escaped.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' => out.push_str(&format!("\\x{:02x}", letter as u32)),
            plain => out.push(plain),
        }
    }
    out.push('"');
    out
}
