//! A session as a browser has it: HTTP, the event socket, and terminal sockets.

use std::time::Duration;

use anyhow::Context;
use drydock_labs::Lab;
use drydock_labs::attempt::Ran;
use drydock_labs::rehearsal::{Cause, Playground, Terminal};
use drydock_wire::lab::{CheckProgress, Progress};
use drydock_wire::session::{Event, Instance, Session, Terminal as Listed};
use drydock_wire::terminal::{ClientFrame, ServerFrame};
use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use http::header;
use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// A screen of a usual size: output that is wrapped would hide what a block waits for.
const SIZE: ClientFrame<'static> = ClientFrame::Resize { cols: 160, rows: 50 };
/// Of one request; an `exec` answers when its command has ended.
const REQUEST_LIMIT: Duration = Duration::from_secs(180);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub struct Client {
    http: reqwest::Client,
    url: String,
    session: String,
    /// What the event socket says of the lab; the socket counts as a watching browser.
    news: mpsc::UnboundedReceiver<Progress>,
}

impl Client {
    /// Opens a session for the lab.
    pub async fn open(url: &str, lab: &Lab) -> anyhow::Result<Self> {
        let url = url.trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder().no_proxy().timeout(REQUEST_LIMIT).build()?;
        let answer = http
            .post(format!("{url}/"))
            .header("X-Requested-With", "XMLHttpRequest")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("lab={}", lab.id))
            .send()
            .await
            .with_context(|| format!("cannot reach {url}"))?;
        let made: Value = body(answer).await.map_err(anyhow::Error::from_boxed)?;
        let session = made["session_id"].as_str().context("no session id in the answer")?.to_owned();
        let (socket, _) = connect_async(format!("{}/sessions/{session}/ws/", websocket(&url)))
            .await
            .context("cannot open the event socket")?;
        let (sender, news) = mpsc::unbounded_channel();
        tokio::spawn(follow(socket, sender));
        Ok(Self { http, url, session, news })
    }

    pub async fn close(self) -> anyhow::Result<()> {
        let answer = self.http.delete(format!("{}/sessions/{}", self.url, self.session)).send().await?;
        answer.error_for_status().context("the session was not closed")?;
        Ok(())
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, sent: &Value) -> Result<T, Cause> {
        let url = format!("{}/sessions/{}{path}", self.url, self.session);
        let request = self.http.request(method, url);
        let request = if sent.is_null() { request } else { request.json(sent) };
        body(request.send().await?).await
    }

    async fn instance(&self, hostname: &str) -> Result<Instance, Cause> {
        let session: Session = self.ask(Method::GET, "", &Value::Null).await?;
        let found = session.instances.into_values().find(|instance| instance.hostname == hostname);
        found.ok_or_else(|| format!("the session has no {hostname}").into())
    }
}

impl Playground for Client {
    type Terminal = Screen;

    async fn terminal(&mut self, node: &str, number: u32) -> Result<Screen, Cause> {
        let instance = self.instance(node).await?.name;
        let path = format!("/instances/{instance}/terminals");
        let mut terminals: Vec<Listed> = self.ask(Method::GET, &path, &Value::Null).await?;
        while terminals.len() < number as usize {
            terminals.push(self.ask(Method::POST, &path, &Value::Null).await?);
        }
        let id = &terminals[number as usize - 1].id;
        let base = websocket(&self.url);
        let (socket, _) =
            connect_async(format!("{base}/sessions/{}{path}/{id}/ws?from=0&mode=rw", self.session)).await?;
        Screen::open(socket).await
    }

    async fn progress(&mut self) -> Result<Progress, Cause> {
        self.ask(Method::GET, "/lab", &Value::Null).await
    }

    async fn news(&mut self, limit: Duration) -> Result<Option<Progress>, Cause> {
        match tokio::time::timeout(limit, self.news.recv()).await {
            Err(_) => Ok(None),
            Ok(Some(progress)) => Ok(Some(progress)),
            Ok(None) => Err("the event socket was closed".into()),
        }
    }

    async fn act(&mut self, block: &str) -> Result<Option<CheckProgress>, Cause> {
        let answer: Value = self.ask(Method::POST, &format!("/lab/blocks/{block}"), &Value::Null).await?;
        Ok(serde_json::from_value(answer).ok())
    }

    async fn answer(&mut self, quiz: &str, answer: &[String]) -> Result<bool, Cause> {
        let sent = json!({ "answer": answer });
        let said: Value = self.ask(Method::POST, &format!("/lab/quizzes/{quiz}"), &sent).await?;
        said["correct"].as_bool().ok_or_else(|| "the answer says not whether it is correct".into())
    }

    async fn exec(&mut self, node: &str, command: &[&str]) -> Result<Ran, Cause> {
        let instance = self.instance(node).await?.name;
        let sent = json!({ "command": command });
        let ran: Value = self.ask(Method::POST, &format!("/instances/{instance}/exec"), &sent).await?;
        let text = |name: &str| ran[name].as_str().unwrap_or_default().to_owned();
        let code = ran["status_code"].as_i64().ok_or("the answer has no status_code")? as i32;
        Ok(Ran { code, stdout: text("stdout"), stderr: text("stderr") })
    }

    /// By the link's own host name, sent to the gateway's address: it need not resolve here.
    async fn open(&mut self, node: &str, port: u16) -> Result<u16, Cause> {
        let instance = self.instance(node).await?;
        let authority = self.url.split_once("://").map_or(self.url.as_str(), |(_, authority)| authority);
        let gateway_port = authority.rsplit_once(':').map_or("80", |(_, port)| port);
        let host = format!("{}-{port}.direct.localhost:{gateway_port}", instance.proxy_host);
        let answer = self.http.get(format!("{}/", self.url)).header(header::HOST, host).send().await?;
        Ok(answer.status().as_u16())
    }
}

/// One terminal, drawn as fast as it comes.
pub struct Screen {
    keys: SplitSink<Socket, Message>,
    output: mpsc::UnboundedReceiver<Shown>,
    drawn: u64,
}

enum Shown {
    Output { end: u64, data: Vec<u8> },
    Closed { reason: String },
}

impl Screen {
    async fn open(socket: Socket) -> Result<Self, Cause> {
        let (keys, mut stream) = socket.split();
        let (sender, output) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = stream.next().await {
                let Message::Binary(bytes) = message else { continue };
                let shown = match ServerFrame::decode(&bytes) {
                    Ok(ServerFrame::Output { offset, data }) => {
                        Shown::Output { end: offset + data.len() as u64, data: data.to_vec() }
                    }
                    Ok(ServerFrame::Closed { reason }) => Shown::Closed { reason: reason.to_owned() },
                    _ => continue,
                };
                if sender.send(shown).is_err() {
                    return;
                }
            }
        });
        let mut screen = Self { keys, output, drawn: 0 };
        screen.send(SIZE).await?;
        Ok(screen)
    }

    async fn send(&mut self, frame: ClientFrame<'_>) -> Result<(), Cause> {
        Ok(self.keys.send(Message::Binary(frame.encode().into())).await?)
    }
}

impl Terminal for Screen {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Cause> {
        self.send(ClientFrame::Input(bytes)).await
    }

    async fn read(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, Cause> {
        match tokio::time::timeout(limit, self.output.recv()).await {
            Err(_) => Ok(None),
            Ok(Some(Shown::Output { end, data })) => {
                self.drawn = end;
                self.send(ClientFrame::Ack { offset: end }).await?;
                Ok(Some(data))
            }
            Ok(Some(Shown::Closed { reason })) => Err(format!("the terminal was closed: {reason}").into()),
            Ok(None) => Err("the terminal's socket was closed".into()),
        }
    }
}

/// Keeps the event socket read (and its pings answered) until the client is gone.
async fn follow(mut socket: Socket, sender: mpsc::UnboundedSender<Progress>) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let Ok(event) = serde_json::from_str::<Event>(&text) else { continue };
        if event.name != "lab progress" {
            continue;
        }
        let Some(Ok(progress)) = event.args.into_iter().next().map(serde_json::from_value) else { continue };
        if sender.send(progress).is_err() {
            return;
        }
    }
}

/// The answer's JSON; a refusal is an error with the server's own words.
async fn body<T: DeserializeOwned>(answer: reqwest::Response) -> Result<T, Cause> {
    let status = answer.status();
    let text = answer.text().await?;
    if !status.is_success() {
        return Err(format!("{status}: {text}").into());
    }
    Ok(serde_json::from_str(&text)?)
}

fn websocket(url: &str) -> String {
    url.replacen("http", "ws", 1)
}
