//! The agent's conversation with the leader, over whichever manager it reaches.
//!
//! ```text
//!  pick a manager ─▶ Session ─▶ ┌ hear of the cluster        ┐
//!        ▲                      │ heartbeats                 │ the first that ends
//!        │                      │ assignments ─▶ Worker      │ ends the session
//!        │                      │ statuses ◀── Reporter      │
//!        └── a moment later ◀── └ logs, description          ┘
//! ```
//! One tokio task; subscriptions to logs have their own, in the session's set.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bollard_stubs::models::TlsInfo;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::executor::Executor;
use super::worker::Worker;
use super::{Remotes, Reporter, logs};
use crate::dispatcher::calls::{
    Assignments, DescriptionRequest, Heartbeat, InSession, ListenSubscriptions, Nothing, Session,
    SessionMessage, SessionRequest, StatusRequest, UpdateDescription, UpdateTaskStatus,
};
use crate::identity::Identity;
use crate::objects::{NodeDescription, NodeId};
use crate::wire::{Channel, Incoming, Pool};
use crate::{Code, Status};

/// How long a manager may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long a heartbeat may take: a manager that takes longer may be cut off.
const HEARTBEAT_LIMIT: Duration = Duration::from_millis(900);
/// The first pause after a session was lost, doubled with each failure up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// An agent, ready to run.
pub struct Agent<E: Executor> {
    pub executor: Arc<E>,
    pub worker: Arc<Worker<E>>,
    pub reporter: Reporter,
    pub pool: Pool,
    pub remotes: Remotes,
    /// What the node advertises, when it says so.
    pub address: Option<IpAddr>,
    /// Where the tunnels of overlay networks end.
    pub data_path: Option<IpAddr>,
    /// What the leader last told.
    pub told: watch::Sender<Option<SessionMessage>>,
    pub end: CancellationToken,
}

impl<E: Executor> Agent<E> {
    /// Talks to the cluster until the token ends it.
    pub async fn run(self) {
        let end = self.end.clone();
        tokio::select! {
            () = end.cancelled() => {}
            () = self.converse() => {}
        }
    }

    async fn converse(self) {
        let (mut pause, mut dice) = (FIRST_PAUSE, self.first_throw());
        loop {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if let Some(address) = self.remotes.pick(dice >> 33) {
                let error = match self.session(&address, &mut pause).await {
                    Ok(()) => Status::new(Code::Unavailable, "the manager ended the session"),
                    Err(error) => error,
                };
                tracing::info!(%error, manager.address = address, "a session ended");
                self.remotes.failed(&address);
                self.pool.forget(&address);
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Agents of one cluster do not all choose the same manager.
    fn first_throw(&self) -> u64 {
        self.pool
            .credentials()
            .node_id()
            .bytes()
            .fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
    }

    async fn session(&self, address: &str, pause: &mut Duration) -> Result<(), Status> {
        let channel = self.pool.channel(address).await?;
        // From before the first description on: a certificate that comes in between is told, too.
        let identity = self.pool.credentials().watch();
        let description = self.described().await;
        let text = |address: Option<IpAddr>| address.map(|address| address.to_string());
        let data_path = self.data_path.filter(|own| Some(*own) != self.address);
        let request = SessionRequest { description, address: text(self.address), data_path: text(data_path) };
        let mut session = within(channel.stream::<Session>(request)).await?;
        let first = within(async { hear(&mut session).await }).await?;
        let (session_id, node_id) = (first.session_id.clone(), first.node.id.clone());
        self.remotes.succeeded(address);
        *pause = FIRST_PAUSE;
        self.take_in(first).await;
        self.reporter.again();
        tracing::info!(manager.address = address, "a session began");
        tokio::select! {
            ended = self.listen(session) => ended,
            ended = beat(&channel, &session_id) => ended,
            ended = self.obey(&channel, &session_id) => ended,
            ended = self.report(&channel, &session_id) => ended,
            ended = self.describe(&channel, &session_id, identity) => ended,
            ended = self.send_logs(&channel, &node_id) => ended,
        }
    }

    async fn listen(&self, mut session: Incoming<SessionMessage>) -> Result<(), Status> {
        loop {
            let message = hear(&mut session).await?;
            self.take_in(message).await;
        }
    }

    async fn take_in(&self, message: SessionMessage) {
        self.remotes.replace(message.managers.iter().cloned());
        self.executor.configure(&message.node, self.data_path, &message.network_keys).await;
        self.told.send_replace(Some(message));
    }

    async fn obey(&self, channel: &Channel, session_id: &str) -> Result<(), Status> {
        let mut assignments = within(channel.stream::<Assignments>(in_session(session_id))).await?;
        let mut number = 0;
        loop {
            let message = hear(&mut assignments).await?;
            if message.applies_to != number {
                return Err(Status::new(Code::Internal, "an assignment was missed"));
            }
            number = message.results_in;
            self.worker.apply(message).await;
        }
    }

    async fn report(&self, channel: &Channel, session_id: &str) -> Result<(), Status> {
        loop {
            self.reporter.arrived().await;
            let updates = self.reporter.take();
            let request = StatusRequest { session_id: session_id.to_owned(), updates };
            // What is not taken is told again in the next session.
            channel.call::<UpdateTaskStatus>(request, ANSWER_LIMIT).await?;
        }
    }

    async fn describe(
        &self,
        channel: &Channel,
        session_id: &str,
        mut identity: watch::Receiver<Arc<Identity>>,
    ) -> Result<(), Status> {
        loop {
            tokio::select! {
                () = self.executor.description_changed() => {}
                () = async { _ = identity.changed().await } => {}
            }
            let request =
                DescriptionRequest { session_id: session_id.to_owned(), description: self.described().await };
            channel.call::<UpdateDescription>(request, ANSWER_LIMIT).await?;
        }
    }

    /// The node as its engine describes it, with what it trusts and who signed its certificate: a rotation of the root waits for that.
    async fn described(&self) -> NodeDescription {
        let identity = self.pool.credentials().get();
        let tls = TlsInfo {
            trust_root: Some(identity.root.pem().to_owned()),
            cert_issuer_subject: Some(STANDARD.encode(&identity.subject.issuer)),
            cert_issuer_public_key: Some(STANDARD.encode(&identity.issuer_key)),
        };
        NodeDescription { tls_info: Some(tls), ..self.executor.describe().await }
    }

    async fn send_logs(&self, channel: &Channel, node_id: &NodeId) -> Result<(), Status> {
        let mut subscriptions = within(channel.stream::<ListenSubscriptions>(Nothing {})).await?;
        let mut senders = JoinSet::new();
        let mut running = std::collections::HashMap::new();
        loop {
            let subscription = hear(&mut subscriptions).await?;
            while senders.try_join_next().is_some() {}
            if subscription.is_over {
                if let Some(sender) = running.remove(&subscription.id) {
                    tokio::task::AbortHandle::abort(&sender);
                }
                continue;
            }
            let id = subscription.id.clone();
            let sending = logs::send(self.worker.clone(), channel.clone(), node_id.clone(), subscription);
            running.insert(id, senders.spawn(sending));
        }
    }
}

async fn beat(channel: &Channel, session_id: &str) -> Result<(), Status> {
    loop {
        let answer = channel.call::<Heartbeat>(in_session(session_id), HEARTBEAT_LIMIT).await?;
        sleep(Duration::from_millis(answer.period_ms)).await;
    }
}

async fn hear<T>(stream: &mut Incoming<T>) -> Result<T, Status> {
    stream.next().await.unwrap_or_else(|| Err(Status::new(Code::Unavailable, "the manager ended the stream")))
}

async fn within<T>(answer: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(ANSWER_LIMIT, answer)
        .await
        .unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "context deadline exceeded")))
}

fn in_session(session_id: &str) -> InSession {
    InSession { session_id: session_id.to_owned() }
}
