//! Containers with the host's own network: they are on the network `host` like on any other, without a sandbox, a link
//! or an address.

use bollard_stubs::models::EndpointSettings;
use drydock_networks::netlink::Mac;

use super::plan;
use super::service::Inner;
use super::state::Endpoint;
use crate::id::Id;

impl Inner {
    /// Puts a container on the network `host`; answers what `inspect` shows of that. `shown` is what it showed
    /// before the engine was started anew.
    pub(super) fn welcome(
        &self,
        container: &Id,
        name: &str,
        shown: Option<&EndpointSettings>,
    ) -> Option<EndpointSettings> {
        let mut state = self.state();
        let record = state.find("host")?.record.clone();
        let known = shown.and_then(|shown| Id::parse(shown.endpoint_id.as_deref()?));
        let endpoint = Endpoint {
            id: known.unwrap_or_else(Id::random),
            network: record.id.clone(),
            container: container.clone(),
            container_name: name.to_owned(),
            mac: Mac::ZERO,
            addresses: Vec::new(),
            link_local: Vec::new(),
            link: String::new(),
            names: Vec::new(),
            gateway_priority: 0,
            links: Vec::new(),
        };
        state.plug(&endpoint);
        state.guests.insert(container.clone(), endpoint.clone());
        drop(state);
        if shown.is_none() {
            self.tell("connect", &record, Some(container));
        }
        Some(plan::settings(&EndpointSettings::default(), &endpoint, &record))
    }

    /// Nothing happens when the container is not on the network `host`.
    pub(super) fn see_off(&self, container: &Id) {
        let mut state = self.state();
        let Some(endpoint) = state.guests.remove(container) else { return };
        state.unplug(&endpoint);
        let record = state.networks.get(&endpoint.network).map(|network| network.record.clone());
        drop(state);
        if let Some(record) = record {
            self.tell("disconnect", &record, Some(container));
        }
    }
}
