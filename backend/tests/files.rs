//! Files of nodes: in by form and by address, out by text and by download.

mod support;

use serde_json::Value;
use support::Gateway;

#[tokio::test]
async fn uploaded_files_are_in_the_node_and_come_back() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let base = format!("{}/instances/{}", play.url, node.name);
    let big: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let form = form(&[
        ("name=\"file\"; filename=\"big.bin\"", &big),
        ("name=\"file\"; filename=\"../../etc/a.txt\"", b"hello"),
        ("name=\"note\"", b"no file"),
    ]);
    let answer = play
        .http
        .post(format!("{base}/uploads?path=/root/in"))
        .header("Content-Type", "multipart/form-data; boundary=edge")
        .body(form)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        play.run(&node.name, "cd /root/in; ls; cat a.txt; stat -c %s big.bin").await,
        "a.txt\nbig.bin\nhello3000000"
    );

    let read = |path: &str| play.http.get(format!("{base}/file?path={path}")).send();
    assert_eq!(read("/root/in/a.txt").await.unwrap().text().await.unwrap(), "aGVsbG8=");
    let download = read("/root/in/big.bin&download=true").await.unwrap();
    assert_eq!(download.headers()["content-disposition"], "attachment; filename*=UTF-8''big.bin");
    assert_eq!(download.bytes().await.unwrap(), big);
    assert_eq!(read("/root/in/missing").await.unwrap().status(), 404);
    assert_eq!(read("/root/in/missing&download=true").await.unwrap().status(), 404);

    let written = play.http.put(format!("{base}/file?path=/root/in/b.txt")).body("new").send().await.unwrap();
    assert_eq!(written.status(), 200);
    assert_eq!(play.run(&node.name, "cat /root/in/b.txt").await, "new");

    let tree: Value =
        play.http.get(format!("{base}/fstree?path=/root/in")).send().await.unwrap().json().await.unwrap();
    let names: Vec<_> =
        tree[0]["contents"].as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["a.txt", "b.txt", "big.bin"]);
    gateway.end().await;
}

#[tokio::test]
async fn a_text_is_edited_in_a_plain_form() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let url = format!("{}/instances/{}/editor", play.url, node.name);
    let form = [("path", "/root/notes/a b.txt"), ("text", "one <two>\r\nthree\r\n")];
    let saved = play.http.post(&url).form(&form).send().await.unwrap();
    assert_eq!(saved.status(), 303);
    let again = saved.headers()["location"].to_str().unwrap();
    let shown = play.http.get(format!("{}{again}", gateway.url)).send().await.unwrap().text().await.unwrap();
    assert!(shown.contains("one &lt;two&gt;\nthree\n</textarea>"), "{shown}");
    assert_eq!(play.run(&node.name, "cat '/root/notes/a b.txt'").await, "one <two>\nthree");
    let listed = play.http.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(listed.contains("?path=%2Froot%2Fnotes%2Fa%20b.txt"), "{listed}");
    let foreign =
        play.http.post(&url).form(&form).header("Origin", "http://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let shown = play.http.get(format!("{url}?path=/usr/bin/bash")).send().await.unwrap();
    assert_ne!(shown.status(), 200, "a program is no text");
    gateway.end().await;
}

#[tokio::test]
async fn no_private_address_is_fetched() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    for url in [format!("{}/metrics", gateway.url), "http://169.254.169.254/latest".to_owned()] {
        let answer = play
            .http
            .post(format!("{}/instances/{}/uploads", play.url, node.name))
            .query(&[("url", url.as_str())])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 400, "{url}");
        assert!(answer.text().await.unwrap().contains("private address"), "{url}");
    }
    gateway.end().await;
}

/// A form as a browser encodes it.
fn form(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (disposition, contents) in parts {
        body.extend_from_slice(
            format!("--edge\r\nContent-Disposition: form-data; {disposition}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(contents);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--edge--\r\n");
    body
}

#[tokio::test]
async fn a_file_beyond_the_quota_says_so_and_leaves_its_room() {
    let gateway = Gateway::start_with(|config| config.node_limits.disk = 96 << 20).await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let url = format!("{}/instances/{}/uploads?path=/root/in", play.url, node.name);
    let upload = |body: Vec<u8>| {
        let typed = play.http.post(&url).header("Content-Type", "multipart/form-data; boundary=edge");
        typed.body(body).send()
    };
    let answer = upload(form(&[("name=\"file\"; filename=\"huge\"", &vec![7; 120 << 20])])).await.unwrap();
    assert_eq!(answer.status(), 422);
    let refused: Value = answer.json().await.unwrap();
    assert!(refused["message"].as_str().unwrap().contains("No space left"), "{refused}");
    assert_eq!(play.run(&node.name, "ls -A /root/in").await, "");
    // Many small ones go where the large one did not.
    let names: Vec<String> =
        (0..300).map(|number| format!("name=\"file\"; filename=\"{number}.txt\"")).collect();
    let parts: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"small"[..])).collect();
    assert_eq!(upload(form(&parts)).await.unwrap().status(), 200);
    assert_eq!(play.run(&node.name, "ls /root/in | wc -l; cat /root/in/299.txt").await, "300\nsmall");
    gateway.end().await;
}

#[tokio::test]
async fn an_upload_cut_off_leaves_no_file() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[]).await;
    let node = play.node().await;
    let mut stream = tokio::net::TcpStream::connect(&gateway.address).await.unwrap();
    let path = format!("/sessions/{}/instances/{}/uploads?path=/root/in", play.id, node.name);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: multipart/form-data; boundary=edge\r\n\
         Content-Length: 1000000\r\n\r\n--edge\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\r\n\r\n",
        gateway.address
    );
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, &[7; 100_000]).await.unwrap();
    let files = async || play.run(&node.name, "ls -A /root/in 2>/dev/null | wc -l").await;
    support::eventually(async || (files().await == "1").then_some(())).await;
    drop(stream);
    support::eventually(async || (files().await == "0").then_some(())).await;
    gateway.end().await;
}
