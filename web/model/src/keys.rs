//! Which keys are the page's and which are the shell's.

/// What a pressed key means to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The shell's.
    Shell,
    /// The browser's own paste follows, and xterm.js brackets it where the shell asked for that.
    Paste,
    /// The browser's own copy follows.
    Copy,
    /// Copied by command: the browser has no such key.
    CopyByCommand,
    Search,
    /// Moves the focus out of the terminal, which otherwise keeps Tab for the shell.
    Leave,
}

/// A key as the DOM tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key<'a> {
    /// `KeyboardEvent.key`: what it types.
    pub key: &'a str,
    pub control: bool,
    pub shift: bool,
    pub alt: bool,
    pub meta: bool,
}

/// Ctrl+C copies when something is selected and interrupts otherwise; the rest is as in desktop terminals.
pub fn meaning(key: Key, has_selection: bool) -> Meaning {
    let letter = key.key.to_ascii_lowercase();
    if key.alt {
        return Meaning::Shell;
    }
    match (key.control, key.shift, key.meta, letter.as_str()) {
        (true, false, false, "c") if has_selection => Meaning::Copy,
        (true, true, false, "c") => Meaning::CopyByCommand,
        (true, _, false, "v") => Meaning::Paste,
        (true, true, false, "f") | (false, false, true, "f") => Meaning::Search,
        (true, true, false, "escape" | "e") => Meaning::Leave,
        (false, false, true, "c" | "v") => Meaning::Paste,
        _ => Meaning::Shell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(combination: &str, has_selection: bool) -> Meaning {
        let mut parts: Vec<&str> = combination.split('+').collect();
        let key = parts.pop().unwrap();
        let has = |name| parts.contains(&name);
        let key = Key { key, control: has("C"), shift: has("S"), alt: has("A"), meta: has("M") };
        meaning(key, has_selection)
    }

    #[test]
    fn copy_and_paste_are_the_pages_and_the_rest_is_the_shells() {
        for (combination, selected, expected) in [
            ("C+c", false, Meaning::Shell),
            ("C+c", true, Meaning::Copy),
            ("C+S+C", false, Meaning::CopyByCommand),
            ("C+S+C", true, Meaning::CopyByCommand),
            ("C+v", false, Meaning::Paste),
            ("C+S+V", false, Meaning::Paste),
            ("C+S+F", false, Meaning::Search),
            ("C+f", false, Meaning::Shell),
            ("C+S+E", false, Meaning::Leave),
            ("C+A+v", false, Meaning::Shell),
            ("M+c", true, Meaning::Paste),
            ("c", true, Meaning::Shell),
            ("C+d", true, Meaning::Shell),
        ] {
            assert_eq!(pressed(combination, selected), expected, "{combination}");
        }
    }
}
