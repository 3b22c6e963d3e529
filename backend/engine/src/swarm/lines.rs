//! Lines of tasks on their way: from a container's log to the manager that asked, and from there to a client.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_swarm::dispatcher::calls::{LogLine, LogOptions, LogStream};
use drydock_swarm::objects::Task;
use tokio::sync::mpsc;

use crate::container::Container;
use crate::log::entry::Options;
use crate::log::follow;

/// Bytes before each frame: stream, three zeros, length.
const HEADER: usize = 8;
const STDERR: u8 = 2;

/// Sends the lines of a task's container, until there are no more or nobody listens.
pub async fn send(task: &Task, container: Arc<Container>, wanted: &LogOptions, to: mpsc::Sender<LogLine>) {
    let Some(files) = container.log_files() else { return };
    let is_raw = container.record().config.tty;
    let options = Options {
        stdout: wanted.stdout,
        stderr: wanted.stderr,
        timestamps: true,
        follow: wanted.follow,
        tail: wanted.tail.and_then(|tail| usize::try_from(tail).ok()),
        since: wanted.since.map(i128::from),
        // Framed even from a terminal: a line is a frame.
        raw: false,
        ..Options::default()
    };
    let (chunks, mut receiver) = mpsc::channel(4);
    let reading = tokio::spawn(follow::send(container, files, options, chunks));
    let mut buffer = Vec::new();
    while let Some(Ok(chunk)) = receiver.recv().await {
        buffer.extend_from_slice(&chunk);
        while let Some((stream, payload, used)) = frame(&buffer) {
            let line = read(task, if is_raw { 1 } else { stream }, payload);
            buffer.drain(..used);
            if to.send(line).await.is_err() {
                reading.abort();
                return;
            }
        }
    }
}

fn frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (head, rest) = bytes.split_at_checked(HEADER)?;
    let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
    Some((head[0], rest.get(..length)?, HEADER + length))
}

/// `2026-11-28T04:00:00.000000000Z text`.
fn read(task: &Task, stream: u8, payload: &[u8]) -> LogLine {
    let space = payload.iter().position(|byte| *byte == b' ').unwrap_or(0);
    let stamp = std::str::from_utf8(&payload[..space]).unwrap_or_default();
    let time = time::OffsetDateTime::parse(stamp, &time::format_description::well_known::Rfc3339);
    let nanos = time.map(time::OffsetDateTime::unix_timestamp_nanos).unwrap_or(0);
    LogLine {
        service_id: task.service_id.clone(),
        node_id: task.node_id.clone().unwrap_or_default(),
        task_id: task.id.clone(),
        timestamp: i64::try_from(nanos).unwrap_or(0),
        stream: if stream == STDERR { LogStream::Stderr } else { LogStream::Stdout },
        data: STANDARD.encode(payload.get(space + 1..).unwrap_or_default()),
    }
}

/// What a client wants beside the text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details {
    pub timestamps: bool,
    pub details: bool,
}

/// A frame for a client, as `docker service logs` reads it: time, whose line it is, the line.
pub fn line(line: &LogLine, wanted: Details) -> Vec<u8> {
    let mut text = Vec::new();
    if wanted.timestamps {
        text.extend_from_slice(crate::log::entry::stamp(line.timestamp).as_bytes());
        text.push(b' ');
    }
    if wanted.details {
        let service = line.service_id.as_ref().map(ToString::to_string).unwrap_or_default();
        let whose = format!(
            "com.docker.swarm.node.id={},com.docker.swarm.service.id={service},com.docker.swarm.task.id={} ",
            line.node_id, line.task_id
        );
        text.extend_from_slice(whose.as_bytes());
    }
    text.extend_from_slice(&STANDARD.decode(&line.data).unwrap_or_default());
    let mut frame = vec![if line.stream == LogStream::Stderr { STDERR } else { 1 }, 0, 0, 0];
    frame.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    frame.extend_from_slice(&text);
    frame
}
