//! As much of MessagePack as Fluentd's forward protocol needs.

/// Writes one value after the other.
#[derive(Debug, Default)]
pub struct Writer(pub Vec<u8>);

impl Writer {
    pub fn array(&mut self, length: usize) {
        self.head(length, (0x90, 15), None, 0xdc, 0xdd);
    }

    pub fn map(&mut self, length: usize) {
        self.head(length, (0x80, 15), None, 0xde, 0xdf);
    }

    pub fn string(&mut self, text: &str) {
        self.head(text.len(), (0xa0, 31), Some(0xd9), 0xda, 0xdb);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn number(&mut self, value: i64) {
        match value {
            0..=0x7f => self.0.push(value as u8),
            _ => {
                self.0.push(0xd3);
                self.0.extend_from_slice(&value.to_be_bytes());
            }
        }
    }

    /// Fluentd's `EventTime`: seconds and nanoseconds, as an extension of type 0.
    pub fn event_time(&mut self, seconds: u32, nanos: u32) {
        self.0.extend_from_slice(&[0xd7, 0x00]);
        self.0.extend_from_slice(&seconds.to_be_bytes());
        self.0.extend_from_slice(&nanos.to_be_bytes());
    }

    fn head(&mut self, length: usize, (small, most): (u8, usize), byte: Option<u8>, short: u8, long: u8) {
        match (length, byte) {
            (..=0xff, _) if length <= most => self.0.push(small | length as u8),
            (..=0xff, Some(byte)) => self.0.extend_from_slice(&[byte, length as u8]),
            (..=0xffff, _) => {
                self.0.push(short);
                self.0.extend_from_slice(&(length as u16).to_be_bytes());
            }
            _ => {
                self.0.push(long);
                self.0.extend_from_slice(&(length as u32).to_be_bytes());
            }
        }
    }
}

/// `{"ack": "…"}`: the text, or `None` when it is not all there yet; an error when it is something else.
pub fn read_ack(bytes: &[u8]) -> Result<Option<String>, ()> {
    const HEAD: [u8; 5] = [0x81, 0xa3, b'a', b'c', b'k'];
    if bytes.len() < HEAD.len() + 2 {
        return if HEAD.starts_with(&bytes[..bytes.len().min(HEAD.len())]) { Ok(None) } else { Err(()) };
    }
    let (head, rest) = bytes.split_at(HEAD.len());
    if head != HEAD {
        return Err(());
    }
    let (length, text) = match rest[0] {
        tag @ 0xa0..=0xbf => (usize::from(tag & 0x1f), &rest[1..]),
        0xd9 => (usize::from(rest[1]), &rest[2..]),
        _ => return Err(()),
    };
    match text.get(..length) {
        Some(text) => String::from_utf8(text.to_vec()).map(Some).map_err(drop),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_take_as_many_bytes_as_they_need() {
        let head = |length: usize| {
            let mut writer = Writer::default();
            writer.string(&"x".repeat(length));
            writer.0[..writer.0.len() - length].to_vec()
        };
        assert_eq!(head(31), [0xbf]);
        assert_eq!(head(32), [0xd9, 32]);
        assert_eq!(head(256), [0xda, 1, 0]);
        assert_eq!(head(65536), [0xdb, 0, 1, 0, 0]);
        let mut writer = Writer::default();
        writer.array(4);
        writer.map(16);
        writer.number(5);
        writer.number(-1);
        assert_eq!(writer.0[..5], [0x94, 0xde, 0, 16, 5]);
        assert_eq!(writer.0[5..], [0xd3, 255, 255, 255, 255, 255, 255, 255, 255]);
    }

    #[test]
    fn an_acknowledgement_is_read_when_it_is_whole() {
        let whole = b"\x81\xa3ack\xa3abc";
        for cut in 0..whole.len() {
            assert_eq!(read_ack(&whole[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(read_ack(whole), Ok(Some("abc".to_owned())));
        assert_eq!(read_ack(b"\x81\xa3nak\xa3abc"), Err(()));
    }
}
