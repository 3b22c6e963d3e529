//! Asks a node's engine, over its socket on the host, and believes nothing it says: the engine belongs to the
//! student. Answers are bounded in size and time, texts in length, lists in number.

mod rows;
mod swarm;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drydock_wire::topology::{Container, Network};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rows::{ContainerRow, NetworkRow};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::time::timeout;

pub use swarm::{Local, Member, Tokens};

/// Of one answer, bytes.
const LARGEST: usize = 4 * 1024 * 1024;
/// Of one line of the event stream, bytes.
const LONGEST_LINE: usize = 256 * 1024;
const ANSWER: Duration = Duration::from_secs(10);
/// Containers and networks that are drawn, of each.
const MOST: usize = 200;
/// Of one text, characters.
const LONGEST: usize = 256;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot connect to the engine")]
    Connect(#[source] io::Error),
    #[error("the engine broke off")]
    Exchange(#[source] hyper::Error),
    #[error("the engine answered {status}: {message}")]
    Refused { status: StatusCode, message: String },
    #[error("the engine's answer does not end, or is too large")]
    Endless,
    #[error("the engine did not answer in time")]
    Silent,
    #[error("the engine's answer does not parse")]
    Parse(#[source] serde_json::Error),
}

/// A node's engine, by the host path of its socket.
#[derive(Debug, Clone)]
pub struct Engine {
    socket: PathBuf,
}

/// What an engine holds, as the topology shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inventory {
    pub networks: Vec<Network>,
    pub containers: Vec<Container>,
}

/// The engine's events; what they say does not matter, only that something changed.
#[derive(Debug)]
pub struct Changes {
    body: Incoming,
    line: BytesMut,
}

impl Engine {
    pub fn at(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Follows the engine's events. A connection to an engine that is not up waits until it is.
    pub async fn changes(&self) -> Result<Changes, EngineError> {
        let response = self.send(Method::GET, "/events", None).await?;
        Ok(Changes { body: response.into_body(), line: BytesMut::new() })
    }

    pub async fn inventory(&self) -> Result<Inventory, EngineError> {
        let (containers, networks) = tokio::join!(
            self.get::<Vec<ContainerRow>>("/containers/json?all=1"),
            self.get::<Vec<NetworkRow>>("/networks"),
        );
        Ok(Inventory {
            networks: networks?.into_iter().take(MOST).map(NetworkRow::shown).collect(),
            containers: containers?.into_iter().take(MOST).map(ContainerRow::shown).collect(),
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, EngineError> {
        let answer = timeout(ANSWER, async { whole(self.send(Method::GET, path, None).await?).await });
        let body = answer.await.map_err(|_| EngineError::Silent)??;
        serde_json::from_slice(&body).map_err(EngineError::Parse)
    }

    /// Follows no redirect and takes no refusal for an answer.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response<Incoming>, EngineError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(EngineError::Connect)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(EngineError::Exchange)?;
        // Ends with the body or its drop; an error of it shows at the body's reader.
        tokio::spawn(async move { drop(connection.await) });
        let body = body.map(ToString::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(http::header::HOST, "docker")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .expect("constant parts make a request");
        let response = sender.send_request(request).await.map_err(EngineError::Exchange)?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(EngineError::Refused { status, message: said(response).await }),
        }
    }
}

async fn whole(response: Response<Incoming>) -> Result<Bytes, EngineError> {
    let body = Limited::new(response.into_body(), LARGEST).collect().await;
    body.map(|body| body.to_bytes()).map_err(|_| EngineError::Endless)
}

/// Why an engine refuses, in its own words.
async fn said(response: Response<Incoming>) -> String {
    #[derive(Deserialize)]
    struct Failure {
        message: String,
    }
    let body = whole(response).await.unwrap_or_default();
    serde_json::from_slice(&body).map(|failure: Failure| short(failure.message)).unwrap_or_default()
}

impl Changes {
    /// Waits for the next event. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<(), EngineError> {
        loop {
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                let line = self.line.split_to(end + 1);
                if !is_noise(&line) {
                    return Ok(());
                }
                continue;
            }
            if self.line.len() > LONGEST_LINE {
                return Err(EngineError::Endless);
            }
            let frame =
                self.body.frame().await.ok_or(EngineError::Endless)?.map_err(EngineError::Exchange)?;
            if let Ok(data) = frame.into_data() {
                self.line.extend_from_slice(&data);
            }
        }
    }
}

/// Events that change nothing the topology shows, and come in numbers: health checks and lab checks make them.
fn is_noise(line: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Event {
        #[serde(default, rename = "Action")]
        action: String,
    }
    serde_json::from_slice::<Event>(line).is_ok_and(|event| {
        ["exec_", "top", "attach", "resize"].iter().any(|noise| event.action.starts_with(noise))
    })
}

fn short(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_checks_do_is_noise_and_what_students_do_is_not() {
        for (line, noise) in [
            (r#"{"Type":"container","Action":"exec_create: ls"}"#, true),
            (r#"{"Type":"container","Action":"start"}"#, false),
            (r#"{"Type":"network","Action":"connect"}"#, false),
            ("garbage", false),
        ] {
            assert_eq!(is_noise(line.as_bytes()), noise, "{line}");
        }
    }
}
