//! `docker network create`: read the wishes, take a subnet, make the bridge, keep the record.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use bollard_stubs::models::{Ipam, NetworkCreateRequest};
use drydock_networks::Cidr;
use drydock_networks::bridge::BridgeError;
use drydock_networks::ipam::{self, AddressBook, AddressError, Plan, SubnetError, Wish, WishError};
use drydock_networks::sublink::{self, IpvlanMode, MacvlanMode, Sublink, SublinkError};

use super::options::{self, OptionError};
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
    #[error("invalid name: name is empty")]
    Name,
    #[error("operation is not permitted on predefined {0} network ")]
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
    #[error("cannot create a swarm scoped network when swarm is not active")]
    SwarmScope,
    #[error("Ingress network can only be global scope network")]
    Ingress,
    #[error("plugin \"{0}\" not found")]
    Driver(String),
    #[error("IPv4 or IPv6 must be enabled")]
    NoFamily,
    #[error(
        "configuration network can only contain network specific fields. Network operator fields like \
         [ ingress | internal | attachable | scope ] are not supported."
    )]
    Operator,
    #[error("a configuration network cannot depend on another configuration network")]
    Nested,
    #[error(
        "user specified configurations are not supported if the network depends on a configuration network"
    )]
    Configured,
    #[error("configuration network \"{0}\" does not exist")]
    NoConfiguration(String),
    #[error(transparent)]
    Wishes(#[from] WishError),
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("{0} driver doesn't support multiple subnets")]
    Subnets(&'static str),
    #[error(transparent)]
    Subnet(#[from] SubnetError),
    #[error("failed to allocate gateway ({gateway}): {source}")]
    Gateway { gateway: IpAddr, source: AddressError },
    #[error("failed to allocate secondary ip address ({name}:{ip}): {source}")]
    Auxiliary { name: String, ip: IpAddr, source: AddressError },
    #[error("failed to allocate gateway: {0}")]
    NoGateway(#[source] AddressError),
    #[error(
        "cannot create network {id} ({link}): conflicts with network {other} ({link}): networks have same bridge name"
    )]
    Link { id: Id, link: String, other: Id },
    #[error("make bridge {link}")]
    Bridge { link: String, source: BridgeError },
    #[error(transparent)]
    Parent(SublinkError),
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
            | CreateError::NoFamily
            | CreateError::Wishes(_)
            | CreateError::Subnet(SubnetError::Exhausted) => StatusCode::BAD_REQUEST,
            CreateError::Option(error) if error.is_invalid() => StatusCode::BAD_REQUEST,
            CreateError::Exists(_) => StatusCode::CONFLICT,
            CreateError::Driver(_) | CreateError::NoConfiguration(_) => StatusCode::NOT_FOUND,
            CreateError::Predefined(_)
            | CreateError::OnlyOne(_)
            | CreateError::NoSwarm
            | CreateError::SwarmScope
            | CreateError::Ingress
            | CreateError::Operator
            | CreateError::Nested
            | CreateError::Configured
            | CreateError::Subnets(_)
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
        if is_predefined(&request.name) || request.name == "default" {
            return Err(CreateError::Predefined(request.name));
        }
        if request.driver.as_deref() == Some("overlay") {
            return Err(CreateError::NoSwarm);
        }
        let plans = read_plans(request.ipam.as_ref())?;
        check_configuration(&request)?;
        if request.name.trim().is_empty() {
            return Err(CreateError::Name);
        }
        // Asked before the lock is taken; the lock is what decides.
        let on_host = self
            .host
            .taken_subnets()
            .map_err(|source| CreateError::Bridge { link: request.name.clone(), source })?;
        let record = self.reserve(request, plans, &on_host)?;
        let made = self.make(&record);
        if made.is_err() {
            self.state().networks.remove(&record.id);
        }
        made?;
        self.shown.notify_one();
        self.tell("create", &record, None);
        Ok(Created { id: record.id, warning: String::new() })
    }

    /// Chooses subnets and puts the network in the table, so that nobody else gets the name or them.
    fn reserve(
        &self,
        mut request: NetworkCreateRequest,
        mut plans: Vec<Plan>,
        on_host: &[Cidr],
    ) -> Result<Record, CreateError> {
        let mut state = self.state();
        if state.networks.values().any(|network| network.record.name == request.name) {
            return Err(CreateError::Exists(request.name));
        }
        let driver = check_driver(&request)?;
        if let Some(name) = configured_from(&request) {
            let pattern = state.find(name).filter(|network| network.record.config_only);
            let pattern = pattern.ok_or_else(|| CreateError::NoConfiguration(name.to_owned()))?;
            plans = follow(&pattern.record, &mut request);
        }
        if !request.enable_ipv4.unwrap_or(true) && !request.enable_ipv6.unwrap_or(false) {
            return Err(CreateError::NoFamily);
        }
        let options = self.options_of(driver, &request);
        let is_internal = request.internal.unwrap_or(false);
        options::check(driver, &options, is_internal)?;
        let ours: Vec<Cidr> = state
            .networks
            .values()
            .flat_map(|network| network.record.subnets.iter().map(|subnet| subnet.cidr))
            .collect();
        let subnets = if request.config_only.unwrap_or(false) {
            Vec::new()
        } else {
            let pools = Pools { pools: &self.pools, ours: &ours, on_host };
            let plans = wanted(&plans, &request);
            if driver == Driver::Bridge && has_two_of_a_family(&plans) {
                return Err(CreateError::Subnets(driver.name()));
            }
            pools.choose(
                &plans,
                options.get(option::GATEWAY_MODE_IPV4).is_some_and(|mode| mode == "isolated"),
            )?
        };
        let record = record(request, driver, &plans, subnets, options);
        let link = record.link();
        if driver == Driver::Bridge
            && let Some(other) = state
                .networks
                .values()
                .find(|other| other.record.driver == Driver::Bridge && other.record.link() == link)
        {
            return Err(CreateError::Link { id: record.id, link, other: other.record.id.clone() });
        }
        state.networks.insert(record.id.clone(), Network::new(record.clone()));
        Ok(record)
    }

    /// What was asked for, and what the daemon was told to give every network of the driver.
    fn options_of(&self, driver: Driver, request: &NetworkCreateRequest) -> BTreeMap<String, String> {
        let mut options: BTreeMap<String, String> =
            request.options.clone().unwrap_or_default().into_iter().collect();
        for (option, value) in self.default_options.get(driver.name()).into_iter().flatten() {
            options.entry(option.clone()).or_insert_with(|| value.clone());
        }
        options
    }

    fn make(&self, record: &Record) -> Result<(), CreateError> {
        // The record first: what has no record is nobody's to sweep.
        self.shelf
            .save(record)
            .map_err(|source| CreateError::Record { name: record.name.clone(), source })?;
        let made = self.make_links(record);
        if made.is_err() {
            let _ = self.shelf.forget(&record.id);
        }
        made
    }

    fn make_links(&self, record: &Record) -> Result<(), CreateError> {
        if let Some(kind) = sublink(record) {
            return sublink::create_parent(self.host.namespace(), &record.parent(), kind)
                .map_err(CreateError::Parent);
        }
        let Some(bridge) = record.bridge() else { return Ok(()) };
        let made = self
            .host
            .create_bridge(&bridge)
            .map_err(|source| CreateError::Bridge { link: bridge.name.clone(), source });
        if self.forwards
            && bridge.gateway_v6.is_some()
            && let Err(error) = self.host.enable_forwarding_v6()
        {
            tracing::warn!(%error, "IPv6 packets will not be passed on");
        }
        made
    }
}

/// What a container's link on a macvlan or ipvlan network is; `None` for other networks.
pub(super) fn sublink(record: &Record) -> Option<Sublink> {
    let asked = |option| record.options.get(option).map_or("", String::as_str);
    match record.driver {
        Driver::Macvlan => Some(Sublink::Macvlan(match asked(option::MACVLAN_MODE) {
            "private" => MacvlanMode::Private,
            "vepa" => MacvlanMode::Vepa,
            "passthru" => MacvlanMode::Passthru,
            _ => MacvlanMode::Bridge,
        })),
        Driver::Ipvlan => Some(Sublink::Ipvlan(match asked(option::IPVLAN_MODE) {
            "l3" => IpvlanMode::L3,
            "l3s" => IpvlanMode::L3s,
            _ => IpvlanMode::L2,
        })),
        Driver::Bridge | Driver::Host | Driver::Null | Driver::Overlay => None,
    }
}

/// Rules of networks that are settings for others, and of those that have their settings from others.
fn check_configuration(request: &NetworkCreateRequest) -> Result<(), CreateError> {
    let is = |flag: Option<bool>| flag.unwrap_or(false);
    let from = configured_from(request);
    if is(request.config_only) {
        let scope = request.scope.as_deref().unwrap_or_default();
        if is(request.ingress) || is(request.internal) || is(request.attachable) || !scope.is_empty() {
            return Err(CreateError::Operator);
        }
        return if from.is_some() { Err(CreateError::Nested) } else { Ok(()) };
    }
    let has = |map: &Option<HashMap<String, String>>| map.as_ref().is_some_and(|map| !map.is_empty());
    let has_ipam = request.ipam.as_ref().is_some_and(|ipam| {
        ipam.config.as_ref().is_some_and(|configs| !configs.is_empty()) || has(&ipam.options)
    });
    let is_configured = has_ipam || is(request.enable_ipv6) || has(&request.labels) || has(&request.options);
    if from.is_some() && is_configured { Err(CreateError::Configured) } else { Ok(()) }
}

fn configured_from(request: &NetworkCreateRequest) -> Option<&str> {
    request.config_from.as_ref()?.network.as_deref().filter(|name| !name.is_empty())
}

/// Gives a request the settings of a configuration network; answers its subnets.
fn follow(pattern: &Record, request: &mut NetworkCreateRequest) -> Vec<Plan> {
    let map = |map: &BTreeMap<String, String>| Some(map.clone().into_iter().collect());
    request.enable_ipv4 = Some(pattern.enable_ipv4);
    request.enable_ipv6 = Some(pattern.enable_ipv6);
    request.options = map(&pattern.options);
    request.labels = map(&pattern.labels);
    let options = pattern.ipam_options.as_ref().and_then(map);
    request.ipam = Some(Ipam { options, ..Ipam::default() });
    let plan = |asked: &Subnet| Plan {
        subnet: Some(asked.cidr),
        range: asked.range,
        gateway: asked.gateway,
        auxiliary: asked.auxiliary.clone().into_iter().collect(),
    };
    pattern.asked.iter().map(plan).collect()
}

fn check_driver(request: &NetworkCreateRequest) -> Result<Driver, CreateError> {
    if request.config_only.unwrap_or(false) {
        return Ok(Driver::Null);
    }
    let driver = match request.driver.as_deref().unwrap_or_default() {
        "" | "default" | "bridge" => Driver::Bridge,
        "macvlan" => Driver::Macvlan,
        "ipvlan" => Driver::Ipvlan,
        only @ ("host" | "null") => return Err(CreateError::OnlyOne(only.to_owned())),
        other => return Err(CreateError::Driver(other.to_owned())),
    };
    if request.ingress.unwrap_or(false) {
        return Err(CreateError::Ingress);
    }
    if request.scope.as_deref() == Some("swarm") {
        return Err(CreateError::SwarmScope);
    }
    Ok(driver)
}

/// The subnets a request asks for, or what is wrong with them.
pub fn read_plans(ipam: Option<&Ipam>) -> Result<Vec<Plan>, CreateError> {
    let Some(ipam) = ipam else { return Ok(Vec::new()) };
    match ipam.driver.as_deref().unwrap_or_default() {
        "" | "default" => {}
        other => return Err(CreateError::Driver(other.to_owned())),
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
    Ok(ipam::read_wishes(&wishes)?)
}

/// A plan for each subnet to be had: those asked for in a family that is enabled, and one of the pools' for
/// an enabled family nobody asked about.
fn wanted(plans: &[Plan], request: &NetworkCreateRequest) -> Vec<Wanted> {
    let has = |is_ipv4| plans.iter().any(|plan| plan.is_ipv4() == is_ipv4);
    let families =
        [(true, request.enable_ipv4.unwrap_or(true)), (false, request.enable_ipv6.unwrap_or(false))];
    families
        .into_iter()
        .filter(|(_, is_enabled)| *is_enabled)
        .flat_map(|(is_ipv4, _)| {
            let asked = plans.iter().filter(move |plan| plan.is_ipv4() == is_ipv4);
            let asked = asked.map(move |plan| Wanted { is_ipv4, plan: plan.clone() });
            asked.chain((!has(is_ipv4)).then(|| Wanted { is_ipv4, plan: Plan::default() }))
        })
        .collect()
}

#[derive(Debug)]
struct Wanted {
    is_ipv4: bool,
    plan: Plan,
}

fn has_two_of_a_family(wanted: &[Wanted]) -> bool {
    [true, false].into_iter().any(|is_ipv4| wanted.iter().filter(|it| it.is_ipv4 == is_ipv4).count() > 1)
}

/// Where subnets come from, and what is taken.
struct Pools<'a> {
    pools: &'a [ipam::Pool],
    ours: &'a [Cidr],
    on_host: &'a [Cidr],
}

impl Pools<'_> {
    fn choose(&self, wanted: &[Wanted], without_gateway: bool) -> Result<Vec<Subnet>, CreateError> {
        let mut taken = self.ours.to_vec();
        let mut subnets = Vec::with_capacity(wanted.len());
        for Wanted { is_ipv4, plan } in wanted {
            let cidr = match plan.subnet {
                // Somebody who asks for a subnet knows what else is on the host; only our own count.
                Some(subnet) => ipam::claim_subnet(subnet, &taken)?,
                None => {
                    let pools: Vec<_> = self
                        .pools
                        .iter()
                        .copied()
                        .filter(|pool| pool.base.ip().is_ipv4() == *is_ipv4)
                        .collect();
                    ipam::choose_subnet(&pools, &[&taken, self.on_host].concat())?
                }
            };
            taken.push(cidr);
            let mut subnet = furnish(cidr, plan)?;
            if without_gateway && *is_ipv4 && plan.gateway.is_none() {
                subnet.gateway = None;
            }
            subnets.push(subnet);
        }
        Ok(subnets)
    }
}

/// Finds the gateway among the addresses that are left.
fn furnish(cidr: Cidr, plan: &Plan) -> Result<Subnet, CreateError> {
    let mut book = AddressBook::new(cidr, plan.range);
    if let Some(gateway) = plan.gateway {
        book.claim(gateway).map_err(|source| CreateError::Gateway { gateway, source })?;
    }
    for (name, ip) in &plan.auxiliary {
        book.claim(*ip).map_err(|source| CreateError::Auxiliary { name: name.clone(), ip: *ip, source })?;
    }
    let gateway = match plan.gateway {
        Some(gateway) => gateway,
        None => book.allocate().map_err(CreateError::NoGateway)?,
    };
    let auxiliary = plan.auxiliary.iter().cloned().collect();
    Ok(Subnet { cidr, range: plan.range, gateway: Some(gateway), auxiliary })
}

/// What was asked for in so many words; shown in this order, IPv4 first.
fn asked(plans: &[Plan]) -> Vec<Subnet> {
    let asked = plans.iter().filter_map(|plan| {
        let auxiliary = plan.auxiliary.iter().cloned().collect();
        Some(Subnet { cidr: plan.subnet?, range: plan.range, gateway: plan.gateway, auxiliary })
    });
    let mut asked: Vec<Subnet> = asked.collect();
    asked.sort_by_key(|subnet| !subnet.cidr.ip().is_ipv4());
    asked
}

fn record(
    request: NetworkCreateRequest,
    driver: Driver,
    plans: &[Plan],
    subnets: Vec<Subnet>,
    options: BTreeMap<String, String>,
) -> Record {
    let sorted = |map: HashMap<String, String>| map.into_iter().collect::<BTreeMap<_, _>>();
    let config_from = configured_from(&request).unwrap_or_default().to_owned();
    Record {
        id: Id::random(),
        name: request.name,
        created: crate::container::record::now(),
        driver,
        enable_ipv4: request.enable_ipv4.unwrap_or(true),
        enable_ipv6: request.enable_ipv6.unwrap_or(false),
        internal: request.internal.unwrap_or(false),
        attachable: request.attachable.unwrap_or(false),
        ingress: false,
        subnets,
        asked: asked(plans),
        config_only: request.config_only.unwrap_or(false),
        config_from,
        ipam_driver: "default".into(),
        ipam_options: request.ipam.and_then(|ipam| ipam.options).map(sorted),
        options,
        labels: sorted(request.labels.unwrap_or_default()),
    }
}
