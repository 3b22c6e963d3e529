//! Labs in sessions: which there are, and the attempt of a session that was opened for one.
//!
//! An attempt has two tasks in its session's tracker: one carries it out, one tells browsers and the store what it has
//! reached. Its checks run while an event socket holds a watcher ([`crate::doors::events`]).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use drydock_agent::client::AgentError;
use drydock_agent::protocol::{ExecRequest, Exit, Parents, WriteRequest};
use drydock_labs::attempt::{Attempt, NodeFailure, Nodes, Ran};
use drydock_labs::lab::{Link, Role};
use drydock_labs::{Lab, Library};
use drydock_nodes::Loss;
use drydock_sessions::SessionId;
use drydock_wire::lab::Progress;
use drydock_wire::session::NewInstance;
use serde_json::json;

use super::create::chain;
use super::furnish::{Beginning, Part};
use super::links::Ends;
use super::{Instance, Playground, Session};

/// The store's key of an attempt's progress.
const PROGRESS: &str = "lab";

/// The labs on offer.
#[derive(Debug, Default)]
pub struct Labs(Library);

impl Labs {
    /// Reads the labs of a folder; those with mistakes are logged and not offered.
    pub fn open(folder: &Path) -> Self {
        let (library, broken) = Library::open(folder);
        for error in broken {
            tracing::warn!(error = %chain(&error), "a lab is not offered");
        }
        tracing::info!(labs = library.all().len(), folder = %folder.display(), "labs read");
        Self(library)
    }

    pub fn all(&self) -> &[Arc<Lab>] {
        self.0.all()
    }

    pub fn get(&self, id: &str) -> Option<&Arc<Lab>> {
        self.0.get(id)
    }

    /// The nodes a lab wants, in order.
    pub fn nodes(&self, id: &str) -> Option<Vec<Beginning>> {
        let part = |role| match role {
            None => Part::Outside,
            Some(Role::Worker) => Part::Worker,
            Some(Role::Manager) => Part::Manager,
        };
        let wanted = |node: &drydock_labs::lab::Node| Beginning {
            new: NewInstance {
                image_name: node.image.clone(),
                hostname: node.hostname.clone(),
                ..NewInstance::default()
            },
            part: part(node.swarm),
        };
        Some(self.get(id)?.nodes.iter().map(wanted).collect())
    }
}

/// A session's nodes and cables, as an attempt uses them. Weak: the playground owns the session, which owns the attempt.
#[derive(Debug)]
pub struct SessionNodes {
    playground: Weak<Playground>,
    session: Weak<Session>,
}

impl Playground {
    /// Begins the attempt of a session that was opened for a lab, or takes it up again after a restart.
    pub(super) async fn follow_lab(self: &Arc<Self>, session: &Arc<Session>) {
        let record = session.record();
        let Some(id) = record.lab else { return };
        let Some(lab) = self.labs.get(&id) else {
            tracing::warn!(session.id = record.id.short(), lab.id = id, "this session's lab is gone");
            return;
        };
        let stored = self.stored_progress(&record.id).await;
        let nodes = SessionNodes { playground: Arc::downgrade(self), session: Arc::downgrade(session) };
        let attempt = Attempt::new(lab.clone(), stored.as_ref(), nodes);
        if session.attempt.set(attempt.clone()).is_err() {
            return;
        }
        let ended = session.ended.clone();
        let carried = (session.clone(), attempt.clone());
        session.tasks.spawn(ended.clone().run_until_cancelled_owned(async move {
            let (session, attempt) = carried;
            // Init scripts need the nodes; the sender lives as long as the session.
            let _ = session.ready().wait_for(|ready| *ready).await;
            attempt.carry_out().await;
        }));
        let told = (self.clone(), session.clone(), attempt);
        session.tasks.spawn(ended.run_until_cancelled_owned(async move {
            let (playground, session, attempt) = told;
            playground.tell_progress(&session, &attempt).await;
        }));
    }

    async fn stored_progress(&self, session: &SessionId) -> Option<Progress> {
        match self.store.progress(session).await {
            Ok(stored) => stored.get(PROGRESS).and_then(|text| serde_json::from_str(text).ok()),
            Err(error) => {
                tracing::error!(session.id = session.short(), error = %chain(&error), "progress not read");
                None
            }
        }
    }

    /// Runs until it is dropped.
    async fn tell_progress(&self, session: &Session, attempt: &Attempt<SessionNodes>) {
        let mut changes = attempt.changes();
        loop {
            let progress = changes.borrow_and_update().clone();
            session.events.publish_state("lab progress", "", vec![json!(progress)]);
            let text = serde_json::to_string(&progress).expect("progress is plain data");
            if let Err(error) = self.store.set_progress(&session.id(), PROGRESS, &text).await {
                tracing::error!(session.id = session.id().short(), error = %chain(&error), "progress not kept");
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl SessionNodes {
    fn node(&self, hostname: &str) -> Result<Arc<Instance>, NodeFailure> {
        let gone = || NodeFailure::Gone { node: hostname.to_owned() };
        self.session.upgrade().and_then(|session| session.instance_by_hostname(hostname)).ok_or_else(gone)
    }
}

impl Nodes for SessionNodes {
    async fn run(
        &self,
        node: &str,
        script: &str,
        values: &BTreeMap<String, String>,
        limit: Duration,
    ) -> Result<Ran, NodeFailure> {
        let request = ExecRequest {
            env: values.clone(),
            timeout_ms: Some(limit.as_millis() as u64),
            ..ExecRequest::shell(script)
        };
        let output = self.node(node)?.agent().exec(request).await.map_err(unreachable(node))?;
        match output.exit {
            Exit::TimedOut => Err(NodeFailure::TimedOut { node: node.to_owned(), seconds: limit.as_secs() }),
            Exit::Code(code) => Ok(Ran {
                code,
                stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            }),
        }
    }

    async fn write(&self, node: &str, path: &str, mode: u32, content: &[u8]) -> Result<(), NodeFailure> {
        let request = WriteRequest { path: path.to_owned(), mode, parents: Parents::Create };
        self.node(node)?.agent().write_file(request, content).await.map_err(unreachable(node))
    }

    async fn lose(&self, link: &Link) -> Result<(), NodeFailure> {
        let other = link.other.as_deref().map(|other| self.node(other)).transpose()?;
        let ends = Ends { one: self.node(&link.one)?, other };
        let (Some(playground), Some(session)) = (self.playground.upgrade(), self.session.upgrade()) else {
            return Err(NodeFailure::Gone { node: link.one.clone() });
        };
        let set = playground.set_fault(&session, &ends, Loss::percent(link.loss)).await;
        set.map_err(|error| NodeFailure::Unreachable { node: link.one.clone(), source: error.into() })
    }
}

fn unreachable(node: &str) -> impl Fn(AgentError) -> NodeFailure {
    move |error| NodeFailure::Unreachable { node: node.to_owned(), source: error.into() }
}
