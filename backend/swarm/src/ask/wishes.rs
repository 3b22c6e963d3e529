//! Users' wishes, each one transaction of [`verbs`].

use super::calls::{Answer, ServiceTo, Wish};
use crate::ca::issue::{the_cluster, validity};
use crate::objects::{Moment, Timestamp};
use crate::raft::RaftNode;
use crate::raft::node::Member;
use crate::store::Transaction;
use crate::{Random, Status, identity, verbs};

/// Writes what is wished, or says why not.
pub(super) async fn fulfil(raft: &RaftNode, wish: Wish) -> Result<Answer, Status> {
    let (now, mut random) = (raft.replica().now(), Random::seeded(seed()));
    let members = raft.members();
    raft.update(|tx| write(tx, wish, &members, now, &mut random)).await
}

fn write(
    tx: &mut Transaction<'_>,
    wish: Wish,
    members: &[Member],
    now: Moment,
    random: &mut Random,
) -> Result<Answer, Status> {
    let id = |id: &dyn std::fmt::Display| Answer::Id(id.to_string());
    match wish {
        Wish::CreateService { spec, registry_auth } => {
            verbs::service::create(tx, spec, registry_auth, now.wall, random).map(|made| id(&made))
        }
        Wish::CreateNetwork { spec } => verbs::network::create(tx, spec, random).map(|made| id(&made)),
        Wish::CreateSecret { spec } => verbs::secret::create(tx, spec, random).map(|made| id(&made)),
        Wish::CreateConfig { spec } => verbs::config::create(tx, spec, random).map(|made| id(&made)),
        other => change(tx, other, members, now).map(|()| Answer::Nothing),
    }
}

fn change(tx: &mut Transaction<'_>, wish: Wish, members: &[Member], now: Moment) -> Result<(), Status> {
    match wish {
        Wish::UpdateNode { id, version, spec } => verbs::node::update(tx, &id, version, spec, members),
        Wish::RemoveNode { id, is_forced } => {
            let life =
                i64::try_from(validity(the_cluster(tx)?.as_ref()).whole_nanoseconds()).unwrap_or(i64::MAX);
            verbs::node::remove(tx, &id, is_forced, Timestamp(now.wall.0.saturating_add(life)), members)
        }
        Wish::UpdateService { id, version, to, registry_auth } => {
            let to = match to {
                ServiceTo::Spec(spec) => verbs::service::To::Spec(spec),
                ServiceTo::Previous => verbs::service::To::Previous,
            };
            verbs::service::update(tx, &id, version, to, registry_auth, now)
        }
        Wish::RemoveService { id } => verbs::service::remove(tx, &id),
        Wish::RemoveNetwork { id } => verbs::network::remove(tx, &id),
        Wish::UpdateSecret { id, version, spec } => verbs::secret::update(tx, &id, version, spec),
        Wish::RemoveSecret { id } => verbs::secret::remove(tx, &id),
        Wish::UpdateConfig { id, version, spec } => verbs::config::update(tx, &id, version, spec),
        Wish::RemoveConfig { id } => verbs::config::remove(tx, &id),
        Wish::CreateService { .. }
        | Wish::CreateNetwork { .. }
        | Wish::CreateSecret { .. }
        | Wish::CreateConfig { .. } => Ok(()),
    }
}

/// Ids are not secrets, but no two managers may make the same.
fn seed() -> u64 {
    let mut seed = [0; 8];
    identity::random(&mut seed);
    u64::from_le_bytes(seed)
}
