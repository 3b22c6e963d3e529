//! `docker network connect` and `disconnect` of a container that runs, and its renaming.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bollard_stubs::models::EndpointSettings;
use drydock_networks::bridge::BridgeError;
use drydock_networks::netlink::{Changes, NetlinkError, Route};
use drydock_networks::{NetNs, sublink};

use super::join::{JoinError, gateways, has_names, way_out};
use super::leave::Remains;
use super::plan::{self, PlanError, Who};
use super::record::{Driver, Record};
use super::service::Inner;
use super::state::Endpoint;
use super::{Join, PortMap};
use crate::error::ApiError;
use crate::id::Id;

#[derive(Debug, thiserror::Error)]
pub enum DisconnectError {
    #[error("network {0} not found")]
    NoSuchNetwork(String),
    #[error("container {container} is not connected to network {network}")]
    NotConnected { container: Id, network: String },
    #[error("the engine is shutting down")]
    Ending,
}

impl From<DisconnectError> for ApiError {
    fn from(error: DisconnectError) -> Self {
        match error {
            DisconnectError::NoSuchNetwork(_) => Self::not_found(error.to_string()),
            DisconnectError::NotConnected { .. } => Self::forbidden(error.to_string()),
            DisconnectError::Ending => Self::internal(error.to_string()),
        }
    }
}

/// A container that runs has one more network.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The network's name.
    pub network: String,
    /// The new endpoint, filled in.
    pub settings: EndpointSettings,
    /// Lines for the end of its `/etc/hosts`.
    pub hosts: Vec<(String, Vec<String>)>,
    /// Its new `/etc/resolv.conf`, where it has a name server now.
    pub resolv_conf: Option<String>,
    /// The ports that are open now, where they are others than before.
    pub ports: Option<PortMap>,
}

impl Inner {
    /// Blocks for the kernel.
    pub(super) fn connect(
        &self,
        join: &Join,
        reference: &str,
        settings: &EndpointSettings,
    ) -> Result<Connected, JoinError> {
        let (endpoint, record, sandbox) = self.plan_connect(join, reference, settings)?;
        let attached = self.attach(&sandbox, &endpoint, &record, &[]).and_then(|()| {
            let entered = self.enter(join, &endpoint, &record, &sandbox);
            if entered.is_err() {
                self.state().sandboxes.entry(join.container.clone()).and_modify(|sandbox| {
                    sandbox.endpoints.remove(&record.name);
                });
            }
            entered
        });
        if let Err(error) = attached {
            self.discard(std::iter::once(endpoint), None);
            return Err(error);
        }
        let ports = match self.follow_way_out(join) {
            Ok(ports) => ports,
            Err(error) => {
                // As if it had never been connected.
                let _ = self.disconnect(join, &record.name);
                return Err(error);
            }
        };
        self.tell("connect", &record, Some(&join.container));
        Ok(Connected {
            ports,
            network: record.name.clone(),
            settings: plan::settings(settings, &endpoint, &record),
            hosts: endpoint
                .addresses
                .iter()
                .map(|it| (it.ip().to_string(), vec![join.hostname.clone()]))
                .collect(),
            resolv_conf: record.has_names().then(|| self.names.resolv_conf(join, true)),
        })
    }

    fn plan_connect(
        &self,
        join: &Join,
        reference: &str,
        settings: &EndpointSettings,
    ) -> Result<(Endpoint, Arc<Record>, Arc<NetNs>), JoinError> {
        let mut state = self.state();
        let record = state.find(reference).map(|network| network.record.clone());
        let record = record.ok_or_else(|| PlanError::NoSuchNetwork(reference.to_owned()))?;
        let sandbox = state.sandboxes.get(&join.container);
        let sandbox = sandbox.ok_or_else(|| JoinError::NoSandbox(join.container.clone()))?;
        if sandbox.endpoints.contains_key(&record.name) {
            let (container, network) = (join.name.clone(), record.name.clone());
            return Err(JoinError::Connected { container, network });
        }
        let link = free_link(&sandbox.endpoints, record.link_prefix());
        let namespace = sandbox.namespace.clone();
        let who = Who { container: &join.container, name: &join.name, hostname: &join.hostname };
        let endpoint = plan::endpoint(&mut state, reference, who, settings, link)?;
        Ok((endpoint, record, namespace))
    }

    /// The link is there: the sandbox has it, its way out and its names are set again.
    fn enter(
        &self,
        join: &Join,
        endpoint: &Endpoint,
        record: &Record,
        namespace: &NetNs,
    ) -> Result<(), JoinError> {
        let mut state = self.state();
        let sandbox = state.sandboxes.get_mut(&join.container);
        let sandbox = sandbox.ok_or_else(|| JoinError::NoSandbox(join.container.clone()))?;
        sandbox.endpoints.insert(record.name.clone(), endpoint.clone());
        let needs_server = sandbox.name_server.is_none();
        let endpoints = sandbox.endpoints.clone();
        let records = state.records(&endpoints);
        drop(state);
        if let Err(error) = lead_out(namespace, &endpoints, &records) {
            tracing::warn!(container.id = %join.container, %error, "cannot set the default route");
        }
        if needs_server && has_names(&records) {
            let server = self.start_names(join, namespace, &endpoints)?;
            let mut state = self.state();
            if let Some(sandbox) = state.sandboxes.get_mut(&join.container) {
                sandbox.name_server = Some(server);
            }
        } else {
            self.refresh_names(&join.container);
        }
        self.balance(&join.container);
        Ok(())
    }

    fn refresh_names(&self, container: &Id) {
        let state = self.state();
        if let Some(sandbox) = state.sandboxes.get(container)
            && let Some(server) = &sandbox.name_server
        {
            server.set_zones(state.zones(sandbox.endpoints.values()));
            server.set_forwarding(way_out(&sandbox.endpoints, &state.records(&sandbox.endpoints)).is_some());
        }
    }

    /// Answers the network's name, and the ports that are open now where they are others than before.
    pub(super) fn disconnect(
        &self,
        join: &Join,
        reference: &str,
    ) -> Result<(String, Option<PortMap>), DisconnectError> {
        let container = &join.container;
        let mut state = self.state();
        let network = state.find(reference);
        let record = network.map(|network| network.record.clone());
        let record = record.ok_or_else(|| DisconnectError::NoSuchNetwork(reference.to_owned()))?;
        let not_connected =
            || DisconnectError::NotConnected { container: container.clone(), network: record.name.clone() };
        let sandbox = state.sandboxes.get_mut(container).ok_or_else(not_connected)?;
        let endpoint = sandbox.endpoints.remove(&record.name).ok_or_else(not_connected)?;
        let (namespace, endpoints) = (sandbox.namespace.clone(), sandbox.endpoints.clone());
        let records = state.records(&endpoints);
        drop(state);
        // The container must see the link go, not just fall silent.
        if let Err(error) = self.unplug_from_switch(&endpoint) {
            tracing::warn!(endpoint.id = %endpoint.id, %error, "cannot delete a link");
        }
        let detached = match super::create::sublink(&record) {
            None if record.driver == Driver::Overlay => Ok(()),
            Some(_) => sublink::detach(&namespace, &endpoint.link).map_err(BridgeError::Link),
            None => self.host.detach(&endpoint.host_link()),
        };
        if let Err(error) = detached {
            tracing::warn!(endpoint.id = %endpoint.id, %error, "cannot delete a link");
        }
        self.state().unplug(&endpoint);
        if let Err(error) = lead_out(&namespace, &endpoints, &records) {
            tracing::warn!(container.id = %container, %error, "cannot set the default route");
        }
        if record.driver == Driver::Overlay {
            self.tear_down(Remains { was_on_overlay: true, ..Remains::default() });
        }
        self.refresh_names(container);
        self.balance(container);
        let ports = self.follow_way_out(join).unwrap_or_else(|error| {
            tracing::warn!(container.id = %container, %error, "published ports are closed");
            Some(PortMap::default())
        });
        self.tell("disconnect", &record, Some(container));
        Ok((record.name.clone(), ports))
    }

    pub(super) fn rename(&self, container: &Id, name: &str) {
        let mut state = self.state();
        if let Some(mut guest) = state.guests.get(container).cloned() {
            name.clone_into(&mut guest.container_name);
            state.rename(&guest);
            state.guests.insert(container.clone(), guest);
        }
        let Some(sandbox) = state.sandboxes.get_mut(container) else { return };
        let mut renamed = Vec::new();
        for endpoint in sandbox.endpoints.values_mut() {
            if let Some(own) = endpoint.names.first_mut() {
                name.clone_into(own);
            }
            name.clone_into(&mut endpoint.container_name);
            renamed.push(endpoint.clone());
        }
        for endpoint in renamed {
            state.rename(&endpoint);
        }
    }
}

/// The lowest `ethN` that is not taken.
fn free_link(endpoints: &BTreeMap<String, Endpoint>, prefix: &str) -> String {
    let is_free = |link: &String| !endpoints.values().any(|endpoint| endpoint.link == *link);
    (0..=endpoints.len())
        .map(|at| format!("{prefix}{at}"))
        .find(is_free)
        .unwrap_or_else(|| format!("{prefix}0"))
}

/// Makes the default routes those of the endpoint that leads to the world.
fn lead_out(
    namespace: &NetNs,
    endpoints: &BTreeMap<String, Endpoint>,
    records: &BTreeMap<String, Arc<Record>>,
) -> Result<(), NetlinkError> {
    let wanted = way_out(endpoints, records).map_or_else(Vec::new, |name| gateways(&records[&name]));
    let mut route = Route::open_in(namespace)?;
    let routes = route.routes()?;
    let present: Vec<IpAddr> =
        routes.iter().filter(|route| route.subnet.prefix() == 0).filter_map(|route| route.gateway).collect();
    let changes = present
        .iter()
        .filter(|gateway| !wanted.contains(gateway))
        .fold(Changes::new(), |changes, gateway| changes.delete_default_route(*gateway));
    let changes = wanted
        .iter()
        .filter(|gateway| !present.contains(gateway))
        .fold(changes, |changes, gateway| changes.add_default_route(*gateway));
    route.apply(changes)
}
