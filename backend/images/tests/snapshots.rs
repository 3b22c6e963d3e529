//! Root file systems over real overlay mounts. Needs root.

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use drydock_images::{Deleted, DiffId, Digest, Durability, Kind, Store, pack};
use support::{Tar, image, store};

/// Undoes the mount even when a test fails.
struct Mounted<'a>(&'a drydock_images::Snapshot);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = self.0.unmount();
    }
}

fn base() -> Vec<u8> {
    Tar::new()
        .folder("etc")
        .file("etc/hosts", "old")
        .file("etc/gone", "x")
        .folder("var")
        .file("var/data", "d")
        .bytes()
}

#[test]
fn a_container_sees_its_layers_and_writes_beside_them() {
    let (_folder, store) = store();
    let top = Tar::new().folder("etc").file("etc/.wh.gone", "").file("etc/new", "n").bytes();
    let image = image(&store, "app", &[base(), top]);
    let snapshot = store.prepare("c1", &image).unwrap();
    let root = snapshot.mount().unwrap().to_owned();
    let _mounted = Mounted(&snapshot);
    assert_eq!(fs::read_to_string(root.join("etc/hosts")).unwrap(), "old");
    assert_eq!(fs::read_to_string(root.join("etc/new")).unwrap(), "n");
    assert!(!root.join("etc/gone").exists());
    // A second mount is the first one.
    assert_eq!(snapshot.mount().unwrap(), root);

    fs::write(root.join("etc/hosts"), "changed").unwrap();
    fs::remove_dir_all(root.join("var")).unwrap();
    fs::write(root.join("added"), "12345").unwrap();
    assert_eq!(snapshot.size().unwrap(), 12);
    let changes = snapshot.changes().unwrap();
    let list: Vec<_> = changes.iter().map(|one| (one.path.to_str().unwrap(), one.kind)).collect();
    assert_eq!(
        list,
        [
            ("/added", Kind::Added),
            ("/etc", Kind::Modified),
            ("/etc/hosts", Kind::Modified),
            ("/var", Kind::Deleted)
        ]
    );
    let layer = &image.layers[0].diff_id;
    let below = store.root().join("layers").join(layer.0.hex()).join("diff/etc/hosts");
    assert_eq!(fs::read_to_string(below).unwrap(), "old");
}

#[test]
fn a_removed_snapshot_leaves_no_mount_and_no_folder() {
    let (_folder, store) = store();
    let image = image(&store, "app", &[base()]);
    let snapshot = store.prepare("c1", &image).unwrap();
    let root = snapshot.mount().unwrap().to_owned();
    store.snapshot("c1").unwrap().remove().unwrap();
    assert!(!root.exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(root.to_str().unwrap()));
    assert_eq!(store.snapshots().unwrap(), Vec::<String>::new());
}

#[test]
fn a_volatile_root_is_mounted_again_with_what_was_written() {
    let (_folder, store) = store();
    let image = image(&store, "app", &[base()]);
    store.prepare_as("c1", &image, Durability::Volatile).unwrap();
    for text in ["first", "second"] {
        let snapshot = store.snapshot("c1").unwrap();
        let root = snapshot.mount().unwrap().to_owned();
        let _mounted = Mounted(&snapshot);
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = mounts.lines().find(|line| line.contains(root.to_str().unwrap())).unwrap();
        assert!(line.contains("volatile"), "{line}");
        assert_eq!(root.join("written").exists(), text == "second");
        fs::write(root.join("written"), text).unwrap();
        let detached = snapshot.detach().unwrap();
        assert!(detached.is_some() && !root.join("written").exists(), "no path leads to it");
    }
    assert!(store.snapshot("c1").unwrap().detach().unwrap().is_none());
}

#[test]
fn a_hundred_and_twenty_seven_layers_can_be_mounted() {
    let (_folder, store) = store();
    let layers: Vec<_> = (0..127).map(|number| Tar::new().file(&format!("f{number}"), "x").bytes()).collect();
    let image = image(&store, "deep", &layers);
    let snapshot = store.prepare("c1", &image).unwrap();
    let root = snapshot.mount().unwrap().to_owned();
    let _mounted = Mounted(&snapshot);
    let is_layers = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with('f');
    assert_eq!(fs::read_dir(root).unwrap().flatten().filter(is_layers).count(), 127);
}

#[test]
fn the_root_folder_has_the_images_owner_and_mode() {
    let (_folder, store) = store();
    let layer = Tar::new().entry("./", tar::EntryType::Directory, 0o711, "", b"").file("a", "x").bytes();
    let image = image(&store, "app", &[layer]);
    let snapshot = store.prepare("c1", &image).unwrap();
    assert_eq!(fs::metadata(&snapshot.upper).unwrap().mode() & 0o7777, 0o711);
}

#[test]
fn layers_of_a_shared_store_are_used_in_place_and_kept_out_of_sight() {
    let (_host_folder, host) = store();
    let on_host = image(&host, "app", &[base()]);
    let folder = tempfile::tempdir().unwrap();
    let node = Store::open(folder.path(), Some(host.root().to_owned())).unwrap();
    assert!(node.images().unwrap().is_empty());
    let layer = on_host.layers[0].clone();
    assert!(node.has_layer(&layer.diff_id));
    let config = String::from_utf8(on_host.raw.clone()).unwrap();
    let new = drydock_images::NewImage { config: config.as_bytes(), manifest: None, blobs: vec![layer.blob] };
    let image = node.put_image(new).unwrap();
    let snapshot = node.prepare("c1", &image).unwrap();
    assert!(snapshot.lower[1].starts_with(host.root()));
    assert_eq!(fs::read_dir(folder.path().join("layers")).unwrap().count(), 0);
    let root = snapshot.mount().unwrap().to_owned();
    let _mounted = Mounted(&snapshot);
    assert_eq!(fs::read_to_string(root.join("var/data")).unwrap(), "d");
    // Removing it here takes nothing away there.
    node.remove(&image.id).unwrap();
    assert!(host.has_layer(&layer.diff_id));
}

#[test]
fn what_a_container_wrote_becomes_a_layer_that_packs_to_its_own_digest() {
    let (_folder, store) = store();
    let image = image(&store, "app", &[base()]);
    let snapshot = store.prepare("c1", &image).unwrap();
    let root = snapshot.mount().unwrap().to_owned();
    fs::write(root.join("new"), "n").unwrap();
    fs::hard_link(root.join("new"), root.join("same")).unwrap();
    std::os::unix::fs::symlink("new", root.join("link")).unwrap();
    fs::remove_file(root.join("etc/gone")).unwrap();
    fs::remove_dir_all(root.join("var")).unwrap();
    fs::create_dir(root.join("var")).unwrap();
    snapshot.unmount().unwrap();
    let (diff_id, _) = store.adopt_layer(&snapshot.upper).unwrap();

    let layer = drydock_images::Layer { diff_id: diff_id.clone(), blob: None };
    let mut tar = Vec::new();
    store.write_layer(&layer, &mut tar).unwrap();
    assert_eq!(Digest::of(&tar), diff_id.0);
    assert_eq!(store.layer_tar_size(&diff_id), Some(tar.len() as u64));
    // Another store that receives it sees the same files.
    let (_other_folder, other) = support::store();
    other.unpack_reader(tar.as_slice(), None, &DiffId(Digest::of(&tar)), &mut |_| {}).unwrap();
    let diff = |store: &Store| store.root().join("layers").join(diff_id.0.hex()).join("diff");
    let packed = |path: &Path| {
        let mut bytes = Vec::new();
        pack(path, &mut bytes, Deleted::Whiteouts).unwrap();
        Digest::of(&bytes)
    };
    assert_eq!(packed(&diff(&store)), packed(&diff(&other)));
}

#[test]
fn a_commit_keeps_the_blobs_of_its_parent_and_saves_every_layer_exactly() {
    let (_folder, store) = store();
    let parent = image(&store, "app", &[base()]);
    let snapshot = store.prepare("c1", &parent).unwrap();
    let root = snapshot.mount().unwrap().to_owned();
    let _mounted = Mounted(&snapshot);
    fs::write(root.join("new"), "n").unwrap();
    fs::remove_file(root.join("etc/gone")).unwrap();
    let (diff_id, size) = store.commit_layer(&snapshot).unwrap();
    assert_eq!(size, 1);
    let ids = [parent.layers[0].diff_id.0.clone(), diff_id.0.clone()];
    let config = support::config(&ids);
    let new = drydock_images::NewImage { config: config.as_bytes(), manifest: None, blobs: Vec::new() };
    let child = store.put_image(new).unwrap();
    for (layer, id) in child.layers.iter().zip(&ids) {
        let mut tar = Vec::new();
        store.write_layer(layer, &mut tar).unwrap();
        assert_eq!(Digest::of(&tar), *id);
    }
    // The container goes on with what it wrote.
    assert_eq!(fs::read_to_string(root.join("new")).unwrap(), "n");
    let second = store.prepare("c2", &child).unwrap();
    let root = second.mount().unwrap().to_owned();
    let _second = Mounted(&second);
    assert_eq!(fs::read_to_string(root.join("new")).unwrap(), "n");
    assert!(!root.join("etc/gone").exists());
}
