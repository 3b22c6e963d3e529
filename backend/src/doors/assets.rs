//! The page and its parts: `dist/web`, read once at the start and served from memory, compressed as it was built.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::refusal::Refusal;
use crate::state::AppState;

const INDEX: &str = "index.html";

#[derive(Debug, Default)]
pub struct Assets {
    /// By path below `dist/web`.
    files: HashMap<String, Asset>,
}

#[derive(Debug, Default)]
struct Asset {
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
    tag: String,
}

#[derive(Debug, thiserror::Error)]
pub enum LoadAssets {
    #[error("cannot read {path}: run `cargo xtask dist` to build the page, or name its folder with --dist")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is missing: run `cargo xtask dist` to build the page")]
    NoIndex { path: PathBuf },
}

impl Assets {
    pub fn load(folder: &Path) -> Result<Self, LoadAssets> {
        let mut files = HashMap::new();
        walk(folder, "", &mut files)?;
        let mut assets = Self::default();
        for (path, plain) in &files {
            if is_variant(path, &files) {
                continue;
            }
            let asset = Asset {
                plain: plain.clone(),
                brotli: files.get(&format!("{path}.br")).cloned(),
                gzip: files.get(&format!("{path}.gz")).cloned(),
                tag: tag(plain),
            };
            assets.files.insert(path.clone(), asset);
        }
        match assets.files.contains_key(INDEX) {
            true => Ok(assets),
            false => Err(LoadAssets::NoIndex { path: folder.join(INDEX) }),
        }
    }
}

fn walk(folder: &Path, prefix: &str, files: &mut HashMap<String, Bytes>) -> Result<(), LoadAssets> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LoadAssets::Read { path, source }
    };
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let entry = entry.map_err(failed(folder))?;
        let (path, name) = (entry.path(), entry.file_name());
        // Hidden files are the build's own.
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let below = format!("{prefix}{name}");
        if path.is_dir() {
            walk(&path, &format!("{below}/"), files)?;
        } else {
            files.insert(below, std::fs::read(&path).map_err(failed(&path))?.into());
        }
    }
    Ok(())
}

/// `app.js.br` beside `app.js`.
fn is_variant(path: &str, files: &HashMap<String, Bytes>) -> bool {
    [".br", ".gz"]
        .iter()
        .any(|ending| path.strip_suffix(ending).is_some_and(|plain| files.contains_key(plain)))
}

fn tag(contents: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    contents.hash(&mut hasher);
    // Weak: the same page, however compressed.
    format!("W/\"{:016x}\"", hasher.finish())
}

/// The app's page: it reads from the address what to show.
pub async fn page(State(state): State<AppState>, headers: HeaderMap) -> Response {
    answer(&state.assets, INDEX, &headers)
}

/// What no other door answers: a part of the page, or the page itself for an address of the app's own.
pub async fn serve(State(state): State<AppState>, request: Request) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path().trim_start_matches('/');
    if !is_read {
        return Refusal::not_found("address").into_response();
    }
    if state.assets.files.contains_key(path) {
        return answer(&state.assets, path, request.headers());
    }
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    match accept.is_some_and(|accept| accept.contains("text/html")) {
        true => answer(&state.assets, INDEX, request.headers()),
        false => Refusal::not_found("address").into_response(),
    }
}

fn answer(assets: &Assets, path: &str, asked: &HeaderMap) -> Response {
    let Some(asset) = assets.files.get(path) else {
        return Refusal::not_found("address").into_response();
    };
    if asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == asset.tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let (body, encoding) = asset.best(asked);
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let lasting = if is_hashed(path) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(lasting));
    if let Ok(tag) = HeaderValue::from_str(&asset.tag) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(encoding) = encoding {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

impl Asset {
    fn best(&self, asked: &HeaderMap) -> (Bytes, Option<&'static str>) {
        let accepted = asked.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or("");
        let accepts =
            |name: &str| accepted.split(',').any(|word| word.split(';').next().unwrap_or("").trim() == name);
        match (&self.brotli, &self.gzip) {
            (Some(brotli), _) if accepts("br") => (brotli.clone(), Some("br")),
            (_, Some(gzip)) if accepts("gzip") => (gzip.clone(), Some("gzip")),
            _ => (self.plain.clone(), None),
        }
    }
}

/// Whether the name carries the hash of the contents, as the bundler writes it: `main.BRC77SOP.js`, `icon.bdde183b.svg`.
fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let mut parts = name.split('.').rev().skip(1);
    parts.next().is_some_and(|part| {
        let of = |kind: fn(u8) -> bool| part.bytes().all(|byte| byte.is_ascii_digit() || kind(byte));
        part.len() >= 8
            && parts.next().is_some()
            && (of(|byte| byte.is_ascii_uppercase()) || of(|byte| (b'a'..=b'f').contains(&byte)))
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A refusal as a page, for a form that was sent without script.
pub fn sorry(refusal: &Refusal) -> Response {
    let message = escaped(&refusal.message);
    let html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Drydock</title>\
         <meta name=\"color-scheme\" content=\"light dark\"><meta name=\"viewport\" content=\"width=device-width\">\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:20vh auto;padding:0 1.5rem}}</style>\
         </head><body><main><h1>No session this time</h1><p>{message}</p><p><a href=\"/\">Try again</a></p></main>\
         </body></html>\n"
    );
    (refusal.status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
}

pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_by_its_hash_never_changes() {
        for (path, hashed) in [
            ("index.html", false),
            ("assets/main.BRC77SOP.js", true),
            ("assets/drydock_frontend_bg.UOYL4VTP.wasm", true),
            ("assets/icon.bdde183b.svg", true),
            ("assets/icon.svg", false),
            ("assets/manifest.webmanifest", false),
            ("DEADBEEF.js", false),
        ] {
            assert_eq!(is_hashed(path), hashed, "{path}");
        }
    }

    #[test]
    fn compressed_files_stand_in_for_their_plain_ones() {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in
            [("index.html", "page"), ("a.js", "plain"), ("a.js.br", "small"), ("b.gz", "own")]
        {
            std::fs::write(folder.path().join(name), contents).unwrap();
        }
        let assets = Assets::load(folder.path()).unwrap();
        let mut names: Vec<_> = assets.files.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["a.js", "b.gz", "index.html"]);
        for (accepted, expected) in
            [("gzip, br", "small"), ("gzip", "plain"), ("", "plain"), ("brr", "plain")]
        {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            assert_eq!(assets.files["a.js"].best(&headers).0, expected, "{accepted}");
        }
    }

    #[test]
    fn a_folder_without_a_page_says_what_builds_it() {
        let folder = tempfile::tempdir().unwrap();
        for missing in [folder.path().to_owned(), folder.path().join("web")] {
            let error = Assets::load(&missing).unwrap_err().to_string();
            assert!(error.contains("cargo xtask dist"), "{error}");
        }
    }
}
