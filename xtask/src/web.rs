//! `dist/web`: the page. Wasm from Rust, glue by wasm-bindgen, smaller by wasm-opt, bundled with xterm.js by esbuild
//! (`web/bundle.js`, which also prints the sizes and holds them to their limits).
//!
//! Everything is skipped when no source changed. What is downloaded or compiled lies in the cache, outside the clone.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::stage::{cargo, run, stage, succeeds};
use crate::{packages, places};

const TARGET: &str = "wasm32-unknown-unknown";
/// Cargo's name of the page's package, and wasm-bindgen's of its files (`web/bundle.js` expects the latter).
const PACKAGE: &str = "drydock-frontend";
const GLUE: &str = "drydock_frontend";
/// What compiles for the browser only, and is linted here.
pub const PACKAGES: &[&str] = &[PACKAGE, "drydock-terminal"];

/// What browsers have had since 2022 and rustc emits.
const FEATURES: &[&str] = &[
    "--enable-bulk-memory",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

/// Small first, as it is sent: functions that are called once stay whole, which brotli makes more of. Nothing lies below the
/// linker's stack, so the lowest addresses are never meant.
const SMALLER: &[&str] = &[
    "-Os",
    "--converge",
    "--low-memory-unused",
    "--one-caller-inline-max-function-size=20",
    "--strip-producers",
    "--strip-target-features",
];

/// Panics trap without words: a browser's reader has no use for file names and line numbers of this code; a debug
/// build says them.
const FLAGS: &[&str] =
    &["-Zunstable-options", "-Cpanic=immediate-abort", "-Zlocation-detail=none", "-Zfmt-debug=none"];

pub fn build(dist: &Path, cache: &Path) -> Result<()> {
    let web = places::checkout().join("web");
    let out = dist.join("web");
    let stamp = stamp(&web)?;
    if fs::read_to_string(out.join(".stamp")).is_ok_and(|old| old == stamp) {
        return Ok(());
    }
    let compiler = Compiler::find()?;
    let wasm_bindgen = wasm_bindgen(cache)?;
    stage("get xterm.js and the bundler", || node_modules(&web))?;
    stage("compile the page", || run(compiler.cargo("build", cache)?.args(["--package", PACKAGE])))?;
    stage("bundle the page", || {
        let glue = cache.join("web-glue");
        clear(&glue)?;
        let wasm = target(cache).join(TARGET).join("web").join(format!("{PACKAGE}.wasm"));
        run(Command::new(wasm_bindgen)
            .args(["--target", "web", "--no-typescript", "--remove-name-section", "--out-name", GLUE])
            .arg("--out-dir")
            .arg(&glue)
            .arg(&wasm))?;
        let module = glue.join(format!("{GLUE}_bg.wasm"));
        run(Command::new(web.join("node_modules/.bin/wasm-opt"))
            .args(SMALLER)
            .args(FEATURES)
            .arg(&module)
            .arg("-o")
            .arg(&module))?;
        let fresh = dist.join("web.partial");
        clear(&fresh)?;
        run(Command::new("node").arg(web.join("bundle.js")).arg(&glue).arg(&fresh))?;
        fs::write(fresh.join(".stamp"), &stamp)
            .with_context(|| format!("cannot write {}", fresh.display()))?;
        clear(&out)?;
        fs::rename(&fresh, &out).with_context(|| format!("cannot write {}", out.display()))
    })
}

/// Clippy over [`PACKAGES`], as they are built.
pub fn lint(cache: &Path) -> Result<()> {
    let mut cargo = Compiler::find()?.cargo("clippy", cache)?;
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    run(cargo.args(["--", "-D", "warnings"]))
}

fn clear(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

/// A compiler that has the target, or its sources.
enum Compiler {
    /// rustup's, with the standard library's sources: it is built with the page, so that it too traps without words.
    Rustup,
    /// Debian's `rustc-web` and `rust-web-src`, where rustup can't download; Cargo stays the one that runs this.
    Debian,
}

impl Compiler {
    fn find() -> Result<Self> {
        if succeeds(Command::new("timeout").args(["120", "rustup", "component", "add", "rust-src"])) {
            return Ok(Self::Rustup);
        }
        packages::ensure(&["rustc-web", "rust-web-src"]).context(
            "the page needs the standard library's sources: `rustup component add rust-src`, or Debian's rust-web-src",
        )?;
        Ok(Self::Debian)
    }

    /// `cargo build` or `cargo clippy` for the browser; which packages is left to be said.
    fn cargo(&self, verb: &str, cache: &Path) -> Result<Command> {
        let mut cargo = match (self, verb) {
            // Clippy looks for its driver beside itself, and the driver has to be of the compiler's version.
            (Self::Debian, "clippy") => {
                packages::ensure(&["rust-web-clippy"])?;
                Command::new("/usr/bin/cargo-clippy")
            }
            _ => cargo(),
        };
        cargo
            .args([verb, "--profile", "web", "--target", TARGET])
            .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"])
            .env("CARGO_TARGET_DIR", target(cache))
            // Building the standard library is not stable, and Debian has no nightly.
            .env("RUSTC_BOOTSTRAP", "1")
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\u{1f}"))
            .env("PATH", path_with_linker()?)
            .current_dir(places::checkout());
        if let Self::Debian = self {
            cargo.env("RUSTC", "/usr/bin/rustc");
        }
        Ok(cargo)
    }
}

fn target(cache: &Path) -> PathBuf {
    cache.join("target-web")
}

/// `PATH` with the toolchain's own `rust-lld` at its end: Debian's compiler looks for it there.
fn path_with_linker() -> Result<String> {
    let output =
        Command::new("rustc").args(["--print", "target-libdir"]).output().context("cannot start `rustc`")?;
    let libraries = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let programs = Path::new(&libraries).with_file_name("bin");
    Ok(format!("{}:{}", std::env::var("PATH").unwrap_or_default(), programs.display()))
}

/// wasm-bindgen's program of the very version that `Cargo.lock` has: the two speak a private format.
fn wasm_bindgen(cache: &Path) -> Result<PathBuf> {
    let version = locked_version("wasm-bindgen")?;
    let root = cache.join("tools").join(format!("wasm-bindgen-{version}"));
    let program = root.join("bin/wasm-bindgen");
    if program.exists() {
        return Ok(program);
    }
    stage(&format!("install wasm-bindgen-cli {version}"), || {
        run(cargo()
            .args(["install", "wasm-bindgen-cli", "--version", &version, "--quiet", "--root"])
            .arg(&root)
            .env("CARGO_TARGET_DIR", cache.join("target-tools"))
            // Away from the checkout's .cargo/config.toml, which is for the project's programs.
            .current_dir(cache))
    })?;
    Ok(program)
}

fn locked_version(package: &str) -> Result<String> {
    let lock = places::checkout().join("Cargo.lock");
    let text = fs::read_to_string(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    let head = format!("name = \"{package}\"\nversion = \"");
    let Some((_, rest)) = text.split_once(&head) else { bail!("{package} is not in Cargo.lock") };
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

/// Installs what `web/package-lock.json` names, without running its scripts, when that changed.
fn node_modules(web: &Path) -> Result<()> {
    let lock = fs::read(web.join("package-lock.json")).context("cannot read web/package-lock.json")?;
    let installed = web.join("node_modules/.drydock-lock");
    if fs::read(&installed).is_ok_and(|old| old == lock) {
        return Ok(());
    }
    run(Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(web))?;
    fs::write(&installed, lock).with_context(|| format!("cannot write {}", installed.display()))
}

/// Changes when a source of the page does.
fn stamp(web: &Path) -> Result<String> {
    let mut hasher = DefaultHasher::new();
    (FLAGS, SMALLER).hash(&mut hasher);
    hash_folder(web, &mut hasher)?;
    for file in ["Cargo.lock", "Cargo.toml", "xtask/src/web.rs"] {
        hash_file(&places::checkout().join(file), &mut hasher)?;
    }
    Ok(format!("{:016x}\n", hasher.finish()))
}

fn hash_folder(folder: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths.iter().filter(|path| !path.ends_with("node_modules")) {
        if path.is_dir() { hash_folder(path, hasher)? } else { hash_file(path, hasher)? }
    }
    Ok(())
}

fn hash_file(file: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let contents = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    file.file_name().hash(hasher);
    contents.hash(hasher);
    Ok(())
}
