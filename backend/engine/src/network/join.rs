//! A container gets its sandbox: addresses and ports first, for these may be refused; then the
//! namespace, the links, the rules and the name server. What was made is undone when a step fails.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bollard_stubs::models::EndpointSettings;
use drydock_networks::bridge::{BridgeError, Plug};
use drydock_networks::dns::{NameServer, StartError};
use drydock_networks::sublink;
use drydock_networks::{Cidr, NetNs};

use super::create::CreateError;
use super::gateway;
use super::overlay::PartError;
use super::plan::{self, PlanError, Who};
use super::ports::{self, Lead, PublishError, Published};
use super::record::{Driver, Record};
use super::service::Inner;
use super::state::{Endpoint, Sandbox, State};
use super::{Join, Joined, names};
use crate::error::ApiError;
use crate::id::Id;

#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The same when a container starts.
    #[error("failed to set up container networking: {0}")]
    Start(#[source] PlanError),
    #[error("invalid config for network {network}: {source}")]
    Wish { network: String, source: PlanError },
    #[error("could not find a network matching network mode {0}: network {0} not found")]
    NoSuchNetwork(String),
    #[error(
        "failed to set up container networking: driver failed programming external connectivity on endpoint \
         {name} ({endpoint}): {source}"
    )]
    Publish { name: String, endpoint: Id, source: PublishError },
    #[error("failed to set up container networking: create network sandbox: {0}")]
    Sandbox(#[source] std::io::Error),
    #[error("failed to set up container networking: connect to network {network}: {source}")]
    Attach { network: String, source: BridgeError },
    #[error("failed to set up container networking: connect to network {network}: {source}")]
    Overlay { network: String, source: PartError },
    #[error("failed to set up container networking: make docker_gwbridge: {0}")]
    Gateway(#[source] CreateError),
    #[error("failed to set up container networking: publish ports: {0}")]
    Rules(#[source] BridgeError),
    #[error("failed to set up container networking: {0}")]
    Names(#[source] StartError),
    #[error("failed to set up container networking: set sysctl {name}: {source}")]
    Sysctl { name: String, source: std::io::Error },
    #[error("container {0} has no network sandbox")]
    NoSandbox(Id),
    #[error("endpoint with name {container} already exists in network {network}")]
    Connected { container: String, network: String },
    #[error("the engine is shutting down")]
    Ending,
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        let message = error.to_string();
        match error {
            JoinError::NoSuchNetwork(_)
            | JoinError::Plan(PlanError::NoSuchNetwork(_))
            | JoinError::Start(PlanError::NoSuchNetwork(_)) => Self::not_found(message),
            JoinError::Wish { .. } => Self::invalid(message),
            JoinError::Plan(PlanError::Settings(_) | PlanError::Mac(_)) => Self::invalid(message),
            JoinError::Plan(_) | JoinError::Start(_) | JoinError::Connected { .. } => {
                Self::forbidden(message)
            }
            _ => Self::internal(message),
        }
    }
}

/// What has been made so far for a container that is joining.
#[derive(Debug, Default)]
struct Draft {
    endpoints: BTreeMap<String, Endpoint>,
    records: BTreeMap<String, Arc<Record>>,
    published: Published,
    spare: Option<super::spares::Spare>,
}

impl Inner {
    /// Blocks for the kernel.
    pub(super) fn join(&self, join: &Join) -> Result<Joined, JoinError> {
        let mut draft = Draft::default();
        match self.build(join, &mut draft) {
            Ok(joined) => {
                for (name, endpoint) in &joined.1 {
                    self.tell("connect", &draft.records[name], Some(&endpoint.container));
                }
                Ok(joined.0)
            }
            Err(error) => {
                self.undo(draft);
                Err(error)
            }
        }
    }

    fn build(
        &self,
        join: &Join,
        draft: &mut Draft,
    ) -> Result<(Joined, BTreeMap<String, Endpoint>), JoinError> {
        if self.asks_for_overlay(join) {
            self.ensure_gateway().map_err(JoinError::Gateway)?;
        }
        self.plan(join, draft)?;
        let way_out = way_out(&draft.endpoints, &draft.records);
        self.lease_ports(join, way_out.as_deref(), draft)?;
        let spare = self.spares.take().map_err(JoinError::Sandbox)?;
        let spare = draft.spare.insert(spare);
        for (name, endpoint) in &draft.endpoints {
            let gateways =
                if way_out.as_ref() == Some(name) { gateways(&draft.records[name]) } else { vec![] };
            self.attach(&spare.namespace, endpoint, &draft.records[name], &gateways)?;
        }
        set_sysctls(&spare.namespace, &join.sysctls)?;
        if !draft.published.publications.is_empty() {
            self.host.publish(&draft.published.publications).map_err(JoinError::Rules)?;
        }
        let settled = self.settle(join, draft)?;
        self.balance(&join.container);
        Ok(settled)
    }

    /// The sandbox is complete: from here on it is the state's.
    fn settle(
        &self,
        join: &Join,
        draft: &mut Draft,
    ) -> Result<(Joined, BTreeMap<String, Endpoint>), JoinError> {
        let name_server = match &draft.spare {
            Some(spare) if has_names(&draft.records) => {
                Some(self.start_names(join, &spare.namespace, &draft.endpoints)?)
            }
            _ => None,
        };
        let Some(spare) = draft.spare.take() else {
            return Err(JoinError::NoSandbox(join.container.clone()));
        };
        let published = std::mem::take(&mut draft.published);
        let endpoints = std::mem::take(&mut draft.endpoints);
        let joined =
            self.describe(join, &spare.namespace, &spare.id, &endpoints, &draft.records, published.ports);
        let sandbox = Sandbox {
            path: spare.namespace.path().to_owned(),
            namespace: Arc::new(spare.namespace),
            endpoints: endpoints.clone(),
            leases: published.leases,
            publications: published.publications,
            published_at: published.container,
            name_server,
        };
        let has_ports = !sandbox.publications.is_empty();
        self.state().sandboxes.insert(join.container.clone(), sandbox);
        if has_ports {
            self.shown.notify_one();
        }
        Ok((joined, endpoints))
    }

    /// Takes addresses on every network that was asked for.
    fn plan(&self, join: &Join, draft: &mut Draft) -> Result<(), JoinError> {
        let who = Who { container: &join.container, name: &join.name, hostname: &join.hostname };
        let mut state = self.state();
        for (reference, settings) in &join.networks {
            if self.is_without(reference) {
                continue;
            }
            let prefix = state.find(reference).map_or("eth", |network| network.record.link_prefix());
            let link = format!("{prefix}{}", draft.endpoints.len());
            let endpoint =
                plan::endpoint(&mut state, reference, who, settings, link).map_err(JoinError::Start)?;
            if let Some(network) = state.networks.get(&endpoint.network) {
                draft.records.insert(network.record.name.clone(), network.record.clone());
                draft.endpoints.insert(network.record.name.clone(), endpoint);
            }
        }
        if state.lacks_way_out(&draft.endpoints) {
            let link = format!("eth{}", draft.endpoints.len());
            let settings = EndpointSettings::default();
            let endpoint =
                plan::endpoint(&mut state, gateway::NAME, who, &settings, link).map_err(JoinError::Start)?;
            if let Some(network) = state.networks.get(&endpoint.network) {
                draft.records.insert(gateway::NAME.to_owned(), network.record.clone());
                draft.endpoints.insert(gateway::NAME.to_owned(), endpoint);
            }
        }
        Ok(())
    }

    /// With `--bridge none` a container of the default bridge has its loopback alone.
    fn is_without(&self, reference: &str) -> bool {
        reference == "bridge" && self.default_bridge.is_none()
    }

    fn lease_ports(&self, join: &Join, way_out: Option<&str>, draft: &mut Draft) -> Result<(), JoinError> {
        let target = way_out.and_then(|name| target(&draft.endpoints, &draft.records, name));
        let Some((endpoint, record, ip)) = target else { return Ok(()) };
        draft.published = self.lease_at(join, endpoint, record, ip)?;
        Ok(())
    }

    /// Leases a container's ports, which are to lead to one of its endpoints.
    pub(super) fn lease_at(
        &self,
        join: &Join,
        endpoint: &Endpoint,
        record: &Record,
        ip: Ipv4Addr,
    ) -> Result<Published, JoinError> {
        let routed_v6 = endpoint.address(false).filter(|_| record.is_routed(false));
        let lead = Lead { ip, is_routed: record.is_routed(true), routed_v6: routed_v6.map(Cidr::ip) };
        let leased =
            ports::lease(&self.ports, self.host.namespace(), &join.ports, lead, record.host_address());
        leased.map_err(|source| JoinError::Publish {
            name: join.name.clone(),
            endpoint: endpoint.id.clone(),
            source,
        })
    }

    /// Plugs an endpoint into its bridge.
    pub(super) fn attach(
        &self,
        sandbox: &NetNs,
        endpoint: &Endpoint,
        record: &Record,
        gateways: &[IpAddr],
    ) -> Result<(), JoinError> {
        let addresses = [endpoint.addresses.as_slice(), &endpoint.link_local].concat();
        let plug = Plug {
            host_name: &endpoint.host_link(),
            name: &endpoint.link,
            mac: endpoint.mac,
            addresses: &addresses,
            gateways,
        };
        if record.driver == Driver::Overlay {
            let failed = |source| JoinError::Overlay { network: record.name.clone(), source };
            let switch = self.switch(record).map_err(failed)?;
            return switch.attach(sandbox, &plug).map_err(|source| failed(source.into()));
        }
        let attached = match super::create::sublink(record) {
            Some(kind) => {
                let (host, parent) = (self.host.namespace(), record.parent());
                sublink::attach(host, &parent, kind, record.mtu(), sandbox, &plug).map_err(BridgeError::Link)
            }
            None if record.driver == Driver::Bridge => self.host.attach(&record.link(), sandbox, &plug),
            None => Ok(()),
        };
        attached.map_err(|source| JoinError::Attach { network: record.name.clone(), source })
    }

    pub(super) fn start_names(
        &self,
        join: &Join,
        sandbox: &NetNs,
        endpoints: &BTreeMap<String, Endpoint>,
    ) -> Result<NameServer, JoinError> {
        let (zones, records) = {
            let state = self.state();
            (state.zones(endpoints.values()), state.records(endpoints))
        };
        let upstream = self.names.upstream(&join.dns, sandbox.path());
        let server = NameServer::start(sandbox, zones, upstream).map_err(JoinError::Names)?;
        server.set_forwarding(way_out(endpoints, &records).is_some());
        Ok(server)
    }

    fn describe(
        &self,
        join: &Join,
        sandbox: &NetNs,
        id: &Id,
        endpoints: &BTreeMap<String, Endpoint>,
        records: &BTreeMap<String, Arc<Record>>,
        ports: super::PortMap,
    ) -> Joined {
        let shown = |(name, endpoint): (&String, &Endpoint)| {
            let asked = asked(join, &records[name]).cloned().unwrap_or_default();
            (name.clone(), plan::settings(&asked, endpoint, &records[name]))
        };
        let (hidden, visible): (Vec<_>, Vec<_>) =
            endpoints.iter().partition(|(name, _)| gateway::is_hidden(join, &records[*name]));
        let own = visible
            .iter()
            .map(|(_, endpoint)| endpoint)
            .flat_map(|endpoint| &endpoint.addresses)
            .map(|address| (address.ip().to_string(), vec![join.hostname.clone()]));
        let without = join.networks.iter().filter(|(reference, _)| self.is_without(reference));
        let without = without.map(|(name, asked)| (name.clone(), asked.clone()));
        // Elsewhere the name server knows them.
        let on_default = records.values().any(|record| record.is_default_bridge());
        let linked = if on_default { names::linked(&self.state(), &join.links) } else { Vec::new() };
        let linked = linked.into_iter().map(|(ip, names)| (ip.to_string(), names));
        Joined {
            sandbox: sandbox.path().to_owned(),
            sandbox_id: id.to_string(),
            gateway: hidden.iter().copied().map(shown).map(|(_, settings)| settings).next(),
            endpoints: visible.iter().copied().map(shown).chain(without).collect(),
            ports,
            resolv_conf: self.names.resolv_conf(join, has_names(records)),
            hosts: linked.chain(own).collect(),
        }
    }

    fn undo(&self, draft: Draft) {
        if !draft.published.publications.is_empty()
            && let Err(error) = self.host.unpublish(&draft.published.publications)
        {
            tracing::warn!(%error, "cannot take back a published port");
        }
        let namespace = draft.spare.map(|spare| spare.namespace.path().to_owned());
        self.discard(draft.endpoints.into_values(), namespace);
    }
}

/// The settings a network was asked for with, by whatever reference.
pub(super) fn asked<'a>(join: &'a Join, record: &Record) -> Option<&'a EndpointSettings> {
    let matches = |reference: &str| reference == record.name || record.id.as_str().starts_with(reference);
    let mut others = join.networks.iter().filter(|(reference, _)| matches(reference));
    join.networks.get(&record.name).or_else(|| others.next().map(|(_, settings)| settings))
}

pub(super) fn has_names(records: &BTreeMap<String, Arc<Record>>) -> bool {
    records.values().any(|record| record.has_names())
}

/// The endpoint whose gateway leads to the world: the highest priority, then the first name.
pub(super) fn way_out(
    endpoints: &BTreeMap<String, Endpoint>,
    records: &BTreeMap<String, Arc<Record>>,
) -> Option<String> {
    let leads_out = |name: &String| records.get(name).is_some_and(|record| !gateways(record).is_empty());
    endpoints
        .iter()
        .filter(|(name, _)| leads_out(name))
        .min_by_key(|(name, endpoint)| (std::cmp::Reverse(endpoint.gateway_priority), (*name).clone()))
        .map(|(name, _)| name.clone())
}

/// Where published ports lead: only a bridge's containers are behind the host's address.
pub(super) fn target<'a>(
    endpoints: &'a BTreeMap<String, Endpoint>,
    records: &'a BTreeMap<String, Arc<Record>>,
    way_out: &str,
) -> Option<(&'a Endpoint, &'a Record, Ipv4Addr)> {
    let (endpoint, record) = (endpoints.get(way_out)?, records.get(way_out)?);
    match endpoint.address(true)?.ip() {
        IpAddr::V4(ip) if record.driver == Driver::Bridge => Some((endpoint, record, ip)),
        _ => None,
    }
}

pub(super) fn gateways(record: &Record) -> Vec<IpAddr> {
    [true, false].into_iter().filter_map(|is_ipv4| plan::gateway(record, is_ipv4)).collect()
}

fn set_sysctls(sandbox: &NetNs, sysctls: &BTreeMap<String, String>) -> Result<(), JoinError> {
    for (name, value) in sysctls {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        let failed = |source| JoinError::Sysctl { name: name.clone(), source };
        sandbox.run(|| std::fs::write(&path, value)).map_err(failed)?.map_err(failed)?;
    }
    Ok(())
}

/// Used by `restore` and `connect`, which know an endpoint's addresses only as shown.
pub(super) fn shown_addresses(settings: &EndpointSettings) -> Vec<Cidr> {
    let address = |ip: &Option<String>, prefix: Option<i64>| {
        let ip: IpAddr = ip.as_deref()?.parse().ok()?;
        Cidr::new(ip, u8::try_from(prefix?).ok()?)
    };
    [
        address(&settings.ip_address, settings.ip_prefix_len),
        address(&settings.global_ipv6_address, settings.global_ipv6_prefix_len),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl State {
    /// The records of the networks these endpoints are on, by name.
    pub(super) fn records(&self, endpoints: &BTreeMap<String, Endpoint>) -> BTreeMap<String, Arc<Record>> {
        let record = |endpoint: &Endpoint| Some(self.networks.get(&endpoint.network)?.record.clone());
        endpoints.iter().filter_map(|(name, endpoint)| Some((name.clone(), record(endpoint)?))).collect()
    }
}
