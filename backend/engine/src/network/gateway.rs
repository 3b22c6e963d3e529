//! `docker_gwbridge`: the way out for containers whose networks have none, those of a swarm's overlay networks. It is
//! a bridge of this host alone; containers do not reach each other on it.

use bollard_stubs::models::NetworkCreateRequest;

use super::create::CreateError;
use super::join::way_out;
use super::record::{Driver, Record, option};
use super::service::Inner;
use super::state::State;
use super::{Join, join};

/// Its name, and that of its link.
pub const NAME: &str = "docker_gwbridge";

impl Inner {
    /// Makes the bridge when it is not there.
    pub(super) fn ensure_gateway(&self) -> Result<(), CreateError> {
        if self.state().find(NAME).is_some() {
            return Ok(());
        }
        let options = [(option::NAME, NAME), (option::ICC, "false"), (option::MASQUERADE, "true")];
        let request = NetworkCreateRequest {
            name: NAME.to_owned(),
            driver: Some("bridge".to_owned()),
            options: Some(
                options.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ),
            ..NetworkCreateRequest::default()
        };
        match self.create(request) {
            Ok(_) | Err(CreateError::Exists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether one of the networks that are asked for is an overlay.
    pub(super) fn asks_for_overlay(&self, join: &Join) -> bool {
        let state = self.state();
        let mut asked = join.networks.keys().filter_map(|reference| state.find(reference));
        asked.any(|network| network.record.driver == Driver::Overlay)
    }
}

impl State {
    /// Whether an overlay network is among these, and none of them leads out.
    pub(super) fn lacks_way_out(
        &self,
        endpoints: &std::collections::BTreeMap<String, super::state::Endpoint>,
    ) -> bool {
        let records = self.records(endpoints);
        let mut overlays = records.values().filter(|record| record.driver == Driver::Overlay);
        overlays.any(|record| !record.internal) && way_out(endpoints, &records).is_none()
    }
}

/// Whether a network is there for a container's way out alone: nobody asked for it, and nobody is shown it.
pub(super) fn is_hidden(join: &Join, network: &Record) -> bool {
    network.name == NAME && join::asked(join, network).is_none()
}
