//! `docker network create`: read the wishes, take a subnet, make the bridge, keep the record.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard_stubs::models::{Ipam, NetworkCreateRequest};
use drydock_networks::Cidr;
use drydock_networks::bridge::BridgeError;
use drydock_networks::ipam::{self, AddressBook, AddressError, Plan, SubnetError, Wish, WishError};

use super::record::{Driver, Record, Subnet, is_predefined, option};
use super::service::Inner;
use super::state::Network;
use crate::error::ApiError;
use crate::id::Id;

/// The id of the new network, and what the client should know.
#[derive(Clone, Debug)]
pub struct Created {
    pub id: Id,
    pub warning: String,
}

#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    #[error("invalid network name: name is empty")]
    Name,
    #[error("operation is not permitted on predefined {0} network")]
    Predefined(String),
    #[error("network with name {0} already exists")]
    Exists(String),
    #[error("only one instance of \"{0}\" network is allowed")]
    OnlyOne(String),
    #[error(
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this \
         node to swarm and try again."
    )]
    NoSwarm,
    #[error("plugin \"{0}\" not found")]
    Driver(String),
    #[error("invalid IPAM driver: plugin \"{0}\" not found")]
    IpamDriver(String),
    #[error(transparent)]
    Wishes(#[from] WishError),
    #[error("invalid {option} value \"{value}\": {why}")]
    Option { option: &'static str, value: String, why: &'static str },
    #[error(transparent)]
    Subnet(#[from] SubnetError),
    #[error("failed to allocate gateway ({gateway}): {source}")]
    Gateway { gateway: IpAddr, source: AddressError },
    #[error("failed to allocate gateway: {0}")]
    NoGateway(#[source] AddressError),
    #[error("bridge name {link} is already used by network {network}")]
    Link { link: String, network: String },
    #[error("make bridge {link}")]
    Bridge { link: String, source: BridgeError },
    #[error("write the record of network {name}")]
    Record { name: String, source: std::io::Error },
    #[error("the engine is shutting down")]
    Ending,
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        use http::StatusCode;
        let status = match &error {
            CreateError::Name
            | CreateError::Wishes(_)
            | CreateError::Option { .. }
            | CreateError::Subnet(SubnetError::Exhausted) => StatusCode::BAD_REQUEST,
            CreateError::Exists(_) => StatusCode::CONFLICT,
            CreateError::Driver(_) | CreateError::IpamDriver(_) => StatusCode::NOT_FOUND,
            CreateError::NoSwarm => StatusCode::SERVICE_UNAVAILABLE,
            CreateError::Predefined(_)
            | CreateError::OnlyOne(_)
            | CreateError::Subnet(SubnetError::Overlap)
            | CreateError::Gateway { .. }
            | CreateError::Link { .. } => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::chain(status, &error)
    }
}

impl Inner {
    /// Blocks for the kernel.
    pub(super) fn create(&self, request: NetworkCreateRequest) -> Result<Created, CreateError> {
        check_name(&request.name)?;
        check_driver(request.driver.as_deref().unwrap_or_default())?;
        let ipv6 = request.enable_ipv6.unwrap_or(false);
        let plans = read_plans(request.ipam.as_ref(), ipv6)?;
        // Asked before the lock is taken; the lock is what decides.
        let on_host = self
            .host
            .taken_subnets()
            .map_err(|source| CreateError::Bridge { link: request.name.clone(), source })?;
        let record = self.reserve(request, &plans, &on_host)?;
        let made = self.make(&record);
        if made.is_err() {
            self.state().networks.remove(&record.id);
        }
        made?;
        self.tell("create", &record, None);
        Ok(Created { id: record.id, warning: String::new() })
    }

    /// Chooses subnets and puts the network in the table, so that nobody else gets the name or them.
    fn reserve(
        &self,
        request: NetworkCreateRequest,
        plans: &[Plan],
        on_host: &[Cidr],
    ) -> Result<Record, CreateError> {
        let mut state = self.state();
        if state.networks.values().any(|network| network.record.name == request.name) {
            return Err(CreateError::Exists(request.name));
        }
        let ours: Vec<Cidr> = state
            .networks
            .values()
            .flat_map(|network| network.record.subnets.iter().map(|subnet| subnet.cidr))
            .collect();
        let subnets = choose(&self.pools, plans, &ours, on_host)?;
        let record = record(request, plans, subnets)?;
        let link = record.link();
        if let Some(other) = state
            .networks
            .values()
            .find(|other| other.record.driver == Driver::Bridge && other.record.link() == link)
        {
            return Err(CreateError::Link { link, network: other.record.name.clone() });
        }
        state.networks.insert(record.id.clone(), Network::new(record.clone()));
        Ok(record)
    }

    fn make(&self, record: &Record) -> Result<(), CreateError> {
        let saved = |source| CreateError::Record { name: record.name.clone(), source };
        let Some(bridge) = record.bridge() else { return self.shelf.save(record).map_err(saved) };
        // The record first: what has no record is nobody's to sweep.
        self.shelf.save(record).map_err(saved)?;
        let made = self
            .host
            .create_bridge(&bridge)
            .map_err(|source| CreateError::Bridge { link: bridge.name.clone(), source });
        if made.is_err() {
            let _ = self.shelf.forget(&record.id);
        }
        if bridge.gateway_v6.is_some()
            && let Err(error) = self.host.enable_forwarding_v6()
        {
            tracing::warn!(%error, "IPv6 packets will not be passed on");
        }
        made
    }
}

fn check_name(name: &str) -> Result<(), CreateError> {
    if name.trim().is_empty() {
        return Err(CreateError::Name);
    }
    if is_predefined(name) || name == "default" {
        return Err(CreateError::Predefined(name.to_owned()));
    }
    Ok(())
}

fn check_driver(driver: &str) -> Result<(), CreateError> {
    match driver {
        "" | "default" | "bridge" => Ok(()),
        "host" | "null" => Err(CreateError::OnlyOne(driver.to_owned())),
        "overlay" => Err(CreateError::NoSwarm),
        other => Err(CreateError::Driver(other.to_owned())),
    }
}

fn read_plans(ipam: Option<&Ipam>, ipv6: bool) -> Result<Vec<Plan>, CreateError> {
    let Some(ipam) = ipam else { return Ok(Vec::new()) };
    match ipam.driver.as_deref().unwrap_or_default() {
        "" | "default" => {}
        other => return Err(CreateError::IpamDriver(other.to_owned())),
    }
    let configs = ipam.config.as_deref().unwrap_or_default();
    let wishes: Vec<Wish<'_>> = configs
        .iter()
        .map(|config| Wish {
            subnet: config.subnet.as_deref().unwrap_or_default(),
            range: config.ip_range.as_deref().unwrap_or_default(),
            gateway: config.gateway.as_deref().unwrap_or_default(),
            auxiliary: config
                .auxiliary_addresses
                .iter()
                .flatten()
                .map(|(name, ip)| (name.as_str(), ip.as_str()))
                .collect(),
        })
        .collect();
    let mut plans = ipam::read_wishes(&wishes)?;
    plans.retain(|plan| ipv6 || plan.subnet.is_none_or(|subnet| subnet.ip().is_ipv4()));
    Ok(plans)
}

/// A subnet for each plan, and an IPv4 one where no plan has it.
fn choose(
    pools: &[ipam::Pool],
    plans: &[Plan],
    ours: &[Cidr],
    on_host: &[Cidr],
) -> Result<Vec<Subnet>, CreateError> {
    let mut taken = ours.to_vec();
    let mut subnets = Vec::new();
    let automatic = Plan { subnet: None, range: None, gateway: None, auxiliary: Vec::new() };
    let has_v4 = plans.iter().any(|plan| plan.subnet.is_none_or(|subnet| subnet.ip().is_ipv4()));
    for plan in plans.iter().chain((!has_v4).then_some(&automatic)) {
        let cidr = match plan.subnet {
            // Somebody who asks for a subnet knows what else is on the host; only our own count.
            Some(subnet) => ipam::claim_subnet(subnet, &taken)?,
            None => ipam::choose_subnet(pools, &[&taken, on_host].concat())?,
        };
        taken.push(cidr);
        subnets.push(furnish(cidr, plan)?);
    }
    subnets.sort_by_key(|subnet| !subnet.cidr.ip().is_ipv4());
    Ok(subnets)
}

/// Finds the gateway among the addresses that are left.
fn furnish(cidr: Cidr, plan: &Plan) -> Result<Subnet, CreateError> {
    let mut book = AddressBook::new(cidr, plan.range);
    for (_, ip) in &plan.auxiliary {
        book.claim(*ip).map_err(|source| CreateError::Gateway { gateway: *ip, source })?;
    }
    let gateway = match plan.gateway {
        Some(gateway) => {
            book.claim(gateway).map_err(|source| CreateError::Gateway { gateway, source })?;
            gateway
        }
        None => book.allocate().map_err(CreateError::NoGateway)?,
    };
    Ok(Subnet {
        cidr,
        range: plan.range,
        gateway: Some(gateway),
        auxiliary: plan.auxiliary.iter().cloned().collect(),
    })
}

fn record(
    request: NetworkCreateRequest,
    plans: &[Plan],
    subnets: Vec<Subnet>,
) -> Result<Record, CreateError> {
    let sorted = |map: Option<HashMap<String, String>>| -> BTreeMap<String, String> {
        map.unwrap_or_default().into_iter().collect()
    };
    let options = sorted(request.options);
    check_options(&options)?;
    let ipam = request.ipam.unwrap_or_default();
    Ok(Record {
        id: Id::random(),
        name: request.name,
        created: crate::container::record::now(),
        driver: Driver::Bridge,
        enable_ipv6: request.enable_ipv6.unwrap_or(false),
        internal: request.internal.unwrap_or(false),
        attachable: request.attachable.unwrap_or(false),
        subnets,
        chosen_subnet: plans.iter().any(|plan| plan.subnet.is_some()),
        ipam_driver: "default".into(),
        ipam_options: ipam.options.map(|options| options.into_iter().collect()),
        options,
        labels: sorted(request.labels),
    })
}

fn check_options(options: &BTreeMap<String, String>) -> Result<(), CreateError> {
    let refuse = |option, value: &str, why| Err(CreateError::Option { option, value: value.to_owned(), why });
    if let Some(name) = options.get(option::NAME)
        && (name.is_empty() || name.len() > 15 || name.contains(['/', ' ', ':']))
    {
        return refuse(option::NAME, name, "a link's name has 1 to 15 letters");
    }
    if let Some(mtu) = options.get(option::MTU)
        && mtu.parse::<u32>().is_err()
    {
        return refuse(option::MTU, mtu, "a number is expected");
    }
    Ok(())
}
