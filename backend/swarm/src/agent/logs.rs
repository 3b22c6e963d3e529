//! Sending lines of this node's tasks to who subscribed to them.
//!
//! One tokio task for each subscription, in the session's set; below it one for each task that it selects, those to come included.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::executor::{Controller, Executor};
use super::worker::Worker;
use crate::Status;
use crate::dispatcher::calls::{LogLine, LogSelector, Publication, PublishLogs, Subscription};
use crate::objects::{NodeId, Task, TaskId};
use crate::wire::Channel;

/// Lines that travel together, at most.
const BATCH: usize = 256;
/// A reader that takes no line for so long is gone.
const PUBLISH_LIMIT: Duration = Duration::from_secs(60);

/// Sends what the subscription selects, until there is no more or nobody wants it.
pub(super) async fn send<E: Executor>(
    worker: Arc<Worker<E>>,
    channel: Channel,
    node_id: NodeId,
    subscription: Subscription,
) {
    let (lines, mut gathered) = mpsc::channel::<LogLine>(BATCH);
    let sources = feed(worker, subscription.clone(), lines);
    tokio::pin!(sources);
    let (mut batch, mut is_fed) = (Vec::new(), false);
    let error = loop {
        tokio::select! {
            biased;
            count = gathered.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    break None;
                }
                let lines = std::mem::take(&mut batch).into_iter().map(|line| LogLine { node_id: node_id.clone(), ..line });
                let publication = Publication { lines: lines.collect(), ..Publication::of(&subscription) };
                if let Err(status) = publish(&channel, publication).await {
                    tracing::debug!(error = %status, "nobody takes the lines of a subscription");
                    return;
                }
            }
            () = &mut sources, if !is_fed => is_fed = true,
        }
    };
    let publication = Publication { is_over: true, error, ..Publication::of(&subscription) };
    if let Err(status) = publish(&channel, publication).await {
        tracing::debug!(error = %status, "the end of a subscription was not told");
    }
}

impl Publication {
    fn of(subscription: &Subscription) -> Self {
        Self { subscription_id: subscription.id.clone(), ..Self::default() }
    }
}

async fn publish(channel: &Channel, publication: Publication) -> Result<(), Status> {
    channel.call::<PublishLogs>(publication, PUBLISH_LIMIT).await.map(drop)
}

/// Gathers the lines of all selected tasks. Ends with the last of them, unless it follows: then tasks to come are taken up.
async fn feed<E: Executor>(worker: Arc<Worker<E>>, subscription: Subscription, lines: mpsc::Sender<LogLine>) {
    let mut tasks = worker.watch();
    let (mut known, mut sources) = (HashSet::<TaskId>::new(), JoinSet::new());
    loop {
        tasks.borrow_and_update();
        for (task, controller) in worker.controllers() {
            if !is_selected(&task, &subscription.request.selector) || !known.insert(task.id.clone()) {
                continue;
            }
            let (options, lines) = (subscription.request.options.clone(), lines.clone());
            sources.spawn(async move {
                if let Err(error) = controller.logs(options, lines).await {
                    tracing::debug!(%error, task.id = %task.id, "a task's lines ended early");
                }
            });
        }
        if subscription.request.options.follow {
            tokio::select! {
                _ = tasks.changed() => {}
                Some(_) = sources.join_next() => {}
            }
        } else {
            while sources.join_next().await.is_some() {}
            return;
        }
    }
}

fn is_selected(task: &Task, selector: &LogSelector) -> bool {
    selector.tasks.contains(&task.id)
        || task.service_id.as_ref().is_some_and(|service| selector.services.contains(service))
        || task.node_id.as_ref().is_some_and(|node| selector.nodes.contains(node))
}
