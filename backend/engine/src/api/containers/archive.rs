//! `docker cp`, `docker export` and `docker diff`.

use std::fs::Metadata;
use std::io::Write;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use drydock_images::unpack::UnpackError;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};

use crate::api::images::bodies;
use crate::api::query::Parameters;
use crate::container::copy_out;
use crate::container::mounts::clean;
use crate::container::record::rfc3339;
use crate::container::view::{View, path_of};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

const STAT: &str = "x-docker-container-path-stat";
pub async fn stat(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let (_, headers) = find(&engine, &name, &query)?;
    Ok((StatusCode::OK, headers).into_response())
}

/// What `path` means in the container, and the header that describes it.
fn find(engine: &Arc<Engine>, name: &str, query: &Parameters) -> ApiResult<(View, HeaderMap)> {
    let path = query.text("path").ok_or_else(|| ApiError::invalid("bad parameter: pathcannot be empty"))?;
    let container = engine.containers.find(name)?;
    let view = View::open(engine, &container).map_err(|error| internal(&error))?;
    let place = view.open_place(path, names_a_folder(path)).map_err(|errno| missing(name, path, errno))?;
    let own = path_of(&place);
    let meta = std::fs::metadata(&own).map_err(|error| internal(&error))?;
    let described = describe(path, &meta, link_target(&view, path, &place));
    let encoded = base64::engine::general_purpose::STANDARD.encode(described.to_string());
    let mut headers = HeaderMap::new();
    headers.insert(STAT, HeaderValue::from_str(&encoded).map_err(|error| internal(&error))?);
    Ok((view, headers))
}

/// With a slash or a dot at its end a path is what a link leads to.
fn names_a_folder(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.")
}

/// Where a link leads in the end, as a path of the container; empty for everything else.
fn link_target(view: &View, path: &str, place: &std::os::fd::OwnedFd) -> String {
    let Ok(target) = rustix::fs::readlinkat(place, "", Vec::new()) else { return String::new() };
    view.where_it_leads(path).unwrap_or_else(|| {
        // It leads nowhere: what it says, from where it lies.
        let target = target.to_string_lossy().into_owned();
        let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
        if target.starts_with('/') { clean(&target) } else { clean(&format!("{parent}/{target}")) }
    })
}

fn internal(error: &dyn std::error::Error) -> ApiError {
    ApiError::chain(StatusCode::INTERNAL_SERVER_ERROR, error)
}

fn missing(name: &str, path: &str, errno: rustix::io::Errno) -> ApiError {
    match errno {
        rustix::io::Errno::NOENT => {
            ApiError::not_found(format!("Could not find the file {path} in container {name}"))
        }
        rustix::io::Errno::NOTDIR => ApiError::invalid("not a directory"),
        errno => ApiError::internal(format!("open {path}: {errno}")),
    }
}

fn describe(path: &str, meta: &Metadata, link_target: String) -> Value {
    let modified =
        time::OffsetDateTime::from_unix_timestamp(meta.mtime()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    let modified = modified + time::Duration::nanoseconds(meta.mtime_nsec());
    json!({
        "name": base_name(path),
        "size": meta.len(),
        "mode": go_mode(meta),
        "mtime": rfc3339(modified),
        "linkTarget": link_target,
    })
}

/// The last word of a path, as Go's `filepath.Base` has it: `.` stays.
fn base_name(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    trimmed.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("/").to_owned()
}

/// Go's `os.FileMode`: the permission bits, and its own bits for kinds.
fn go_mode(meta: &Metadata) -> u32 {
    let kind = meta.file_type();
    let mut mode = meta.mode() & 0o777;
    let bits = [
        (kind.is_dir(), 31),
        (kind.is_symlink(), 27),
        (kind.is_block_device() || kind.is_char_device(), 26),
        (kind.is_fifo(), 25),
        (kind.is_socket(), 24),
        (meta.mode() & 0o4000 != 0, 23),
        (meta.mode() & 0o2000 != 0, 22),
        (kind.is_char_device(), 21),
        (meta.mode() & 0o1000 != 0, 20),
    ];
    for (set, bit) in bits {
        if set {
            mode |= 1 << bit;
        }
    }
    mode
}

pub async fn get(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let (view, headers) = find(&engine, &name, &query)?;
    let container = engine.containers.find(&name)?;
    let path = query.text("path").unwrap_or_default().to_owned();
    let mut response = bodies::streamed("application/x-tar", move |output| {
        let place = view.open_place(&path, names_a_folder(&path))?;
        let mut archive = tar::Builder::new(output);
        copy_out::pack(&mut archive, &place, &base_name(&path))?;
        archive.into_inner()?.flush()
    });
    crate::container::publish(&engine, &container, "archive-path", []);
    response.headers_mut().extend(headers);
    Ok(response)
}

/// How much of a refused archive is heard out: who still sends would see a closed connection and not the answer.
const REFUSED: usize = 1 << 20;

/// `PUT`: an archive, which may be compressed, is unpacked into a directory of the container.
pub async fn put(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
    request: Request,
) -> ApiResult<StatusCode> {
    let found = target(&engine, &name, &query);
    if found.is_err() {
        let _ = axum::body::to_bytes(request.into_body(), REFUSED).await;
        return found.map(|_| StatusCode::OK);
    }
    let (view, place) = found?;
    let careful = query.flag("noOverwriteDirNonDir");
    let unpacked = bodies::blocking_reader(request.into_body(), move |reader| {
        // Through the directory itself: the place cannot be exchanged while it is open.
        let unpacked = copy_in(bodies::unzipped(reader), &place, careful);
        drop(view);
        unpacked
    });
    unpacked.await??;
    crate::container::publish(&engine, &*engine.containers.find(&name)?, "extract-to-dir", []);
    Ok(StatusCode::OK)
}

/// The directory to unpack into.
fn target(engine: &Arc<Engine>, name: &str, query: &Parameters) -> ApiResult<(View, std::os::fd::OwnedFd)> {
    let path = query.text("path").ok_or_else(|| ApiError::invalid("bad parameter: pathcannot be empty"))?;
    let container = engine.containers.find(name)?;
    let view = View::open(engine, &container).map_err(|error| internal(&error))?;
    let place = view.open_place(path, true).map_err(|errno| missing(name, path, errno))?;
    if !std::fs::metadata(path_of(&place)).is_ok_and(|meta| meta.is_dir()) {
        return Err(ApiError::invalid("extraction point is not a directory"));
    }
    match view.read_only(path) {
        Some(what) => Err(ApiError::invalid(format!("{what} is marked read-only"))),
        None => Ok((view, place)),
    }
}

/// Unpacks what a client sends. Careful: no file takes the place of a folder.
fn copy_in(archive: impl std::io::Read, place: &std::os::fd::OwnedFd, careful: bool) -> ApiResult<()> {
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
    let root = rustix::fs::openat(place, ".", flags, rustix::fs::Mode::empty())
        .map_err(|error| internal(&std::io::Error::from(error)))?;
    let unpacked = match careful {
        true => drydock_images::unpack::copy_in(archive, root),
        false => drydock_images::unpack::extract(archive, root),
    };
    unpacked.map(drop).map_err(|error| match &error {
        // What Go says of a piece of an archive, and of anything that is none.
        UnpackError::Archive(_) => ApiError::internal("unexpected EOF"),
        _ => internal(&error),
    })
}

pub async fn export(State(engine): State<Arc<Engine>>, Path(name): Path<String>) -> ApiResult {
    let container = engine.containers.find(&name)?;
    let id = container.id.to_string();
    let root = engine.images.mount_rootfs(&id).map_err(|error| internal(&error))?;
    crate::container::publish(&engine, &container, "export", []);
    Ok(bodies::streamed("application/octet-stream", move |mut output| {
        let packed = drydock_images::pack(&root, &mut output, drydock_images::Deleted::LeftOut);
        if !container.status().is_live() {
            let _ = engine.images.unmount_rootfs(&id);
        }
        packed.map_err(std::io::Error::other)?;
        output.flush()
    }))
}

pub async fn changes(State(engine): State<Arc<Engine>>, Path(name): Path<String>) -> ApiResult<Response> {
    let container = engine.containers.find(&name)?;
    let id = container.id.to_string();
    let changes = tokio::task::spawn_blocking(move || engine.images.rootfs_changes(&id))
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))?;
    // A list that was never begun is `null` in Go.
    if changes.is_empty() {
        return Ok(Json(Value::Null).into_response());
    }
    let list: Vec<Value> =
        changes.iter().map(|change| json!({ "Path": change.path, "Kind": change.kind as u8 })).collect();
    Ok(Json(list).into_response())
}
