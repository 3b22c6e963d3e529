//! Reads JSON into our messages, small: with serde's readers, one for each message, the page would weigh a fifth more.
//!
//! A text becomes a tree, and a message takes its fields out of the tree ([`Read`]; `messages` has the lists of fields).
//! Nothing on the way can fail alone: what is missing is noted, and in the end there is a message or there is none.
//! There is nobody to tell where a comma is missing, since both ends are ours.

use std::cell::Cell;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Map(Vec<(String, Json)>),
}

static NULL: Json = Json::Null;

/// `None` when `text` is no JSON.
pub fn parse(text: &str) -> Option<Json> {
    let mut reader = Reader { text: text.as_bytes(), at: 0 };
    let value = reader.value()?;
    (reader.peek() == 0).then_some(value)
}

/// `None` when `text` is no JSON, or not of this shape.
pub fn read<T: Read>(text: &str) -> Option<T> {
    parse(text)?.to()
}

impl Json {
    /// `None` when it is not of this shape.
    pub fn to<T: Read>(&self) -> Option<T> {
        let flaws = Flaws::default();
        let value = T::read(self, &flaws);
        (!flaws.0.get()).then_some(value)
    }

    /// `null` when there is none.
    #[inline(never)]
    pub fn get(&self, name: &str) -> &Json {
        match self {
            Self::Map(fields) => fields.iter().find(|(key, _)| key == name).map_or(&NULL, |(_, value)| value),
            _ => &NULL,
        }
    }

    /// `null` when the list ends before.
    pub fn at(&self, index: usize) -> &Json {
        self.items().get(index).unwrap_or(&NULL)
    }

    fn items(&self) -> &[Json] {
        if let Self::List(items) = self { items } else { &[] }
    }
}

/// Whether anything was not as it should be.
#[derive(Debug, Default)]
pub struct Flaws(Cell<bool>);

impl Flaws {
    pub fn note(&self) {
        self.0.set(true);
    }
}

/// Taken out of JSON. What is not there is noted, and stands as nothing in the value, which is then not used.
pub trait Read: Sized {
    fn read(json: &Json, flaws: &Flaws) -> Self;
}

impl Read for String {
    #[inline(never)]
    fn read(json: &Json, flaws: &Flaws) -> Self {
        if let Json::Text(text) = json {
            return text.clone();
        }
        flaws.note();
        Self::new()
    }
}

impl Read for bool {
    #[inline(never)]
    fn read(json: &Json, flaws: &Flaws) -> Self {
        if let Json::Bool(is) = json {
            return *is;
        }
        flaws.note();
        false
    }
}

impl Read for f64 {
    #[inline(never)]
    fn read(json: &Json, flaws: &Flaws) -> Self {
        if let Json::Number(number) = json {
            return *number;
        }
        flaws.note();
        0.0
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {
        $(impl Read for $number {
            fn read(json: &Json, flaws: &Flaws) -> Self {
                f64::read(json, flaws) as Self
            }
        })*
    };
}

numbers!(f32 i64 u64 u32 u16 u8);

impl<T: Read> Read for Option<T> {
    fn read(json: &Json, flaws: &Flaws) -> Self {
        (*json != Json::Null).then(|| T::read(json, flaws))
    }
}

impl<T: Read> Read for Vec<T> {
    #[inline(never)]
    fn read(json: &Json, flaws: &Flaws) -> Self {
        if !matches!(json, Json::List(_)) {
            flaws.note();
        }
        json.items().iter().map(|item| T::read(item, flaws)).collect()
    }
}

impl<T: Read> Read for BTreeMap<String, T> {
    #[inline(never)]
    fn read(json: &Json, flaws: &Flaws) -> Self {
        let Json::Map(fields) = json else {
            flaws.note();
            return Self::new();
        };
        fields.iter().map(|(name, value)| (name.clone(), T::read(value, flaws))).collect()
    }
}

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

    fn take(&mut self, wanted: u8) -> Option<()> {
        if self.peek() != wanted {
            return None;
        }
        self.at += 1;
        Some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        if !self.text[self.at..].starts_with(word.as_bytes()) {
            return None;
        }
        self.at += word.len();
        Some(())
    }

    fn value(&mut self) -> Option<Json> {
        Some(match self.peek() {
            b'{' => Json::Map(self.map()?),
            b'[' => Json::List(self.list()?),
            b'"' => Json::Text(self.string()?),
            b't' => self.word("true").map(|()| Json::Bool(true))?,
            b'f' => self.word("false").map(|()| Json::Bool(false))?,
            b'n' => self.word("null").map(|()| Json::Null)?,
            _ => Json::Number(self.number()?),
        })
    }

    fn list(&mut self) -> Option<Vec<Json>> {
        let mut items = Vec::new();
        self.take(b'[')?;
        while !self.closes(b']', items.is_empty())? {
            items.push(self.value()?);
        }
        Some(items)
    }

    fn map(&mut self) -> Option<Vec<(String, Json)>> {
        let mut fields = Vec::new();
        self.take(b'{')?;
        while !self.closes(b'}', fields.is_empty())? {
            let name = self.string()?;
            self.take(b':')?;
            fields.push((name, self.value()?));
        }
        Some(fields)
    }

    /// Whether the brackets end here; else past the comma, which the first item has none before it of.
    fn closes(&mut self, bracket: u8, is_first: bool) -> Option<bool> {
        if self.peek() == bracket {
            self.at += 1;
            return Some(true);
        }
        if !is_first {
            self.take(b',')?;
        }
        Some(false)
    }

    /// To about 15 digits: Rust's own reader is exact, and large.
    fn number(&mut self) -> Option<f64> {
        let is_negative = self.peek() == b'-';
        self.at += usize::from(is_negative);
        let begin = self.at;
        let mut number = self.digits();
        if self.at == begin {
            return None;
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            let begin = self.at;
            let fraction = self.digits();
            number += scaled(fraction, self.at - begin, 0.1);
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            let is_small = self.text.get(self.at) == Some(&b'-');
            self.at += usize::from(matches!(self.text.get(self.at), Some(b'-' | b'+')));
            let exponent = self.digits().min(400.0) as usize;
            number = scaled(number, exponent, if is_small { 0.1 } else { 10.0 });
        }
        Some(if is_negative { -number } else { number })
    }

    fn digits(&mut self) -> f64 {
        let mut value = 0.0;
        while let Some(digit @ b'0'..=b'9') = self.text.get(self.at) {
            value = value * 10.0 + f64::from(digit - b'0');
            self.at += 1;
        }
        value
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut bytes = Vec::new();
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(bytes).ok(),
                b'\\' => self.escape(&mut bytes)?,
                byte => bytes.push(byte),
            }
        }
    }

    fn escape(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let byte = *self.text.get(self.at)?;
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
                return Some(());
            }
            byte => byte,
        };
        bytes.push(plain);
        Some(())
    }

    /// What follows `\u`: four digits, or a pair of surrogates.
    fn unicode(&mut self) -> Option<char> {
        let first = self.four_digits()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.word("\\u").is_some() {
            0x10000 + ((first - 0xD800) << 10) + (self.four_digits()?.wrapping_sub(0xDC00) & 0x3FF)
        } else {
            first
        };
        Some(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        let digits = str::from_utf8(digits).ok()?;
        u32::from_str_radix(digits, 16).ok()
    }
}

fn scaled(number: f64, times: usize, factor: f64) -> f64 {
    (0..times).fold(number, |number, _| number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use drydock_wire::capture::Caught;
    use drydock_wire::lab::{Block, CheckProgress, Lab, Progress, QuizAnswer, Step, StepProgress, Summary};
    use drydock_wire::session::{Instance, Playground, Session, Template, Terminal};
    use drydock_wire::topology::{Container, Endpoint, Fault, Network, Node, Port, Stats, Topology, Traffic};
    use serde_json::Value;

    /// What serde_json writes and reads, this reads alike.
    fn survives<T: serde::Serialize + Read + PartialEq + std::fmt::Debug>(value: T) {
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
        let text = || "text".to_owned();
        let quiz = |answer| Block::Quiz { id: text(), question_html: text(), answer };
        let blocks = vec![
            run,
            Block::Prose { html: text() },
            Block::Code { language: text(), text: text() },
            Block::File { id: text(), node: text(), path: text(), text: text() },
            Block::Link { id: text(), text: text() },
            Block::Port { node: text(), port: 8080, label: text() },
            Block::Check { id: text(), title: text(), continuous: true },
            Block::Hint { title: text(), html: text() },
            quiz(QuizAnswer::Single { choices_html: vec![text()] }),
            quiz(QuizAnswer::Multiple { choices_html: vec![text(), text()] }),
            quiz(QuizAnswer::Text),
        ];
        let step = Step { id: "s".into(), title: String::new(), gated: true, blocks };
        survives(Lab { summary, nodes: vec![text()], contents: vec![step] });
        let check = CheckProgress { id: text(), state: text(), output: text() };
        let step = StepProgress { id: text(), open: true, done: false, checks: vec![check] };
        let values = [("TOKEN".into(), "x".into())].into();
        survives(Progress { lab: text(), state: text(), message: text(), steps: vec![step], values });
    }

    #[test]
    fn messages_of_a_session_are_read() {
        let text = || "text".to_owned();
        let port = |host_port| Port { protocol: text(), container_port: 80, host_port };
        let container = Container {
            id: text(),
            endpoints: vec![Endpoint { network: text(), ip: text(), interface: text() }],
            ports: vec![port(None), port(Some(8080))],
            ..Container::default()
        };
        let stats = Stats { cpu_percent: 12.5, memory_bytes: 1 << 40, ..Stats::default() };
        let network = Network { name: text(), ..Network::default() };
        let traffic = vec![Traffic { interface: text(), received: 1 << 50, sent: 0 }];
        survives(Caught { lines: vec![text()], left_out: 3, over: None });
        survives(Caught { over: Some(text()), ..Caught::default() });
        let (networks, containers) = (vec![network], vec![container]);
        survives(Topology {
            nodes: vec![
                Node {
                    networks,
                    containers,
                    stats: Some(stats),
                    traffic,
                    swarm_ports: vec![80],
                    ..Node::default()
                },
                Node::default(),
            ],
            faults: vec![
                Fault { one: text(), other: Some(text()), loss: 100 },
                Fault { one: text(), other: None, loss: 1 },
            ],
        });
        let instance = Instance {
            name: text(),
            image: text(),
            hostname: text(),
            ip: text(),
            routable_ip: text(),
            tls: true,
            session_id: text(),
            proxy_host: text(),
            session_host: text(),
            kind: text(),
        };
        for lab in [None, Some(text())] {
            survives(Session {
                id: text(),
                created_at: text(),
                expires_at: text(),
                pwd_ip_address: text(),
                ready: true,
                stack: text(),
                stack_name: text(),
                image_name: text(),
                host: text(),
                user_id: text(),
                playground_id: text(),
                instances: [(text(), instance.clone())].into(),
                max_instances: 5,
                lab,
            });
        }
        survives(vec![Terminal { id: text(), cols: 80, rows: 24, title: text() }]);
        survives(Playground {
            default_duration_seconds: 1,
            max_duration_seconds: 2,
            max_instances: 3,
            images: vec![text()],
            templates: vec![Template { name: text(), title: text(), summary: text(), nodes: 2 }],
            full: None,
        });
    }

    fn plain(value: &Value) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Bool(is) => Json::Bool(*is),
            Value::Number(number) => Json::Number(number.as_f64().unwrap()),
            Value::String(text) => Json::Text(text.clone()),
            Value::Array(items) => Json::List(items.iter().map(plain).collect()),
            Value::Object(fields) => {
                Json::Map(fields.iter().map(|(name, value)| (name.clone(), plain(value))).collect())
            }
        }
    }

    #[test]
    fn any_json_is_read_as_serde_json_reads_it() {
        for text in [
            r#"{"args":[1,-2,true,false,null,"s",[],{},[1,[2]],{"a":{"b":[null]}}],"name":"x"}"#,
            r#"{ "args" : [ 0.5 , 1e3, 250E-2, 1099511627776 ] , "name" : "\u00e9\ud83d\udc33\/\n" }"#,
        ] {
            assert_eq!(parse(text).unwrap(), plain(&serde_json::from_str(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn a_message_that_lacks_something_is_none() {
        assert_eq!(read::<Topology>(r#"{"nodes":[{"name":"x"}]}"#), None);
        assert_eq!(read::<Topology>(r#"{"nodes":{}}"#), None);
        assert_eq!(read::<Topology>("[]"), None);
        assert_eq!(read::<Vec<Option<u16>>>("[1, null]"), Some(vec![Some(1), None]));
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
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
