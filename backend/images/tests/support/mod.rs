//! Layers and images made in memory.

#![allow(dead_code, reason = "each test program uses its own part")]

use std::path::Path;

use drydock_images::{Descriptor, DiffId, Digest, Image, Named, NewImage, Store};
use tar::{EntryType, Header};

/// A tar archive under construction. Paths are written as they are, hostile ones too.
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn entry(mut self, path: &str, kind: EntryType, mode: u32, link: &str, content: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_700_000_000);
        header.set_size(content.len() as u64);
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        }
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, content: &str) -> Self {
        self.entry(path, EntryType::Regular, 0o644, "", content.as_bytes())
    }

    pub fn folder(self, path: &str) -> Self {
        self.entry(path, EntryType::Directory, 0o755, "", b"")
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(path, EntryType::Symlink, 0o777, target, b"")
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut content = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length = rest + length.to_string().len();
            }
            content.extend_from_slice(format!("{length} {key}=").as_bytes());
            content.extend_from_slice(value);
            content.push(b'\n');
        }
        self.entry("PaxHeader", EntryType::XHeader, 0o644, "", &content)
    }

    pub fn bytes(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store"), None).unwrap();
    (folder, store)
}

/// Records an image of these layers under a name.
pub fn image(store: &Store, name: &str, layers: &[Vec<u8>]) -> std::sync::Arc<Image> {
    let mut blobs = Vec::new();
    let mut diff_ids = Vec::new();
    for layer in layers {
        let digest = store.put_blob(layer).unwrap();
        let blob = Descriptor {
            media_type: "application/vnd.oci.image.layer.v1.tar".to_owned(),
            digest: digest.clone(),
            size: layer.len() as u64,
        };
        store.unpack_blob(&blob, &DiffId(digest.clone()), &mut |_| {}).unwrap();
        diff_ids.push(digest);
        blobs.push(blob);
    }
    let config = config(&diff_ids);
    let blobs = blobs.into_iter().map(Some).collect();
    let image = store.put_image(NewImage { config: config.as_bytes(), manifest: None, blobs }).unwrap();
    store.tag(&Named::parse(name).unwrap(), &image.id).unwrap();
    image
}

pub fn config(diff_ids: &[Digest]) -> String {
    serde_json::json!({
        "architecture": "amd64",
        "os": "linux",
        "created": "2026-01-01T00:00:00Z",
        "config": {"Cmd": ["sh"], "Labels": {"a": "b"}, "Healthcheck": {"Test": ["NONE"]}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "history": [],
    })
    .to_string()
}

/// Writes an OCI layout with one image of one layer.
pub fn layout(folder: &Path, names: &[&str], layer: &[u8], compressed: &[u8]) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let write = |bytes: &[u8]| {
        let digest = Digest::of(bytes);
        std::fs::write(blobs.join(digest.hex()), bytes).unwrap();
        digest
    };
    let config = config(&[Digest::of(layer)]);
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": write(config.as_bytes()), "size": config.len()},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": write(compressed), "size": compressed.len()}],
    })
    .to_string();
    let digest = write(manifest.as_bytes());
    let entries: Vec<_> = names
        .iter()
        .map(|name| {
            serde_json::json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": digest,
                "size": manifest.len(),
                "annotations": {"org.opencontainers.image.ref.name": name},
            })
        })
        .collect();
    let index = serde_json::json!({"schemaVersion": 2, "manifests": entries});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
}
