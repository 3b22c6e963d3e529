//! Our client against our server, over real sockets.

use std::path::Path;
use std::sync::{Arc, Mutex};

use drydock_images::{Descriptor, DiffId, Digest, Image, Named, NewImage, Store};
use drydock_registry::server::{Upstream, router};
use drydock_registry::{
    Client, Credentials, LayerState, Options, Platform, PullError, PullEvent, RegistryError, Wanted, pull,
};

/// A tar archive with one file.
fn layer(content: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, "file", content.as_bytes()).unwrap();
    archive.into_inner().unwrap()
}

fn store(folder: &Path) -> Store {
    Store::open(folder, None).unwrap()
}

/// Puts an image with a manifest into the store, as an import would.
fn put(store: &Store, name: &str, layers: &[Vec<u8>]) -> Arc<Image> {
    let blobs: Vec<Descriptor> = layers
        .iter()
        .map(|layer| {
            let digest = store.put_blob(layer).unwrap();
            let media_type = "application/vnd.oci.image.layer.v1.tar".to_owned();
            let blob = Descriptor { media_type, digest: digest.clone(), size: layer.len() as u64 };
            store.unpack_blob(&blob, &DiffId(digest), &mut |_| {}).unwrap();
            blob
        })
        .collect();
    let diff_ids: Vec<&Digest> = blobs.iter().map(|blob| &blob.digest).collect();
    let config = serde_json::json!({
        "architecture": Platform::here().architecture, "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
    .to_string();
    let entry = |blob: &Descriptor| serde_json::json!({"mediaType": blob.media_type, "digest": blob.digest, "size": blob.size});
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": Digest::of(config.as_bytes()), "size": config.len()},
        "layers": blobs.iter().map(entry).collect::<Vec<_>>(),
    })
    .to_string();
    let descriptor = Descriptor {
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        digest: Digest::of(manifest.as_bytes()),
        size: manifest.len() as u64,
    };
    let new = NewImage {
        config: config.as_bytes(),
        manifest: Some((descriptor.clone(), manifest.as_bytes())),
        blobs: blobs.into_iter().map(Some).collect(),
    };
    let image = store.put_image(new).unwrap();
    let name = Named::parse(name).unwrap().or_latest();
    store.tag(&name.with_digest(descriptor.digest), &image.id).unwrap();
    store.tag(&name, &image.id).unwrap();
    image
}

async fn serve(router: axum::Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A client that asks `mirror` for Docker Hub's names.
fn client(mirror: &str) -> Client {
    Client::new(Options { mirrors: vec![mirror.to_owned()], ..Options::default() })
}

fn named(text: &str) -> Named {
    Named::parse(text).unwrap().or_latest()
}

async fn fetch(
    client: &Client,
    store: &Store,
    name: &str,
) -> (Result<drydock_registry::Pulled, PullError>, Vec<LayerState>) {
    let states = Mutex::new(Vec::new());
    let hear = |event: PullEvent<'_>| match event {
        PullEvent::Found => {}
        PullEvent::Layer(_, state) => states.lock().unwrap().push(state),
    };
    let wanted = Wanted { name: &named(name), platform: None, credentials: None };
    let pulled = pull(client, store, wanted, &hear).await;
    (pulled, states.into_inner().unwrap())
}

#[tokio::test]
async fn a_pull_brings_every_layer_and_a_second_one_none() {
    let folder = tempfile::tempdir().unwrap();
    let (host, node) = (store(&folder.path().join("host")), store(&folder.path().join("node")));
    let image = put(&host, "app", &[layer("one"), layer("two")]);
    let client = client(&serve(router(host, None)).await);
    let (pulled, states) = fetch(&client, &node, "app").await;
    let pulled = pulled.unwrap();
    assert_eq!(pulled.image.id, image.id);
    assert!(pulled.is_new);
    assert_eq!(states.iter().filter(|state| **state == LayerState::PullComplete).count(), 2);
    assert_eq!(node.find("app").unwrap().size, 6);
    let (again, states) = fetch(&client, &node, "app").await;
    assert!(!again.unwrap().is_new);
    assert_eq!(states, []);
    let by_digest = format!("app@{}", pulled.digest);
    assert_eq!(fetch(&client, &node, &by_digest).await.0.unwrap().image.id, image.id);
}

#[tokio::test]
async fn an_image_of_the_shared_store_moves_no_layer() {
    let folder = tempfile::tempdir().unwrap();
    let host = store(&folder.path().join("host"));
    put(&host, "app", &[layer("one")]);
    let node = Store::open(folder.path().join("node"), Some(host.root().to_owned())).unwrap();
    let client = client(&serve(router(host, None)).await);
    let (pulled, states) = fetch(&client, &node, "app").await;
    pulled.unwrap();
    assert_eq!(states, [LayerState::AlreadyExists]);
    assert_eq!(std::fs::read_dir(node.root().join("layers")).unwrap().count(), 0);
}

#[tokio::test]
async fn what_is_nowhere_is_refused_with_the_librarys_list() {
    let folder = tempfile::tempdir().unwrap();
    let (host, node) = (store(&folder.path().join("host")), store(&folder.path().join("node")));
    put(&host, "app", &[layer("one")]);
    let address = serve(router(host, None)).await;
    // A second endpoint out of reach must not hide what the first one said.
    let client = Client::new(Options {
        mirrors: vec![address, "http://127.0.0.1:1".to_owned()],
        connect_timeout: std::time::Duration::from_millis(200),
        ..Options::default()
    });
    let (failed, _) = fetch(&client, &node, "nothing:1").await;
    let text = failed.unwrap_err().to_string();
    assert!(text.starts_with("manifest for nothing:1 not found: manifest unknown"), "{text}");
    assert!(text.contains("offline library (app)"), "{text}");
}

#[tokio::test]
async fn a_name_that_the_store_lacks_comes_through_from_upstream_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let [far, host, node] = ["far", "host", "node"].map(|name| store(&folder.path().join(name)));
    let image = put(&far, "app:2", &[layer("one")]);
    let far = serve(router(far, None)).await;
    let client = client(&serve(router(host.clone(), Some(Upstream::new(Some(far))))).await);
    // Several at once are one fetch.
    let names = ["app:2"; 3];
    let all = futures_util::future::join_all(names.map(|name| fetch(&client, &node, name))).await;
    assert!(all.iter().all(|(pulled, _)| pulled.as_ref().unwrap().image.id == image.id));
    assert_eq!(host.find("app:2").unwrap().id, image.id);
}

#[tokio::test]
async fn a_blob_that_lies_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (host, node) = (store(&folder.path().join("host")), store(&folder.path().join("node")));
    let image = put(&host, "app", &[layer("one")]);
    let blob = host.blob_path(&image.layers[0].diff_id.0).unwrap();
    std::fs::write(blob, layer("two")).unwrap();
    let client = client(&serve(router(host, None)).await);
    let (failed, _) = fetch(&client, &node, "app").await;
    let text = failed.unwrap_err().to_string();
    assert!(text.starts_with("filesystem layer verification failed for digest sha256:"), "{text}");
    assert!(node.images().unwrap().is_empty());
}

#[tokio::test]
async fn a_broken_download_can_be_resumed_by_range() {
    let folder = tempfile::tempdir().unwrap();
    let host = store(&folder.path().join("host"));
    let image = put(&host, "app", &[layer("one")]);
    let digest = &image.layers[0].diff_id.0;
    let whole = host.read_blob(digest).unwrap();
    let address = serve(router(host, None)).await;
    let url = format!("{address}/v2/library/app/blobs/{digest}");
    let request = reqwest::Client::new().get(&url).header("range", "bytes=100-");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.bytes().await.unwrap(), whole[100..]);
}

#[tokio::test]
async fn lists_are_served_and_writes_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let host = store(&folder.path().join("host"));
    put(&host, "app:1", &[layer("one")]);
    put(&host, "group/app:2", &[layer("two")]);
    let address = serve(router(host, None)).await;
    let client = client(&address);
    assert_eq!(client.catalog().await.unwrap(), ["group/app", "library/app"]);
    assert_eq!(client.tags(&named("app").repository(), None).await.unwrap(), ["1"]);
    let put =
        reqwest::Client::new().put(format!("{address}/v2/library/app/manifests/1")).send().await.unwrap();
    assert_eq!(put.status(), 405);
    let ping = reqwest::get(format!("{address}/v2/")).await.unwrap();
    assert_eq!(ping.headers()["docker-distribution-api-version"], "registry/2.0");
}

#[tokio::test]
async fn a_bearer_token_is_fetched_with_the_password_and_used() {
    use axum::extract::Query;
    use axum::response::IntoResponse;
    use http::{HeaderMap, StatusCode};

    let folder = tempfile::tempdir().unwrap();
    let (host, node) = (store(&folder.path().join("host")), store(&folder.path().join("node")));
    put(&host, "private", &[layer("one")]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let challenge = format!("Bearer realm=\"http://127.0.0.1:{port}/token\",service=\"test\"");
    let guard =
        axum::middleware::from_fn(move |headers: HeaderMap, request, next: axum::middleware::Next| {
            let challenge = challenge.clone();
            async move {
                match headers.get("authorization").and_then(|value| value.to_str().ok()) {
                    Some("Bearer good") => next.run(request).await,
                    _ => (StatusCode::UNAUTHORIZED, [("www-authenticate", challenge)]).into_response(),
                }
            }
        });
    let token = axum::routing::get(
        async |headers: HeaderMap, Query(query): Query<std::collections::HashMap<String, String>>| {
            let is_user = headers.get("authorization").is_some_and(|value| value == "Basic dTpw");
            let is_scope = query.get("scope").is_none_or(|scope| scope.starts_with("repository:"))
                && query["service"] == "test";
            if is_user && is_scope {
                "{\"token\":\"good\"}".into_response()
            } else {
                StatusCode::UNAUTHORIZED.into_response()
            }
        },
    );
    // The private registry serves the name under its own domain: the path is the same.
    let app = router(host, None).layer(guard).route("/token", token);
    tokio::spawn(async move { axum::serve(listener, app).await });

    let client = Client::new(Options::default());
    let name = named(&format!("127.0.0.1:{port}/private"));
    let server_address = format!("127.0.0.1:{port}");
    let credentials = Credentials {
        username: "u".to_owned(),
        password: "p".to_owned(),
        server_address,
        ..Credentials::default()
    };
    let wanted = |credentials| Wanted { name: &name, platform: None, credentials };
    pull(&client, &node, wanted(Some(&credentials)), &|_| {}).await.unwrap();
    client.login(&credentials).await.unwrap();
    // The client knows a good token by now, and gives it to nobody else.
    let wrong = Credentials { password: "wrong".to_owned(), ..credentials.clone() };
    let failed = pull(&client, &node, wanted(Some(&wrong)), &|_| {}).await.unwrap_err();
    assert!(matches!(failed, PullError::Registry(RegistryError::Token { .. })), "{failed}");
    let failed = pull(&client, &node, wanted(None), &|_| {}).await.unwrap_err();
    assert!(matches!(failed, PullError::Registry(RegistryError::Token { .. })), "{failed}");
}
