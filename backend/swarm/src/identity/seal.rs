//! Bytes under a key: ChaCha20-Poly1305 with a random nonce in front.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use super::random;

/// A key of 32 bytes that seals and opens; never shown in logs.
#[derive(Clone)]
pub struct SealKey {
    bytes: [u8; 32],
    key: LessSafeKey,
}

/// The bytes were not sealed with this key for this purpose, or were changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record does not open with this key")]
pub struct CannotOpen;

impl SealKey {
    pub fn generate() -> Self {
        let mut bytes = [0; 32];
        random(&mut bytes);
        Self::from_bytes(bytes)
    }

    /// # Panics
    /// Never: 32 bytes are a key of this cipher.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let key = UnboundKey::new(&CHACHA20_POLY1305, &bytes).expect("32 bytes are a key");
        Self { bytes, key: LessSafeKey::new(key) }
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// Nonce, cipher text and tag. `purpose` is bound to it: what was sealed for one purpose opens for no other.
    ///
    /// Nonces are random: 96 bits suffice for the records of one key, which is replaced when it is locked away.
    pub fn seal(&self, purpose: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        random(&mut nonce);
        let mut text = plain.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(purpose), &mut text)
            .expect("a record is far below the cipher's limit of 256 GiB");
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        sealed
    }

    /// The plain bytes of what [`Self::seal`] made.
    pub fn open(&self, purpose: &[u8], sealed: &[u8]) -> Result<Vec<u8>, CannotOpen> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN).ok_or(CannotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| CannotOpen)?;
        let mut text = text.to_vec();
        let length =
            self.key.open_in_place(nonce, Aad::from(purpose), &mut text).map_err(|_| CannotOpen)?.len();
        text.truncate(length);
        Ok(text)
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_key_and_purpose_open_what_was_sealed() {
        let key = SealKey::generate();
        let sealed = key.seal(b"log", b"secret");
        assert_eq!(key.open(b"log", &sealed).unwrap(), b"secret");
        assert_eq!(key.open(b"key", &sealed), Err(CannotOpen));
        assert_eq!(SealKey::generate().open(b"log", &sealed), Err(CannotOpen));
        assert_eq!(key.open(b"log", &sealed[..5]), Err(CannotOpen));
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let key = SealKey::generate();
        let mut sealed = key.seal(b"log", b"secret");
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(key.open(b"log", &sealed), Err(CannotOpen));
    }
}
