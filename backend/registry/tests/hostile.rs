//! Registries that cut, stall and lie.

mod support;

use std::time::Duration;

use drydock_images::{DiffId, Digest, Named};
use drydock_registry::{Client, LayerState, Options, Platform, PullEvent, Wanted, pull};
use http::StatusCode;
use serde_json::json;
use support::{
    Fault, GZIP, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, Registry, ZSTD, archive, assert_empty, client, fetch,
    gzip, plain, store,
};

#[tokio::test]
async fn a_cut_download_goes_on_where_it_was_cut() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let layer = plain("file", 300_000);
    registry.image("1", std::slice::from_ref(&layer));
    registry.faults([Fault::Cut(100_000), Fault::Cut(50_000)]);
    let store = store(folder.path());
    let (pulled, states) = fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await;
    pulled.unwrap();
    assert_eq!(store.read_blob(&Digest::of(&layer.1)).unwrap(), layer.1);
    // A cut may lose what was on its way: it goes on from what arrived.
    let begins: Vec<u64> = registry
        .ranges()
        .iter()
        .map(|range| range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap())
        .collect();
    assert!(begins.iter().all(|begin| (1..=150_000).contains(begin)), "{begins:?}");
    assert!(!begins.is_empty() && begins.is_sorted(), "{begins:?}");
    assert!(
        !states.iter().any(|state| matches!(state, LayerState::Retrying { .. })),
        "nobody waits after a cut"
    );
}

#[tokio::test]
async fn a_registry_without_ranges_sends_all_of_it_again() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let layer = plain("file", 300_000);
    registry.image("1", std::slice::from_ref(&layer));
    registry.faults([Fault::Cut(100_000), Fault::WholeInPlaceOfRange]);
    let store = store(folder.path());
    fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap();
    assert_eq!(store.read_blob(&Digest::of(&layer.1)).unwrap(), layer.1);
}

#[tokio::test]
async fn a_registry_that_goes_silent_is_asked_again() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let layer = plain("file", 300_000);
    registry.image("1", std::slice::from_ref(&layer));
    registry.faults([Fault::Stall(100_000)]);
    let store = store(folder.path());
    let client =
        Client::new(Options { attempts: 1, stall_timeout: Duration::from_millis(200), ..Options::default() });
    fetch(&client, &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap();
    assert_eq!(registry.ranges().len(), 1);
}

#[tokio::test]
async fn a_registry_that_never_speaks_again_ends_the_pull() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    registry.image("1", &[plain("file", 1_000)]);
    registry.faults([Fault::Stall(0)]);
    let store = store(folder.path());
    let client =
        Client::new(Options { attempts: 1, stall_timeout: Duration::from_millis(50), ..Options::default() });
    let failed = fetch(&client, &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap_err();
    assert!(failed.to_string().contains("net/http: timeout awaiting response"), "{failed}");
    assert_empty(&store);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_nobody_waits_for_any_more_leaves_nothing() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let (first, second) = (plain("first", 1_000), plain("second", 300_000));
    registry.image("1", &[first.clone(), second.clone()]);
    registry.faults([Fault::Stall(100_000), Fault::Stall(100_000)]);
    let (store, client) = (store(folder.path()), client());
    let name = Named::parse(&format!("{}/app:1", registry.serve().await)).unwrap();
    let come = tokio::sync::Notify::new();
    let hear = |event: PullEvent<'_>| {
        if matches!(event, PullEvent::Layer(_, LayerState::PullComplete)) {
            come.notify_one();
        }
    };
    let wanted = Wanted { name: &name, platform: None, credentials: None };
    tokio::select! {
        _ = pull(&client, &store, wanted, &hear) => panic!("the second layer never comes"),
        () = come.notified() => {}
    }
    let has = |digest: &Digest| store.has_blob(digest) || store.has_layer(&DiffId(digest.clone()));
    let folders = || ["layers", "images", "tmp"].map(|name| store.root().join(name));
    let is_empty = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().next().is_none();
    while has(&Digest::of(&first.1)) || !folders().iter().all(|folder| is_empty(folder)) {
        tokio::task::yield_now().await;
    }
    assert_empty(&store);
}

#[tokio::test]
async fn lies_about_a_layer_leave_nothing() {
    let whole = plain("file", 10_000);
    let longer = [whole.1.as_slice(), &[0; 5_000]].concat();
    let shorter = whole.1[..5_000].to_vec();
    let other = archive("file", 10_000).iter().rev().copied().collect();
    for lie in [longer, shorter, other] {
        let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
        registry.image("1", std::slice::from_ref(&whole));
        registry.faults([Fault::Other(lie)]);
        let store = store(folder.path());
        let failed =
            fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap_err();
        let expected = format!("filesystem layer verification failed for digest {}", Digest::of(&whole.1));
        assert_eq!(failed.to_string(), expected);
        assert_empty(&store);
        assert!(!store.has_blob(&Digest::of(&whole.1)));
    }
}

#[tokio::test]
async fn a_range_that_lies_never_makes_a_layer() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let layer = plain("file", 300_000);
    registry.image("1", std::slice::from_ref(&layer));
    registry.faults([Fault::Cut(100_000), Fault::OtherRange]);
    let store = store(folder.path());
    let failed = fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap_err();
    assert_eq!(failed.to_string(), "expected HTTP 206 from byte range request");
    assert_empty(&store);
}

#[tokio::test]
async fn refusals_of_a_layer_are_told() {
    for (status, expected) in [
        (StatusCode::FORBIDDEN, "denied: no"),
        (StatusCode::TOO_MANY_REQUESTS, "toomanyrequests: no"),
        (StatusCode::BAD_GATEWAY, "received unexpected HTTP status: 502 Bad Gateway"),
    ] {
        let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
        registry.image("1", &[plain("file", 1_000)]);
        registry.faults([Fault::Status(status)]);
        let store = store(folder.path());
        let failed =
            fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap_err();
        assert_eq!(failed.to_string(), expected);
        assert_empty(&store);
    }
}

#[tokio::test]
async fn manifests_and_configurations_are_verified_too() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let digest = registry.image("1", &[plain("file", 1_000)]);
    let address = registry.serve().await;
    let store = store(folder.path());
    let other = registry.image("2", &[plain("other", 1_000)]);
    let lie = registry.0.lock().unwrap().manifests[&other.to_string()].clone();
    registry.0.lock().unwrap().manifests.insert(digest.to_string(), lie);
    let failed = fetch(&client(), &store, &format!("{address}/app@{digest}")).await.0.unwrap_err();
    assert_eq!(failed.to_string(), format!("manifest verification failed for digest {digest}"));

    let config = {
        let mut served = registry.0.lock().unwrap();
        let is_config = |bytes: &Vec<u8>| bytes.first() == Some(&b'{');
        let (digest, bytes) = served.blobs.iter_mut().find(|(_, bytes)| is_config(bytes)).unwrap();
        bytes[1] = b' ';
        digest.clone()
    };
    let mut texts = Vec::new();
    for tag in ["1", "2"] {
        if let Err(failed) = fetch(&client(), &store, &format!("{address}/app:{tag}")).await.0 {
            texts.push(failed.to_string());
        }
    }
    let expected =
        format!("error pulling image configuration: image config verification failed for digest {config}");
    assert!(texts.contains(&expected), "{texts:?}");
}

#[tokio::test]
async fn a_configuration_that_names_other_layers_is_refused() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let (right, wrong) = (plain("right", 100), plain("wrong", 200));
    // The manifest brings one layer, the configuration names another.
    registry.image("1", &[(wrong.0.clone(), right.1.clone(), GZIP)]);
    registry.image("2", &[(right.0, gzip(&wrong.0), GZIP)]);
    let address = registry.serve().await;
    let store = store(folder.path());
    for tag in ["1", "2"] {
        let failed = fetch(&client(), &store, &format!("{address}/app:{tag}")).await.0.unwrap_err();
        assert_eq!(failed.to_string(), "layers from manifest don't match image configuration");
        assert_empty(&store);
    }
}

#[tokio::test]
async fn layers_come_plain_gzipped_and_in_zstd() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let archives = ["one", "two", "three"].map(|name| archive(name, 70_000));
    let zipped = gzip(&archives[1]);
    let zstd = zstd::encode_all(archives[2].as_slice(), 1).unwrap();
    let [one, two, three] = archives;
    registry.image(
        "1",
        &[
            (one.clone(), one, "application/vnd.docker.image.rootfs.diff.tar"),
            (two, zipped, GZIP),
            (three, zstd, ZSTD),
        ],
    );
    let store = store(folder.path());
    let pulled = fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap();
    assert_eq!(pulled.image.size, 210_000);
    for path in store.layer_paths(&pulled.image) {
        assert_eq!(std::fs::read_dir(path).unwrap().count(), 1);
    }
}

#[tokio::test]
async fn the_image_for_the_platform_is_found_in_indexes_within_indexes() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let entry = |digest: &Digest, os: &str, architecture: &str| json!({"mediaType": OCI_MANIFEST, "digest": digest, "size": 1, "platform": {"os": os, "architecture": architecture}});
    let amd = registry.image_for("amd", &[plain("amd", 10)], "amd64");
    let arm = registry.image_for("arm", &[plain("arm", 11)], "arm64");
    let inner = registry.manifest(
        "inner",
        OCI_INDEX,
        &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry(&amd, "linux", "amd64")]}),
    );
    let outer = registry.manifest(
        "1",
        OCI_INDEX,
        &json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
            entry(&arm, "unknown", "unknown"),
            entry(&arm, "linux", "arm64"),
            {"mediaType": OCI_INDEX, "digest": inner, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
        ]}),
    );
    let name = format!("{}/app:1", registry.serve().await);
    let store = store(folder.path());
    let named = Named::parse(&name).unwrap();
    let arm = Platform::parse("linux/arm64").unwrap();
    let wanted = Wanted { name: &named, platform: Some(&arm), credentials: None };
    let pulled = pull(&client(), &store, wanted, &|_| {}).await.unwrap();
    assert_eq!(
        (pulled.image.json()["architecture"].as_str(), pulled.digest.clone()),
        (Some("arm64"), outer.clone())
    );
    let here = fetch(&client(), &store, &name).await.0.unwrap();
    assert_eq!((here.image.json()["architecture"].as_str(), here.digest), (Some("amd64"), outer));
    let s390x = Platform::parse("linux/s390x").unwrap();
    let wanted = Wanted { name: &named, platform: Some(&s390x), credentials: None };
    let failed = pull(&client(), &store, wanted, &|_| {}).await.unwrap_err();
    assert_eq!(failed.to_string(), "no matching manifest for linux/s390x in the manifest list entries");
}

#[tokio::test]
async fn an_index_that_names_itself_ends() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    // Its own digest cannot stand in it; a registry that answers any digest with it can still be made.
    let some = Digest::of(b"some");
    let index = json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [
        {"mediaType": OCI_INDEX, "digest": some, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
    ]});
    registry.manifest("1", OCI_INDEX, &index);
    let lie = registry.0.lock().unwrap().manifests["1"].clone();
    registry.0.lock().unwrap().manifests.insert(some.to_string(), lie);
    let store = store(folder.path());
    let failed = fetch(&client(), &store, &format!("{}/app:1", registry.serve().await)).await.0.unwrap_err();
    assert_eq!(failed.to_string(), format!("manifest verification failed for digest {some}"));
}

#[tokio::test]
async fn what_is_no_image_is_refused_before_a_byte_of_it_comes() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    let (config, size) = registry.blob(b"{}".to_vec());
    let chart = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json", "digest": config, "size": size},
    });
    registry.manifest("chart", OCI_MANIFEST, &chart);
    let layer = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config, "size": size},
        "layers": [{"mediaType": "application/x-anything", "digest": config, "size": size}],
    });
    registry.manifest("layer", OCI_MANIFEST, &layer);
    let old = json!({"schemaVersion": 1, "name": "app", "fsLayers": [{"blobSum": "x"}]});
    registry.manifest("old", "application/vnd.docker.distribution.manifest.v1+prettyjws", &old);
    let address = registry.serve().await;
    let store = store(folder.path());
    for (tag, expected) in [
        ("chart", "unsupported media type application/vnd.cncf.helm.config.v1+json".to_owned()),
        ("layer", "unsupported media type application/x-anything".to_owned()),
        (
            "old",
            format!(
                "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. Suggest the author of {address}/app:old to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/"
            ),
        ),
    ] {
        let failed = fetch(&client(), &store, &format!("{address}/app:{tag}")).await.0.unwrap_err();
        assert_eq!(failed.to_string(), expected);
    }
    assert!(!registry.heard().iter().any(|request| request.contains("/blobs/")));
}

#[tokio::test]
async fn mirrors_are_asked_in_their_order_and_the_next_one_helps() {
    let (first, second) = (Registry::default(), Registry::default());
    let folder = tempfile::tempdir().unwrap();
    second.image("1", &[plain("file", 10)]);
    let mirrors =
        vec![format!("http://{}/", first.serve().await), format!("http://{}", second.serve().await)];
    let client = Client::new(Options { mirrors, attempts: 1, ..Options::default() });
    let store = store(folder.path());
    fetch(&client, &store, "app:1").await.0.unwrap();
    assert_eq!(first.heard()[0], "HEAD /v2/library/app/manifests/1");
    assert!(second.heard().iter().any(|request| request.starts_with("GET /v2/library/app/blobs/")));
}

#[tokio::test]
async fn a_plain_registry_is_asked_under_tls_first_and_a_secure_one_never_in_plain_text() {
    let (registry, folder) = (Registry::default(), tempfile::tempdir().unwrap());
    registry.image("1", &[plain("file", 10)]);
    let address = registry.serve().await;
    let store = store(folder.path());
    fetch(&client(), &store, &format!("{address}/app:1")).await.0.unwrap();
    assert!(registry.heard().iter().all(|request| !request.is_empty()));
    // 127.0.0.1 may be insecure whatever is configured; a name that leads there may, too.
    let port = address.rsplit(':').next().unwrap();
    fetch(&client(), &store, &format!("localhost:{port}/app:1")).await.0.unwrap();
}
