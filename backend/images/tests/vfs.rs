//! The driver that copies sees and keeps what the one that mounts does.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use drydock_images::{Deleted, DiffId, Driver, Snapshot, Store, pack};
use support::{Tar, image};
use tar::EntryType;

fn base() -> Vec<u8> {
    Tar::new()
        .folder("etc")
        .file("etc/hosts", "old")
        .file("etc/gone", "x")
        .file("etc/kept", "k")
        .folder("var")
        .file("var/data", "d")
        .folder("opaque")
        .file("opaque/below", "b")
        .file("one", "same file")
        .entry("two", EntryType::Link, 0o644, "one", b"")
        .symlink("link", "etc/hosts")
        .bytes()
}

fn top() -> Vec<u8> {
    Tar::new()
        .folder("etc")
        .file("etc/.wh.gone", "")
        .file("etc/new", "n")
        .folder("opaque")
        .file("opaque/.wh..wh..opq", "")
        .file("opaque/above", "a")
        .bytes()
}

fn open(driver: Driver) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_with(folder.path(), None, driver).unwrap();
    (folder, store)
}

/// What a container does.
fn write(root: &Path) {
    fs::write(root.join("etc/hosts"), "changed").unwrap();
    fs::remove_dir_all(root.join("var")).unwrap();
    fs::write(root.join("added"), "12345").unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    fs::write(root.join("folder/in"), "i").unwrap();
    fs::remove_file(root.join("link")).unwrap();
    symlink("etc/kept", root.join("link")).unwrap();
    fs::set_permissions(root.join("etc/kept"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::remove_dir_all(root.join("opaque")).unwrap();
    fs::write(root.join("opaque"), "a file now").unwrap();
}

/// Every path with its kind and content.
fn tree(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let what = if meta.is_dir() {
                walk(root, &path, found);
                "folder".to_owned()
            } else if meta.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else {
                fs::read_to_string(&path).unwrap_or_default()
            };
            found.insert(name, format!("{:o} {what}", meta.mode()));
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn changes(snapshot: &Snapshot) -> Vec<String> {
    let changes = snapshot.changes().unwrap();
    changes.iter().map(|one| format!("{:?} {}", one.kind, one.path.display())).collect()
}

#[test]
fn a_container_sees_writes_and_commits_the_same_with_either_driver() {
    let mut seen = Vec::new();
    for driver in [Driver::Overlay2, Driver::Vfs] {
        let (_folder, store) = open(driver);
        let image = image(&store, "app", &[base(), top()]);
        let snapshot = store.prepare("c1", &image).unwrap();
        let root = snapshot.mount().unwrap().to_owned();
        let before = tree(&root);
        assert_eq!(
            fs::metadata(root.join("one")).unwrap().ino(),
            fs::metadata(root.join("two")).unwrap().ino()
        );
        assert_eq!(changes(&snapshot), Vec::<String>::new());
        write(&root);
        let after = tree(&root);
        let listed = changes(&snapshot);
        let size = snapshot.size().unwrap();
        let (diff_id, _) = store.commit_layer(&snapshot).unwrap();
        // The container goes on writing, and its layer stays what it was.
        fs::write(root.join("added"), "later").unwrap();
        let mut archive = Vec::new();
        let folder = store.root().join("layers").join(diff_id.0.hex()).join("diff");
        pack(&folder, &mut archive, Deleted::Whiteouts).unwrap();
        let mut names: Vec<String> = tar::Archive::new(archive.as_slice())
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        names.sort();
        let ids: Vec<DiffId> =
            image.layers.iter().map(|layer| layer.diff_id.clone()).chain([diff_id]).collect();
        let draft = store.draft(&ids).unwrap();
        let mut again = tree(draft.path());
        // A container's own places are no part of its layer.
        again.retain(|path, _| after.contains_key(path));
        let mut expected = after.clone();
        expected.retain(|path, _| again.contains_key(path));
        assert_eq!(again, expected);
        drop(draft);
        snapshot.remove().unwrap();
        seen.push((before, after, listed, size, names));
    }
    let [overlay, vfs] = <[_; 2]>::try_from(seen).unwrap();
    assert_eq!(vfs, overlay);
}

#[test]
fn a_draft_of_either_driver_makes_the_same_layer() {
    let made = [Driver::Overlay2, Driver::Vfs].map(|driver| {
        let (_folder, store) = open(driver);
        let image = image(&store, "app", &[base(), top()]);
        let ids: Vec<DiffId> = image.layers.iter().map(|layer| layer.diff_id.clone()).collect();
        let draft = store.draft(&ids).unwrap();
        fs::remove_file(draft.path().join("etc/hosts")).unwrap();
        fs::write(draft.path().join("made"), "m").unwrap();
        let time = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH);
        for path in ["made", "etc", ""] {
            fs::File::open(draft.path().join(path)).unwrap().set_times(time).unwrap();
        }
        let layer = draft.keep().unwrap().unwrap();
        assert!(store.draft(&ids).unwrap().keep().unwrap().is_none(), "nothing written is no layer");
        assert_eq!(store.snapshots().unwrap(), Vec::<String>::new());
        layer
    });
    assert_eq!(made[0], made[1]);
}

#[test]
fn a_snapshot_keeps_the_driver_that_made_it() {
    let (folder, store) = open(Driver::Vfs);
    let image = image(&store, "app", &[base()]);
    store.prepare("c1", &image).unwrap();
    let other = Store::open(folder.path(), None).unwrap();
    assert_eq!(other.snapshot("c1").unwrap().driver, Driver::Vfs);
    assert!(!other.snapshot("c1").unwrap().is_mounted().unwrap());
    assert!(Driver::Overlay2.try_in(folder.path()).is_ok());
}
