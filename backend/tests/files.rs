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
