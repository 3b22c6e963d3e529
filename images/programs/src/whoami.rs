//! The whole of the image `whoami`: an HTTP server that answers who it is and what it was asked.
//!
//! `GET /` answers text, `/api` the same as JSON, `/health` 200. `--port N` or `WHOAMI_PORT_NUMBER` choose the
//! port (80), `--name TEXT` or `WHOAMI_NAME` a name to show.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs, process, thread};

struct Identity {
    name: Option<String>,
    hostname: String,
}

fn main() {
    let identity = Identity {
        name: setting("--name", "WHOAMI_NAME"),
        hostname: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
    };
    let port = setting("--port", "WHOAMI_PORT_NUMBER").and_then(|text| text.parse().ok()).unwrap_or(80);
    let listener = match listen(port) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("whoami: cannot listen on port {port}: {error}");
            process::exit(1);
        }
    };
    println!("Starting up on port {port}");
    let identity = Arc::new(identity);
    for connection in listener.incoming().flatten() {
        let identity = Arc::clone(&identity);
        thread::spawn(move || {
            // A client that goes away mid-request concerns nobody else.
            let _ = serve(connection, &identity);
        });
    }
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).or_else(|_| TcpListener::bind(("0.0.0.0", port)))
}

/// An option of the command line (`--port 80`, `-port=80`), else the environment.
fn setting(option: &str, variable: &str) -> Option<String> {
    let mut arguments = env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let plain = argument.trim_start_matches('-');
        match plain.split_once('=') {
            Some((key, value)) if key == &option[2..] => return Some(value.to_owned()),
            None if plain == &option[2..] => return arguments.next(),
            _ => {}
        }
    }
    env::var(variable).ok()
}

struct Request {
    first_line: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn path(&self) -> &str {
        self.first_line.split(' ').nth(1).unwrap_or("/")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Answers requests on one connection until the client closes it.
fn serve(mut connection: TcpStream, identity: &Identity) -> std::io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(60)))?;
    let peer = connection.peer_addr()?;
    let mut reader = BufReader::new(connection.try_clone()?);
    while let Some(request) = read(&mut reader)? {
        let (kind, body) = match request.path().split('?').next().unwrap_or("/") {
            "/health" => ("text/plain", String::new()),
            "/api" => ("application/json", json(identity, peer, &request)),
            _ => ("text/plain; charset=utf-8", text(identity, peer, &request)),
        };
        let keep = !request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: {}\r\n\r\n",
            body.len(),
            if keep { "keep-alive" } else { "close" }
        );
        connection.write_all(format!("{head}{body}").as_bytes())?;
        if !keep {
            break;
        }
    }
    Ok(())
}

/// `None` when the client closed the connection or sent something endless.
fn read(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<Request>> {
    let Some(first_line) = line(reader)? else { return Ok(None) };
    let mut headers = Vec::new();
    while let Some(line) = line(reader)? {
        if line.is_empty() {
            let request = Request { first_line, headers };
            let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0u64);
            std::io::copy(&mut std::io::Read::take(reader, length), &mut std::io::sink())?;
            return Ok(Some(request));
        }
        if headers.len() == 100 {
            break;
        }
        if let Some((key, value)) = line.split_once(':') {
            headers.push((key.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(None)
}

fn line(reader: &mut BufReader<TcpStream>) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    let read = std::io::Read::take(reader, 16 * 1024).read_until(b'\n', &mut bytes)?;
    if read == 0 || bytes.last() != Some(&b'\n') {
        return Ok(None);
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_end().to_owned()))
}

fn text(identity: &Identity, peer: SocketAddr, request: &Request) -> String {
    let mut text = String::new();
    if let Some(name) = &identity.name {
        let _ = writeln!(text, "Name: {name}");
    }
    let _ = writeln!(text, "Hostname: {}", identity.hostname);
    for address in addresses() {
        let _ = writeln!(text, "IP: {address}");
    }
    let _ = writeln!(text, "RemoteAddr: {peer}\n{}", request.first_line);
    for (key, value) in &request.headers {
        let _ = writeln!(text, "{key}: {value}");
    }
    text.push('\n');
    text
}

fn json(identity: &Identity, peer: SocketAddr, request: &Request) -> String {
    let list = |items: Vec<String>| format!("[{}]", items.join(","));
    let addresses = list(addresses().iter().map(|address| quote(&address.to_string())).collect());
    let headers: Vec<String> =
        request.headers.iter().map(|(key, value)| format!("{}:[{}]", quote(key), quote(value))).collect();
    let name = identity.name.as_ref().map(|name| format!("\"name\":{},", quote(name))).unwrap_or_default();
    format!(
        "{{{name}\"hostname\":{},\"ip\":{addresses},\"remoteAddr\":{},\"method\":{},\"url\":{},\"headers\":{{{}}}}}\n",
        quote(&identity.hostname),
        quote(&peer.to_string()),
        quote(request.first_line.split(' ').next().unwrap_or("")),
        quote(request.path()),
        headers.join(",")
    )
}

fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", control as u32);
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// This host's own addresses, as the kernel's routing tables list them.
fn addresses() -> BTreeSet<IpAddr> {
    let mut found = BTreeSet::new();
    let table = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let mut last = "";
    for line in table.lines() {
        if line.contains("/32 host LOCAL")
            && let Ok(address) = last.trim_start_matches(['|', ' ', '+', '-']).trim().parse()
        {
            found.insert(address);
        }
        last = line;
    }
    let table = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    for digits in table.lines().filter_map(|line| line.split_whitespace().next()) {
        if let Ok(bits) = u128::from_str_radix(digits, 16) {
            found.insert(IpAddr::V6(Ipv6Addr::from(bits)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_strings_are_escaped() {
        assert_eq!(quote("a\"b\\c\n"), "\"a\\\"b\\\\c\\u000a\"");
    }

    #[test]
    fn it_answers_on_a_kept_connection_and_ignores_bodies() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let identity = Identity { name: Some("one".to_owned()), hostname: "host".to_owned() };
            serve(listener.accept().unwrap().0, &identity)
        });
        let mut client = TcpStream::connect(place).unwrap();
        client
            .write_all(b"POST /a HTTP/1.1\r\nX-Test: yes\r\nContent-Length: 3\r\n\r\nabcGET /api HTTP/1.1\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut client, &mut answer).unwrap();
        assert!(answer.contains("Name: one\nHostname: host\n"), "{answer}");
        assert!(answer.contains("POST /a HTTP/1.1\nX-Test: yes"), "{answer}");
        assert!(answer.contains("\"url\":\"/api\""), "{answer}");
        server.join().unwrap().unwrap();
    }
}
