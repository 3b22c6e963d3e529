//! One MAC address for a whole container: what clients asked for before endpoints had their own (API 1.44).

use bollard_stubs::models::EndpointSettings;

use crate::container::create::{Networking, Wanted};
use crate::container::spec::namespaces::container_of;
use crate::error::ApiError;
use crate::http::version::ApiVersion;

/// Since when endpoints have MAC addresses of their own.
const OF_ENDPOINTS: u32 = 44;
const DEPRECATED: &str = "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead.";

/// Gives the container's address to the endpoint it is meant for; answers a warning.
pub fn adopt(wanted: &mut Wanted, version: ApiVersion) -> Result<Option<String>, ApiError> {
    let old = version.is_before(OF_ENDPOINTS);
    let mode = match wanted.around.host_config.as_ref().and_then(|host| host.network_mode.as_deref()) {
        None | Some("" | "default") => "bridge".to_owned(),
        Some(mode) => mode.to_owned(),
    };
    let has_endpoint = !matches!(mode.as_str(), "host" | "none") && container_of(Some(&mode)).is_none();
    let networking = wanted.around.networking.get_or_insert_default();
    let Some(mac) = wanted.config.mac_address.take().filter(|mac| !mac.is_empty()) else {
        if old {
            networking.endpoints.values_mut().flatten().for_each(|endpoint| endpoint.mac_address = None);
        }
        return Ok(None);
    };
    if old {
        if !has_endpoint {
            return Err(ApiError::invalid("conflicting options: mac-address and the network mode"));
        }
        endpoint_of(&mode, networking, old)?.mac_address = Some(mac);
        return Ok(None);
    }
    if has_endpoint {
        let endpoint = endpoint_of(&mode, networking, old).map_err(|error| {
            let message = "unable to migrate container-wide MAC address to a specific network";
            ApiError::new(error.status, format!("{message}: {}", error.message))
        })?;
        match endpoint.mac_address.as_deref().unwrap_or_default() {
            "" => endpoint.mac_address = Some(mac),
            own if own == mac => {}
            _ => {
                return Err(ApiError::invalid(
                    "the container-wide MAC address must match the endpoint-specific MAC address for the main \
                     network, or be left empty",
                ));
            }
        }
    }
    Ok(Some(DEPRECATED.to_owned()))
}

/// The endpoint on the network of the container's mode. Which of several is meant must be said by its name.
fn endpoint_of<'a>(
    mode: &str,
    networking: &'a mut Networking,
    old: bool,
) -> Result<&'a mut EndpointSettings, ApiError> {
    let endpoints = &mut networking.endpoints;
    if endpoints.is_empty() {
        return Ok(endpoints.entry(mode.to_owned()).or_default().get_or_insert_default());
    }
    let key = if old { endpoints.keys().next().cloned() } else { Some(mode.to_owned()) };
    let endpoint = key.and_then(|key| endpoints.get_mut(&key));
    endpoint.map(Option::get_or_insert_default).ok_or_else(|| {
        ApiError::invalid(
            "HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
        )
    })
}

#[cfg(test)]
mod tests {
    use bollard_stubs::models::HostConfig;

    use super::*;
    use crate::http::version::NEWEST;

    fn wanted(mode: &str, network: Option<(&str, &str)>) -> Wanted {
        let mut wanted = Wanted::default();
        wanted.config.mac_address = Some("02:42:ac:11:00:0a".into());
        wanted.around.host_config =
            Some(HostConfig { network_mode: Some(mode.to_owned()), ..HostConfig::default() });
        let networking = wanted.around.networking.get_or_insert_default();
        if let Some((name, mac)) = network {
            let endpoint =
                EndpointSettings { mac_address: Some(mac.to_owned()), ..EndpointSettings::default() };
            networking.endpoints.insert(name.to_owned(), Some(endpoint));
        }
        wanted
    }

    fn mac(wanted: &Wanted, network: &str) -> Option<String> {
        wanted.around.networking.as_ref()?.endpoints.get(network)?.as_ref()?.mac_address.clone()
    }

    #[test]
    fn the_containers_address_becomes_its_networks() {
        for mode in ["default", "bridge", "front"] {
            let mut asked = wanted(mode, None);
            assert!(adopt(&mut asked, NEWEST).expect(mode).is_some());
            let network = if mode == "default" { "bridge" } else { mode };
            assert_eq!(mac(&asked, network).as_deref(), Some("02:42:ac:11:00:0a"));
        }
    }

    #[test]
    fn two_addresses_for_one_endpoint_are_refused() {
        let error =
            adopt(&mut wanted("front", Some(("front", "02:42:ac:11:00:0b"))), NEWEST).expect_err("two");
        assert!(error.message.starts_with("the container-wide MAC address must match"), "{}", error.message);
        let error = adopt(&mut wanted("front", Some(("other", ""))), NEWEST).expect_err("another network");
        assert!(error.message.ends_with("must match the identity of a network in NetworkSettings.Networks"));
    }

    #[test]
    fn old_clients_hear_of_modes_without_endpoints() {
        let old = ApiVersion { major: 1, minor: 43 };
        assert!(adopt(&mut wanted("host", None), old).is_err());
        assert!(adopt(&mut wanted("host", None), NEWEST).expect("ignored").is_some());
    }
}
