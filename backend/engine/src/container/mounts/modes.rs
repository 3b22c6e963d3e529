//! What stands after the second colon of `-v`: words of five kinds, at most one of each.

/// The words of a mode, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    pub writable: bool,
    pub propagation: Option<String>,
    pub no_copy: bool,
}

/// `None` when a word is unknown or a kind is named twice.
pub fn parse(text: &str) -> Option<Modes> {
    let mut modes = Modes { writable: true, propagation: None, no_copy: false };
    if text.is_empty() {
        return Some(modes);
    }
    let mut seen = [false; 5];
    for word in text.split(',') {
        let kind = match word {
            "rw" | "ro" => {
                modes.writable = word == "rw";
                0
            }
            "z" | "Z" => 1,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                modes.propagation = Some(word.to_owned());
                2
            }
            "nocopy" => {
                modes.no_copy = true;
                3
            }
            "consistent" | "cached" | "delegated" => 4,
            _ => return None,
        };
        if std::mem::replace(&mut seen[kind], true) {
            return None;
        }
    }
    Some(modes)
}

/// Reads `NAME[:MODE]` of `--volumes-from`; answers the name and whether its writable mounts stay so.
pub fn volumes_from(text: &str) -> Result<(&str, bool), super::MountsError> {
    if text.is_empty() {
        return Err(super::MountsError::NoVolumesFrom);
    }
    let (name, mode) = text.split_once(':').unwrap_or((text, ""));
    match parse(mode) {
        Some(Modes { writable, propagation: None, no_copy: false }) => Ok((name, writable)),
        _ => Err(super::MountsError::Mode(mode.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_has_each_kind_of_word_at_most_once() {
        for (text, good) in [
            ("", true),
            ("ro,z,rshared,nocopy,cached", true),
            ("ro,rw", false),
            ("ro,ro", false),
            ("shared,slave", false),
            ("consistent,delegated", false),
            ("sideways", false),
        ] {
            assert_eq!(parse(text).is_some(), good, "{text}");
        }
        assert_eq!(volumes_from("a:ro"), Ok(("a", false)));
        assert!(volumes_from("a:nocopy").is_err() && volumes_from("a:shared").is_err());
    }
}
