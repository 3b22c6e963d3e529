//! Makes the nodes a session begins with, all at once, and the swarm they are to form.
//!
//! ```text
//!   first manager   boot ─▶ init ─┬▶ tokens          ┐
//!   the others      boot ─────────┴▶ join            ├─▶ all listed as ready
//!   outside it      boot                             ┘
//! ```
//! Nobody waits for another's boot but for the first manager's.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use drydock_wire::session::NewInstance;
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::Instrument;

use super::engine::{Engine, EngineError, Tokens};
use super::instances::CreateInstance;
use super::{Instance, Playground, Session};

/// Between two looks at who is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// For a node that has joined to be ready.
const SETTLED: Duration = Duration::from_secs(20);

/// What a node is to be in the session's swarm.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Part {
    #[default]
    Outside,
    Worker,
    Manager,
}

/// A node that a session begins with.
#[derive(Debug, Default)]
pub struct Beginning {
    pub new: NewInstance,
    pub part: Part,
}

#[derive(Debug, thiserror::Error)]
pub enum Furnish {
    #[error(transparent)]
    Create(#[from] CreateInstance),
    #[error("{node} cannot make a swarm")]
    Init { node: String, source: EngineError },
    #[error("{node} cannot join the swarm")]
    Join { node: String, source: EngineError },
    #[error("there is no swarm that {node} could join")]
    NoSwarm { node: String },
    #[error("the swarm's nodes cannot be listed")]
    List { source: EngineError },
    #[error("not every node is ready in the swarm after {} s", SETTLED.as_secs())]
    Unready,
}

/// A swarm that can be joined.
#[derive(Debug, Clone)]
struct Founded {
    at: Ipv4Addr,
    tokens: Tokens,
}

/// What the first manager tells the others. They hear nothing when it is dropped.
type Founding = watch::Sender<Option<Founded>>;

impl Playground {
    /// Makes the nodes and their swarm. Each that fails is told of; the others are there.
    pub async fn furnish(
        self: &Arc<Self>,
        session: &Arc<Session>,
        wanted: Vec<Beginning>,
    ) -> Vec<Result<Arc<Instance>, Furnish>> {
        let (playground, session) = (self.clone(), session.clone());
        let work = async move { playground.put_in(&session, wanted).await };
        let made = self.tasks.spawn(work.in_current_span()).await;
        made.unwrap_or_else(|_| vec![Err(CreateInstance::CutShort.into())])
    }

    async fn put_in(
        self: &Arc<Self>,
        session: &Arc<Session>,
        wanted: Vec<Beginning>,
    ) -> Vec<Result<Arc<Instance>, Furnish>> {
        let (founding, founded) = watch::channel(None);
        let mut founding = Some(founding);
        let begun = wanted.into_iter().map(|wanted| {
            let founding = (wanted.part == Part::Manager).then(|| founding.take()).flatten();
            self.begin(session, wanted, founding, founded.clone())
        });
        let begun: Vec<_> = begun.collect();
        drop(founding);
        let mut made = join_all(begun).await;
        let in_swarm = made.iter().flatten().filter(|(_, part)| *part != Part::Outside).count();
        let manager = made.iter().flatten().find(|(_, part)| *part == Part::Manager);
        if let Some((manager, _)) = manager
            && let Err(unready) = settled(manager, in_swarm).await
        {
            made.push(Err(unready));
        }
        made.into_iter().map(|made| made.map(|(instance, _)| instance)).collect()
    }

    async fn begin(
        self: &Arc<Self>,
        session: &Arc<Session>,
        wanted: Beginning,
        founding: Option<Founding>,
        mut founded: watch::Receiver<Option<Founded>>,
    ) -> Result<(Arc<Instance>, Part), Furnish> {
        let instance = self.create_instance(session, wanted.new).await?;
        let (engine, own) = (Engine::at(instance.node.docker_socket()), instance.record.ip);
        let node = || instance.record.hostname.clone();
        if wanted.part == Part::Outside {
            return Ok((instance, wanted.part));
        }
        if let Some(founding) = founding {
            let tokens =
                engine.init_swarm(own).await.map_err(|source| Furnish::Init { node: node(), source })?;
            founding.send_replace(Some(Founded { at: own, tokens }));
            return Ok((instance, wanted.part));
        }
        let no_swarm = |_| Furnish::NoSwarm { node: node() };
        let Some(Founded { at, tokens }) = founded.wait_for(Option::is_some).await.map_err(no_swarm)?.clone()
        else {
            return Err(Furnish::NoSwarm { node: node() });
        };
        let token = if wanted.part == Part::Manager { &tokens.manager } else { &tokens.worker };
        let joined = engine.join_swarm(own, at, token).await;
        joined.map_err(|source| Furnish::Join { node: node(), source })?;
        Ok((instance, wanted.part))
    }
}

/// Waits until a manager lists so many nodes, all of them ready.
async fn settled(manager: &Instance, count: usize) -> Result<(), Furnish> {
    let engine = Engine::at(manager.node.docker_socket());
    let waits = async {
        loop {
            let members = engine.swarm_members().await.map_err(|source| Furnish::List { source })?;
            if members.iter().filter(|member| member.state == "ready").count() >= count {
                return Ok(());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    timeout(SETTLED, waits).await.map_err(|_| Furnish::Unready)?
}
