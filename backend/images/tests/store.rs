//! Names, import and garbage.

mod support;

use std::fs;
use std::io::Write;
use std::time::Duration;

use drydock_images::{BlobError, Digest, FindError, ImportError, Named, Store};
use support::{Tar, image, layout, store};

fn named(text: &str) -> Named {
    Named::parse(text).unwrap().or_latest()
}

fn layer(content: &str) -> Vec<u8> {
    Tar::new().file("file", content).bytes()
}

#[test]
fn a_blob_gets_its_name_only_with_the_right_content() {
    let (_folder, store) = store();
    let digest = Digest::of(b"content");
    let mut writer = store.begin_blob().unwrap();
    writer.write_all(b"other").unwrap();
    assert!(matches!(writer.finish(&digest), Err(BlobError::Mismatch { .. })));
    assert!(!store.has_blob(&digest));
    let mut writer = store.begin_blob().unwrap();
    writer.write_all(b"content").unwrap();
    writer.finish(&digest).unwrap();
    assert_eq!(store.read_blob(&digest).unwrap(), b"content");
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn images_are_found_by_every_name_that_docker_allows() {
    let (_folder, store) = store();
    let image = image(&store, "app:1", &[layer("x")]);
    let hex = image.id.0.hex();
    let digest = Digest::of(b"manifest");
    store.tag(&named("app").with_digest(digest.clone()), &image.id).unwrap();
    for text in [
        "app:1".to_owned(),
        "docker.io/library/app:1".to_owned(),
        hex.to_owned(),
        hex[..12].to_owned(),
        format!("sha256:{hex}"),
        format!("sha256:{}", &hex[..8]),
        format!("app@{digest}"),
        format!("app:whatever@{digest}"),
    ] {
        assert_eq!(store.find(&text).unwrap().id, image.id, "{text}");
    }
    for (text, message) in [("app", "No such image: app:latest"), ("zzz:1", "No such image: zzz:1")] {
        assert_eq!(store.find(text).unwrap_err().to_string(), message);
    }
    assert!(matches!(store.find("App"), Err(FindError::Reference(_))));
}

#[test]
fn another_process_sees_a_new_name_and_names_survive_a_restart() {
    let (_folder, store) = store();
    let other = Store::open(store.root(), None).unwrap();
    let image = image(&store, "app", &[layer("x")]);
    assert_eq!(other.find("app").unwrap().id, image.id);
    other.tag(&named("second"), &image.id).unwrap();
    assert_eq!(store.names(&image.id).unwrap().0, [named("app"), named("second")]);
    let reopened = Store::open(store.root(), None).unwrap();
    assert_eq!(reopened.find("second").unwrap().size, 1);
    assert_eq!(reopened.find("second").unwrap().json()["config"]["Healthcheck"]["Test"][0], "NONE");
}

#[test]
fn concurrent_changes_lose_no_name() {
    let (_folder, store) = store();
    let image = image(&store, "app", &[layer("x")]);
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (root, image) = (store.root(), &image);
            scope.spawn(move || {
                let own = Store::open(root, None).unwrap();
                for number in 0..10 {
                    own.tag(&named(&format!("app:{worker}-{number}")), &image.id).unwrap();
                }
            });
        }
    });
    assert_eq!(store.references().unwrap().len(), 41);
}

#[test]
fn a_removed_image_takes_only_what_nobody_else_needs() {
    let (_folder, store) = store();
    let (shared, own) = (layer("shared"), layer("own"));
    let first = image(&store, "first", &[shared.clone(), own.clone()]);
    let second = image(&store, "second", std::slice::from_ref(&shared));
    let removed = store.remove(&first.id).unwrap();
    assert_eq!(removed.layers, [Digest::of(&own)]);
    assert_eq!(removed.size, 3);
    assert!(store.has_blob(&Digest::of(&shared)) && !store.has_blob(&Digest::of(&own)));
    assert!(store.find("first").is_err());
    store.remove(&second.id).unwrap();
    for folder in ["layers", "blobs/sha256", "images", "tmp"] {
        assert_eq!(fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

#[test]
fn a_containers_layers_outlive_its_image() {
    let (_folder, store) = store();
    let image = image(&store, "app", &[layer("x")]);
    let snapshot = store.prepare("c1", &image).unwrap();
    store.remove(&image.id).unwrap();
    assert!(store.has_layer(&image.layers[0].diff_id));
    assert_eq!(store.snapshot("c1").unwrap().lower, snapshot.lower);
    snapshot.remove().unwrap();
    assert_eq!(store.collect(Duration::ZERO).unwrap().layers.len(), 1);
}

#[test]
fn garbage_that_is_young_is_left_for_the_pull_that_made_it() {
    let (_folder, store) = store();
    store.put_blob(b"arrived a moment ago").unwrap();
    store.collect(Duration::from_secs(60)).unwrap();
    assert!(store.has_blob(&Digest::of(b"arrived a moment ago")));
    store.collect(Duration::ZERO).unwrap();
    assert!(!store.has_blob(&Digest::of(b"arrived a moment ago")));
}

#[test]
fn a_layout_is_imported_once_and_by_all_its_names() {
    let (folder, store) = store();
    let layer = layer("content");
    let compressed = zstd::encode_all(layer.as_slice(), 3).unwrap();
    let place = folder.path().join("layout");
    layout(&place, &["docker.io/library/app:latest", "drydock/node:1"], &layer, &compressed);
    let imported = store.import_layout(&place).unwrap();
    assert_eq!(imported.len(), 2);
    assert!(imported.iter().all(|one| one.is_new));
    let image = store.find("app").unwrap();
    assert_eq!(store.find("drydock/node:1").unwrap().id, image.id);
    assert_eq!(store.names(&image.id).unwrap().1.len(), 2);
    assert_eq!(fs::read(store.blob_path(&Digest::of(&compressed)).unwrap()).unwrap(), compressed);
    assert!(store.import_layout(&place).unwrap().iter().all(|one| !one.is_new));
}

#[test]
fn a_damaged_layout_is_refused() {
    let (folder, store) = store();
    let layer = layer("content");
    let place = folder.path().join("layout");
    layout(&place, &["app"], &layer, &layer);
    fs::write(place.join("blobs/sha256").join(Digest::of(&layer).hex()), b"damaged").unwrap();
    assert!(matches!(store.import_layout(&place), Err(ImportError::Layer(_))));
    assert!(store.find("app").is_err());
}
