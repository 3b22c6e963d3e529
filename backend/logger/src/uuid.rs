//! Names that nobody else has.

use std::fmt::Write;

/// A version 4 UUID.
pub fn random() -> String {
    let mut bytes = [0u8; 16];
    // Without randomness all channels have one name, which collectors allow.
    let _ = getrandom::fill(&mut bytes);
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_uuid_says_its_version() {
        let text = super::random();
        assert_eq!((text.len(), &text[14..15]), (36, "4"));
    }
}
