//! What passes through a network, measured from inside network namespaces that `nsenter` puts this program into.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// Askers at a time; each waits for its answer before it asks again.
const ASKERS: usize = 4;
/// A socket's share of one write.
const BLOCK: usize = 128 << 10;

/// Reads whatever callers send, one thread each, until it is ended.
pub fn listen(address: &str) -> Result<()> {
    let listener = TcpListener::bind(address).with_context(|| format!("listen at {address}"))?;
    println!("listening");
    for stream in listener.incoming() {
        let mut stream = stream?;
        std::thread::spawn(move || {
            let mut block = vec![0; BLOCK];
            while stream.read(&mut block).is_ok_and(|length| length > 0) {}
        });
    }
    Ok(())
}

/// Sends for some seconds; prints Gbit/s.
pub fn send(address: &str, seconds: f64) -> Result<()> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("connect to {address}"))?;
    let block = vec![0; BLOCK];
    let (began, mut sent) = (Instant::now(), 0u64);
    while began.elapsed().as_secs_f64() < seconds {
        stream.write_all(&block)?;
        sent += block.len() as u64;
    }
    println!("{:.2}", sent as f64 * 8.0 / began.elapsed().as_secs_f64() / 1e9);
    Ok(())
}

/// Asks a name server for the addresses of `name`; prints questions a second, and the median's and 99th
/// percentile's milliseconds.
pub fn ask(server: &str, name: &str, seconds: f64) -> Result<()> {
    let server: SocketAddr = server.parse().context("the name server's address")?;
    let question = question(name);
    let limit = Duration::from_secs_f64(seconds);
    let askers: Vec<_> = (0..ASKERS)
        .map(|_| {
            let question = question.clone();
            std::thread::spawn(move || ask_for(server, &question, limit))
        })
        .collect();
    let mut times = Vec::new();
    for asker in askers {
        times.extend(asker.join().expect("an asker does not panic")?);
    }
    ensure!(!times.is_empty(), "no answer came");
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("{:.0} {:.3} {:.3}", times.len() as f64 / seconds, at(0.5), at(0.99));
    Ok(())
}

fn ask_for(server: SocketAddr, question: &[u8], limit: Duration) -> Result<Vec<Duration>> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect(server)?;
    let (began, mut times, mut answer) = (Instant::now(), Vec::new(), [0; 512]);
    while began.elapsed() < limit {
        let asked = Instant::now();
        socket.send(question)?;
        let length = socket.recv(&mut answer).context("wait for an answer")?;
        ensure!(length > question.len() && answer[7] > 0, "the server does not know the name");
        times.push(asked.elapsed());
    }
    Ok(times)
}

/// One question for an IPv4 address (RFC 1035, 4.1).
fn question(name: &str) -> Vec<u8> {
    let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.extend_from_slice(&[0, 0, 1, 0, 1]);
    bytes
}
