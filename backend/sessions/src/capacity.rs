//! How much a host and a session may hold.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub sessions: u32,
    pub instances_per_session: u32,
    pub instances: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inventory {
    pub sessions: u32,
    /// On the whole host, those being made included.
    pub instances: u32,
}

/// Why there is no room; the sentence is for the student.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("all {0} sessions of this server are in use: try again when one of them ends")]
    Sessions(u32),
    #[error("all {0} nodes of this server are in use: try again when some of them end")]
    Instances(u32),
    #[error("a session may have {0} nodes: delete one to make another")]
    SessionInstances(u32),
}

/// Whether a session may be made that begins with `instances` nodes.
pub fn admit_session(limits: &Limits, inventory: Inventory, instances: u32) -> Result<(), Full> {
    if inventory.sessions >= limits.sessions {
        return Err(Full::Sessions(limits.sessions));
    }
    admit_instances(limits, inventory, 0, instances.max(1))
}

/// Whether a session that has `present` nodes may have `more`.
pub fn admit_instances(limits: &Limits, inventory: Inventory, present: u32, more: u32) -> Result<(), Full> {
    if present.saturating_add(more) > limits.instances_per_session {
        return Err(Full::SessionInstances(limits.instances_per_session));
    }
    if inventory.instances.saturating_add(more) > limits.instances {
        return Err(Full::Instances(limits.instances));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { sessions: 2, instances_per_session: 3, instances: 4 };

    #[test]
    fn sessions_are_admitted_while_there_is_room_for_their_nodes() {
        for (sessions, instances, wanted, expected) in [
            (0, 0, 0, Ok(())),
            (1, 3, 1, Ok(())),
            (1, 3, 2, Err(Full::Instances(4))),
            // A session without nodes is of no use where none can be made.
            (1, 4, 0, Err(Full::Instances(4))),
            (2, 0, 0, Err(Full::Sessions(2))),
            (0, 0, 4, Err(Full::SessionInstances(3))),
        ] {
            let inventory = Inventory { sessions, instances };
            assert_eq!(admit_session(&LIMITS, inventory, wanted), expected, "{inventory:?} {wanted}");
        }
    }

    #[test]
    fn nodes_are_admitted_within_the_session_and_the_host() {
        for (host, present, more, expected) in [
            (0, 0, 3, Ok(())),
            (2, 2, 1, Ok(())),
            (3, 3, 1, Err(Full::SessionInstances(3))),
            (4, 1, 1, Err(Full::Instances(4))),
            (u32::MAX, 0, 1, Err(Full::Instances(4))),
        ] {
            let inventory = Inventory { sessions: 1, instances: host };
            assert_eq!(admit_instances(&LIMITS, inventory, present, more), expected, "{inventory:?}");
        }
    }
}
