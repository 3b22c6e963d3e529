//! Detach keys: the sequence that leaves a container alone, by default Ctrl-P Ctrl-Q.

/// Watches what a user types for the sequence. Keys of a sequence that comes to nothing are passed on late.
#[derive(Clone, Debug)]
pub struct DetachKeys {
    keys: Vec<u8>,
    seen: usize,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid detach keys ({0}) provided")]
pub struct UnknownKey(String);

/// What to do with input.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    Pass(Vec<u8>),
    /// Pass these on, then leave.
    Detach(Vec<u8>),
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q`; empty is the default.
    pub fn parse(text: &str) -> Result<Self, UnknownKey> {
        let text = if text.is_empty() { "ctrl-p,ctrl-q" } else { text };
        let key = |word: &str| key(word).ok_or_else(|| UnknownKey(text.to_owned()));
        let keys = text.split(',').map(key).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { keys, seen: 0 })
    }

    pub fn take(&mut self, input: &[u8]) -> Typed {
        let mut pass = Vec::with_capacity(input.len() + self.seen);
        for byte in input {
            if *byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return Typed::Detach(pass);
                }
                continue;
            }
            pass.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(*byte == self.keys[0] && self.keys.len() > 1);
            if self.seen == 0 {
                pass.push(*byte);
            }
        }
        Typed::Pass(pass)
    }
}

fn key(word: &str) -> Option<u8> {
    if let [byte] = word.as_bytes() {
        return Some(*byte);
    }
    if word.eq_ignore_ascii_case("DEL") {
        return Some(127);
    }
    match word.to_ascii_lowercase().strip_prefix("ctrl-")?.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(letter - b'a' + 1),
        [b'@'] => Some(0),
        [b'['] => Some(27),
        [b'\\'] => Some(28),
        [b']'] => Some(29),
        [b'^'] => Some(30),
        [b'_'] => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_found_across_reads() {
        let mut keys = DetachKeys::parse("").expect("the default");
        assert_eq!(keys.take(b"ab\x10"), Typed::Pass(b"ab".to_vec()));
        assert_eq!(keys.take(b"\x11"), Typed::Detach(Vec::new()));
    }

    #[test]
    fn a_sequence_that_comes_to_nothing_is_passed_on() {
        let mut keys = DetachKeys::parse("ctrl-p,ctrl-q").expect("keys");
        assert_eq!(keys.take(b"\x10x"), Typed::Pass(b"\x10x".to_vec()));
        assert_eq!(keys.take(b"\x10\x10\x11"), Typed::Detach(b"\x10".to_vec()));
    }

    #[test]
    fn other_keys_can_be_chosen() {
        let mut keys = DetachKeys::parse("ctrl-a,q").expect("keys");
        assert_eq!(keys.take(b"x\x01q"), Typed::Detach(b"x".to_vec()));
        assert!(DetachKeys::parse("ctrl-a,shift-b").is_err());
    }
}
