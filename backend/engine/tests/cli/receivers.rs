//! Receivers of logs inside a machine: what they take is read strictly, and what they do not understand fails the test.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::machine::Machine;

/// Longer than anything takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Runs `work` in the machine's network.
pub fn in_network<T: Send + 'static>(machine: &Machine, work: impl FnOnce() -> T + Send + 'static) -> T {
    let network = std::fs::File::open(machine.network()).expect("its network");
    let thread = std::thread::spawn(move || {
        nix::sched::setns(network, nix::sched::CloneFlags::CLONE_NEWNET).expect("enter its network");
        work()
    });
    thread.join().expect("work in the machine's network")
}

/// What came, one after the other.
pub struct Mailbox<T>(Receiver<T>);

impl<T> Mailbox<T> {
    #[track_caller]
    pub fn next(&self) -> T {
        self.0.recv_timeout(PATIENCE).expect("something was to come")
    }
}

fn mailbox<T>() -> (Sender<T>, Mailbox<T>) {
    let (sender, receiver) = channel();
    (sender, Mailbox(receiver))
}

/// A GELF message.
pub type Fields = BTreeMap<String, serde_json::Value>;

/// Takes GELF datagrams: chunked or whole; compressed or not. Answers its address.
pub fn gelf_udp(machine: &Machine) -> (String, Mailbox<Fields>) {
    let socket = in_network(machine, || UdpSocket::bind("127.0.0.1:0").expect("a socket"));
    let address = socket.local_addr().expect("its address").to_string();
    let (sender, mailbox) = mailbox();
    std::thread::spawn(move || {
        let mut parts: BTreeMap<[u8; 8], BTreeMap<u8, Vec<u8>>> = BTreeMap::new();
        let mut buffer = [0; 65536];
        while let Ok(length) = socket.recv(&mut buffer) {
            let datagram = &buffer[..length];
            assert!(length <= 1420, "a datagram of {length} bytes");
            let whole = match datagram.strip_prefix(&[0x1e, 0x0f]) {
                None => datagram.to_vec(),
                Some(rest) => {
                    let id: [u8; 8] = rest[..8].try_into().expect("an id");
                    let (number, count) = (rest[8], rest[9]);
                    assert!(number < count && count <= 128, "chunk {number} of {count}");
                    let own = parts.entry(id).or_default();
                    assert!(own.insert(number, rest[10..].to_vec()).is_none(), "chunk {number} twice");
                    if own.len() < usize::from(count) {
                        continue;
                    }
                    own.values().flatten().copied().collect()
                }
            };
            if sender.send(gelf_fields(&unpack(&whole))).is_err() {
                return;
            }
        }
    });
    (address, mailbox)
}

/// By its magic bytes, as Graylog does.
fn unpack(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    let read = match bytes {
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain),
        [0x78, ..] => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut plain),
        _ => return bytes.to_vec(),
    };
    read.expect("compressed as it says");
    plain
}

fn gelf_fields(bytes: &[u8]) -> Fields {
    let fields: Fields = serde_json::from_slice(bytes).expect("a JSON object");
    assert_eq!(fields["version"], "1.1");
    assert!(fields["host"].is_string() && fields["timestamp"].is_f64(), "{fields:?}");
    for (name, value) in &fields {
        let known = ["version", "host", "short_message", "timestamp", "level"].contains(&name.as_str());
        assert!(known || (name.starts_with('_') && name != "_id" && value.is_string()), "{name}: {value}");
    }
    fields
}

/// Takes GELF messages with a zero byte after each. Every connection is closed after `per_connection` messages.
pub fn gelf_tcp(machine: &Machine, per_connection: usize) -> (String, Mailbox<Fields>) {
    let listener = in_network(machine, || TcpListener::bind("127.0.0.1:0").expect("a socket"));
    let address = listener.local_addr().expect("its address").to_string();
    let (sender, mailbox) = mailbox();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            for _ in 0..per_connection {
                let mut message = Vec::new();
                match reader.read_until(0, &mut message) {
                    Ok(0) | Err(_) => break,
                    Ok(_) => assert_eq!(message.pop(), Some(0), "a message ends in a zero byte"),
                }
                if sender.send(gelf_fields(&message)).is_err() {
                    return;
                }
            }
        }
    });
    (address, mailbox)
}

/// One request to a collector.
#[derive(Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    /// The events in its body, unpacked.
    pub events: Vec<serde_json::Value>,
}

/// An HTTP event collector that knows one token, over what `accept` makes of a connection. Answers its address.
pub fn collector<S: Read + Write>(
    machine: &Machine,
    token: &'static str,
    accept: impl Fn(TcpStream) -> Option<S> + Send + 'static,
) -> (String, Mailbox<Request>) {
    let listener = in_network(machine, || TcpListener::bind("127.0.0.1:0").expect("a socket"));
    let address = listener.local_addr().expect("its address").to_string();
    let (sender, mailbox) = mailbox();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Some(mut stream) = accept(stream.expect("a connection")) else { continue };
            let mut rest = Vec::new();
            while let Some(request) = read_request(&mut stream, &mut rest) {
                let is_known = request.headers.get("authorization") == Some(&format!("Splunk {token}"));
                let answer = match request.method.as_str() {
                    "OPTIONS" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
                    _ if is_known => {
                        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned()
                    }
                    _ => "HTTP/1.1 403 Forbidden\r\nContent-Length: 13\r\n\r\nInvalid token".to_owned(),
                };
                if stream.write_all(answer.as_bytes()).is_err() || sender.send(request).is_err() {
                    break;
                }
            }
        }
    });
    (address, mailbox)
}

fn read_request(stream: &mut impl Read, rest: &mut Vec<u8>) -> Option<Request> {
    let head_end = loop {
        if let Some(at) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        more(stream, rest)?;
    };
    let head = String::from_utf8(rest[..head_end].to_vec()).expect("a head");
    let mut lines = head.trim_end().split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, path) = (first.next()?.to_owned(), first.next()?.to_owned());
    assert_eq!(first.next(), Some("HTTP/1.1"));
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_ascii_lowercase(), value.to_owned())
    };
    let headers: BTreeMap<String, String> = lines.map(header).collect();
    let length: usize = headers["content-length"].parse().expect("a length");
    while rest.len() < head_end + length {
        more(stream, rest)?;
    }
    let body: Vec<u8> = rest.drain(..head_end + length).skip(head_end).collect();
    let body = if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        unpack(&body)
    } else {
        body
    };
    let events = serde_json::Deserializer::from_slice(&body).into_iter();
    let events = events.collect::<Result<_, _>>().expect("events, one after the other");
    Some(Request { method, path, headers, events })
}

fn more(stream: &mut impl Read, rest: &mut Vec<u8>) -> Option<()> {
    let mut bytes = [0; 4096];
    let length = stream.read(&mut bytes).ok().filter(|length| *length > 0)?;
    rest.extend_from_slice(&bytes[..length]);
    Some(())
}

/// A record of Fluentd's forward protocol.
#[derive(Debug)]
pub struct Forwarded {
    pub tag: String,
    pub record: BTreeMap<String, String>,
}

/// Takes forwarded records and acknowledges those that ask for it.
pub fn fluentd(machine: &Machine) -> (String, Mailbox<Forwarded>) {
    let listener = in_network(machine, || TcpListener::bind("127.0.0.1:0").expect("a socket"));
    let address = listener.local_addr().expect("its address").to_string();
    let (sender, mailbox) = mailbox();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            while let Some(Packed::List(message)) = unpack_value(&mut stream) {
                let [Packed::Text(tag), Packed::Time, Packed::Map(record), Packed::Map(option)] =
                    &message[..]
                else {
                    panic!("not a forwarded message: {message:?}")
                };
                if let Some(chunk) = option.get("chunk") {
                    let answer =
                        [&b"\x81\xa3ack"[..], &[0xa0 | chunk.len() as u8], chunk.as_bytes()].concat();
                    stream.write_all(&answer).expect("acknowledge");
                }
                let forwarded = Forwarded { tag: tag.clone(), record: record.clone() };
                if sender.send(forwarded).is_err() {
                    return;
                }
            }
        }
    });
    (address, mailbox)
}

/// As much of MessagePack as the protocol allows.
#[derive(Debug)]
enum Packed {
    Time,
    Text(String),
    List(Vec<Packed>),
    Map(BTreeMap<String, String>),
}

/// `None` at the end.
fn unpack_value(from: &mut impl Read) -> Option<Packed> {
    let mut take = |length: usize| {
        let mut bytes = vec![0; length];
        from.read_exact(&mut bytes).ok().map(|()| bytes)
    };
    let number = |bytes: Vec<u8>| bytes.into_iter().fold(0, |value, byte| value << 8 | usize::from(byte));
    let tag = take(1)?[0];
    let length = match tag {
        0xa0..=0xbf => usize::from(tag & 0x1f),
        0x80..=0x9f => usize::from(tag & 0x0f),
        0xd9 => number(take(1)?),
        0xda | 0xdc | 0xde => number(take(2)?),
        0xdb => number(take(4)?),
        0xd3 => {
            take(8)?;
            return Some(Packed::Time);
        }
        // EventTime: an extension of eight bytes and of type 0.
        0xd7 => {
            assert_eq!(take(9)?[0], 0);
            return Some(Packed::Time);
        }
        other => panic!("{other:#x} does not belong here"),
    };
    match tag {
        0x90..=0x9f | 0xdc => {
            (0..length).map(|_| unpack_value(from)).collect::<Option<_>>().map(Packed::List)
        }
        0x80..=0x8f | 0xde => {
            let mut text = || match unpack_value(from)? {
                Packed::Text(text) => Some(text),
                other => panic!("{other:?} where text belongs"),
            };
            let pairs = (0..length).map(|_| Some((text()?, text()?))).collect::<Option<_>>();
            pairs.map(Packed::Map)
        }
        _ => Some(Packed::Text(String::from_utf8(take(length)?).expect("UTF-8"))),
    }
}

/// Accepts connections and reads none of them, until it is dropped.
pub fn deaf(machine: &Machine) -> (String, TcpListener) {
    let listener = in_network(machine, || TcpListener::bind("127.0.0.1:0").expect("a socket"));
    (listener.local_addr().expect("its address").to_string(), listener)
}
