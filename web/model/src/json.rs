//! Reads JSON into our messages, small: it is half of what the page would weigh with a general reader.
//!
//! Numbers are read to about 15 digits, enums only where they are bare words (tagged ones come as maps), and an error
//! says nothing but that there is one: both ends are ours, and there is nobody to tell where a comma is missing.

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

/// `None` when `text` is no JSON, or not of this shape.
pub fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let value = T::deserialize(&mut reader).ok()?;
    (reader.peek() == 0).then_some(value)
}

#[derive(Debug)]
struct Unreadable;

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unreadable")
    }
}

impl std::error::Error for Unreadable {}

/// Words of an error would be most of the code: none is kept.
impl de::Error for Unreadable {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
    fn invalid_type(_: de::Unexpected, _: &dyn de::Expected) -> Self {
        Self
    }
    fn invalid_value(_: de::Unexpected, _: &dyn de::Expected) -> Self {
        Self
    }
    fn invalid_length(_: usize, _: &dyn de::Expected) -> Self {
        Self
    }
    fn unknown_variant(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }
    fn unknown_field(_: &str, _: &'static [&'static str]) -> Self {
        Self
    }
    fn missing_field(_: &'static str) -> Self {
        Self
    }
    fn duplicate_field(_: &'static str) -> Self {
        Self
    }
}

type Read<T> = Result<T, Unreadable>;

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    /// The next byte that is no space; 0 at the end.
    fn peek(&mut self) -> u8 {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.text.get(self.at) {
            self.at += 1;
        }
        self.text.get(self.at).copied().unwrap_or_default()
    }

    fn take(&mut self, wanted: u8) -> Read<()> {
        if self.peek() != wanted {
            return Err(Unreadable);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Read<()> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return Err(Unreadable);
        }
        self.at += word.len();
        Ok(())
    }

    fn boolean(&mut self) -> Read<bool> {
        let is_true = self.peek() == b't';
        self.word(if is_true { "true" } else { "false" })?;
        Ok(is_true)
    }

    fn number(&mut self) -> Read<Number> {
        let is_negative = self.peek() == b'-';
        self.at += usize::from(is_negative);
        let begin = self.at;
        let mut whole = 0i64;
        while let Some(digit) = self.digit() {
            whole = whole.saturating_mul(10).saturating_add(digit);
        }
        if self.at == begin {
            return Err(Unreadable);
        }
        let mut number = Number { whole, fraction: 0.0, is_whole: true };
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            let mut place = 0.1;
            while let Some(digit) = self.digit() {
                number.fraction += digit as f64 * place;
                place /= 10.0;
            }
            number.is_whole = false;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            let is_small = self.text.get(self.at) == Some(&b'-');
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'-' | b'+')));
            let mut exponent = 0i64;
            while let Some(digit) = self.digit() {
                exponent = (exponent * 10 + digit).min(400);
            }
            let factor = if is_small { 0.1 } else { 10.0 };
            let scaled = (0..exponent).fold(number.value(), |value, _| value * factor);
            number =
                Number { whole: scaled as i64, fraction: scaled - (scaled as i64) as f64, is_whole: false };
        }
        if is_negative {
            (number.whole, number.fraction) = (-number.whole, -number.fraction);
        }
        Ok(number)
    }

    fn digit(&mut self) -> Option<i64> {
        let digit = self.text.get(self.at)?.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        self.at += 1;
        Some(i64::from(digit))
    }

    fn string(&mut self) -> Read<String> {
        self.take(b'"')?;
        let mut bytes = Vec::new();
        loop {
            let byte = *self.text.get(self.at).ok_or(Unreadable)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(bytes).map_err(|_| Unreadable),
                b'\\' => self.escape(&mut bytes)?,
                byte => bytes.push(byte),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Read<()> {
        let byte = *self.text.get(self.at).ok_or(Unreadable)?;
        self.at += 1;
        let plain = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                let letter = self.unicode()?;
                bytes.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            byte => byte,
        };
        bytes.push(plain);
        Ok(())
    }

    /// What follows `\u`: four digits, or a pair of surrogates.
    fn unicode(&mut self) -> Read<char> {
        let first = self.four_digits()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.word("\\u").is_ok() {
            0x10000 + ((first - 0xD800) << 10) + (self.four_digits()?.wrapping_sub(0xDC00) & 0x3FF)
        } else {
            first
        };
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Unreadable)?;
        self.at += 4;
        let digits = str::from_utf8(digits).map_err(|_| Unreadable)?;
        u32::from_str_radix(digits, 16).map_err(|_| Unreadable)
    }

    fn skip(&mut self) -> Read<()> {
        match self.peek() {
            b'"' => self.string().map(drop),
            b't' | b'f' => self.boolean().map(drop),
            b'n' => self.word("null"),
            open @ (b'{' | b'[') => self.skip_all(open),
            _ => self.number().map(drop),
        }
    }

    fn skip_all(&mut self, open: u8) -> Read<()> {
        let mut items = Items::begin(self, open)?;
        while items.next()? {
            if open == b'{' {
                items.reader.string()?;
                items.reader.take(b':')?;
            }
            items.reader.skip()?;
        }
        Ok(())
    }
}

struct Number {
    whole: i64,
    fraction: f64,
    is_whole: bool,
}

impl Number {
    fn value(&self) -> f64 {
        self.whole as f64 + self.fraction
    }
}

/// What stands between brackets, item by item.
struct Items<'r, 't> {
    reader: &'r mut Reader<'t>,
    close: u8,
    is_first: bool,
    is_over: bool,
}

impl<'r, 't> Items<'r, 't> {
    fn begin(reader: &'r mut Reader<'t>, open: u8) -> Read<Self> {
        reader.take(open)?;
        // In ASCII a closing bracket or brace comes two after its opening one.
        Ok(Self { reader, close: open + 2, is_first: true, is_over: false })
    }

    fn next(&mut self) -> Read<bool> {
        if self.is_over {
            return Ok(false);
        }
        if self.reader.peek() == self.close {
            self.reader.at += 1;
            self.is_over = true;
            return Ok(false);
        }
        if !self.is_first {
            self.reader.take(b',')?;
        }
        self.is_first = false;
        Ok(true)
    }
}

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Unreadable;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Read<Option<T::Value>> {
        if self.next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }
}

impl<'de> MapAccess<'de> for Items<'_, '_> {
    type Error = Unreadable;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Read<Option<K::Value>> {
        if self.next()? { seed.deserialize(&mut *self.reader).map(Some) } else { Ok(None) }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Read<V::Value> {
        self.reader.take(b':')?;
        seed.deserialize(&mut *self.reader)
    }
}

/// Methods of kinds that are read alike.
macro_rules! alike {
    ($read:ident: $($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
            self.$read(visitor)
        })*
    };
}

impl Reader<'_> {
    fn whole<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        visitor.visit_i64(self.number()?.whole)
    }

    fn real<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        visitor.visit_f64(self.number()?.value())
    }

    fn letters<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        visitor.visit_string(self.string()?)
    }

    fn list<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        let mut items = Items::begin(self, b'[')?;
        let value = visitor.visit_seq(&mut items)?;
        // A tuple stops reading by itself; what else is in the list is of a later version.
        while items.next()? {
            items.reader.skip()?;
        }
        Ok(value)
    }

    fn map<'de, V: Visitor<'de>>(&mut self, visitor: V) -> Read<V::Value> {
        visitor.visit_map(Items::begin(self, b'{')?)
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'_> {
    type Error = Unreadable;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        match self.peek() {
            b'{' => self.map(visitor),
            b'[' => self.list(visitor),
            b'"' => self.letters(visitor),
            b't' | b'f' => visitor.visit_bool(self.boolean()?),
            b'n' => {
                self.word("null")?;
                visitor.visit_unit()
            }
            _ => match self.number()? {
                Number { whole, is_whole: true, .. } => visitor.visit_i64(whole),
                number => visitor.visit_f64(number.value()),
            },
        }
    }

    alike!(whole: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
        deserialize_u32 deserialize_u64);
    alike!(real: deserialize_f32 deserialize_f64);
    alike!(letters: deserialize_char deserialize_str deserialize_string deserialize_identifier deserialize_bytes
        deserialize_byte_buf);
    alike!(list: deserialize_seq);
    alike!(map: deserialize_map);
    alike!(deserialize_any: deserialize_unit);

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.peek();
        visitor.visit_bool(self.boolean()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        if self.peek() == b'n' {
            self.word("null")?;
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Read<V::Value> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Read<V::Value> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Read<V::Value> {
        self.list(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        self.map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Read<V::Value> {
        let word = self.string()?;
        let word: StrDeserializer<Unreadable> = word.as_str().into_deserializer();
        visitor.visit_enum(word)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Read<V::Value> {
        self.skip()?;
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_wire::lab::{Block, Lab, Progress, QuizAnswer, Step, Summary};
    use drydock_wire::session::{Event, Playground};
    use drydock_wire::topology::{Node, Stats, Topology};
    use serde_json::Value;

    /// What serde_json writes and reads, this reads alike.
    fn survives<T: serde::Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: T) {
        for text in [serde_json::to_string(&value).unwrap(), serde_json::to_string_pretty(&value).unwrap()] {
            assert_eq!(read::<T>(&text).as_ref(), Some(&value), "{text}");
        }
    }

    #[test]
    fn our_messages_are_read() {
        let summary = Summary {
            id: "lab".into(),
            title: "\"Ünïcode\" \\ \u{1F433} \u{7}".into(),
            summary: String::new(),
            level: "easy".into(),
            minutes: 20,
            tags: vec!["a".into(), "b".into()],
            steps: 1,
        };
        let run = Block::Run {
            id: "r".into(),
            node: "node1".into(),
            terminal: 2,
            text: "docker ps\n".into(),
            interrupt: true,
            enter: false,
        };
        let choices = vec!["<b>x</b>".into()];
        let quiz = Block::Quiz {
            id: "q".into(),
            question_html: String::new(),
            answer: QuizAnswer::Multiple { choices_html: choices },
        };
        let step = Step { id: "s".into(), title: String::new(), gated: true, blocks: vec![run, quiz] };
        survives(Lab { summary, nodes: vec![], contents: vec![step] });
        let stats = Stats { cpu_percent: 12.5, memory_bytes: 1 << 40, ..Stats::default() };
        survives(Topology { nodes: vec![Node { stats: Some(stats), ..Node::default() }, Node::default()] });
        survives(Progress { values: [("TOKEN".into(), "x".into())].into(), ..Progress::default() });
        survives(Playground {
            default_duration_seconds: 1,
            max_duration_seconds: 2,
            max_instances: 3,
            images: vec![],
            templates: vec![],
            full: None,
        });
    }

    #[test]
    fn any_json_is_read_as_serde_json_reads_it() {
        for text in [
            r#"{"name":"x","args":[1,-2,true,false,null,"s",[],{},[1,[2]],{"a":{"b":[null]}}]}"#,
            r#"{ "name" : "\u00e9\ud83d\udc33\/\n" , "args" : [ 0.5 , 1e3, 250E-2 ] }"#,
        ] {
            let ours: Event = read(text).unwrap();
            let theirs: Event = serde_json::from_str(text).unwrap();
            assert_eq!(ours.name, theirs.name);
            let plain = |value: &Value| {
                value.as_f64().map_or_else(|| value.to_string(), |number| format!("{number:.9}"))
            };
            assert!(ours.args.iter().map(plain).eq(theirs.args.iter().map(plain)), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            "{",
            "[1,",
            r#"{"a"}"#,
            r#""open"#,
            "tru",
            "[1 2]",
            "1 1",
            r#"{"a":}"#,
            "-",
            r#""\u12"#,
            "nul",
        ] {
            assert_eq!(read::<Value>(text), None, "{text}");
        }
    }
}
