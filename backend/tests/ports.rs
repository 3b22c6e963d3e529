//! Ports of nodes by host name, with real servers behind them.

mod support;

use drydock_wire::session::Instance;
use futures_util::{SinkExt, StreamExt};
use http::StatusCode;
use support::{Gateway, eventually, open};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

fn host(node: &Instance, port: u16) -> String {
    format!("{}-{port}.direct.localhost", node.proxy_host)
}

#[tokio::test]
async fn a_servers_pages_come_through_as_soon_as_it_listens() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let early = gateway.at_host(&host(&node, 8000), "/").await;
    assert_eq!(early.status(), StatusCode::BAD_GATEWAY);
    let text = early.text().await.unwrap();
    assert!(text.contains("Nothing listens on port 8000 of node1 yet"), "{text}");
    assert!(text.contains("http-equiv=\"refresh\""), "{text}");

    play.run(&node.name, "mkdir /tmp/www; echo hello > /tmp/www/a.txt; busybox httpd -p 8000 -h /tmp/www; busybox httpd -p 80 -h /tmp/www").await;
    let page = gateway.at_host(&host(&node, 8000), "/a.txt?x=1").await;
    assert_eq!(page.status(), 200);
    assert!(page.headers().get("content-security-policy").is_none(), "an app's headers are its own");
    assert_eq!(page.text().await.unwrap(), "hello\n");
    // Port 80 needs no number.
    let page = gateway.at_host(&format!("{}.direct.play.example:8080", node.proxy_host), "/a.txt").await;
    assert_eq!(page.text().await.unwrap(), "hello\n");
    gateway.end().await;
}

#[tokio::test]
async fn a_students_host_never_shows_the_playground() {
    let gateway = Gateway::start().await;
    let (play, other) = (gateway.session(&[]).await, gateway.session(&[]).await);
    let (node, foreign) = (play.node().await, other.node().await);
    let label = node.proxy_host.rsplit('-').next().unwrap();
    let session = format!("/sessions/{}", play.id);
    // Names of another session's node, of the gateway, of nothing.
    let dashed = foreign.ip.replace('.', "-");
    for host in [
        format!("ip{dashed}-{label}-80.direct.localhost"),
        format!("ip127-0-0-1-{label}-80.direct.localhost"),
        format!("ip{}-{}-80.direct.localhost", node.ip.replace('.', "-"), "a".repeat(16)),
        "x.direct.localhost".to_owned(),
    ] {
        for path in ["/", "/ping", session.as_str()] {
            assert_eq!(gateway.at_host(&host, path).await.status(), 404, "{host}{path}");
        }
    }
    // An existing node's host leads to the node, whatever the path.
    assert_eq!(gateway.at_host(&host(&node, 81), &session).await.status(), 502);
    gateway.end().await;
}

#[tokio::test]
async fn requests_and_answers_stream_in_both_directions() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    // Answers the first bytes of the body while the rest has not been sent.
    play.run(
        &node.name,
        "mkfifo /tmp/pipe; (nc -l 9000 < /tmp/pipe | (
            while IFS= read -r line && [ \"$line\" != $'\\r' ]; do :; done
            printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n'
            cat) > /tmp/pipe) >/dev/null 2>&1 &",
    )
    .await;
    listening(&play, &node, 9000).await;
    let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
    let host = host(&node, 9000);
    stream
        .write_all(format!("POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\nfirst").as_bytes())
        .await
        .unwrap();
    read_until(&mut stream, "first").await;
    stream.write_all(b"later").await.unwrap();
    read_until(&mut stream, "later").await;
    gateway.end().await;
}

#[tokio::test]
async fn a_websocket_passes_through() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    // A server that agrees to the upgrade and sends back what it gets, masks included.
    play.run(
        &node.name,
        "mkfifo /tmp/pipe; (nc -l 9000 < /tmp/pipe | (
            while IFS= read -r line && [ \"$line\" != $'\\r' ]; do
                case ${line,,} in sec-websocket-key:*) key=${line#*: }; key=${key%$'\\r'};; esac
            done
            accept=$(printf '%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11' \"$key\" | openssl sha1 -binary | base64)
            printf 'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n'
            printf 'Sec-WebSocket-Accept: %s\\r\\n\\r\\n' \"$accept\"
            printf '\\x81\\x05hello'
            cat >/dev/null) > /tmp/pipe) >/dev/null 2>&1 &",
    )
    .await;
    listening(&play, &node, 9000).await;
    let request = http::Request::builder()
        .uri("/")
        .header("Host", host(&node, 9000))
        .header("Connection", "Upgrade")
        .header("Upgrade", "websocket")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    let request = request.uri(format!("ws://{}/", gateway.address)).body(()).unwrap();
    let stream = TcpStream::connect(&gateway.address).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    socket.send(Message::text("and back")).await.unwrap();
    // The playground's own socket does not exist there.
    let own = format!("{}/ws/", play.url);
    assert!(open(&own, None).await.is_ok());
    gateway.end().await;
}

#[tokio::test]
async fn large_bodies_pass_both_ways() {
    const BODY: usize = 20_000_000;
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    // Keeps the body, and then says so; another server gives it out.
    let script = format!(
        "mkdir /tmp/www; busybox httpd -p 8000 -h /tmp/www; mkfifo /tmp/pipe
        (nc -l 9000 < /tmp/pipe | (
            while IFS= read -r line && [ \"$line\" != $'\\r' ]; do :; done
            head -c {BODY} > /tmp/www/big
            printf 'HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nkept') > /tmp/pipe) >/dev/null 2>&1 &"
    );
    play.run(&node.name, &script).await;
    listening(&play, &node, 9000).await;
    let body: Vec<u8> = (0..BODY as u32).map(|number| (number % 253) as u8).collect();
    let posted = gateway.http.post(&gateway.url).header("Host", host(&node, 9000)).body(body.clone());
    assert_eq!(posted.send().await.unwrap().text().await.unwrap(), "kept");
    let given = gateway.at_host(&host(&node, 8000), "/big").await;
    assert_eq!(given.status(), 200);
    assert!(given.bytes().await.unwrap() == body, "the body came back changed");
    gateway.end().await;
}

async fn listening(play: &support::Play, node: &Instance, port: u16) {
    let script = format!("ss -Hltn sport = :{port} | grep -c LISTEN || true");
    eventually(async || (play.run(&node.name, &script).await == "1").then_some(())).await;
}

async fn read_until(stream: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    let found = async {
        while !String::from_utf8_lossy(&read).contains(text) {
            assert_ne!(stream.read_buf(&mut read).await.unwrap(), 0, "{}", String::from_utf8_lossy(&read));
        }
    };
    tokio::time::timeout(support::PATIENCE, found).await.expect("it did not come");
}
