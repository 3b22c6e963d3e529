//! Archives that would fill the memory, the disk or the host's folders.

mod support;

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;

use drydock_images::{DiffId, Digest, LayerError, Store};
use support::{Tar, store};
use tar::EntryType;

fn import(store: &Store, archive: impl Read) -> Result<(DiffId, u64), String> {
    store.import_layer(archive).map_err(|error| {
        let mut text = error.to_string();
        let mut cause: &dyn std::error::Error = &error;
        while let Some(next) = cause.source() {
            cause = next;
            text = format!("{text}: {cause}");
        }
        text
    })
}

#[track_caller]
fn assert_empty(store: &Store) {
    for folder in ["layers", "tmp"] {
        assert_eq!(std::fs::read_dir(store.root().join(folder)).unwrap().count(), 0, "{folder}");
    }
}

/// `count` entries, written while they are read: nobody holds them all.
struct Entries {
    count: usize,
    next: usize,
    block: Vec<u8>,
}

impl Read for Entries {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.block.is_empty() {
            if self.next == self.count {
                return Ok(0);
            }
            let mut header = tar::Header::new_gnu();
            header.set_path(format!("{}/{}", self.next % 100, self.next))?;
            header.set_size(0);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_cksum();
            self.block = header.as_bytes().to_vec();
            self.next += 1;
        }
        let count = buffer.len().min(self.block.len());
        buffer[..count].copy_from_slice(&self.block[..count]);
        self.block.drain(..count);
        Ok(count)
    }
}

#[test]
fn a_name_of_a_gigabyte_in_a_few_compressed_bytes_is_refused() {
    let (_folder, store) = store();
    for kind in [EntryType::GNULongName, EntryType::GNULongLink, EntryType::XHeader, EntryType::XGlobalHeader]
    {
        let mut header = tar::Header::new_gnu();
        header.set_path("long").unwrap();
        header.set_entry_type(kind);
        header.set_size(1 << 30);
        header.set_cksum();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(header.as_bytes()).unwrap();
        io::copy(&mut io::repeat(b'x').take(1 << 24), &mut gzip).unwrap();
        let failed = import(&store, gzip.finish().unwrap().as_slice()).unwrap_err();
        assert!(failed.ends_with("archive/tar: header field too long"), "{failed}");
        assert_empty(&store);
    }
}

#[test]
fn a_hundred_thousand_entries_are_taken_one_by_one() {
    let (_folder, store) = store();
    let (diff_id, size) = import(&store, Entries { count: 100_000, next: 0, block: Vec::new() }).unwrap();
    assert_eq!(size, 0);
    let diff = store.root().join("layers").join(diff_id.0.hex()).join("diff");
    assert_eq!(std::fs::read_dir(&diff).unwrap().count(), 100);
    assert_eq!(std::fs::read_dir(diff.join("7")).unwrap().count(), 1_000);
}

#[test]
fn dots_inside_the_layer_are_followed_and_out_of_it_refused() {
    let (_folder, store) = store();
    let (diff_id, _) = import(&store, Tar::new().folder("a").file("a/../b", "x").bytes().as_slice()).unwrap();
    assert!(store.root().join("layers").join(diff_id.0.hex()).join("diff/b").exists());
    for (archive, expected) in [
        (Tar::new().file("a/../../b", "x"), "\"a/../../b\" is outside of the layer"),
        (Tar::new().symlink("a/b", "../../c"), "invalid symlink \"a/b\" -> \"../../c\""),
        (Tar::new().entry("b", EntryType::Link, 0o644, "../c", b""), "\"../c\" is outside of the layer"),
    ] {
        let failed = import(&store, archive.bytes().as_slice()).unwrap_err();
        assert!(failed.ends_with(expected), "{failed}");
    }
    // Up and down again stays inside; an absolute link is the container's own.
    assert!(
        import(&store, Tar::new().symlink("a/b", "../c").symlink("d", "/etc").bytes().as_slice()).is_ok()
    );
}

#[test]
fn a_cut_archive_is_no_layer() {
    let (_folder, store) = store();
    let whole = Tar::new().file("a", &"x".repeat(10_000)).bytes();
    for length in [100, 700, 5_000] {
        assert!(import(&store, &whole[..length]).is_err(), "{length}");
    }
    assert_empty(&store);
    let lie = DiffId(Digest::of(b"another"));
    let failed = store.unpack_reader(whole.as_slice(), None, &lie, &mut |_| {}).unwrap_err();
    assert!(matches!(failed, LayerError::DiffMismatch { .. }));
    assert_empty(&store);
}

#[test]
fn zeros_become_holes_and_come_back_as_zeros() {
    let (_folder, store) = store();
    let mut content = vec![0; 8 << 20];
    content[3 << 20] = b'x';
    let archive = Tar::new().entry("holes", EntryType::Regular, 0o644, "", &content).bytes();
    let diff_id = DiffId(Digest::of(&archive));
    store.unpack_reader(archive.as_slice(), None, &diff_id, &mut |_| {}).unwrap();
    let file = store.root().join("layers").join(diff_id.0.hex()).join("diff/holes");
    let meta = std::fs::metadata(&file).unwrap();
    assert_eq!(meta.len(), content.len() as u64);
    assert!(meta.blocks() * 512 < 1 << 20, "{} blocks", meta.blocks());
    assert_eq!(std::fs::read(&file).unwrap(), content);
}
