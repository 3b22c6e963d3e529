//! `steps ROOT VERB`: does one thing to a store, once it is told to by a line on its input. `tests/power.rs` cuts it short.

use std::io::Write;
use std::path::Path;

use drydock_images::{Descriptor, DiffId, Digest, Named, NewImage, Store};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let store = Store::open(&arguments[1], None).expect("a store");
    println!("ready");
    std::io::stdin().read_line(&mut String::new()).expect("a line");
    match arguments[2].as_str() {
        "pull" => pull(&store),
        "step" => step(&store),
        "remove" => remove(&store),
        "tag" => tag(&store),
        other => panic!("no verb {other}"),
    }
}

fn archive(name: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..3 {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, format!("{name}/{number}"), b"hello".as_slice()).expect("append");
    }
    archive.into_inner().expect("an archive")
}

fn config(layers: &[&Digest]) -> Vec<u8> {
    serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": layers},
    })
    .to_string()
    .into_bytes()
}

/// Two layers, their blobs, a manifest, and a name.
fn pull(store: &Store) {
    let mut blobs = Vec::new();
    for name in ["one", "two"] {
        let layer = archive(name);
        let digest = Digest::of(&layer);
        let mut blob = store.begin_blob().expect("begin");
        blob.write_all(&layer).expect("write");
        blob.finish(&digest).expect("finish");
        let size = layer.len() as u64;
        let blob = Descriptor { media_type: String::new(), digest: digest.clone(), size };
        store.unpack_blob(&blob, &DiffId(digest), &mut |_| {}).expect("unpack");
        blobs.push(blob);
    }
    let config = config(&blobs.iter().map(|blob| &blob.digest).collect::<Vec<_>>());
    let manifest = b"{\"schemaVersion\":2}";
    let digest = Digest::of(manifest);
    let descriptor =
        Descriptor { media_type: String::new(), digest: digest.clone(), size: manifest.len() as u64 };
    let blobs = blobs.into_iter().map(Some).collect();
    let new = NewImage { config: &config, manifest: Some((descriptor, manifest)), blobs };
    let image = store.put_image(new).expect("put");
    let name = Named::parse("pulled:1").expect("a name");
    store.tag(&name.with_digest(digest), &image.id).expect("tag");
    store.tag(&name, &image.id).expect("tag");
}

/// The step of a build, which waits for no disk, and then does.
fn step(store: &Store) {
    let (layer, _) = store.import_layer(archive("step").as_slice()).expect("import");
    let image = store.put_step(&config(&[&layer.0]), None).expect("put");
    store.tag(&Named::parse("built:1").expect("a name"), &image.id).expect("tag");
    store.settle().expect("settle");
}

fn remove(store: &Store) {
    let image = store.find("base:1").expect("an image");
    store.remove(&image.id).expect("remove");
}

fn tag(store: &Store) {
    let image = store.find("base:1").expect("an image");
    store.tag(&Named::parse("again:1").expect("a name"), &image.id).expect("tag");
    store.untag(&Named::parse("base:1").expect("a name")).expect("untag");
    let root: &Path = store.root();
    assert!(root.exists());
}
