//! Layers come from strangers: what they may do to the host, and what must survive of them.

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use drydock_images::{Descriptor, DiffId, Digest, LayerError};
use support::{Tar, store};
use tar::EntryType;

/// Unpacks a layer into a fresh store; answers where it lies.
fn unpack(layer: Vec<u8>) -> Result<(tempfile::TempDir, std::path::PathBuf), LayerError> {
    let (folder, store) = store();
    let digest = Digest::of(&layer);
    store.unpack_reader(layer.as_slice(), None, &DiffId(digest.clone()), &mut |_| {})?;
    let diff = store.root().join("layers").join(digest.hex()).join("diff");
    Ok((folder, diff))
}

fn blob_of(bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: String::new(), digest: Digest::of(bytes), size: bytes.len() as u64 }
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 64];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
    value.truncate(length);
    Some(value)
}

#[test]
fn a_path_with_dots_is_refused_and_leaves_nothing() {
    for path in ["../evil", "a/../../evil", "/../evil"] {
        let error = unpack(Tar::new().file(path, "x").bytes()).unwrap_err();
        assert!(matches!(error, LayerError::Unpack { .. }), "{path}: {error:?}");
    }
}

#[test]
fn a_link_out_of_the_layer_is_followed_inside_only() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap();
    let layer = Tar::new()
        .symlink("out", target)
        .file("out/evil", "x")
        .symlink("up", "../../../..")
        .file("up/evil", "y");
    // The first link's target does not exist inside, so that the file has no folder to be made in.
    let _ = unpack(layer.bytes());
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);

    let layer = Tar::new().folder("etc").symlink("link", "/etc").file("link/passwd", "inside");
    let (_folder, diff) = unpack(layer.bytes()).unwrap();
    assert_eq!(fs::read_to_string(diff.join("etc/passwd")).unwrap(), "inside");
}

#[test]
fn a_file_over_a_link_replaces_the_link() {
    let outside = tempfile::NamedTempFile::new().unwrap();
    let layer = Tar::new().symlink("file", outside.path().to_str().unwrap()).file("file", "new");
    let (_folder, diff) = unpack(layer.bytes()).unwrap();
    assert!(fs::symlink_metadata(diff.join("file")).unwrap().is_file());
    assert_eq!(fs::metadata(outside.path()).unwrap().len(), 0);
}

#[test]
fn a_hard_link_reaches_only_what_is_in_the_layer() {
    let layer = Tar::new().file("a", "x").entry("b", EntryType::Link, 0o644, "a", b"");
    let (_folder, diff) = unpack(layer.bytes()).unwrap();
    assert_eq!(fs::metadata(diff.join("a")).unwrap().ino(), fs::metadata(diff.join("b")).unwrap().ino());

    for target in ["/etc/hostname", "../../../../../../etc/hostname"] {
        let layer = Tar::new().entry("b", EntryType::Link, 0o644, target, b"");
        assert!(unpack(layer.bytes()).is_err(), "{target}");
    }
}

#[test]
fn deletions_become_what_overlayfs_understands() {
    let layer = Tar::new()
        .folder("dir")
        .file("dir/.wh..wh..opq", "")
        .file(".wh.gone", "")
        .file("dir/.wh.kept", "")
        .file("dir/kept", "k");
    let (_folder, diff) = unpack(layer.bytes()).unwrap();
    let gone = fs::symlink_metadata(diff.join("gone")).unwrap();
    assert!(gone.file_type().is_char_device() && gone.rdev() == 0);
    assert_eq!(attribute(&diff.join("dir"), "user.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(attribute(&diff.join("dir"), "trusted.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(fs::read_to_string(diff.join("dir/kept")).unwrap(), "k");
    assert!(!diff.join(".wh.gone").exists());
}

#[test]
fn a_whiteout_of_dots_is_refused() {
    for name in [".wh...", ".wh.."] {
        assert!(unpack(Tar::new().file(name, "").bytes()).is_err(), "{name}");
    }
}

#[test]
fn modes_times_owners_devices_and_attributes_survive() {
    let capability = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00";
    let layer = Tar::new()
        .entry("suid", EntryType::Regular, 0o4755, "", b"x")
        .pax(&[("SCHILY.xattr.security.capability", capability), ("mtime", b"1700000001.5")])
        .file("ping", "x")
        .entry("null", EntryType::Char, 0o666, "", b"")
        .entry("pipe", EntryType::Fifo, 0o600, "", b"")
        .entry("sticky", EntryType::Directory, 0o1777, "", b"")
        .file("sticky/later", "x");
    let (_folder, diff) = unpack(layer.bytes()).unwrap();
    assert_eq!(fs::metadata(diff.join("suid")).unwrap().mode() & 0o7777, 0o4755);
    assert_eq!(attribute(&diff.join("ping"), "security.capability").as_deref(), Some(&capability[..]));
    let ping = fs::metadata(diff.join("ping")).unwrap();
    assert_eq!((ping.mtime(), ping.mtime_nsec()), (1_700_000_001, 500_000_000));
    let null = fs::metadata(diff.join("null")).unwrap();
    assert_eq!((rustix::fs::major(null.rdev()), rustix::fs::minor(null.rdev())), (1, 3));
    assert!(fs::metadata(diff.join("pipe")).unwrap().file_type().is_fifo());
    let sticky = fs::metadata(diff.join("sticky")).unwrap();
    assert_eq!((sticky.mode() & 0o7777, sticky.mtime()), (0o1777, 1_700_000_000));
}

#[test]
fn names_longer_than_a_header_survive() {
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(1);
    header.set_mode(0o644);
    builder.append_data(&mut header, &long, &b"x"[..]).unwrap();
    let (_folder, diff) = unpack(builder.into_inner().unwrap()).unwrap();
    assert_eq!(fs::read_to_string(diff.join(long)).unwrap(), "x");
}

#[test]
fn gzip_zstd_and_plain_give_the_same_layer() {
    let layer = Tar::new().file("a", &"content ".repeat(10_000)).bytes();
    let diff_id = DiffId(Digest::of(&layer));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &layer).unwrap();
    for stream in [layer.clone(), gzip.finish().unwrap(), zstd::encode_all(layer.as_slice(), 3).unwrap()] {
        let (_folder, store) = store();
        let blob =
            store.unpack_reader(stream.as_slice(), Some(&blob_of(&stream)), &diff_id, &mut |_| {}).unwrap();
        assert_eq!(blob, Digest::of(&stream));
        assert_eq!(store.layer_size(&diff_id), Some(80_000));
        assert_eq!(store.layer_tar_size(&diff_id), Some(layer.len() as u64));
    }
}

#[test]
fn a_layer_that_is_not_what_it_says_leaves_nothing() {
    let layer = Tar::new().file("a", "x").bytes();
    let (_folder, store) = store();
    let wrong = Digest::of(b"other");
    let diff = store.unpack_reader(layer.as_slice(), None, &DiffId(wrong.clone()), &mut |_| {});
    assert!(matches!(diff, Err(LayerError::DiffMismatch { .. })));
    let blob = store.unpack_reader(
        layer.as_slice(),
        Some(&blob_of(b"other")),
        &DiffId(Digest::of(&layer)),
        &mut |_| {},
    );
    assert!(matches!(blob, Err(LayerError::BlobMismatch { .. })));
    let cut = store.unpack_reader(&layer[..600], None, &DiffId(Digest::of(&layer)), &mut |_| {});
    assert!(cut.is_err());
    assert_eq!(fs::read_dir(store.root().join("layers")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}
