//! A WebSocket as a stream of bytes: what moby does for `attach/ws`.

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

const CHUNK: usize = 32 << 10;

/// Carries messages to `stream` and its bytes back, each way to its end.
pub async fn carry(socket: WebSocket, stream: DuplexStream) {
    let (mut to_client, mut from_client) = socket.split();
    let (mut output, mut input) = tokio::io::split(stream);
    let typed = async {
        while let Some(Ok(message)) = from_client.next().await {
            let bytes = match message {
                Message::Binary(bytes) => bytes,
                Message::Text(text) => Bytes::from(text),
                Message::Close(_) => break,
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            if input.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = input.shutdown().await;
    };
    let said = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            let message = Message::Binary(Bytes::copy_from_slice(&buffer[..count]));
            if to_client.send(message).await.is_err() {
                return;
            }
        }
        let _ = to_client.close().await;
    };
    // When the container's side is through there is nobody to type to.
    tokio::pin!(typed, said);
    tokio::select! {
        () = &mut said => {}
        () = &mut typed => said.await,
    }
}
