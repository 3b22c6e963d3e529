//! The network service: what lives as long as the engine's process, and the public verbs.
//!
//! Tasks, all ending with the service: one refills the stock of namespaces (`spares`), one takes
//! apart what containers left (`leave`), one keeps what `iptables` shows true (`show`). Verbs that ask the kernel run on the blocking pool.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard_stubs::models::{self, EndpointSettings, NetworkCreateRequest};
use drydock_networks::bridge::{Bridge, Host, Publication};
use drydock_networks::ipam::{self, Pool};
use drydock_networks::ports::Ports;
use drydock_networks::{Cidr, NetNs};
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::connect::{Connected, DisconnectError};
use super::create::{CreateError, Created};
use super::default_bridge::{DefaultBridge, OptionsError};
use super::encryption::{Encryption, Sealing};
use super::inspect::{Filters, Inspected};
use super::join::JoinError;
use super::leave::{LeaveError, Remains};
use super::names::Names;
use super::overlay::{Balance, Overlays, Scene, Underlay};
use super::record::{Record, Shelf};
use super::remove::RemoveError;
use super::spares::Spares;
use super::state::{Network, State};
use super::{Join, Joined, Mesh, PortMap};
use crate::config::Config;
use crate::events::Events;
use crate::id::Id;

/// How long nothing must have changed before what people see is written anew, and how long they wait at most.
const QUIET: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(2);

/// Networks, sandboxes and endpoints.
#[derive(Debug)]
pub struct NetworkService {
    inner: Arc<Inner>,
    tasks: [AbortHandle; 3],
}

#[derive(Debug)]
pub(super) struct Inner {
    pub events: Events,
    pub host: Arc<Host>,
    pub ports: Ports,
    pub shelf: Shelf,
    pub spares: Arc<Spares>,
    pub names: Names,
    pub pools: Vec<Pool>,
    pub default_bridge: DefaultBridge,
    /// By driver, options of new networks.
    pub default_options: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the host is to pass packets on.
    pub forwards: bool,
    /// `--host-gateway-ip`
    pub host_gateways: Vec<String>,
    pub remains: mpsc::UnboundedSender<Remains>,
    pub overlays: Mutex<Overlays>,
    pub encryption: Mutex<Encryption>,
    /// Of containers on a swarm's networks.
    pub balances: Mutex<HashMap<Id, Balance>>,
    pub mesh: Mutex<super::mesh::Present>,
    /// Told when bridges or published ports are others than before.
    pub shown: Arc<Notify>,
    state: Mutex<State>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("open network records in {path}")]
    Records { path: PathBuf, source: std::io::Error },
    #[error("open network namespaces in {path}")]
    Namespaces { path: PathBuf, source: std::io::Error },
    #[error("invalid default address pool {base} size {size}")]
    Pool { base: String, size: u8 },
    #[error(transparent)]
    DefaultBridge(#[from] OptionsError),
}

impl NetworkService {
    /// Reads the records. Nothing is made before [`NetworkService::restore`].
    pub async fn open(config: &Config, events: Events) -> Result<Self, OpenError> {
        let folder = config.data_root.join("network");
        let records = |source| OpenError::Records { path: folder.clone(), source };
        let shelf = Shelf::open(folder.clone()).map_err(records)?;
        let networks = shelf.load().map_err(records)?;
        let netns = config.exec_root.join("netns");
        let namespaces = |source| OpenError::Namespaces { path: netns.clone(), source };
        let spares = Spares::open(netns.clone()).map_err(namespaces)?;
        let host = Host::new(NetNs::own().map_err(namespaces)?);
        let default_bridge = DefaultBridge::read(config)?;
        default_bridge.look_for(&host)?;
        let (remains, queue) = mpsc::unbounded_channel();
        let inner = Arc::new(Inner {
            events,
            host: Arc::new(host),
            ports: if config.userland_proxy { Ports::default() } else { Ports::with_rules_alone() },
            shelf,
            spares: spares.clone(),
            names: Names::new(config),
            pools: pools(config)?,
            default_bridge,
            default_options: config.default_network_options.clone(),
            forwards: config.ip_forward,
            host_gateways: config.host_gateway_ips.clone(),
            remains,
            overlays: Mutex::default(),
            encryption: Mutex::default(),
            balances: Mutex::default(),
            mesh: Mutex::default(),
            shown: Arc::default(),
            state: Mutex::default(),
        });
        for record in networks {
            inner.state().networks.insert(record.id.clone(), Network::new(record));
        }
        inner.check_default_bridge()?;
        let tasks = [
            tokio::spawn(spares.keep()).abort_handle(),
            tokio::spawn(take_apart(Arc::downgrade(&inner), queue)).abort_handle(),
            tokio::spawn(show(Arc::downgrade(&inner), inner.shown.clone())).abort_handle(),
        ];
        Ok(Self { inner, tasks })
    }

    /// Whether `docker create` may name this network now; answers its name.
    pub fn resolve(&self, network: &str) -> Result<String, JoinError> {
        let state = self.inner.state();
        let found = state.find(network).map(|found| found.record.name.clone());
        found.ok_or_else(|| JoinError::NoSuchNetwork(network.to_owned()))
    }

    /// Whether the networks that are there can give a new container what it asks of them.
    pub fn check(&self, wanted: &BTreeMap<String, EndpointSettings>) -> Result<(), JoinError> {
        let state = self.inner.state();
        for (network, settings) in wanted {
            // One that is not there yet may be by the time the container starts.
            let Some(found) = state.find(network) else { continue };
            super::plan::check(&found.record, settings)
                .map_err(|source| JoinError::Wish { network: network.clone(), source })?;
        }
        Ok(())
    }

    /// The same of one network, for a container that is connected to it when it starts.
    pub fn check_one(&self, network: &str, settings: &EndpointSettings) -> Result<(), JoinError> {
        let state = self.inner.state();
        let Some(found) = state.find(network) else { return Ok(()) };
        Ok(super::plan::check(&found.record, settings)?)
    }

    /// Makes the container's sandbox and connects it. What was made is undone when a step fails.
    pub async fn join(&self, join: Join) -> Result<Joined, JoinError> {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || inner.join(&join)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(JoinError::Ending),
        }
    }

    /// A container with the host's network is on the network `host`; answers what `inspect` shows of that. `shown` is
    /// what it showed before, when the engine has been started anew.
    pub fn welcome(
        &self,
        container: &Id,
        name: &str,
        shown: Option<&EndpointSettings>,
    ) -> Option<EndpointSettings> {
        self.inner.welcome(container, name, shown)
    }

    /// Gives everything of the container's sandbox back: ports, addresses, links, namespace. Goes on after a
    /// failing step and reports the first. Nothing happens when there is no sandbox.
    pub async fn leave(&self, container: &Id) -> Result<(), LeaveError> {
        // Two short exchanges with the kernel at most: cheaper than another thread.
        self.inner.leave(container)
    }

    /// Connects a container that runs to one more network.
    pub async fn connect(
        &self,
        join: Join,
        network: &str,
        settings: EndpointSettings,
    ) -> Result<Connected, JoinError> {
        let (inner, network) = (self.inner.clone(), network.to_owned());
        match tokio::task::spawn_blocking(move || inner.connect(&join, &network, &settings)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(JoinError::Ending),
        }
    }

    /// Disconnects a container that runs from a network; answers the network's name, and the ports that are open
    /// now where they are others than before.
    pub async fn disconnect(
        &self,
        join: Join,
        network: &str,
    ) -> Result<(String, Option<PortMap>), DisconnectError> {
        let (inner, network) = (self.inner.clone(), network.to_owned());
        match tokio::task::spawn_blocking(move || inner.disconnect(&join, &network)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(DisconnectError::Ending),
        }
    }

    /// A container that runs has a new name.
    pub fn rename(&self, container: &Id, name: &str) {
        self.inner.rename(container, name);
    }

    /// After a restart of the engine: these containers still run, with what `join` answered then.
    /// Sandboxes of all others are released. Makes the bridges and rules anew where they are missing.
    pub async fn restore(&self, live: Vec<(Join, Joined)>) {
        let inner = self.inner.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || inner.restore(live)).await {
            tracing::error!(%error, "networks could not be restored");
        }
    }

    /// Makes the bridge by which containers of a swarm's networks reach the world.
    pub async fn ensure_gateway(&self) {
        let inner = self.inner.clone();
        let made = tokio::task::spawn_blocking(move || inner.ensure_gateway()).await;
        if let Ok(Err(error)) = made {
            tracing::error!(%error, "there is no way out of overlay networks");
        }
    }

    /// What a swarm's managers say: the networks that this node has a part in, who is on them, what encrypted ones are sealed with, and the
    /// routing mesh.
    pub async fn follow(
        &self,
        underlay: Underlay,
        networks: Vec<models::Network>,
        scenes: Vec<(Id, Scene)>,
        sealing: Sealing,
        mesh: Option<Mesh>,
    ) {
        let inner = self.inner.clone();
        let following = move || {
            inner.know(underlay, networks.iter().filter_map(Record::of_swarm).collect());
            inner.seal(Some(sealing));
            scenes.into_iter().for_each(|(id, scene)| inner.show(&id, scene));
            inner.set_mesh(mesh.as_ref());
        };
        if let Err(error) = tokio::task::spawn_blocking(following).await {
            tracing::error!(%error, "networks are not as the swarm's managers say");
        }
    }

    /// This node is no longer part of a swarm.
    pub async fn leave_swarm(&self) {
        let inner = self.inner.clone();
        let leaving = move || {
            inner.set_mesh(None);
            inner.want_no_overlay();
            inner.seal(None);
        };
        if let Err(error) = tokio::task::spawn_blocking(leaving).await {
            tracing::error!(%error, "networks of the swarm that was left stay");
        }
    }

    pub async fn create(&self, request: NetworkCreateRequest) -> Result<Created, CreateError> {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || inner.create(request)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(CreateError::Ending),
        }
    }

    pub async fn remove(&self, reference: &str) -> Result<(), RemoveError> {
        let (inner, reference) = (self.inner.clone(), reference.to_owned());
        match tokio::task::spawn_blocking(move || inner.remove(&reference)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(RemoveError::Ending),
        }
    }

    /// Removes what no container uses; answers names.
    pub async fn prune(&self, filters: Filters) -> Vec<String> {
        let inner = self.inner.clone();
        tokio::task::spawn_blocking(move || inner.prune(&filters)).await.unwrap_or_default()
    }

    pub fn inspect(&self, reference: &str) -> Option<Inspected> {
        let state = self.inner.state();
        state.find(reference).map(|network| Inspected::new(network, true))
    }

    /// What `host-gateway` means: what the daemon was told, or the host as the default bridge knows it, whatever
    /// network a container has.
    pub fn host_gateways(&self) -> Vec<String> {
        if !self.inner.host_gateways.is_empty() {
            return self.inner.host_gateways.clone();
        }
        let state = self.inner.state();
        let subnets = state.find("bridge").map(|network| network.record.subnets.clone()).unwrap_or_default();
        subnets.iter().filter_map(|subnet| Some(subnet.gateway?.to_string())).collect()
    }

    /// All that match, in order of name; without their containers, as moby lists them.
    pub fn list(&self, filters: &Filters) -> Vec<Inspected> {
        let state = self.inner.state();
        let mut all: Vec<_> = state.networks.values().filter(|network| filters.admit(network)).collect();
        all.sort_by(|a, b| a.record.name.cmp(&b.record.name));
        all.into_iter().map(|network| Inspected::new(network, false)).collect()
    }
}

impl Drop for NetworkService {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl Inner {
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn what_is_shown(&self) -> (Vec<Bridge>, Vec<Publication>) {
        let state = self.state();
        let mut records: Vec<_> = state.networks.values().map(|network| network.record.clone()).collect();
        records.sort_by(|one, other| one.created.cmp(&other.created));
        let bridges = records.iter().filter_map(|record| record.bridge()).collect();
        let ports = state.sandboxes.values().flat_map(|sandbox| sandbox.publications.clone()).collect();
        (bridges, ports)
    }

    /// Publishes an event of a network.
    pub fn tell(&self, action: &str, record: &Record, container: Option<&Id>) {
        let mut attributes = BTreeMap::from([
            ("name".to_owned(), record.name.clone()),
            ("type".to_owned(), record.driver.name().to_owned()),
        ]);
        if let Some(container) = container {
            attributes.insert("container".to_owned(), container.to_string());
        }
        self.events.publish("network", action, record.id.as_str(), attributes);
    }
}

async fn take_apart(inner: std::sync::Weak<Inner>, mut queue: mpsc::UnboundedReceiver<Remains>) {
    const AT_ONCE: usize = 64;
    let mut all = Vec::new();
    while queue.recv_many(&mut all, AT_ONCE).await > 0 {
        let Some(inner) = inner.upgrade() else { return };
        let some = std::mem::take(&mut all);
        if tokio::task::spawn_blocking(move || inner.take_apart(some)).await.is_err() {
            return;
        }
    }
}

/// Rewrites what `iptables` shows once changes have ceased for a while.
async fn show(inner: std::sync::Weak<Inner>, shown: Arc<Notify>) {
    loop {
        shown.notified().await;
        let began = Instant::now();
        // Meanwhile the kernel would keep others waiting.
        while began.elapsed() < LONGEST && timeout(QUIET, shown.notified()).await.is_ok() {}
        let Some(present) = inner.upgrade() else { return };
        let (host, (bridges, ports)) = (present.host.clone(), present.what_is_shown());
        // A service that ends meanwhile must not be kept, and its ports with it.
        drop(present);
        match tokio::task::spawn_blocking(move || host.show_in_iptables(&bridges, &ports)).await {
            Ok(Ok(())) => {}
            // A kernel without the old tables' modules shows nothing, and works.
            Ok(Err(error)) => tracing::debug!(%error, "iptables does not show networks as they are"),
            Err(_) => return,
        }
    }
}

fn pools(config: &Config) -> Result<Vec<Pool>, OpenError> {
    if config.default_address_pools.is_empty() {
        return Ok(ipam::default_pools().into_iter().chain(local_pool(config)).collect());
    }
    let read = |pool: &crate::config::AddressPool| {
        let base = pool.base.parse::<Cidr>().ok().filter(|base| base.prefix() <= pool.size)?;
        Cidr::new(base.ip(), pool.size).map(|_| Pool { base: base.network(), size: pool.size })
    };
    config
        .default_address_pools
        .iter()
        .map(|pool| read(pool).ok_or_else(|| OpenError::Pool { base: pool.base.clone(), size: pool.size }))
        // moby adds its IPv6 pool even to a list of one's own that has none.
        .collect::<Result<Vec<Pool>, OpenError>>()
        .map(|pools| {
            let has_v6 = pools.iter().any(|pool| pool.base.ip().is_ipv6());
            let own = if has_v6 { None } else { local_pool(config) };
            pools.into_iter().chain(own).collect()
        })
}

/// Unique local IPv6 subnets (RFC 4193), by /64, from a /48 that is this engine's own and the same
/// after every restart: drawn from its data folder's and the host's name.
fn local_pool(config: &Config) -> Option<Pool> {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let number = BuildHasherDefault::<DefaultHasher>::default().hash_one((host.trim(), &config.data_root));
    let bits = (0xfd_u128 << 120) | (u128::from(number >> 24) << 80);
    Some(Pool { base: Cidr::new(std::net::Ipv6Addr::from_bits(bits), 48)?, size: 64 })
}
