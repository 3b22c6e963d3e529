//! `dist/images`: an OCI image layout of all images.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::build::Built;

const MONTH: Duration = Duration::from_secs(30 * 24 * 3600);

/// Lays the images out; an unchanged layout is left alone.
pub fn write<'a>(place: &Path, cache: &Path, images: impl Iterator<Item = &'a Built>) -> Result<()> {
    let blobs = place.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("cannot make {}", blobs.display()))?;
    let mut wanted = BTreeSet::new();
    let mut manifests = Vec::new();
    for image in images {
        for blob in image.blobs() {
            link(&cache.join("blobs/sha256").join(blob), &blobs.join(blob))?;
            wanted.insert(blob.to_owned());
        }
        for reference in &image.references {
            manifests.push(json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": format!("sha256:{}", image.manifest),
                "size": image.manifest_size,
                "platform": {"architecture": image.architecture, "os": "linux"},
                "annotations": {"org.opencontainers.image.ref.name": reference},
            }));
        }
    }
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    replace(&place.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    replace(&place.join("index.json"), &serde_json::to_string_pretty(&index)?)?;
    for entry in fs::read_dir(&blobs)? {
        let entry = entry?;
        if !wanted.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Clears the cache of trees that no recipe begins with, and of images that nobody made for a month.
pub fn forget<'a>(cache: &Path, images: impl Iterator<Item = (&'a Built, bool)>) -> Result<()> {
    let mut trees = BTreeSet::new();
    let mut files = BTreeSet::new();
    for (image, is_parent) in images {
        files.insert(format!("{}.json", image.key));
        files.extend(image.blobs().map(str::to_owned));
        if is_parent {
            trees.insert(image.key.clone());
        }
    }
    for entry in entries(&cache.join("trees")) {
        if !trees.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_dir_all(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    for entry in entries(&cache.join("built")).chain(entries(&cache.join("blobs/sha256"))) {
        let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default();
        if age > MONTH && !files.contains(&*entry.file_name().to_string_lossy()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A folder's entries; none when it is not there.
fn entries(folder: &Path) -> impl Iterator<Item = fs::DirEntry> {
    fs::read_dir(folder).into_iter().flatten().flatten()
}

/// A hard link where both lie on one file system, else a copy.
fn link(from: &Path, to: &Path) -> Result<()> {
    if to.exists() || fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let partial = to.with_extension("partial");
    fs::copy(from, &partial).with_context(|| format!("cannot copy {}", from.display()))?;
    fs::rename(&partial, to).with_context(|| format!("cannot write {}", to.display()))
}

fn replace(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let partial = path.with_extension("partial");
    fs::write(&partial, text).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))
}
