//! A gateway of a test's own, in this process, with real nodes.

#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod process;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock::config::{Config, UpstreamRegistry};
use drydock::doors::assets::Assets;
use drydock::serve;
use drydock::state::AppState;
use drydock_wire::session::{Event, Instance, Session};
use drydock_wire::terminal::{ClientFrame, ServerFrame};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};

/// For a state that must come; a machine under load is slow, and one that waits longer will wait for ever.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Gateway {
    pub url: String,
    /// `127.0.0.1:PORT`.
    pub address: String,
    pub http: reqwest::Client,
    pub state: AppState,
    _remains: Remains,
    data: TempDir,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

/// Ends all nodes when a test fails.
struct Remains(drydock_nodes::Host);

impl Drop for Remains {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let host = self.0.clone();
        // The test's own runtime is being left.
        let ended = std::thread::spawn(move || {
            tokio::runtime::Runtime::new().map(|runtime| runtime.block_on(host.reset()))
        });
        if !matches!(ended.join(), Ok(Ok(Ok(())))) {
            eprintln!("nodes of this test may be left");
        }
    }
}

impl Gateway {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::Builder::new().prefix("drydock-gateway-").tempdir().unwrap();
        let mut config = config(data.path());
        change(&mut config);
        let web = data.path().join("web");
        std::fs::create_dir_all(&web).unwrap();
        std::fs::write(web.join("index.html"), "<!doctype html><title>the page</title>").unwrap();
        let assets = Assets::load(&web).unwrap();
        let state = serve::open(Arc::new(config), assets)
            .await
            .unwrap_or_else(|error| panic!("the gateway does not come up: {error:#}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(serve::run(listener, state.clone(), async {
            let _ = stopped.await;
        }));
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        Self {
            url: format!("http://{address}"),
            address,
            http,
            _remains: Remains(state.playground.host.clone()),
            state,
            data,
            stop,
            server,
        }
    }

    /// Ends every session and node.
    pub async fn end(self) {
        let Self { stop, server, state, data, .. } = self;
        let _ = stop.send(());
        server.await.unwrap();
        state.playground.settle().await;
        state.playground.store.close().await;
        state.playground.host.reset().await.unwrap();
        drop(state);
        data.close().unwrap();
    }

    /// A session made as the page makes it.
    pub async fn session(&self, form: &[(&str, &str)]) -> Play {
        let answer = self.create(form).await;
        assert_eq!(answer.status(), 200);
        let made: Value = answer.json().await.unwrap();
        let id = made["session_id"].as_str().unwrap().to_owned();
        Play { url: format!("{}/sessions/{id}", self.url), id, http: self.http.clone() }
    }

    pub async fn create(&self, form: &[(&str, &str)]) -> reqwest::Response {
        self.http
            .post(&self.url)
            .header("X-Requested-With", "XMLHttpRequest")
            .form(form)
            .send()
            .await
            .unwrap()
    }

    /// A request by host name, as a browser makes it for `http://HOST:PORT/PATH`.
    pub async fn at_host(&self, host: &str, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).header("Host", host).send().await.unwrap()
    }
}

/// Images are taken in once for all tests: this store is theirs together.
fn config(data: &Path) -> Config {
    let dist = dist();
    for needed in ["bin/drydock-agent", "bin/drydock-engine", "bin/drydock-runtime", "images/index.json"] {
        assert!(
            dist.join(needed).exists(),
            "{} is missing: run `cargo xtask dist`",
            dist.join(needed).display()
        );
    }
    Config {
        data: data.join("data"),
        dist,
        image_store: Some(Path::new(env!("CARGO_TARGET_TMPDIR")).join("image-store")),
        upstream: UpstreamRegistry::None,
        ..Config::default()
    }
}

/// `dist` of this checkout, or another that `DRYDOCK_DIST` names.
pub fn dist() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dist");
    std::env::var_os("DRYDOCK_DIST").map_or(own, PathBuf::from)
}

/// One session, as its owner uses it.
pub struct Play {
    pub id: String,
    pub url: String,
    pub http: reqwest::Client,
}

impl Play {
    pub async fn show(&self) -> Session {
        self.http.get(&self.url).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    }

    /// Waits until the nodes it began with are made; all of them by hostname.
    pub async fn ready(&self) -> Vec<Instance> {
        let session = eventually(async || {
            let session = self.show().await;
            session.ready.then_some(session)
        })
        .await;
        let mut instances: Vec<_> = session.instances.into_values().collect();
        instances.sort_by(|a, b| a.hostname.cmp(&b.hostname));
        instances
    }

    pub async fn node(&self) -> Instance {
        let answer = self.post("/instances", &json!({})).await;
        assert_eq!(answer.status(), 200);
        answer.json().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> reqwest::Response {
        self.http.post(format!("{}{path}", self.url)).json(body).send().await.unwrap()
    }

    /// Runs a script in a node and returns what it wrote.
    pub async fn run(&self, node: &str, script: &str) -> String {
        let path = format!("/instances/{node}/exec");
        let ran: Value = self
            .post(&path, &json!({ "command": ["bash", "-c", script] }))
            .await
            .error_for_status()
            .unwrap()
            .json()
            .await
            .unwrap();
        assert_eq!(ran["status_code"], 0, "{script}: {ran}");
        ran["stdout"].as_str().unwrap().trim_end().to_owned()
    }

    /// Opens a new terminal of a node; its id.
    pub async fn terminal(&self, node: &str) -> String {
        let made: Value = self
            .post(&format!("/instances/{node}/terminals"), &json!({}))
            .await
            .error_for_status()
            .unwrap()
            .json()
            .await
            .unwrap();
        made["id"].as_str().unwrap().to_owned()
    }

    pub async fn watch(&self, node: &str, terminal: &str, query: &str) -> Screen {
        let url = format!("{}/instances/{node}/terminals/{terminal}/ws?{query}", self.url);
        Screen { socket: open(&url, None).await.unwrap(), received: Vec::new(), from: 0, closed: None }
    }

    pub async fn events(&self) -> Events {
        Events { socket: open(&format!("{}/ws/", self.url), None).await.unwrap(), told: Vec::new() }
    }
}

/// Opens a WebSocket, as a page of `origin` does.
pub async fn open(url: &str, origin: Option<&str>) -> Result<WebSocketStream<TcpStream>, tungstenite::Error> {
    let url = url.replacen("http", "ws", 1);
    let mut request = url.as_str().into_client_request().unwrap();
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().unwrap());
    }
    let host = request.uri().authority().unwrap().to_string();
    let stream = TcpStream::connect(host).await.unwrap();
    Ok(tokio_tungstenite::client_async(request, stream).await?.0)
}

/// A terminal as a browser has it.
pub struct Screen {
    pub socket: WebSocketStream<TcpStream>,
    /// All bytes, from offset `from`.
    pub received: Vec<u8>,
    pub from: u64,
    pub closed: Option<String>,
}

impl Screen {
    pub async fn send(&mut self, frame: ClientFrame<'_>) {
        self.socket.send(Message::binary(frame.encode())).await.unwrap();
    }

    pub async fn type_in(&mut self, text: &str) {
        self.send(ClientFrame::Input(text.as_bytes())).await;
    }

    /// Takes one message; false when the socket has ended.
    pub async fn receive(&mut self) -> bool {
        let message = match self.socket.next().await {
            Some(Ok(Message::Binary(message))) => message,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return true,
            _ => return false,
        };
        match ServerFrame::decode(&message).unwrap() {
            ServerFrame::Output { offset, data } => {
                if self.received.is_empty() {
                    self.from = offset;
                }
                assert_eq!(offset, self.from + self.received.len() as u64, "bytes came out of order");
                self.received.extend_from_slice(data);
                let drawn = self.from + self.received.len() as u64;
                // The other end may be gone already; what it said last is read all the same.
                let _ = self.socket.send(Message::binary(ClientFrame::Ack { offset: drawn }.encode())).await;
            }
            ServerFrame::Gap { resume } => panic!("bytes up to {resume} were lost"),
            ServerFrame::Closed { reason } => self.closed = Some(reason.to_owned()),
            _ => {}
        }
        true
    }

    /// Reads until `text` has been drawn.
    pub async fn until(&mut self, text: &str) {
        let mut looked = 0;
        let found = async {
            loop {
                let from = looked.max(text.len()) - text.len();
                if self.received[from..].windows(text.len()).any(|part| part == text.as_bytes()) {
                    return;
                }
                looked = self.received.len();
                assert!(self.receive().await, "the socket ended before {text:?}");
            }
        };
        let outcome = tokio::time::timeout(PATIENCE * 2, found).await;
        assert!(outcome.is_ok(), "{text:?} did not come: {:?}", self.end());
    }

    /// The last that came, for messages.
    pub fn end(&self) -> String {
        let from = self.received.len().saturating_sub(500);
        String::from_utf8_lossy(&self.received[from..]).into_owned()
    }
}

/// The session socket.
pub struct Events {
    pub socket: WebSocketStream<TcpStream>,
    /// All that came.
    told: Vec<Event>,
}

impl Events {
    pub async fn send(&mut self, name: &str, args: Value) {
        let text = json!({ "name": name, "args": args }).to_string();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// As [`Events::until`], unless it came before.
    pub async fn told(&mut self, name: &str, wanted: impl Fn(&[Value]) -> bool) {
        if !self.told.iter().any(|event| event.name == name && wanted(&event.args)) {
            self.until(name, wanted).await;
        }
    }

    /// Waits for an event of that name whose arguments are as `wanted` says.
    pub async fn until(&mut self, name: &str, wanted: impl Fn(&[Value]) -> bool) -> Event {
        let found = async {
            while let Some(Ok(message)) = self.socket.next().await {
                let Message::Text(text) = message else { continue };
                let event: Event = serde_json::from_str(&text).unwrap();
                self.told.push(event.clone());
                if event.name == name && wanted(&event.args) {
                    return event;
                }
            }
            panic!("the socket ended before `{name}`");
        };
        match tokio::time::timeout(PATIENCE, found).await {
            Ok(event) => event,
            Err(_) => panic!("`{name}` did not come"),
        }
    }
}

/// Waits for a state.
pub async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("the state did not come")
}
