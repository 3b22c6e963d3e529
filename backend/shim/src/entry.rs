//! One piece of a container's output, and the bytes it is on disk and on the way to a remote log driver.
//!
//! The bytes are moby's: `LogEntry` of `api/types/plugins/logdriver/entry.proto`, which its `local` driver writes with its
//! length before and after it, both as a big-endian `u32`:
//!
//! ```text
//!   [length][LogEntry][length]   [length][LogEntry][length]   …
//! ```
//!
//! The length at the end lets a reader find the newest entries from the back. Pure: no input or output happens here.

/// Which of a container's two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Stdout,
    Stderr,
}

impl Source {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    pub fn from_name(name: &[u8]) -> Self {
        if name == b"stderr" { Self::Stderr } else { Self::Stdout }
    }
}

/// A line without its newline, or a piece of one that was too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    pub source: Source,
    /// Nanoseconds since 1970. No two entries of a container have the same; all pieces of a line do.
    pub time_nano: i64,
    pub line: &'a [u8],
    pub partial: Option<Partial<'a>>,
}

/// Which piece of which line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial<'a> {
    pub id: &'a str,
    /// From 1.
    pub ordinal: i32,
    /// The piece that ended in a newline.
    pub last: bool,
}

impl Entry<'_> {
    /// A newline belongs after it.
    pub fn ends_line(&self) -> bool {
        self.partial.is_none_or(|partial| partial.last)
    }
}

/// No entry is longer than this (moby's `maxMsgLen`): what claims to be is not one.
pub const MAX_LENGTH: usize = 1_000_000;
/// The bytes of a length.
pub const LENGTH: usize = 4;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("log message is too large ({0} > {MAX_LENGTH})")]
    TooLong(usize),
    #[error("log message header and footer indicate different message sizes")]
    Footer,
    #[error("the log message ends in the middle of a field")]
    Cut,
    #[error("the log message has a field of unknown wire type {0}")]
    WireType(u64),
    #[error("a name in the log message is not UTF-8")]
    Text,
}

/// Appends the entry alone.
pub fn encode(entry: &Entry<'_>, out: &mut Vec<u8>) {
    bytes(out, 1, entry.source.name().as_bytes());
    if entry.time_nano != 0 {
        varint(out, tag(2, VARINT));
        varint(out, entry.time_nano.cast_unsigned());
    }
    bytes(out, 3, entry.line);
    let Some(partial) = entry.partial else { return };
    varint(out, tag(4, VARINT));
    varint(out, 1);
    let mut inner = Vec::with_capacity(partial.id.len() + 8);
    if partial.last {
        varint(&mut inner, tag(1, VARINT));
        varint(&mut inner, 1);
    }
    bytes(&mut inner, 2, partial.id.as_bytes());
    if partial.ordinal != 0 {
        varint(&mut inner, tag(3, VARINT));
        varint(&mut inner, i64::from(partial.ordinal).cast_unsigned());
    }
    varint(out, tag(5, BYTES));
    varint(out, inner.len() as u64);
    out.extend_from_slice(&inner);
}

/// Appends the entry between its lengths.
pub fn encode_framed(entry: &Entry<'_>, out: &mut Vec<u8>) {
    let head = out.len();
    out.extend_from_slice(&[0; LENGTH]);
    encode(entry, out);
    let length = ((out.len() - head - LENGTH) as u32).to_be_bytes();
    out[head..head + LENGTH].copy_from_slice(&length);
    out.extend_from_slice(&length);
}

/// Reads the entry that is the whole of `message`.
pub fn decode(message: &[u8]) -> Result<Entry<'_>, DecodeError> {
    let mut entry = Entry { source: Source::Stdout, time_nano: 0, line: &[], partial: None };
    let mut partial = Partial { id: "", ordinal: 0, last: false };
    let mut is_partial = false;
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(name)) => entry.source = Source::from_name(name),
            (2, Value::Number(nanos)) => entry.time_nano = nanos.cast_signed(),
            (3, Value::Bytes(line)) => entry.line = line,
            (4, Value::Number(set)) => is_partial = set != 0,
            (5, Value::Bytes(inner)) => partial = decode_partial(inner)?,
            _ => {}
        }
    }
    entry.partial = is_partial.then_some(partial);
    Ok(entry)
}

fn decode_partial(message: &[u8]) -> Result<Partial<'_>, DecodeError> {
    let mut partial = Partial { id: "", ordinal: 0, last: false };
    for field in Fields(message) {
        match field? {
            (1, Value::Number(set)) => partial.last = set != 0,
            (2, Value::Bytes(id)) => partial.id = str::from_utf8(id).map_err(|_| DecodeError::Text)?,
            (3, Value::Number(number)) => partial.ordinal = number as i32,
            _ => {}
        }
    }
    Ok(partial)
}

/// Reads a framed entry from the front of `buffer`: the entry's bytes and how many the frame took, or `None` when it is not
/// all there yet.
pub fn decode_frame(buffer: &[u8]) -> Result<Option<(&[u8], usize)>, DecodeError> {
    let Some((head, rest)) = buffer.split_first_chunk::<LENGTH>() else { return Ok(None) };
    let length = u32::from_be_bytes(*head) as usize;
    if length > MAX_LENGTH {
        return Err(DecodeError::TooLong(length));
    }
    let Some(message) = rest.get(..length) else { return Ok(None) };
    let Some(foot) = rest[length..].first_chunk::<LENGTH>() else { return Ok(None) };
    if foot != head {
        return Err(DecodeError::Footer);
    }
    Ok(Some((message, length + 2 * LENGTH)))
}

const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

const fn tag(field: u64, wire_type: u64) -> u64 {
    field << 3 | wire_type
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    // Protocol buffers leave out what is empty.
    if !value.is_empty() {
        varint(out, tag(field, BYTES));
        varint(out, value.len() as u64);
        out.extend_from_slice(value);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(DecodeError::Cut)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::Cut)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Cut)?;
        self.0 = rest;
        Ok(taken)
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), DecodeError> {
        let tag = self.number()?;
        let value = match tag & 7 {
            VARINT => Value::Number(self.number()?),
            BYTES => {
                let length = usize::try_from(self.number()?).map_err(|_| DecodeError::Cut)?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => Value::Bytes(self.take(8)?),
            FIXED32 => Value::Bytes(self.take(4)?),
            other => return Err(DecodeError::WireType(other)),
        };
        Ok((tag >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What moby 28.5 wrote for `echo err >&2` and for an unfinished `end`.
    const MOBYS: [&str; 2] = [
        "000000170a067374646572721\
         0c3facd8d848783f6181a0365727200000017",
        "0000005f0a067374646f75741\
         09288b9ad848783f6181a03656e6420012a441240373031303138663630326338396566353863646166303736653865626534636637323132\
         62636166303662383934326638633830366231303061313333663334180100\
         00005f",
    ];

    fn from_hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }

    #[test]
    fn what_moby_wrote_is_read_and_written_again_byte_by_byte() {
        let whole = from_hex(MOBYS[0]);
        let (message, used) = decode_frame(&whole).unwrap().unwrap();
        assert_eq!(used, whole.len());
        let entry = decode(message).unwrap();
        assert_eq!((entry.source, entry.line, entry.partial), (Source::Stderr, &b"err"[..], None));
        let mut again = Vec::new();
        encode_framed(&entry, &mut again);
        assert_eq!(again, whole);
        let whole = from_hex(MOBYS[1]);
        let (message, _) = decode_frame(&whole).unwrap().unwrap();
        let entry = decode(message).unwrap();
        let partial = entry.partial.unwrap();
        assert_eq!((entry.line, partial.ordinal, partial.last), (&b"end"[..], 1, false));
        assert!(partial.id.starts_with("701018f602c89ef5"), "{}", partial.id);
        assert!(!entry.ends_line());
        again.clear();
        encode_framed(&entry, &mut again);
        assert_eq!(again, whole);
    }

    #[test]
    fn a_frame_cut_anywhere_is_not_yet_there() {
        let whole = from_hex(MOBYS[0]);
        for cut in 0..whole.len() {
            assert_eq!(decode_frame(&whole[..cut]).unwrap(), None, "{cut}");
        }
    }

    #[test]
    fn nonsense_is_refused_and_never_read_beyond_its_end() {
        assert_eq!(decode_frame(&[0xff; 16]), Err(DecodeError::TooLong(0xffff_ffff)));
        let mut whole = from_hex(MOBYS[0]);
        *whole.last_mut().unwrap() += 1;
        assert_eq!(decode_frame(&whole), Err(DecodeError::Footer));
        for message in [&b"\x0a\x7fx"[..], b"\x10\x80", b"\x0f\x00", &[0x80; 12], b"\x2a\x02\x12\x05"] {
            assert!(decode(message).is_err(), "{message:?}");
        }
        // A field of a later release is passed over.
        assert_eq!(decode(b"\x32\x01x\x1a\x01y").unwrap().line, b"y");
    }

    #[test]
    fn an_empty_line_survives() {
        let entry = Entry { source: Source::Stdout, time_nano: 1, line: b"", partial: None };
        let mut bytes = Vec::new();
        encode(&entry, &mut bytes);
        assert_eq!(decode(&bytes).unwrap(), entry);
    }
}
