//! What the cables of a session lose. The host keeps it, with the session's switch; here it gets the instances' names.

use std::sync::Arc;

use drydock_nodes::{Cable, FaultError, Loss, NodeId};
use drydock_wire::topology::Fault;

use super::instances::{host_node, host_session};
use super::{Instance, Playground, Session};

/// A node's cable to the switch, or the way from it to another node.
#[derive(Debug)]
pub struct Ends {
    pub one: Arc<Instance>,
    pub other: Option<Arc<Instance>>,
}

impl Ends {
    fn cable(&self) -> Cable {
        let one = host_node(&self.one.record.name);
        match &self.other {
            None => Cable::Of(one),
            Some(other) => Cable::Between(one, host_node(&other.record.name)),
        }
    }
}

impl Playground {
    pub fn faults(&self, session: &Session) -> Vec<Fault> {
        let faults = self.host.faults(&host_session(&session.label()));
        faults.into_iter().map(|(cable, loss)| shown(&cable, loss.as_percent())).collect()
    }

    /// What is wrong with one cable; a whole one loses nothing.
    pub fn fault(&self, session: &Session, ends: &Ends) -> Fault {
        let asked = shown(&ends.cable(), 0);
        let same = |fault: &Fault| fault.one == asked.one && fault.other == asked.other;
        self.faults(session).into_iter().find(same).unwrap_or(asked)
    }

    /// Lets a cable lose packets; `None` heals it. The browsers are told.
    pub async fn set_fault(
        &self,
        session: &Session,
        ends: &Ends,
        loss: Option<Loss>,
    ) -> Result<(), FaultError> {
        self.host.set_fault(&host_session(&session.label()), ends.cable(), loss).await?;
        tracing::info!(session.id = session.id().short(), cable = %ends.cable(), "fault set");
        session.changed.notify_one();
        Ok(())
    }
}

/// The names are in order, so that the way between two nodes is told one way only.
fn shown(cable: &Cable, loss: u8) -> Fault {
    let name = |node: &NodeId| node.as_str().to_owned();
    match cable {
        Cable::Of(node) => Fault { one: name(node), other: None, loss },
        Cable::Between(one, other) => {
            let (one, other) = if one < other { (one, other) } else { (other, one) };
            Fault { one: name(one), other: Some(name(other)), loss }
        }
    }
}
