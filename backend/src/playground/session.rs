//! One session: its record, its instances, and who watches it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use drydock_labs::attempt::Attempt;
use drydock_sessions::life::Presence;
use drydock_sessions::{InstanceName, Label, Session as Record, SessionId};
use drydock_wire::session::Session as View;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::Events;
use super::instance::Instance;
use super::lessons::SessionNodes;
use super::places::SessionPlace;

#[derive(Debug)]
pub struct Session {
    record: RwLock<Record>,
    members: Mutex<Members>,
    pub network: drydock_nodes::Session,
    pub events: Events,
    /// Something the topology shows has changed.
    pub changed: Notify,
    /// Browsers connected now.
    watchers: watch::Sender<usize>,
    alone_since: Mutex<OffsetDateTime>,
    /// False while the nodes it began with are being made.
    ready: watch::Sender<bool>,
    /// Cancelled when the session ends; its tasks watch it.
    pub ended: CancellationToken,
    pub tasks: TaskTracker,
    /// Of the lab it was opened for.
    pub attempt: OnceLock<Arc<Attempt<SessionNodes>>>,
    _place: SessionPlace,
}

#[derive(Debug, Default)]
struct Members {
    instances: BTreeMap<InstanceName, Arc<Instance>>,
    /// Hostnames of instances being made.
    making: BTreeSet<String>,
}

/// A hostname that nobody else in the session gets; given back by dropping it.
#[derive(Debug)]
pub struct Reserved {
    session: Arc<Session>,
    pub hostname: String,
    /// Instances the session had before this one, those being made included.
    pub present: u32,
}

/// A browser's presence; dropping it ends it.
#[derive(Debug)]
pub struct Watching(Arc<Session>);

impl Session {
    pub fn new(record: Record, network: drydock_nodes::Session, place: SessionPlace) -> Arc<Self> {
        let session = Arc::new(Self {
            record: RwLock::new(record),
            members: Mutex::default(),
            network,
            events: Events::default(),
            changed: Notify::new(),
            watchers: watch::Sender::new(0),
            alone_since: Mutex::new(OffsetDateTime::now_utc()),
            ready: watch::Sender::new(true),
            ended: CancellationToken::new(),
            tasks: TaskTracker::new(),
            attempt: OnceLock::new(),
            _place: place,
        });
        session.publish_expiry();
        session.set_ready(true);
        session
    }

    pub fn record(&self) -> Record {
        self.record.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn id(&self) -> SessionId {
        self.record().id
    }

    pub fn label(&self) -> Label {
        self.record().label
    }

    pub fn set_expiry(&self, expires: OffsetDateTime) {
        self.record.write().unwrap_or_else(PoisonError::into_inner).expires = expires;
        self.publish_expiry();
    }

    fn publish_expiry(&self) {
        self.events.publish_state("session expires", "", vec![rfc3339(self.record().expires).into()]);
    }

    pub fn instances(&self) -> Vec<Arc<Instance>> {
        self.members().instances.values().cloned().collect()
    }

    pub fn instance(&self, name: &InstanceName) -> Option<Arc<Instance>> {
        self.members().instances.get(name).cloned()
    }

    pub fn instance_by_hostname(&self, hostname: &str) -> Option<Arc<Instance>> {
        self.members().instances.values().find(|instance| instance.record.hostname == hostname).cloned()
    }

    /// Keeps a hostname for an instance about to be made: `wanted`, or the next number when empty. `None` when it
    /// is taken.
    pub fn reserve(self: &Arc<Self>, wanted: &str) -> Option<Reserved> {
        let mut members = self.members();
        let taken: BTreeSet<String> = members.hostnames().map(str::to_owned).collect();
        let hostname = match wanted {
            "" => drydock_sessions::hostname::next(taken.iter().map(String::as_str)),
            wanted if taken.contains(wanted) => return None,
            wanted => wanted.to_owned(),
        };
        members.making.insert(hostname.clone());
        drop(members);
        Some(Reserved { session: self.clone(), hostname, present: taken.len() as u32 })
    }

    pub fn add(&self, instance: Arc<Instance>) {
        self.members().instances.insert(instance.record.name.clone(), instance);
        self.changed.notify_one();
    }

    /// Takes an instance out; `None` when another caller did so before.
    pub fn remove(&self, name: &InstanceName) -> Option<Arc<Instance>> {
        let removed = self.members().instances.remove(name);
        self.changed.notify_one();
        removed
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a browser in until the value is dropped.
    pub fn watch(self: &Arc<Self>) -> Watching {
        self.watchers.send_modify(|watchers| *watchers += 1);
        Watching(self.clone())
    }

    /// How many browsers are connected, now and from now on.
    pub fn watchers(&self) -> watch::Receiver<usize> {
        self.watchers.subscribe()
    }

    pub fn presence(&self) -> Presence {
        match *self.watchers.borrow() {
            0 => Presence::AloneSince(*self.alone_since.lock().unwrap_or_else(PoisonError::into_inner)),
            _ => Presence::Watched,
        }
    }

    pub fn set_ready(&self, ready: bool) {
        self.ready.send_replace(ready);
        self.events.publish_state("session ready", "", vec![ready.into()]);
    }

    /// Whether the nodes it began with are made, now and from now on.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// As clients see it.
    pub fn view(&self, host: &str, max_instances: u32) -> View {
        let record = self.record();
        let instances = self.instances();
        View {
            id: record.id.reveal().to_owned(),
            created_at: rfc3339(record.created),
            expires_at: rfc3339(record.expires),
            pwd_ip_address: self.network.gateway().to_string(),
            ready: *self.ready.borrow(),
            stack: record.stack,
            stack_name: record.stack_name,
            image_name: record.image,
            host: host.to_owned(),
            user_id: String::new(),
            playground_id: String::new(),
            instances: instances
                .iter()
                .map(|instance| {
                    (instance.record.name.as_str().to_owned(), instance.view(&record.label, host))
                })
                .collect(),
            max_instances,
            lab: record.lab,
        }
    }
}

impl Members {
    fn hostnames(&self) -> impl Iterator<Item = &str> {
        let made = self.instances.values().map(|instance| instance.record.hostname.as_str());
        made.chain(self.making.iter().map(String::as_str))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.session.members().making.remove(&self.hostname);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        *self.0.alone_since.lock().unwrap_or_else(PoisonError::into_inner) = OffsetDateTime::now_utc();
        self.0.watchers.send_modify(|watchers| *watchers -= 1);
    }
}

/// As JSON carries times.
pub fn rfc3339(moment: OffsetDateTime) -> String {
    moment.format(&Rfc3339).unwrap_or_default()
}
