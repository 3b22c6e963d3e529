//! A blob on its way here: hashed while it streams in, taken up where it was cut, given up when it lies.
//!
//! What comes in is written on a blocking thread, which ends when its sender goes: a download that is dropped leaves
//! nothing.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drydock_images::{BlobError, Descriptor, Store};
use http::{Method, StatusCode, header};
use reqwest::{RequestBuilder, Response};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::client::{Client, Source, refused};
use crate::error::RegistryError;
use crate::leavings::Leavings;
use crate::pull::{LayerState, PullError};

/// A download that goes on after each cut, if only a little, is cut no more often than this.
const CUTS: u32 = 1000;
/// moby waits this long before it asks for the second time, twice as long before the third.
const STEP_S: u64 = 5;

/// Brings the blob into the store. `progress` hears how far it is.
pub(crate) async fn download(
    client: &Client,
    store: &Store,
    source: &Source,
    blob: &Descriptor,
    leavings: &Arc<Leavings>,
    progress: &(dyn Fn(LayerState) + Send + Sync),
) -> Result<(), PullError> {
    let mut intake = Intake::open(store, Arc::clone(leavings))?;
    if let Err(error) = receive(client, source, blob, &mut intake, progress).await {
        intake.end().await;
        return Err(error);
    }
    progress(LayerState::VerifyingChecksum);
    intake.finish(blob).await
}

async fn receive(
    client: &Client,
    source: &Source,
    blob: &Descriptor,
    intake: &mut Intake,
    progress: &(dyn Fn(LayerState) + Send + Sync),
) -> Result<(), PullError> {
    let (mut attempt, mut cuts) = (1, 0);
    loop {
        let before = intake.taken;
        let stopped = match stream(client, source, blob, intake, progress).await {
            Ok(()) if !intake.is_resumed => return Ok(()),
            Ok(()) => match intake.verify(blob).await? {
                Verified::Yes => return Ok(()),
                // What was put together of several answers is fetched once more in one.
                Verified::No => {
                    intake.restart().await?;
                    RegistryError::Layer(blob.digest.clone())
                }
            },
            Err(PullError::Registry(error)) if error.may_try_again() => error,
            Err(error) => return Err(error),
        };
        if intake.taken > before && cuts < CUTS {
            cuts += 1;
            tracing::debug!(blob.digest = %blob.digest, error = %stopped, "a download was cut and goes on");
            continue;
        }
        if attempt >= client.options.attempts {
            return Err(stopped.into());
        }
        for left in (1..=u64::from(attempt) * STEP_S).rev() {
            progress(LayerState::Retrying { seconds: left });
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        attempt += 1;
    }
}

/// One request for what is missing, and its answer.
async fn stream(
    client: &Client,
    source: &Source,
    blob: &Descriptor,
    intake: &mut Intake,
    progress: &(dyn Fn(LayerState) + Send + Sync),
) -> Result<(), PullError> {
    if blob.size > 0 && intake.taken == blob.size {
        return Ok(());
    }
    let url = source.url(&format!("blobs/{}", blob.digest));
    let range = (intake.taken > 0).then(|| format!("bytes={}-", intake.taken));
    let prepare = |request: RequestBuilder| match &range {
        Some(range) => request.header(header::RANGE, range),
        None => request,
    };
    let mut response = client.send(source, Method::GET, &url, prepare).await?;
    if !response.status().is_success() {
        return Err(refused(response).await.into());
    }
    if intake.taken > 0 && begins_at(&response) != Some(intake.taken) {
        // The registry does not know ranges: from the beginning, then.
        let is_whole = response.status() == StatusCode::OK;
        intake.restart().await?;
        if !is_whole {
            return Err(RegistryError::Range.into());
        }
    }
    intake.is_resumed = intake.taken > 0;
    while let Some(chunk) = client.chunk(&mut response, &url).await? {
        intake.take(chunk).await?;
        if blob.size > 0 && intake.taken > blob.size {
            return Err(RegistryError::Layer(blob.digest.clone()).into());
        }
        progress(LayerState::Downloading { current: intake.taken, total: blob.size });
    }
    Ok(())
}

/// `Content-Range: bytes 100-199/200` begins at 100.
fn begins_at(response: &Response) -> Option<u64> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return None;
    }
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}

enum Piece {
    Bytes(Bytes),
    Restart,
    /// Asks whether what came has the digest.
    Verify(drydock_images::Digest, tokio::sync::oneshot::Sender<bool>),
    /// All came.
    Finish(drydock_images::Digest),
}

enum Verified {
    Yes,
    No,
}

/// The thread that writes, and what it has.
struct Intake {
    sender: mpsc::Sender<Piece>,
    worker: Option<JoinHandle<Result<(), BlobError>>>,
    taken: u64,
    /// Whether what is here came in more than one answer.
    is_resumed: bool,
}

impl Intake {
    fn open(store: &Store, leavings: Arc<Leavings>) -> Result<Self, PullError> {
        let (sender, mut receiver) = mpsc::channel::<Piece>(16);
        let mut writer = store.begin_blob().map_err(PullError::Blob)?;
        let worker = tokio::task::spawn_blocking(move || {
            let _leavings = leavings;
            while let Some(piece) = receiver.blocking_recv() {
                match piece {
                    Piece::Bytes(bytes) => {
                        writer.write_all(&bytes).map_err(|source| BlobError::Receive { source })?;
                    }
                    Piece::Restart => writer.restart().map_err(|source| BlobError::Receive { source })?,
                    Piece::Verify(expected, answer) => {
                        // Whoever asked may have gone.
                        let _ = answer.send(writer.digest() == expected);
                    }
                    Piece::Finish(expected) => return writer.finish(&expected),
                }
            }
            // The sender went without its last word: the download failed, its error is on its way.
            Ok(())
        });
        Ok(Self { sender, worker: Some(worker), taken: 0, is_resumed: false })
    }

    async fn take(&mut self, bytes: Bytes) -> Result<(), PullError> {
        self.taken += bytes.len() as u64;
        self.send(Piece::Bytes(bytes)).await
    }

    async fn restart(&mut self) -> Result<(), PullError> {
        self.taken = 0;
        self.is_resumed = false;
        self.send(Piece::Restart).await
    }

    async fn verify(&mut self, blob: &Descriptor) -> Result<Verified, PullError> {
        let (answer, asked) = tokio::sync::oneshot::channel();
        self.send(Piece::Verify(blob.digest.clone(), answer)).await?;
        match asked.await {
            Ok(true) => Ok(Verified::Yes),
            Ok(false) => Ok(Verified::No),
            Err(_) => Err(self.failure().await),
        }
    }

    async fn finish(mut self, blob: &Descriptor) -> Result<(), PullError> {
        self.send(Piece::Finish(blob.digest.clone())).await?;
        let Some(worker) = self.worker.take() else { return Ok(()) };
        match worker.await.map_err(PullError::Worker)? {
            Err(BlobError::Mismatch { expected, .. }) => Err(RegistryError::Layer(expected).into()),
            other => other.map_err(PullError::Blob),
        }
    }

    async fn send(&mut self, piece: Piece) -> Result<(), PullError> {
        if self.sender.send(piece).await.is_ok() { Ok(()) } else { Err(self.failure().await) }
    }

    /// Gives up; nothing is left when this returns.
    async fn end(self) {
        drop(self.sender);
        if let Some(worker) = self.worker {
            // It had nothing to finish, and what went wrong is told already.
            let _ = worker.await;
        }
    }

    /// The thread ended before its time, and says why.
    async fn failure(&mut self) -> PullError {
        let Some(worker) = self.worker.take() else { return PullError::Gone };
        match worker.await {
            Err(error) => PullError::Worker(error),
            Ok(Err(error)) => PullError::Blob(error),
            Ok(Ok(())) => PullError::Gone,
        }
    }
}
