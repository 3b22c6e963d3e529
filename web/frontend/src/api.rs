//! Requests to the gateway, and what can go wrong with one.

use std::fmt;
use std::pin::Pin;

use drydock_browser::window;
use drydock_model::json;
use drydock_wire::lab::{Lab, Progress, Summary};
use drydock_wire::session::{Failure, Instance, Playground, Session, Terminal};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{File, FormData, Headers, RequestInit, Response, XmlHttpRequest};

#[derive(Debug, Clone, PartialEq)]
pub enum Trouble {
    /// The gateway did not answer.
    Unreachable,
    /// It answered that it will not, and why.
    Refused { status: u16, failure: Failure },
    /// It answered something that this page does not understand.
    Unreadable { path: String },
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => {
                f.write_str("The server does not answer. Check the connection and try again.")
            }
            Self::Refused { failure, .. } => f.write_str(&failure.message),
            Self::Unreadable { path } => {
                write!(f, "The server's answer to {path} makes no sense to this page. Reload it.")
            }
        }
    }
}

impl Trouble {
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404 | 410, .. })
    }

    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused { status: 503, .. })
    }
}

pub type Answer<T> = Result<T, Trouble>;

#[derive(Debug)]
pub struct NewSession {
    pub session_id: String,
}

#[derive(Debug)]
struct Verdict {
    correct: bool,
}

drydock_model::reads! {
    NewSession { session_id }
    Verdict { correct }
}

#[derive(Debug, Serialize)]
struct QuizAnswer<'a> {
    answer: &'a [String],
}

pub async fn playground() -> Answer<Playground> {
    get("/playground").await
}

pub async fn labs() -> Answer<Vec<Summary>> {
    get("/labs").await
}

pub async fn lab(id: &str) -> Answer<Lab> {
    get(&format!("/labs/{}", escape(id))).await
}

/// `fields` as in the form of play-with-docker: `stack_name` (a template), `lab`, `session-duration`.
pub async fn start_session(fields: &[(&str, &str)]) -> Answer<NewSession> {
    let form: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    let body = Body { kind: "application/x-www-form-urlencoded", text: form.join("&") };
    read("/", &send("POST", "/", Some(body)).await?)
}

pub async fn session(id: &str) -> Answer<Session> {
    get(&format!("/sessions/{}", escape(id))).await
}

pub async fn close_session(id: &str) -> Answer<()> {
    done(send("DELETE", &format!("/sessions/{}", escape(id)), None).await)
}

pub async fn extend_session(id: &str) -> Answer<()> {
    done(send("POST", &format!("/sessions/{}/extend", escape(id)), None).await)
}

pub async fn add_node(session: &str) -> Answer<Instance> {
    let path = format!("/sessions/{}/instances", escape(session));
    read(&path, &send("POST", &path, Some(Body::empty())).await?)
}

pub async fn delete_node(session: &str, node: &str) -> Answer<()> {
    done(send("DELETE", &node_path(session, node), None).await)
}

/// What the node's cable, or the way from it to `other`, loses of a hundred packets.
pub async fn set_loss(session: &str, node: &str, other: Option<&str>, loss: u8) -> Answer<()> {
    let mut path = format!("/sessions/{}/links/{}", escape(session), escape(node));
    if let Some(other) = other {
        path = format!("{path}/{}", escape(other));
    }
    done(send("PUT", &path, Some(Body { text: format!("{{\"loss\":{loss}}}"), ..Body::empty() })).await)
}

/// `kind` is empty for a pcap file, and `/ws` for lines.
pub fn capture_path(session: &str, node: &str, kind: &str, interface: &str, filter: &str) -> String {
    let (interface, filter) = (escape(interface), escape(filter));
    format!("{}/capture{kind}?interface={interface}&filter={filter}", node_path(session, node))
}

pub async fn terminals(session: &str, node: &str) -> Answer<Vec<Terminal>> {
    get(&format!("{}/terminals", node_path(session, node))).await
}

pub async fn add_terminal(session: &str, node: &str) -> Answer<Terminal> {
    let path = format!("{}/terminals", node_path(session, node));
    read(&path, &send("POST", &path, Some(Body::empty())).await?)
}

pub async fn delete_terminal(session: &str, node: &str, terminal: &str) -> Answer<()> {
    done(send("DELETE", &terminal_path(session, node, terminal), None).await)
}

pub async fn lab_progress(session: &str) -> Answer<Progress> {
    get(&format!("/sessions/{}/lab", escape(session))).await
}

/// Writes a file block's file, or asks a check now.
pub async fn act_on_lab_block(session: &str, block: &str) -> Answer<()> {
    let path = format!("/sessions/{}/lab/blocks/{}", escape(session), escape(block));
    done(send("POST", &path, Some(Body::empty())).await)
}

/// `answer` holds the indices of the chosen ones, or the one text. Whether it is right.
pub async fn answer_quiz(session: &str, quiz: &str, answer: &[String]) -> Answer<bool> {
    let path = format!("/sessions/{}/lab/quizzes/{}", escape(session), escape(quiz));
    let verdict: Verdict =
        read(&path, &send("POST", &path, Some(Body::json(&QuizAnswer { answer }))).await?)?;
    Ok(verdict.correct)
}

pub fn terminal_path(session: &str, node: &str, terminal: &str) -> String {
    format!("{}/terminals/{}", node_path(session, node), escape(terminal))
}

fn node_path(session: &str, node: &str) -> String {
    format!("/sessions/{}/instances/{}", escape(session), escape(node))
}

/// Uploads a file into a node's home folder. `progress` hears percent, `done` hears the end once.
/// Not `fetch`: that tells nothing of an upload's progress.
pub fn upload(
    session: &str,
    node: &str,
    file: &File,
    progress: impl Fn(u32) + 'static,
    done: impl FnOnce(Answer<()>) + 'static,
) {
    let request = XmlHttpRequest::new().expect("a request needs no permission to be made");
    let path = format!("{}/uploads", node_path(session, node));
    let opened = request.open_with_async("POST", &path, true);
    let form = FormData::new().expect("an empty form");
    let filled = form.append_with_blob_and_filename("file", file, &file.name());
    if opened.and(filled).is_err() {
        return done(Err(Trouble::Unreachable));
    }
    if let Ok(upload) = request.upload() {
        let on_progress = wasm_bindgen::closure::Closure::<dyn FnMut(web_sys::ProgressEvent)>::new(
            move |event: web_sys::ProgressEvent| {
                if event.total() > 0.0 {
                    progress((event.loaded() / event.total() * 100.0) as u32);
                }
            },
        );
        upload.set_onprogress(Some(on_progress.as_ref().unchecked_ref()));
        // Freed with the request, which the browser holds until it is over.
        on_progress.forget();
    }
    let finished = request.clone();
    let on_end = wasm_bindgen::closure::Closure::once_into_js(move || {
        let status = finished.status().unwrap_or_default();
        let text = finished.response_text().ok().flatten().unwrap_or_default();
        done(if status == 0 { Err(Trouble::Unreachable) } else { judge(status, text).map(|_| ()) });
    });
    request.set_onloadend(Some(on_end.unchecked_ref()));
    // Failures to send are told through loadend.
    _ = request.send_with_opt_form_data(Some(&form));
}

struct Body {
    kind: &'static str,
    text: String,
}

impl Body {
    fn json(value: &impl Serialize) -> Self {
        let text = serde_json::to_string(value).expect("plain data becomes JSON");
        Self { kind: "application/json", text }
    }

    /// Everything as the server has it by default.
    fn empty() -> Self {
        Self { kind: "application/json", text: "{}".to_owned() }
    }
}

async fn get<T: json::Read>(path: &str) -> Answer<T> {
    read(path, &send("GET", path, None).await?)
}

fn read<T: json::Read>(path: &str, text: &str) -> Answer<T> {
    json::read(text).ok_or_else(|| Trouble::Unreadable { path: path.to_owned() })
}

fn done(answer: Answer<String>) -> Answer<()> {
    answer.map(|_| ())
}

/// Boxed: each request would otherwise carry this one's states inside its own.
fn send(
    method: &'static str,
    path: &str,
    body: Option<Body>,
) -> Pin<Box<dyn Future<Output = Answer<String>>>> {
    let path = path.to_owned();
    Box::pin(async move {
        let (status, text) = fetch(method, &path, body).await.map_err(|_| Trouble::Unreachable)?;
        judge(status, text)
    })
}

fn judge(status: u16, text: String) -> Answer<String> {
    if (200..300).contains(&status) {
        return Ok(text);
    }
    let failure = json::read(&text).unwrap_or_else(|| Failure {
        error: "unknown".to_owned(),
        message: format!("The server answered with status {status}."),
    });
    Err(Trouble::Refused { status, failure })
}

async fn fetch(method: &str, path: &str, body: Option<Body>) -> Result<(u16, String), JsValue> {
    let headers = Headers::new()?;
    headers.set("Accept", "application/json")?;
    // Play-with-docker's sign that JSON, not a redirect, is wanted.
    headers.set("X-Requested-With", "XMLHttpRequest")?;
    let request = RequestInit::new();
    request.set_method(method);
    if let Some(body) = body {
        headers.set("Content-Type", body.kind)?;
        request.set_body(&JsValue::from_str(&body.text));
    }
    request.set_headers(&headers);
    let response: Response =
        JsFuture::from(window().fetch_with_str_and_init(path, &request)).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    Ok((response.status(), text))
}

fn escape(text: &str) -> String {
    js_sys::encode_uri_component(text).into()
}
