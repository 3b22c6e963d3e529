//! One recipe → one image: its layers, its configuration, its manifest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::layer::{self, Layer, Listing};
use super::recipe::{Action, Recipe};
use super::{Places, shell};
use crate::stage::stage;

/// A finished image; its blobs lie in the cache.
#[derive(Clone, Serialize, Deserialize)]
pub struct Built {
    /// What it was made from; also names the folder of its tree.
    pub key: String,
    pub references: Vec<String>,
    pub architecture: String,
    pub manifest: String,
    pub manifest_size: u64,
    pub config_blob: String,
    pub config: Value,
    pub layers: Vec<Layer>,
}

impl Built {
    /// Every blob of the image, hexadecimal.
    pub fn blobs(&self) -> impl Iterator<Item = &str> {
        let layers = self.layers.iter().map(|layer| layer.blob.as_str());
        [self.manifest.as_str(), self.config_blob.as_str()].into_iter().chain(layers)
    }
}

/// Takes the image from the cache or makes it.
pub fn image(places: &Places, recipe: &Recipe, built: &BTreeMap<String, Built>) -> Result<Built> {
    let parent = match &recipe.parent {
        Some(name) => Some(built.get(name).with_context(|| format!("no recipe makes {name}"))?),
        None => None,
    };
    let key = key(places, recipe, parent)?;
    let record = places.cache.join("built").join(format!("{key}.json"));
    if let Some(image) = cached(&record, &places.cache) {
        return Ok(image);
    }
    let image = stage(&format!("image {}", recipe.name), || make(places, recipe, parent, &key))?;
    fs::create_dir_all(places.cache.join("built"))?;
    fs::write(&record, serde_json::to_vec(&image)?)?;
    Ok(image)
}

/// A record counts only while all its blobs are there.
fn cached(record: &Path, cache: &Path) -> Option<Built> {
    let image: Built = serde_json::from_slice(&fs::read(record).ok()?).ok()?;
    let whole = image.blobs().all(|blob| cache.join("blobs/sha256").join(blob).exists());
    whole.then_some(image)
}

/// The sha256 of everything the image is made from: parent, Dockerfile, every file of its folder, programs.
fn key(places: &Places, recipe: &Recipe, parent: Option<&Built>) -> Result<String> {
    let folder = places.recipes.join(&recipe.name);
    let mut text = format!("2\n{}\n{}\n", parent.map_or("scratch", |parent| &parent.key), recipe.text);
    let listing = "cd \"$1\" && find . -type f -printf '%m %p\\n' | sort && find . -type f -print0 | sort -z | xargs -0 sha256sum";
    text.push_str(&shell::script(listing, &[shell::text(&folder)])?);
    for step in &recipe.steps {
        if let Action::Copy { from_programs: true, source, .. } = &step.action {
            text.push_str(&shell::sha256(&places.programs.join(source))?);
        }
    }
    shell::sha256_text(&text)
}

fn make(places: &Places, recipe: &Recipe, parent: Option<&Built>, key: &str) -> Result<Built> {
    let tree = new_tree(&places.cache, parent, key)?;
    let mut config = parent.map_or_else(empty_config, |parent| parent.config.clone());
    let mut layers = parent.map(|parent| parent.layers.clone()).unwrap_or_default();
    let now = shell::script("date -u +%Y-%m-%dT%H:%M:%SZ", &[])?.trim().to_owned();
    for step in &recipe.steps {
        let before = Listing::of(&tree)?;
        apply(places, recipe, &step.action, &tree, &mut config).with_context(|| step.line.clone())?;
        let layer = layer::pack(&tree, &before, &places.cache)?;
        let mut entry = json!({"created": now, "created_by": step.line, "comment": "drydock"});
        match layer {
            Some(layer) => {
                push(&mut config["rootfs"]["diff_ids"], json!(format!("sha256:{}", layer.diff_id)));
                layers.push(layer);
            }
            None => entry["empty_layer"] = json!(true),
        }
        push(&mut config["history"], entry);
    }
    config["created"] = json!(now);
    finish(places, recipe, key, config, layers)
}

/// Starts from a copy of the parent's tree.
fn new_tree(cache: &Path, parent: Option<&Built>, key: &str) -> Result<PathBuf> {
    let tree = cache.join("trees").join(key);
    let path = shell::text(&tree);
    match parent {
        None => shell::script("rm -rf \"$1\" && mkdir -p \"$1\" && chmod 755 \"$1\"", &[path])?,
        Some(parent) => {
            let from = cache.join("trees").join(&parent.key);
            if !from.exists() {
                unpack(cache, parent, &from)?;
            }
            shell::script("rm -rf \"$2\" && cp -a --reflink=auto \"$1\" \"$2\"", &[shell::text(&from), path])?
        }
    };
    Ok(tree)
}

/// Recipes of parents delete nothing of an earlier layer, so that plain unpacking gives the tree back.
fn unpack(cache: &Path, image: &Built, tree: &Path) -> Result<()> {
    for layer in &image.layers {
        let blob = cache.join("blobs/sha256").join(&layer.blob);
        let unpack = "mkdir -p \"$2\" && zstd -dcq \"$1\" | tar -x -C \"$2\" --numeric-owner -p --xattrs '--xattrs-include=*' && test -z \"$(find \"$2\" -name '.wh.*' -print -quit)\"";
        shell::script(unpack, &[shell::text(&blob), shell::text(tree)])?;
    }
    Ok(())
}

fn empty_config() -> Value {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "architecture": architecture,
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    })
}

fn push(list: &mut Value, item: Value) {
    if let Value::Array(items) = list {
        items.push(item);
    }
}

fn apply(places: &Places, recipe: &Recipe, action: &Action, tree: &Path, config: &mut Value) -> Result<()> {
    let folder = places.recipes.join(&recipe.name);
    match action {
        Action::AddRootfs => {
            let bootstrap = folder.join("bootstrap");
            shell::output(Command::new(&bootstrap).arg(tree).current_dir(&folder))?;
            return Ok(());
        }
        Action::Copy { from_programs, source, target } => {
            let from = if *from_programs { places.programs.join(source) } else { folder.join(source) };
            return copy(&from, *from_programs, &tree.join(target.trim_start_matches('/')));
        }
        Action::Run { caches, script } => return run(places, config, tree, caches, script),
        _ => {}
    }
    let settings = &mut config["config"];
    match action {
        Action::Env(pairs) => {
            for (key, value) in pairs {
                set_env(&mut settings["Env"], key, value);
            }
        }
        Action::Label(pairs) => {
            for (key, value) in pairs {
                settings["Labels"][key] = json!(value);
            }
        }
        Action::Expose(ports) => ports.iter().for_each(|port| settings["ExposedPorts"][port] = json!({})),
        Action::Volume(paths) => paths.iter().for_each(|path| settings["Volumes"][path] = json!({})),
        Action::Cmd(words) => settings["Cmd"] = json!(words),
        Action::Entrypoint(words) => {
            settings["Entrypoint"] = json!(words);
            // As Docker does: a new entry point drops the parent's command.
            settings["Cmd"] = Value::Null;
        }
        Action::Workdir(path) => {
            settings["WorkingDir"] = json!(path);
            fs::create_dir_all(tree.join(path.trim_start_matches('/')))?;
        }
        Action::User(name) => settings["User"] = json!(name),
        Action::StopSignal(name) => settings["StopSignal"] = json!(name),
        Action::AddRootfs | Action::Copy { .. } | Action::Run { .. } => bail!("not a setting"),
    }
    Ok(())
}

fn set_env(list: &mut Value, key: &str, value: &str) {
    if let Value::Array(items) = list {
        let begin = format!("{key}=");
        items.retain(|item| !item.as_str().is_some_and(|text| text.starts_with(&begin)));
    }
    push(list, json!(format!("{key}={value}")));
}

/// A program loses its symbols on the way; a folder's content goes into the target folder, owned by root.
fn copy(from: &Path, is_program: bool, to: &Path) -> Result<()> {
    let (from, to) = (shell::text(from), shell::text(to));
    let script = if is_program {
        "mkdir -p \"$(dirname \"$2\")\" && strip -o \"$2\" \"$1\" && chmod 755 \"$2\""
    } else {
        "if test -d \"$1\"; then mkdir -p \"$2\"; tar -C \"$1\" --owner=0 --group=0 -c . | tar -x -C \"$2\" --keep-directory-symlink --no-overwrite-dir; \
         else case $2 in */) mkdir -p \"$2\";; *) mkdir -p \"$(dirname \"$2\")\";; esac; install -m \"$(stat -c %a \"$1\")\" \"$1\" \"$2\"; fi"
    };
    shell::script(script, &[from, to])?;
    Ok(())
}

/// Runs a script in the tree as root, with the image's environment, in mount, PID, UTS and IPC namespaces of its own.
fn run(places: &Places, config: &Value, tree: &Path, caches: &[String], script: &str) -> Result<()> {
    const ENTER: &str = r#"
        tree=$1 script=$2; shift 2
        had_resolv=$(test -e "$tree/etc/resolv.conf" && echo yes || true)
        mkdir -p "$tree/proc" "$tree/dev" "$tree/etc"
        mount -t proc proc "$tree/proc"
        mount -t tmpfs -o mode=755 dev "$tree/dev"
        for device in null zero full random urandom tty; do
            touch "$tree/dev/$device"; mount --bind "/dev/$device" "$tree/dev/$device"
        done
        ln -s /proc/self/fd "$tree/dev/fd"
        touch "$tree/etc/resolv.conf"
        mount --bind "$(readlink -f /etc/resolv.conf)" "$tree/etc/resolv.conf"
        while test $# -gt 0 && test "$1" != --; do
            mkdir -p "$tree$2"; mount --bind "$1" "$tree$2"; shift 2
        done
        shift
        status=0
        env -i "$@" DEBIAN_FRONTEND=noninteractive HOME=/root chroot "$tree" /bin/sh -ec "$script" || status=$?
        if test -z "$had_resolv"; then umount "$tree/etc/resolv.conf"; rm "$tree/etc/resolv.conf"; fi
        exit $status
    "#;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--uts",
        "--ipc",
        "bash",
        "-euc",
        ENTER,
        "bash",
    ]);
    command.arg(tree).arg(script);
    for target in caches {
        let place = places.cache.join("mounts").join(target.trim_matches('/').replace('/', "-"));
        fs::create_dir_all(&place)?;
        command.arg(place).arg(target);
    }
    command.arg("--");
    for variable in config["config"]["Env"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        command.arg(variable);
    }
    shell::output(&mut command)?;
    Ok(())
}

fn finish(places: &Places, recipe: &Recipe, key: &str, config: Value, layers: Vec<Layer>) -> Result<Built> {
    let config_text = serde_json::to_string(&config)?;
    let config_blob = store(&places.cache, &config_text)?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": format!("sha256:{config_blob}"),
            "size": config_text.len(),
        },
        "layers": layers.iter().map(|layer| json!({
            "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd",
            "digest": format!("sha256:{}", layer.blob),
            "size": layer.size,
        })).collect::<Vec<_>>(),
    });
    let manifest_text = serde_json::to_string(&manifest)?;
    let manifest_blob = store(&places.cache, &manifest_text)?;
    Ok(Built {
        key: key.to_owned(),
        references: recipe.references.clone(),
        architecture: config["architecture"].as_str().unwrap_or_default().to_owned(),
        manifest: manifest_blob,
        manifest_size: manifest_text.len() as u64,
        config_blob,
        config,
        layers,
    })
}

fn store(cache: &Path, text: &str) -> Result<String> {
    let digest = shell::sha256_text(text)?;
    let blobs = cache.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    fs::write(blobs.join(&digest), text)?;
    Ok(digest)
}
