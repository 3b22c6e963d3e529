//! What to answer to one question: decided from the zones alone.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

use super::zone::Zones;

/// moby's time to live for its own names, in seconds.
const TTL: u32 = 600;

/// What becomes of a question.
#[derive(Debug)]
pub(super) enum Answer {
    /// We know: this message.
    Own(Vec<u8>),
    /// Somebody else's name.
    Elsewhere,
    /// Not a question at all: no answer.
    Nothing,
}

/// Decides about one packet. `turn` rotates the addresses of a name that has several, and is asked for those alone:
/// clients ask for IPv4 and IPv6 by turns.
pub(super) fn decide(packet: &[u8], zones: &Zones, turn: impl FnOnce() -> usize) -> Answer {
    let Ok(request) = Message::from_vec(packet) else { return Answer::Nothing };
    if request.message_type() != MessageType::Query {
        return Answer::Nothing;
    }
    let Some(query) = request
        .query()
        .filter(|query| request.op_code() == OpCode::Query && query.query_class() == DNSClass::IN)
    else {
        return Answer::Elsewhere;
    };
    let name = query.name();
    let known = match query.query_type() {
        RecordType::A | RecordType::AAAA => {
            let mut addresses = zones.addresses(&name.to_ascii());
            if addresses.is_empty() {
                None
            } else {
                let wants_v4 = query.query_type() == RecordType::A;
                addresses.retain(|ip| ip.is_ipv4() == wants_v4);
                if addresses.len() > 1 {
                    let middle = turn() % addresses.len();
                    addresses.rotate_left(middle);
                }
                Some(addresses.into_iter().map(address_data).collect::<Vec<_>>())
            }
        }
        RecordType::PTR => reversed(&name.to_ascii())
            .and_then(|ip| zones.name(ip))
            .and_then(|name| Name::from_ascii(format!("{name}.")).ok())
            .map(|name| vec![RData::PTR(PTR(name))]),
        _ => None,
    };
    match known.and_then(|data| own(&request, name, data)) {
        Some(bytes) => Answer::Own(bytes),
        None => Answer::Elsewhere,
    }
}

fn own(request: &Message, name: &Name, data: Vec<RData>) -> Option<Vec<u8>> {
    let mut response = reply(request, ResponseCode::NoError);
    for data in data {
        response.add_answer(Record::from_rdata(name.clone(), TTL, data));
    }
    response.to_vec().ok()
}

fn reply(request: &Message, code: ResponseCode) -> Message {
    let mut response = Message::new();
    response
        .set_id(request.id())
        .set_message_type(MessageType::Response)
        .set_op_code(request.op_code())
        .set_recursion_desired(request.recursion_desired())
        .set_recursion_available(true)
        .set_response_code(code)
        .add_queries(request.queries().iter().cloned());
    response
}

/// The answer when no server could be asked.
pub(super) fn failure(packet: &[u8]) -> Option<Vec<u8>> {
    let request = Message::from_vec(packet).ok()?;
    reply(&request, ResponseCode::ServFail).to_vec().ok()
}

/// A UDP answer that is too long, cut to its head: the client asks again by TCP.
pub(super) fn truncated(answer: &[u8]) -> Option<Vec<u8>> {
    Message::from_vec(answer).ok()?.truncate().to_vec().ok()
}

/// How long a UDP answer the asker takes (RFC 6891); 512 bytes without EDNS.
pub(super) fn longest(packet: &[u8]) -> usize {
    Message::from_vec(packet).map_or(512, |request| usize::from(request.max_payload()))
}

fn address_data(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

/// The address in `2.0.17.172.in-addr.arpa.` or `….ip6.arpa.`.
fn reversed(name: &str) -> Option<IpAddr> {
    let name = name.trim_end_matches('.').to_lowercase();
    if let Some(labels) = name.strip_suffix(".in-addr.arpa") {
        let mut octets: Vec<u8> = labels.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        octets.reverse();
        return <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into());
    }
    let labels = name.strip_suffix(".ip6.arpa")?;
    let mut bits = 0u128;
    let mut count = 0;
    for label in labels.rsplit('.') {
        bits = (bits << 4) | u128::from_str_radix(label, 16).ok().filter(|digit| *digit < 16)?;
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hickory_proto::op::Query;

    use super::super::zone::Zone;
    use super::*;

    fn ask(name: &str, kind: RecordType) -> Vec<u8> {
        let mut message = Message::new();
        message.set_id(7).set_recursion_desired(true);
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message.to_vec().unwrap()
    }

    fn answers(name: &str, kind: RecordType, turn: usize) -> Option<Vec<String>> {
        let zone = Arc::new(Zone::new("net"));
        zone.insert([10, 0, 0, 2].into(), &["web".into(), "all".into()]);
        zone.insert([10, 0, 0, 3].into(), &["db".into(), "all".into()]);
        match decide(&ask(name, kind), &Zones(vec![zone.into()]), || turn) {
            Answer::Own(bytes) => {
                let message = Message::from_vec(&bytes).unwrap();
                assert_eq!((message.id(), message.response_code()), (7, ResponseCode::NoError));
                Some(message.answers().iter().map(|record| record.data().to_string()).collect())
            }
            Answer::Elsewhere => None,
            Answer::Nothing => panic!("a question has an answer"),
        }
    }

    #[test]
    fn own_names_are_answered_and_others_are_not() {
        for (name, kind, expected) in [
            ("web.", RecordType::A, Some(vec!["10.0.0.2"])),
            ("WEB.", RecordType::A, Some(vec!["10.0.0.2"])),
            ("web.net.", RecordType::A, Some(vec!["10.0.0.2"])),
            ("web.", RecordType::AAAA, Some(vec![])),
            ("all.", RecordType::A, Some(vec!["10.0.0.2", "10.0.0.3"])),
            ("2.0.0.10.in-addr.arpa.", RecordType::PTR, Some(vec!["web.net."])),
            ("9.0.0.10.in-addr.arpa.", RecordType::PTR, None),
            ("example.org.", RecordType::A, None),
            ("web.", RecordType::MX, None),
        ] {
            assert_eq!(
                answers(name, kind, 0),
                expected.map(|list| list.into_iter().map(str::to_owned).collect()),
                "{name} {kind}"
            );
        }
        assert_eq!(answers("all.", RecordType::A, 1).unwrap(), ["10.0.0.3", "10.0.0.2"]);
    }

    #[test]
    fn rubbish_has_no_answer() {
        assert!(matches!(decide(b"rubbish", &Zones::default(), || 0), Answer::Nothing));
        assert!(failure(b"rubbish").is_none());
    }

    #[test]
    fn reverse_names_are_read() {
        let v6 = format!("1{}.0.0.d.f.ip6.arpa.", ".0".repeat(27));
        assert_eq!(reversed(&v6), Some("fd00::1".parse().unwrap()));
        assert_eq!(reversed("1.ip6.arpa."), None);
        assert_eq!(reversed("1.2.3.in-addr.arpa."), None);
    }
}
