//! Name service of a session, on its gateway address: node names are answered here, all else is relayed to the
//! host's resolver from outside the session, since nodes cannot reach it themselves.
//!
//! ```text
//! serve (one task per session)    UDP queries, and TCP connections
//! ├─ relay                        one short task per UDP query that the host's resolver is asked
//! └─ conversation                 one task per TCP connection; ends with `serve`
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The names of a session's nodes, lower case.
pub type Names = Arc<RwLock<BTreeMap<String, Ipv4Addr>>>;

/// How long the host's resolver may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// After a connection that was not accepted.
const PAUSE: Duration = Duration::from_millis(200);

/// Queries of one session that are relayed at once, and its connections; more are dropped, and asked again by the
/// resolver, or wait.
const AT_ONCE: usize = 64;

/// The longest message without and with extensions (RFC 6891).
const LONGEST: usize = 4096;

/// RFC 1035, 4.1.1: an answer, recursion available; the query's own bits are kept.
const ANSWER: u8 = 0x80;
const RECURSION_AVAILABLE: u8 = 0x80;
const SERVER_FAILURE: u8 = 2;
/// Seconds that an answer of ours may be kept: nodes come and go.
const TTL: u32 = 5;

/// Serves both sockets, which listen inside the session, until aborted.
pub async fn serve((udp, tcp): (UdpSocket, TcpListener), names: Names, resolver: Option<IpAddr>) {
    tokio::join!(datagrams(udp, &names, resolver), connections(tcp, &names, resolver));
}

/// Clients turn to TCP when an answer was too long for a datagram (RFC 7766).
async fn connections(listener: TcpListener, names: &Names, resolver: Option<IpAddr>) {
    let mut conversations = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept(), if conversations.len() < AT_ONCE => accepted,
            Some(_) = conversations.join_next() => continue,
        };
        match accepted {
            Ok((stream, _)) => {
                conversations.spawn(conversation(stream, Arc::clone(names), resolver));
            }
            // Out of descriptors, or a client that left: the others first.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// Query after query, each with its length before it, until the client leaves or falls silent.
async fn conversation(mut stream: TcpStream, names: Names, resolver: Option<IpAddr>) {
    while let Ok(Ok(query)) = timeout(PATIENCE, message(&mut stream)).await {
        let local = names.read().ok().and_then(|names| answer(&query, &names));
        let reply = match (local, resolver) {
            (Some(reply), _) => Some(reply),
            (None, Some(resolver)) => {
                let reply = timeout(PATIENCE, relay_stream(&query, resolver)).await;
                reply.ok().and_then(Result::ok).or_else(|| failure(&query))
            }
            (None, None) => failure(&query),
        };
        let Some(reply) = reply else { return };
        if !matches!(timeout(PATIENCE, say(&mut stream, &reply)).await, Ok(Ok(()))) {
            return;
        }
    }
}

async fn message(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; length.into()];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn say(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await
}

async fn relay_stream(query: &[u8], resolver: IpAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(SocketAddr::new(resolver, 53)).await?;
    say(&mut stream, query).await?;
    message(&mut stream).await
}

async fn datagrams(socket: UdpSocket, names: &Names, resolver: Option<IpAddr>) {
    let socket = Arc::new(socket);
    let relays = Arc::new(Semaphore::new(AT_ONCE));
    let mut query = vec![0; LONGEST];
    loop {
        // An error here is an ICMP answer to an earlier reply: a node that left.
        let Ok((length, client)) = socket.recv_from(&mut query).await else { continue };
        let query = &query[..length];
        let local = names.read().ok().and_then(|names| answer(query, &names));
        if let Some(answer) = local.or_else(|| resolver.is_none().then(|| failure(query)).flatten()) {
            // Unsent answers are asked for again.
            let _ = socket.send_to(&answer, client).await;
            continue;
        }
        let (Some(resolver), Ok(place)) = (resolver, Arc::clone(&relays).try_acquire_owned()) else {
            continue;
        };
        let (socket, query) = (Arc::clone(&socket), query.to_vec());
        tokio::spawn(async move {
            let reply = timeout(PATIENCE, relay(&query, resolver)).await;
            let reply = reply.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if let Some(reply) = reply.ok().or_else(|| failure(&query)) {
                // As above.
                let _ = socket.send_to(&reply, client).await;
            }
            drop(place);
        });
    }
}

async fn relay(query: &[u8], resolver: IpAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = if resolver.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { [0_u16; 8].into() };
    let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
    socket.connect(SocketAddr::new(resolver, 53)).await?;
    socket.send(query).await?;
    let mut reply = vec![0; LONGEST];
    let length = socket.recv(&mut reply).await?;
    reply.truncate(length);
    Ok(reply)
}

/// The first name server of resolv.conf(5).
pub fn resolver(resolv_conf: &str) -> Option<IpAddr> {
    resolv_conf.lines().find_map(|line| line.strip_prefix("nameserver")?.trim().parse().ok())
}

/// The question of a query: its name, lower case without the last dot, its type, and where it ends.
fn question(query: &[u8]) -> Option<(String, u16, usize)> {
    let is_query = query.get(2)? & 0xf8 == 0;
    if !is_query || query.get(4..6)? != [0, 1] {
        return None;
    }
    let mut at = 12;
    let mut name = String::new();
    loop {
        let length = usize::from(*query.get(at)?);
        at += 1;
        match length {
            0 => break,
            1..=63 => {
                let label = str::from_utf8(query.get(at..at + length)?).ok()?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&label.to_ascii_lowercase());
                at += length;
            }
            // Compression makes no sense in a question.
            _ => return None,
        }
    }
    let kind = u16::from_be_bytes(query.get(at..at + 2)?.try_into().ok()?);
    let is_internet = query.get(at + 2..at + 4)? == [0, 1];
    is_internet.then_some((name, kind, at + 4))
}

/// Answers what asks for a node of the session.
fn answer(query: &[u8], names: &BTreeMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    const A: u16 = 1;
    let (name, kind, end) = question(query)?;
    let address = names.get(&name)?;
    let mut reply = header(query, 0, u16::from(kind == A));
    reply.extend_from_slice(&query[12..end]);
    if kind == A {
        // A pointer to the question's name, type A, class IN.
        reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1]);
        reply.extend_from_slice(&TTL.to_be_bytes());
        reply.extend_from_slice(&[0, 4]);
        reply.extend_from_slice(&address.octets());
    }
    Some(reply)
}

/// "Server failure": better than letting a program wait for an answer that cannot come.
fn failure(query: &[u8]) -> Option<Vec<u8>> {
    let (_, _, end) = question(query)?;
    let mut reply = header(query, SERVER_FAILURE, 0);
    reply.extend_from_slice(&query[12..end]);
    Some(reply)
}

fn header(query: &[u8], code: u8, answers: u16) -> Vec<u8> {
    let mut header = vec![query[0], query[1], query[2] | ANSWER, RECURSION_AVAILABLE | code, 0, 1];
    header.extend_from_slice(&answers.to_be_bytes());
    header.extend_from_slice(&[0; 4]);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u16) -> Vec<u8> {
        let mut query = vec![7, 9, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            query.push(label.len() as u8);
            query.extend_from_slice(label.as_bytes());
        }
        query.push(0);
        query.extend_from_slice(&kind.to_be_bytes());
        query.extend_from_slice(&[0, 1]);
        query
    }

    #[test]
    fn a_nodes_name_is_answered_with_its_address() {
        let names = BTreeMap::from([("node1".to_owned(), Ipv4Addr::new(10, 64, 0, 2))]);
        let reply = answer(&query("NODE1", 1), &names).unwrap();
        assert_eq!(reply[..4], [7, 9, 0x81, 0x80]);
        assert_eq!(reply[reply.len() - 4..], [10, 64, 0, 2]);
        let reply = answer(&query("node1", 28), &names).unwrap();
        assert_eq!(reply[6..8], [0, 0], "no IPv6 address, but the name exists");
        assert_eq!(answer(&query("node2", 1), &names), None);
    }

    #[tokio::test]
    async fn one_connection_asks_again_and_again() {
        let names = BTreeMap::from([("node1".to_owned(), Ipv4Addr::new(10, 64, 0, 2))]);
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = tcp.local_addr().unwrap();
        let serving = tokio::spawn(serve((udp, tcp), Arc::new(RwLock::new(names)), None));
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..3 {
            say(&mut stream, &query("node1", 1)).await.unwrap();
            let reply = message(&mut stream).await.unwrap();
            assert_eq!(reply[reply.len() - 4..], [10, 64, 0, 2]);
            say(&mut stream, &query("elsewhere.example", 1)).await.unwrap();
            assert_eq!(message(&mut stream).await.unwrap()[3] & 0xf, SERVER_FAILURE);
        }
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
        assert!(message(&mut stream).await.is_err(), "the connection ends with the service");
    }

    #[test]
    fn garbage_is_no_question() {
        let whole = query("a.example", 1);
        for length in 0..whole.len() {
            assert_eq!(question(&whole[..length]), None, "{length}");
        }
        let mut compressed = whole.clone();
        compressed[12] = 0xc0;
        assert_eq!(question(&compressed), None);
        assert_eq!(question(&whole), Some(("a.example".to_owned(), 1, whole.len())));
    }

    #[test]
    fn the_resolver_is_the_first_that_is_named() {
        let text = "# comment\nsearch lan\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n";
        assert_eq!(resolver(text), Some(IpAddr::from([192, 0, 2, 53])));
        assert_eq!(resolver("search lan\n"), None);
    }
}
