//! The terminal socket, with real shells behind it.

mod support;

use std::time::Duration;

use drydock_wire::terminal::ClientFrame;
use futures_util::StreamExt;
use support::process::Process;
use support::{Gateway, Play, eventually, open};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_reconnect_continues_where_it_was() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut first = play.watch(&node.name, "1", "from=0").await;
    first.type_in("echo one-$((40+2))\r").await;
    first.until("one-42").await;
    let seen = first.from + first.received.len() as u64;
    drop(first.socket);

    let mut second = play.watch(&node.name, "1", "from=0").await;
    second.type_in("echo two-$((40+2))\r").await;
    second.until("two-42").await;
    assert!(second.received.starts_with(&first.received));
    let mut third = play.watch(&node.name, "1", &format!("from={seen}")).await;
    third.until("two-42").await;
    assert_eq!(third.from, seen);
    // Either may have been told more by now; what both were told is the same.
    let rest = &second.received[(seen - second.from) as usize..];
    let both = rest.len().min(third.received.len());
    assert_eq!(rest[..both], third.received[..both]);
    gateway.end().await;
}

#[tokio::test]
async fn a_viewer_sees_and_may_not_type() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut owner = play.watch(&node.name, "1", "").await;
    let mut viewer = play.watch(&node.name, "1", "mode=ro").await;
    owner.type_in("echo seen-$((40+2))\r").await;
    viewer.until("seen-42").await;
    viewer.type_in("echo typed-$((40+2))\r").await;
    while viewer.receive().await {}
    owner.type_in("echo last-$((40+2))\r").await;
    owner.until("last-42").await;
    assert!(!String::from_utf8_lossy(&owner.received).contains("typed"));
    gateway.end().await;
}

#[tokio::test]
async fn a_terminal_is_opened_listed_and_closed() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut events = play.events().await;
    let two = play.terminal(&node.name).await;
    events.until("instance terminals", |args| args[1].as_array().is_some_and(|list| list.len() == 2)).await;
    let mut screen = play.watch(&node.name, &two, "").await;
    let url = format!("{}/instances/{}/terminals/{two}", play.url, node.name);
    assert_eq!(play.http.delete(&url).send().await.unwrap().status(), 200);
    while screen.receive().await {}
    assert!(screen.closed.is_some());
    events.until("instance terminals", |args| args[1].as_array().is_some_and(|list| list.len() == 1)).await;
    let gone = format!("{url}/ws");
    assert!(open(&gone, None).await.is_err());
    gateway.end().await;
}

#[tokio::test]
async fn a_hundred_megabytes_lose_no_byte() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    // Lines that number themselves: a lost or doubled byte shows.
    play.run(&node.name, "seq -f %09.0f 1 10000000 > /tmp/big").await;
    let mut screen = play.watch(&node.name, "1", "").await;
    screen.type_in("clear; cat /tmp/big; echo END-$((40+2))\r").await;
    screen.until("END-42").await;
    let text = &screen.received;
    let first = text.windows(11).position(|part| part == b"000000001\r\n").expect("the first line");
    let lines = &text[first..first + 10_000_000 * 11];
    for (number, line) in (1..).zip(lines.chunks(11)) {
        let expected = format!("{number:09}\r\n");
        assert_eq!(line, expected.as_bytes(), "line {number}");
    }
    gateway.end().await;
}

#[tokio::test]
async fn only_our_own_page_may_open_a_socket() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let terminal = format!("{}/instances/{}/terminals/1/ws", play.url, node.name);
    for url in [terminal, format!("{}/ws/", play.url)] {
        for (origin, opens) in [
            (None, true),
            (Some(gateway.url.clone()), true),
            (Some("http://evil.example".to_owned()), false),
            (Some(format!("http://{}-80.direct.{}", node.proxy_host, gateway.address)), false),
        ] {
            assert_eq!(open(&url, origin.as_deref()).await.is_ok(), opens, "{url} {origin:?}");
        }
    }
    gateway.end().await;
}

#[tokio::test]
async fn a_browser_that_stops_reading_costs_no_memory() {
    let process = Process::start(tempfile::tempdir().unwrap()).await;
    let play = process.session().await;
    let node = play.node().await;
    let mut screens = Vec::new();
    for terminal in ["1", "2", "3", "4"] {
        if terminal != "1" {
            assert_eq!(play.terminal(&node.name).await, terminal);
        }
        screens.push(play.watch(&node.name, terminal, "").await);
    }
    let before = process.resident_kib();
    for screen in &mut screens {
        // Acknowledges everything beforehand, as a hostile client would, and never reads again.
        screen.send(ClientFrame::Ack { offset: 1 << 40 }).await;
        screen.type_in("yes\r").await;
    }
    // Stalled: no more bytes are taken out of the node for these browsers.
    let mut last = 0;
    eventually(async || {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let now = process.output_bytes().await;
        (std::mem::replace(&mut last, now) == now && now > 0).then_some(())
    })
    .await;
    let grown = process.resident_kib().saturating_sub(before);
    assert!(grown < 8 * 1024, "{grown} KiB for four browsers that do not read");
    process.end();
}

#[tokio::test]
async fn a_killed_gateway_loses_no_terminal() {
    let process = Process::start(tempfile::tempdir().unwrap()).await;
    let play = process.session().await;
    let node = play.node().await;
    let mut screen = play.watch(&node.name, "1", "").await;
    screen.type_in("kept=value-$((40+2)); echo $kept\r").await;
    screen.until("value-42").await;
    let seen = screen.from + screen.received.len() as u64;

    let process = Process::start(process.kill()).await;
    while let Some(Ok(message)) = screen.socket.next().await {
        assert!(matches!(message, Message::Binary(_) | Message::Ping(_)), "{message}");
    }
    let play = Play { url: format!("http://{}/sessions/{}", process.address, play.id), ..play };
    let mut screen = play.watch(&node.name, "1", &format!("from={seen}")).await;
    screen.type_in("echo again-$kept\r").await;
    screen.until("again-value-42").await;
    assert_eq!(screen.from, seen);
    process.end();
}
