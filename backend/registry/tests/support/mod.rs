//! A registry that does as it is told: it serves what it was given, and misbehaves in the order it was asked to.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use drydock_images::{Digest, Named, Store};
use drydock_registry::{Client, LayerState, Options, PullError, PullEvent, Pulled, Wanted, pull};
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, StatusCode, Uri, header};
use serde_json::{Value, json};

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const PLAIN: &str = "application/vnd.oci.image.layer.v1.tar";
pub const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
pub const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

/// What is wrong with the next answer to a request for a blob.
#[derive(Clone, Debug)]
pub enum Fault {
    /// So many bytes, and the connection breaks.
    Cut(usize),
    /// So many bytes, and then nothing for ever.
    Stall(usize),
    /// The whole blob, whatever range was asked for.
    WholeInPlaceOfRange,
    /// Another range than was asked for.
    OtherRange,
    /// Other bytes.
    Other(Vec<u8>),
    Status(StatusCode),
}

#[derive(Default)]
pub struct Served {
    /// By tag or digest, with the media type.
    pub manifests: BTreeMap<String, (String, Vec<u8>)>,
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub faults: VecDeque<Fault>,
    /// The method, the path and the range of every request.
    pub heard: Vec<(String, String, String)>,
}

/// Clones are the same registry.
#[derive(Clone, Default)]
pub struct Registry(pub Arc<Mutex<Served>>);

impl Registry {
    pub fn blob(&self, bytes: Vec<u8>) -> (Digest, usize) {
        let digest = Digest::of(&bytes);
        let size = bytes.len();
        self.0.lock().unwrap().blobs.insert(digest.to_string(), bytes);
        (digest, size)
    }

    pub fn manifest(&self, tag: &str, kind: &str, value: &Value) -> Digest {
        let bytes = value.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        let mut served = self.0.lock().unwrap();
        served.manifests.insert(tag.to_owned(), (kind.to_owned(), bytes.clone()));
        served.manifests.insert(digest.to_string(), (kind.to_owned(), bytes));
        digest
    }

    /// An image of these layers: their archives, as which they are sent, and of what kind that is.
    pub fn image(&self, tag: &str, layers: &[(Vec<u8>, Vec<u8>, &str)]) -> Digest {
        self.image_for(tag, layers, "amd64")
    }

    pub fn image_for(&self, tag: &str, layers: &[(Vec<u8>, Vec<u8>, &str)], architecture: &str) -> Digest {
        let diff_ids: Vec<Digest> = layers.iter().map(|(plain, ..)| Digest::of(plain)).collect();
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        });
        let (config, config_size) = self.blob(config.to_string().into_bytes());
        let layers = layers.iter().map(|(_, sent, kind)| {
            let (digest, size) = self.blob(sent.clone());
            json!({"mediaType": kind, "digest": digest, "size": size})
        });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": config, "size": config_size},
            "layers": layers.collect::<Vec<_>>(),
        });
        self.manifest(tag, OCI_MANIFEST, &manifest)
    }

    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.0.lock().unwrap().faults.extend(faults);
    }

    /// The ranges that were asked for of blobs, in order.
    pub fn ranges(&self) -> Vec<String> {
        let served = self.0.lock().unwrap();
        let blobs = served.heard.iter().filter(|(_, path, _)| path.contains("/blobs/"));
        blobs.map(|(_, _, range)| range.clone()).filter(|range| !range.is_empty()).collect()
    }

    pub fn heard(&self) -> Vec<String> {
        let served = self.0.lock().unwrap();
        served.heard.iter().map(|(method, path, _)| format!("{method} {path}")).collect()
    }

    /// Serves until the test ends; answers `host:port`.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().fallback(answer).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

async fn answer(State(registry): State<Registry>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().to_owned();
    let range =
        headers.get(header::RANGE).map(|range| range.to_str().unwrap().to_owned()).unwrap_or_default();
    let mut served = registry.0.lock().unwrap();
    served.heard.push((method.to_string(), path.clone(), range.clone()));
    if path == "/v2/" {
        return "{}".into_response();
    }
    let (rest, last) = path.rsplit_once('/').unwrap();
    if rest.ends_with("/manifests") {
        let Some((kind, bytes)) = served.manifests.get(last) else { return unknown("MANIFEST_UNKNOWN") };
        // What is called by its digest, right or wrong, is called so in the answer.
        let digest =
            if last.starts_with("sha256:") { last.to_owned() } else { Digest::of(bytes).to_string() };
        let body = if method == Method::HEAD { Vec::new() } else { bytes.clone() };
        let headers = [(header::CONTENT_TYPE.as_str(), kind.clone()), ("docker-content-digest", digest)];
        return (headers, body).into_response();
    }
    if rest.ends_with("/tags") {
        let tags: Vec<&String> = served.manifests.keys().filter(|name| !name.contains(':')).collect();
        return axum::Json(json!({"name": "x", "tags": tags})).into_response();
    }
    let Some(bytes) = served.blobs.get(last).cloned() else { return unknown("BLOB_UNKNOWN") };
    if method == Method::HEAD {
        return StatusCode::OK.into_response();
    }
    // Configurations are small and come as they are; faults are for layers.
    let fault = if bytes.first() == Some(&b'{') { None } else { served.faults.pop_front() };
    drop(served);
    blob(bytes, &range, fault)
}

fn blob(bytes: Vec<u8>, range: &str, fault: Option<Fault>) -> Response {
    let from: usize =
        range.strip_prefix("bytes=").and_then(|range| range.strip_suffix('-')?.parse().ok()).unwrap_or(0);
    let whole = bytes.len();
    let part = |from: usize, claimed: usize, body: Body| {
        let status = if from == 0 { StatusCode::OK } else { StatusCode::PARTIAL_CONTENT };
        let range = format!("bytes {claimed}-{}/{whole}", whole - 1);
        let length = (whole - from).to_string();
        (status, [(header::CONTENT_RANGE, range), (header::CONTENT_LENGTH, length)], body).into_response()
    };
    let some = |length: usize| {
        stream::iter([Ok::<_, std::io::Error>(bytes[from..(from + length).min(whole)].to_vec())])
    };
    match fault {
        None => part(from, from, Body::from(bytes[from..].to_vec())),
        Some(Fault::Cut(length)) => {
            // What came before is on its way when the connection breaks.
            let broken = stream::once(async {
                tokio::task::yield_now().await;
                Err(std::io::Error::other("cut"))
            });
            part(from, from, Body::from_stream(some(length).chain(broken)))
        }
        Some(Fault::Stall(length)) => {
            part(from, from, Body::from_stream(some(length).chain(stream::pending())))
        }
        Some(Fault::WholeInPlaceOfRange) => part(0, 0, Body::from(bytes)),
        Some(Fault::OtherRange) => part(from, from + 1, Body::from(bytes[from..].to_vec())),
        Some(Fault::Other(bytes)) => bytes.into_response(),
        Some(Fault::Status(status)) => (status, "no").into_response(),
    }
}

fn unknown(code: &str) -> Response {
    let body =
        json!({"errors": [{"code": code, "message": code.to_lowercase().replace('_', " "), "detail": {}}]});
    (StatusCode::NOT_FOUND, axum::Json(body)).into_response()
}

/// A tar archive with one file, whose content no compressor makes smaller.
pub fn archive(name: &str, size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32 ^ size as u32;
    let noise: Vec<u8> = (0..size)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state as u8
        })
        .collect();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(size as u64);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, name, noise.as_slice()).unwrap();
    archive.into_inner().unwrap()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

/// A layer that is sent as it is.
pub fn plain(name: &str, size: usize) -> (Vec<u8>, Vec<u8>, &'static str) {
    let archive = archive(name, size);
    (archive.clone(), archive, PLAIN)
}

pub fn store(folder: &Path) -> Store {
    Store::open(folder, None).unwrap()
}

/// Gives up at the first failure that brought nothing.
pub fn client() -> Client {
    Client::new(Options { attempts: 1, ..Options::default() })
}

pub async fn fetch(
    client: &Client,
    store: &Store,
    name: &str,
) -> (Result<Pulled, PullError>, Vec<LayerState>) {
    let states = Mutex::new(Vec::new());
    let hear = |event: PullEvent<'_>| match event {
        PullEvent::Found => {}
        PullEvent::Layer(_, state) => states.lock().unwrap().push(state),
    };
    let name = Named::parse(name).unwrap().or_latest();
    let pulled = pull(client, store, Wanted { name: &name, platform: None, credentials: None }, &hear).await;
    (pulled, states.into_inner().unwrap())
}

/// Nothing of a pull that failed is left.
#[track_caller]
pub fn assert_empty(store: &Store) {
    assert!(store.images().unwrap().is_empty());
    for folder in ["layers", "images", "tmp"] {
        let left: Vec<_> = std::fs::read_dir(store.root().join(folder)).unwrap().collect();
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
}
