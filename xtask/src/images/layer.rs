//! What a step changed in a tree, packed as a layer.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::shell;

/// A layer's blob, already in the cache.
#[derive(Clone, serde::Serialize, serde::Deserialize)]
pub struct Layer {
    /// sha256 of the compressed blob, hexadecimal.
    pub blob: String,
    /// sha256 of the tar inside.
    pub diff_id: String,
    /// Bytes of the blob.
    pub size: u64,
}

/// What tells whether a file was touched.
#[derive(PartialEq)]
struct Stamp {
    mode: u32,
    owner: (u32, u32),
    size: u64,
    modified: (i64, i64),
    inode: u64,
}

/// Every path of a tree with its stamp.
pub struct Listing(BTreeMap<PathBuf, Stamp>);

impl Listing {
    pub fn of(tree: &Path) -> Result<Self> {
        let mut found = BTreeMap::new();
        walk(tree, Path::new(""), &mut found).with_context(|| format!("cannot list {}", tree.display()))?;
        Ok(Self(found))
    }
}

fn walk(tree: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Stamp>) -> std::io::Result<()> {
    for entry in fs::read_dir(tree.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        let meta = entry.metadata()?;
        let is_folder = meta.is_dir();
        found.insert(
            path.clone(),
            Stamp {
                mode: meta.mode(),
                owner: (meta.uid(), meta.gid()),
                // A folder changes its size and time with its entries, which are listed themselves.
                size: if is_folder { 0 } else { meta.len() },
                modified: if is_folder { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) },
                inode: meta.ino(),
            },
        );
        if is_folder {
            walk(tree, &path, found)?;
        }
    }
    Ok(())
}

/// Packs what differs between `before` and the tree now; `None` when nothing does.
pub fn pack(tree: &Path, before: &Listing, cache: &Path) -> Result<Option<Layer>> {
    let after = Listing::of(tree)?;
    let mut paths: Vec<PathBuf> = after
        .0
        .iter()
        .filter(|(path, stamp)| before.0.get(*path) != Some(*stamp))
        .map(|(path, _)| path.clone())
        .collect();
    let whiteouts = whiteouts(before, &after);
    if paths.is_empty() && whiteouts.is_empty() {
        return Ok(None);
    }
    for path in &whiteouts {
        fs::write(tree.join(path), "")?;
    }
    paths.extend(whiteouts.iter().cloned());
    let paths = with_parents(&paths);
    let layer = write(tree, &paths, cache);
    for path in &whiteouts {
        fs::remove_file(tree.join(path))?;
    }
    layer.map(Some)
}

/// `.wh.NAME` for what is gone, but not for what lay in a folder that is gone itself.
fn whiteouts(before: &Listing, after: &Listing) -> Vec<PathBuf> {
    let gone = |path: &Path| !after.0.contains_key(path);
    let topmost = |path: &&PathBuf| path.parent().is_none_or(|up| up == Path::new("") || !gone(up));
    before
        .0
        .keys()
        .filter(|path| gone(path))
        .filter(topmost)
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!(".wh.{name}"))
        })
        .collect()
}

/// Adds the folders above, so that unpacking gives them their owner and mode; sorted, folders first.
fn with_parents(paths: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = std::collections::BTreeSet::new();
    for path in paths {
        all.extend(path.ancestors().filter(|up| *up != Path::new("")).map(Path::to_path_buf));
    }
    all.into_iter().collect()
}

fn write(tree: &Path, paths: &[PathBuf], cache: &Path) -> Result<Layer> {
    let blobs = cache.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let list = cache.join("layer.list");
    let mut names = fs::File::create(&list)?;
    for path in paths {
        names.write_all(path.as_os_str().as_bytes())?;
        names.write_all(b"\0")?;
    }
    let partial = cache.join("layer.partial");
    // Only the seconds of modification times are kept: finer ones cost a header of 1 KiB per file.
    let pack = "tar --create --directory \"$1\" --null --no-recursion --verbatim-files-from --files-from \"$2\" \
        --format posix --numeric-owner --xattrs '--xattrs-include=*' \
        --pax-option=delete=atime,delete=ctime,delete=mtime \
        | tee >(sha256sum > \"$3.diffid\") | zstd -q -T0 -9 -f -o \"$3\"; \
        until test -s \"$3.diffid\"; do sleep 0.01; done; cut -c 1-64 \"$3.diffid\"";
    let diff_id = shell::script(pack, &[shell::text(tree), shell::text(&list), shell::text(&partial)])?
        .trim()
        .to_owned();
    let blob = shell::sha256(&partial)?;
    let size = fs::metadata(&partial)?.len();
    fs::rename(&partial, blobs.join(&blob))?;
    fs::remove_file(&list)?;
    fs::remove_file(partial.with_extension("partial.diffid")).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    Ok(Layer { blob, diff_id, size })
}
