//! A disk that fills up in the middle. Needs root.

mod support;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use drydock_images::{DiffId, Digest, Store};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use support::{Tar, image};
use tar::EntryType;

/// A file system of a few mebibytes.
struct Small(tempfile::TempDir);

impl Small {
    fn new(mebibytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = std::ffi::CString::new(format!("size={mebibytes}m")).unwrap();
        mount("tmpfs", folder.path(), "tmpfs", MountFlags::empty(), options.as_c_str()).unwrap();
        Self(folder)
    }

    fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

fn used(path: &Path) -> u64 {
    let found = rustix::fs::statvfs(path).unwrap();
    found.f_blocks - found.f_bfree
}

fn noise(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 7 + place / 251) as u8).collect()
}

#[test]
fn a_layer_that_does_not_fit_says_so_and_leaves_nothing() {
    let small = Small::new(4);
    let store = Store::open(small.path().join("store"), None).unwrap();
    let kept = image(&store, "kept", &[Tar::new().file("a", "x").bytes()]);
    let before = used(&small.path());
    let large = Tar::new().entry("large", EntryType::Regular, 0o644, "", &noise(6 << 20)).bytes();
    let digest = Digest::of(&large);
    let failed =
        store.unpack_reader(large.as_slice(), None, &DiffId(digest.clone()), &mut |_| {}).unwrap_err();
    let mut cause: &dyn std::error::Error = &failed;
    while let Some(next) = cause.source() {
        cause = next;
    }
    assert!(cause.to_string().starts_with("No space left on device"), "{cause}");
    assert_eq!(used(&small.path()), before);

    let mut blob = store.begin_blob().unwrap();
    assert!(blob.write_all(&large).is_err());
    drop(blob);
    assert_eq!(used(&small.path()), before);
    assert!(!store.has_layer(&DiffId(digest.clone())) && !store.has_blob(&digest));
    assert_eq!(store.find("kept").unwrap().id, kept.id);
}

#[test]
fn a_full_disk_loses_no_image() {
    let small = Small::new(4);
    let root = small.path().join("store");
    let store = Store::open(&root, None).unwrap();
    let kept = image(&store, "kept", &[Tar::new().file("a", "x").bytes()]);
    // Not a byte is left.
    let mut filler = fs::File::create(small.path().join("filler")).unwrap();
    while filler.write_all(&[1; 4096]).is_ok() {}
    let name = drydock_images::Named::parse("other:1").unwrap();
    assert!(store.tag(&name, &kept.id).is_err());
    assert_eq!(store.find("kept").unwrap().id, kept.id);
    assert!(store.resolve(&name).unwrap().is_none());
    assert_eq!(Store::open(&root, None).unwrap().find("kept").unwrap().id, kept.id);
    drop(filler);
    fs::remove_file(small.path().join("filler")).unwrap();
    store.tag(&name, &kept.id).unwrap();
    store.remove(&kept.id).unwrap();
    assert!(store.images().unwrap().is_empty());
}
