//! Room for sessions and nodes: a place is taken before the thing is made, and given back by dropping it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use drydock_sessions::capacity::{self, Full, Inventory, Limits};

#[derive(Debug, Clone)]
pub struct Places {
    limits: Limits,
    taken: Arc<Mutex<Inventory>>,
}

#[derive(Debug)]
pub struct SessionPlace(Places);

#[derive(Debug)]
pub struct InstancePlace(Places);

impl Places {
    pub fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// Whether a session with so many nodes would be admitted now.
    pub fn admit(&self, instances: u32) -> Result<(), Full> {
        capacity::admit_session(&self.limits, *self.taken(), instances)
    }

    pub fn session(&self, instances: u32) -> Result<SessionPlace, Full> {
        let mut taken = self.taken();
        capacity::admit_session(&self.limits, *taken, instances)?;
        taken.sessions += 1;
        drop(taken);
        Ok(SessionPlace(self.clone()))
    }

    /// One more node for a session that has `present`, those being made included.
    pub fn instance(&self, present: u32) -> Result<InstancePlace, Full> {
        let mut taken = self.taken();
        capacity::admit_instances(&self.limits, *taken, present, 1)?;
        taken.instances += 1;
        drop(taken);
        Ok(InstancePlace(self.clone()))
    }

    /// For what ran before this process did: it is there, whatever the limits now are.
    pub fn adopted_session(&self) -> SessionPlace {
        self.taken().sessions += 1;
        SessionPlace(self.clone())
    }

    pub fn adopted_instance(&self) -> InstancePlace {
        self.taken().instances += 1;
        InstancePlace(self.clone())
    }

    fn taken(&self) -> MutexGuard<'_, Inventory> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SessionPlace {
    fn drop(&mut self) {
        self.0.taken().sessions -= 1;
    }
}

impl Drop for InstancePlace {
    fn drop(&mut self) {
        self.0.taken().instances -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_place_is_free_again() {
        let places = Places::new(Limits { sessions: 1, instances_per_session: 2, instances: 2 });
        let session = places.session(0).unwrap();
        assert_eq!(places.session(0).unwrap_err(), Full::Sessions(1));
        let (one, _two) = (places.instance(0).unwrap(), places.instance(1).unwrap());
        assert_eq!(places.instance(0).unwrap_err(), Full::Instances(2));
        drop(one);
        places.instance(1).unwrap();
        drop(session);
        places.session(1).unwrap();
    }
}
