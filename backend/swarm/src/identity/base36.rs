//! Big numbers in the digits 0-9a-z, padded on the left: how swarm writes digests, secrets and ids.

/// `bytes` as one big-endian number in base 36, at least `width` digits.
pub(super) fn encode(bytes: &[u8], width: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = Vec::with_capacity(width);
    while number.iter().any(|byte| *byte != 0) {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest * 256 + u32::from(*byte);
            *byte = (value / 36) as u8;
            rest = value % 36;
        }
        digits.push(char::from_digit(rest, 36).unwrap_or('0'));
    }
    while digits.len() < width {
        digits.push('0');
    }
    digits.iter().rev().collect()
}

/// The number in `text` as exactly `N` big-endian bytes; nothing when a character is no digit or the number is larger.
pub(super) fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut number = [0u8; N];
    for character in text.chars() {
        let mut carry = character.to_digit(36)?;
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 36 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_round_trip() {
        for bytes in [[0u8; 16], [255; 16], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]] {
            let text = encode(&bytes, 25);
            assert_eq!(text.len(), 25);
            assert_eq!(decode::<16>(&text), Some(bytes));
        }
    }

    #[test]
    fn known_values_are_written_as_big_integers_are() {
        assert_eq!(encode(&[1, 0], 4), "0074");
        assert_eq!(encode(&[0xff; 16], 25), "f5lxx1zz5pnorynqglhzmsp33");
    }

    #[test]
    fn a_number_too_large_or_a_strange_letter_is_nothing() {
        assert_eq!(decode::<16>("f5lxx1zz5pnorynqglhzmsp34"), None);
        assert_eq!(decode::<16>("not-a-number"), None);
    }
}
