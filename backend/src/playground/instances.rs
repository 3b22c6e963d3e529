//! Makes and ends instances.

use std::sync::Arc;
use std::time::{Duration, Instant};

use drydock_agent::protocol::Size;
use drydock_nodes::{NodeId, NodeSpec};
use drydock_sessions::capacity::Full;
use drydock_sessions::id::NoRandomness;
use drydock_sessions::{Instance as Record, InstanceName, Label, StoreError, hostname};
use drydock_wire::session::NewInstance;
use serde_json::json;
use time::OffsetDateTime;
use tracing::Instrument;

use super::create::chain;
use super::instance::proxy_host;
use super::{Instance, Playground, Session};

/// How long the maker of an instance waits for its engine; the instance is there in any case.
const ENGINE_PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, thiserror::Error)]
pub enum CreateInstance {
    #[error("privileged nodes are not offered")]
    Privileged,
    #[error("the image {0} is not offered: leave it empty for the playground's own")]
    ForeignImage(String),
    #[error("{0:?} is no host name: use small letters, digits and hyphens, at most 63")]
    BadHostname(String),
    #[error("the host name {0} is taken in this session")]
    HostnameTaken(String),
    #[error("the session has ended")]
    SessionEnded,
    #[error(transparent)]
    Full(#[from] Full),
    #[error("{0}")]
    HostFull(#[source] drydock_nodes::Full),
    #[error("cannot name the node")]
    Name(#[source] NoRandomness),
    #[error("cannot boot the node")]
    Boot(#[source] drydock_nodes::BootError),
    #[error("cannot keep the node")]
    Keep(#[source] StoreError),
    #[error("the work was cut short")]
    CutShort,
}

#[derive(Debug, thiserror::Error)]
pub enum EndInstance {
    #[error("cannot forget the node")]
    Forget(#[source] StoreError),
    #[error("cannot end the node")]
    End(#[source] drydock_nodes::EndError),
    #[error("the work was cut short")]
    CutShort,
}

/// The host's name of a session: its label, since the id is a secret and this one is seen in paths.
pub fn host_session(label: &Label) -> drydock_nodes::SessionId {
    label.as_str().parse().expect("a label is a plain word")
}

/// The host's name of an instance's node.
pub fn host_node(name: &InstanceName) -> NodeId {
    name.as_str().parse().expect("an instance's name is a plain word")
}

impl Playground {
    /// Makes an instance and waits for its engine's first answer.
    pub async fn create_instance(
        self: &Arc<Self>,
        session: &Arc<Session>,
        asked: NewInstance,
    ) -> Result<Arc<Instance>, CreateInstance> {
        self.check(&asked)?;
        let (playground, session) = (self.clone(), session.clone());
        let work = async move { playground.make_instance(&session, asked).await };
        self.tasks.spawn(work.in_current_span()).await.map_err(|_| CreateInstance::CutShort)?
    }

    fn check(&self, asked: &NewInstance) -> Result<(), CreateInstance> {
        if asked.privileged {
            return Err(CreateInstance::Privileged);
        }
        if !asked.image_name.is_empty() && !self.config.images.contains(&asked.image_name) {
            return Err(CreateInstance::ForeignImage(asked.image_name.clone()));
        }
        if !asked.hostname.is_empty() && !hostname::is_valid(&asked.hostname) {
            return Err(CreateInstance::BadHostname(asked.hostname.clone()));
        }
        Ok(())
    }

    async fn make_instance(
        self: Arc<Self>,
        session: &Arc<Session>,
        asked: NewInstance,
    ) -> Result<Arc<Instance>, CreateInstance> {
        let began = Instant::now();
        let taken = || CreateInstance::HostnameTaken(asked.hostname.clone());
        let reserved = session.reserve(&asked.hostname).ok_or_else(taken)?;
        let place = self.places.instance(reserved.present)?;
        let record = session.record();
        let name = InstanceName::random(&record.id).map_err(CreateInstance::Name)?;
        let spec = NodeSpec {
            limits: self.config.node_limits,
            env: asked.envs.iter().filter_map(|pair| pair.split_once('=')).map(owned).collect(),
            ..NodeSpec::new(host_session(&record.label), host_node(&name), &reserved.hostname)
        };
        let node = self.host.boot(spec).await.map_err(|error| match error {
            drydock_nodes::BootError::Full(full) => CreateInstance::HostFull(full),
            drydock_nodes::BootError::NoSession(_) => CreateInstance::SessionEnded,
            other => CreateInstance::Boot(other),
        })?;
        let record = Record {
            session: record.id,
            hostname: reserved.hostname.clone(),
            image: self.config.images.first().cloned().unwrap_or_default(),
            kind: "linux".to_owned(),
            node: name.as_str().to_owned(),
            ip: node.address(),
            created: OffsetDateTime::now_utc().truncate_to_millisecond(),
            name,
        };
        if let Err(error) = self.store.add_instance(&record).await {
            self.discard(&record.name).await;
            // The session's row is gone when it ended meanwhile.
            return Err(match session.ended.is_cancelled() {
                true => CreateInstance::SessionEnded,
                false => CreateInstance::Keep(error),
            });
        }
        let instance = Arc::new(Instance::new(record, node, session.ended.child_token(), place));
        session.add(instance.clone());
        drop(reserved);
        if session.ended.is_cancelled() {
            session.remove(&instance.record.name);
            self.discard(&instance.record.name).await;
            return Err(CreateInstance::SessionEnded);
        }
        announce(session, &instance);
        self.tend(session, &instance);
        let ready = self.first_terminal(session, &instance);
        let _ = tokio::time::timeout(ENGINE_PATIENCE, ready).await;
        self.metrics.instances_created.add(1);
        self.metrics.boot.observe(began.elapsed());
        tracing::info!(
            session.id = instance.record.session.short(),
            node.id = instance.name(),
            duration_ms = began.elapsed().as_millis() as u64,
            "node made"
        );
        Ok(instance)
    }

    /// Every node has a terminal from the start, so that two browsers that open it see the same one.
    async fn first_terminal(&self, session: &Session, instance: &Instance) {
        let agent = instance.agent();
        let (opened, engine) = tokio::join!(agent.open_terminal(Size::default()), instance.node.ready());
        if let Err(error) = opened {
            tracing::warn!(node.id = instance.name(), error = %chain(&error), "no first terminal");
        }
        if let Err(error) = engine {
            tracing::warn!(node.id = instance.name(), %error, "the engine does not answer");
        }
        session.publish_terminals(instance).await;
    }

    /// Ends an instance. No error when another caller does so at the same time.
    pub async fn end_instance(
        self: &Arc<Self>,
        session: &Arc<Session>,
        name: &InstanceName,
    ) -> Result<(), EndInstance> {
        let Some(instance) = session.remove(name) else { return Ok(()) };
        let (playground, session) = (self.clone(), session.clone());
        let work = async move { playground.unmake_instance(&session, &instance).await };
        self.tasks.spawn(work.in_current_span()).await.map_err(|_| EndInstance::CutShort)?
    }

    async fn unmake_instance(&self, session: &Session, instance: &Instance) -> Result<(), EndInstance> {
        instance.ended.cancel();
        session.events.forget(instance.name());
        session.events.publish("instance delete", vec![instance.name().into()]);
        // Forgotten first: a restart in between sweeps a node that nobody knows.
        self.store.remove_instance(&instance.record.name).await.map_err(EndInstance::Forget)?;
        let ended = self.host.end(&host_node(&instance.record.name)).await;
        // Faults of its cable went with it.
        session.changed.notify_one();
        ended.map_err(EndInstance::End)?;
        tracing::info!(node.id = instance.name(), "node ended");
        Ok(())
    }

    /// Ends a node that never became an instance.
    async fn discard(&self, name: &InstanceName) {
        if let Err(left) = self.host.end(&host_node(name)).await {
            tracing::warn!(node.id = name.as_str(), error = %left, "left over");
        }
    }
}

fn owned((key, value): (&str, &str)) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

/// `instance new`, with play-with-docker's arguments.
fn announce(session: &Session, instance: &Instance) {
    let record = &instance.record;
    let proxy = proxy_host(record.ip, &session.label());
    session.events.publish(
        "instance new",
        vec![json!(record.name.as_str()), json!(record.ip.to_string()), json!(record.hostname), json!(proxy)],
    );
}
