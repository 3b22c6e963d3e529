//! Networks.

use std::net::IpAddr;

use super::{Verdict, names, refuse_if};
use crate::allocator::PREDEFINED;
use crate::objects::{IpamConfig, NetworkCreateRequest};
use crate::scheduler::constraint::contains;
use crate::status::{Code, Status};

pub fn validate_network(spec: &NetworkCreateRequest) -> Verdict {
    let (attachable, ingress) = (spec.attachable.unwrap_or(false), spec.ingress.unwrap_or(false));
    refuse_if(attachable && ingress, || "ingress network cannot be attachable".into())?;
    names::dns_label(&spec.name)?;
    if spec.labels.as_ref().is_some_and(|labels| labels.contains_key(PREDEFINED)) {
        let message = format!(
            "label {PREDEFINED} is for internally created predefined networks and cannot be applied by users"
        );
        return Err(Status::new(Code::PermissionDenied, message));
    }
    let configs = spec.ipam.as_ref().and_then(|ipam| ipam.config.as_deref()).unwrap_or_default();
    configs.iter().try_for_each(addresses)
}

fn addresses(config: &IpamConfig) -> Verdict {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    let (subnet, range, gateway) = (text(&config.subnet), text(&config.ip_range), text(&config.gateway));
    let within = |address: IpAddr| contains(&subnet, address);
    refuse_if(contains(&subnet, IpAddr::from([0, 0, 0, 0])).is_none(), || {
        format!("ipam configuration: invalid subnet {subnet}")
    })?;
    if !range.is_empty() {
        let address = range.split_once('/').and_then(|(address, _)| address.parse().ok());
        let Some(address) = address else {
            return Err(Status::invalid(format!("ipam configuration: invalid range {range}")));
        };
        refuse_if(within(address) != Some(true), || {
            format!("ipam configuration: subnet {subnet} does not contain range {range}")
        })?;
    }
    if !gateway.is_empty() {
        let Ok(address) = gateway.parse() else {
            return Err(Status::invalid(format!("ipam configuration: invalid gateway {gateway}")));
        };
        refuse_if(within(address) != Some(true), || {
            format!("ipam configuration: subnet {subnet} does not contain gateway {gateway}")
        })?;
    }
    Ok(())
}
