//! Files of the node, written whole or streamed, and read.

use super::{Agent, AgentError, Connection, receive, unexpected};
use crate::frame::{to_agent, to_client};
use crate::protocol::{Request, WriteRequest};

const PIECE: usize = 64 * 1024;

/// A file being written. It gets its name at [`Upload::finish`]; dropped before, it leaves nothing.
#[derive(Debug)]
pub struct Upload {
    connection: Connection,
}

impl Agent {
    /// Writes a whole file; an old one of that name is replaced at once.
    pub async fn write_file(&self, request: WriteRequest, contents: &[u8]) -> Result<(), AgentError> {
        let mut upload = self.upload(request).await?;
        upload.write(contents).await?;
        upload.finish().await
    }

    /// Begins a file whose contents come piece by piece.
    pub async fn upload(&self, request: WriteRequest) -> Result<Upload, AgentError> {
        let mut connection = self.request(&Request::Write(request)).await?;
        connection.reply::<()>().await?;
        Ok(Upload { connection })
    }

    /// The contents of a file of at most `limit` bytes.
    pub async fn read_file(&self, path: impl Into<String>, limit: usize) -> Result<Vec<u8>, AgentError> {
        let path = path.into();
        let mut connection = self.request(&Request::Read { path: path.clone() }).await?;
        connection.reply::<()>().await?;
        let mut contents = Vec::new();
        loop {
            let frame = receive(&mut connection.frames).await?;
            match frame.kind {
                to_client::STDOUT if contents.len() + frame.payload.len() > limit => {
                    return Err(AgentError::TooLarge { what: path, limit });
                }
                to_client::STDOUT => contents.extend_from_slice(&frame.payload),
                to_client::END => return Ok(contents),
                other => return Err(unexpected(other)),
            }
        }
    }
}

impl Upload {
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), AgentError> {
        for piece in bytes.chunks(PIECE) {
            if let Err(error) = self.connection.send(to_agent::INPUT, &[piece]).await {
                // An agent that cannot go on (no space left, say) hangs up after saying so.
                return Err(self.connection.reply::<()>().await.err().unwrap_or(error));
            }
        }
        Ok(())
    }

    /// Gives the file its name.
    pub async fn finish(mut self) -> Result<(), AgentError> {
        self.connection.send(to_agent::END, &[]).await?;
        self.connection.reply().await
    }
}
