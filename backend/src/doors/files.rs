//! Files of a node: uploaded, listed, read, written.

use std::pin::Pin;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Query, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use drydock_agent::client::{Agent, ExecEvent, Running};
use drydock_agent::protocol::{EntryKind, ExecRequest, Exit, Parents, TreeEntry, WriteRequest};
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fetch;
use super::found::OnInstance;
use super::refusal::Refusal;
use crate::config::{FILE_LIMIT, UPLOAD_LIMIT};
use crate::state::AppState;

pub const HOME: &str = "/root";
/// Levels of `fstree`.
pub const DEPTH: u32 = 6;
pub const MODE: u32 = 0o644;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/sessions/{session}/instances/{instance}/uploads", post(upload))
        .route("/sessions/{session}/instances/{instance}/fstree", get(tree))
        .route("/sessions/{session}/instances/{instance}/file", get(read).put(write))
        .layer(DefaultBodyLimit::max(UPLOAD_LIMIT))
}

#[derive(Debug, Deserialize)]
struct Upload {
    /// The directory to put files in; the home directory when absent.
    #[serde(default)]
    path: String,
    /// Fetched by the server instead of a body.
    #[serde(default)]
    url: String,
}

async fn upload(
    OnInstance { instance, .. }: OnInstance,
    Query(upload): Query<Upload>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    let agent = instance.agent();
    let folder = if upload.path.is_empty() { HOME } else { &upload.path };
    if !upload.url.is_empty() {
        let download = fetch::open(&upload.url).await?;
        let path = join(folder, &download.name);
        let body = download.body.map(|piece| piece.map_err(Refusal::from));
        store(&agent, path, Box::pin(body)).await?;
        return Ok(StatusCode::OK);
    }
    let mut parts = Multipart::from_request(request, &())
        .await
        .map_err(|rejection| Refusal::bad_request(rejection.body_text()))?;
    while let Some(part) =
        parts.next_field().await.map_err(|error| Refusal::bad_request(error.body_text()))?
    {
        // A field without a file name is a word of the form.
        let Some(name) = part.file_name().map(str::to_owned) else { continue };
        let body = part.map(|piece| piece.map_err(|error| Refusal::bad_request(error.body_text())));
        store(&agent, join(folder, &name), Box::pin(body)).await?;
    }
    Ok(StatusCode::OK)
}

/// Streams a body into a file, which gets its name when all of it is there.
async fn store(
    agent: &Agent,
    path: String,
    mut body: Pin<Box<dyn Stream<Item = Result<Bytes, Refusal>> + Send + '_>>,
) -> Result<(), Refusal> {
    let mut file = agent.upload(WriteRequest { path, mode: MODE, parents: Parents::Create }).await?;
    let mut length = 0;
    while let Some(piece) = body.next().await {
        let piece = piece?;
        length += piece.len();
        if length > UPLOAD_LIMIT {
            return Err(Refusal::too_large(format!("a file may have {UPLOAD_LIMIT} bytes")));
        }
        file.write(&piece).await?;
    }
    Ok(file.finish().await?)
}

/// The file `name`, whatever folders it claims to be in, in `folder`.
fn join(folder: &str, name: &str) -> String {
    let name = name.rsplit(['/', '\\']).find(|part| !matches!(*part, "" | "." | "..")).unwrap_or("upload");
    format!("{}/{name}", folder.trim_end_matches('/'))
}

#[derive(Debug, Deserialize)]
struct Named {
    #[serde(default)]
    path: String,
    /// The file itself, to be saved, instead of its base64 text.
    #[serde(default)]
    download: bool,
}

async fn tree(
    OnInstance { instance, .. }: OnInstance,
    Query(named): Query<Named>,
) -> Result<Json<Value>, Refusal> {
    let path = if named.path.is_empty() { HOME } else { &named.path };
    let entries = instance.agent().tree(path, DEPTH).await?;
    Ok(Json(as_tree(path, entries)))
}

/// `tree --noreport -J`: a list of one directory, contents within.
fn as_tree(root: &str, entries: Vec<TreeEntry>) -> Value {
    // Children by the path of their directory; parents come before their children, so the reverse order has
    // every directory's contents complete when it is reached.
    let mut contents: std::collections::HashMap<String, Vec<Value>> = std::collections::HashMap::new();
    for entry in entries.into_iter().rev() {
        let (parent, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        let mut shown = json!({ "type": word(entry.kind), "name": name });
        if entry.kind == EntryKind::Directory {
            let mut within = contents.remove(&entry.path).unwrap_or_default();
            within.reverse();
            shown["contents"] = within.into();
        }
        let parent = parent.to_owned();
        contents.entry(parent).or_default().push(shown);
    }
    let mut top = contents.remove("").unwrap_or_default();
    top.reverse();
    json!([{ "type": "directory", "name": root, "contents": top }])
}

fn word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::File => "file",
        EntryKind::Directory => "directory",
        EntryKind::Link => "link",
        EntryKind::Other => "unknown",
    }
}

async fn read(
    OnInstance { instance, .. }: OnInstance,
    Query(named): Query<Named>,
) -> Result<Response, Refusal> {
    if named.path.is_empty() {
        return Err(Refusal::bad_request("`path` says which file"));
    }
    if named.download {
        return download(&instance.agent(), &named.path).await;
    }
    let contents = instance.agent().read_file(named.path, FILE_LIMIT).await?;
    Ok(STANDARD.encode(contents).into_response())
}

/// Streams a file of any size: `cat` in the node stops writing when the browser stops reading.
async fn download(agent: &Agent, path: &str) -> Result<Response, Refusal> {
    let mut cat = agent.start_exec(ExecRequest::new(["cat", "--", path])).await?;
    let first = match cat.next().await? {
        ExecEvent::Stdout(bytes) => Some(bytes),
        ExecEvent::Exited(Exit::Code(0)) => None,
        _ => return Err(Refusal::not_found("file, or it cannot be read")),
    };
    let name = path.rsplit('/').next().unwrap_or_default();
    let disposition = format!("attachment; filename*=UTF-8''{}", percent_encoded(name));
    let body = match first {
        Some(first) => Body::from_stream(stream::once(async { Ok(first) }).chain(rest(cat))),
        None => Body::empty(),
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(disposition) = HeaderValue::from_str(&disposition) {
        headers.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}

fn rest(cat: Running) -> impl Stream<Item = Result<Bytes, std::io::Error>> {
    stream::try_unfold(cat, |mut cat| async move {
        loop {
            match cat.next().await.map_err(std::io::Error::other)? {
                ExecEvent::Stdout(bytes) => return Ok(Some((bytes, cat))),
                ExecEvent::Stderr(_) => {}
                ExecEvent::Exited(Exit::Code(0)) => return Ok(None),
                ExecEvent::Exited(_) => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        }
    })
}

pub fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

async fn write(
    OnInstance { instance, .. }: OnInstance,
    Query(named): Query<Named>,
    request: Request,
) -> Result<StatusCode, Refusal> {
    if named.path.is_empty() {
        return Err(Refusal::bad_request("`path` says which file"));
    }
    let body = request
        .into_body()
        .into_data_stream()
        .map(|piece| piece.map_err(|error| Refusal::bad_request(error.to_string())));
    store(&instance.agent(), named.path, Box::pin(body)).await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uploaded_file_stays_in_its_folder() {
        for (folder, name, path) in [
            ("/root", "a.txt", "/root/a.txt"),
            ("/root/", "a.txt", "/root/a.txt"),
            ("/root", "../../etc/passwd", "/root/passwd"),
            ("/root", "C:\\Users\\me\\a.txt", "/root/a.txt"),
            ("/root", "..", "/root/upload"),
            ("/root", "", "/root/upload"),
            ("/", "x", "/x"),
        ] {
            assert_eq!(join(folder, name), path, "{folder} {name}");
        }
    }

    #[test]
    fn a_tree_is_nested_as_tree_prints_it() {
        let entry = |path: &str, kind| TreeEntry { path: path.to_owned(), kind, size: 0 };
        let entries = vec![
            entry("a", EntryKind::Directory),
            entry("a/b", EntryKind::Directory),
            entry("a/b/c", EntryKind::File),
            entry("a/d", EntryKind::File),
            entry("e", EntryKind::Link),
        ];
        assert_eq!(
            as_tree("/root", entries),
            json!([{"type": "directory", "name": "/root", "contents": [
                {"type": "directory", "name": "a", "contents": [
                    {"type": "directory", "name": "b", "contents": [{"type": "file", "name": "c"}]},
                    {"type": "file", "name": "d"}]},
                {"type": "link", "name": "e"}]}])
        );
    }

    #[test]
    fn a_file_name_cannot_leave_its_header() {
        assert_eq!(percent_encoded("a\"; x=\r\né.txt"), "a%22%3B%20x%3D%0D%0A%C3%A9.txt");
    }
}
