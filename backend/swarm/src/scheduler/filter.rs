//! What a node has to have for a task. Each filter knows how to say that none has it.

use bollard_stubs::models::{EngineDescriptionPlugins, Mount, MountTypeEnum, Platform};

use super::constraint::{self, Constraint};
use super::inventory::{NodeInfo, host_ports};
use super::resources::Reserved;
use crate::objects::{Availability, Protocol, Task};
use crate::store::View;

#[derive(Debug)]
pub enum Filter {
    Ready,
    Resources,
    /// Kinds and names of plugins.
    Plugins(Vec<(&'static str, String)>),
    Constraints(Vec<Constraint>),
    Platforms(Vec<Platform>),
    HostPorts(Vec<(Protocol, i64)>),
    MaxReplicas(usize),
}

/// The filters that matter for the task, in swarmkit's order.
pub fn filters_of(view: &View, task: &Task) -> Vec<Filter> {
    let placement = task.spec.placement.clone().unwrap_or_default();
    let mut filters = vec![Filter::Ready];
    if !Reserved::by(&task.spec).is_nothing() {
        filters.push(Filter::Resources);
    }
    let plugins = plugins_of(view, task);
    if !plugins.is_empty() {
        filters.push(Filter::Plugins(plugins));
    }
    // A constraint nobody can read was refused when the service was made.
    if let Ok(constraints) = constraint::parse(constraint::of(&task.spec))
        && !constraints.is_empty()
    {
        filters.push(Filter::Constraints(constraints));
    }
    if let Some(platforms) = placement.platforms.filter(|platforms| !platforms.is_empty()) {
        filters.push(Filter::Platforms(platforms));
    }
    let ports: Vec<_> = host_ports(task).collect();
    if !ports.is_empty() {
        filters.push(Filter::HostPorts(ports));
    }
    if let Some(most) =
        placement.max_replicas.and_then(|most| usize::try_from(most).ok()).filter(|most| *most > 0)
    {
        filters.push(Filter::MaxReplicas(most));
    }
    filters
}

impl Filter {
    pub fn passes(&self, task: &Task, info: &NodeInfo) -> bool {
        match self {
            Self::Ready => info.node.is_ready() && info.node.availability() == Availability::ACTIVE,
            Self::Resources => info.available.has_room_for(&task.spec),
            Self::Plugins(wanted) => has_plugins(info, wanted),
            Self::Constraints(constraints) => constraint::matches(constraints, &info.node),
            Self::Platforms(platforms) => runs_one_of(info, platforms),
            Self::HostPorts(ports) => !ports.iter().any(|port| info.has_host_port(*port)),
            Self::MaxReplicas(most) => info.of_service(task) < *most,
        }
    }

    /// What it means that so many nodes did not pass.
    pub fn explain(&self, nodes: usize) -> String {
        let on = if nodes == 1 { "1 node".to_owned() } else { format!("{nodes} nodes") };
        match self {
            Self::Ready => format!("{on} not available for new tasks"),
            Self::Resources => format!("insufficient resources on {on}"),
            Self::Plugins(_) => format!("missing plugin on {on}"),
            Self::Constraints(_) => format!("scheduling constraints not satisfied on {on}"),
            Self::Platforms(_) => format!("unsupported platform on {on}"),
            Self::HostPorts(_) => format!("host-mode port already in use on {on}"),
            Self::MaxReplicas(_) => "max replicas per node limit exceed".to_owned(),
        }
    }
}

/// Volume, network and log drivers that the task needs.
fn plugins_of(view: &View, task: &Task) -> Vec<(&'static str, String)> {
    let mounts = task.spec.container_spec.as_ref().and_then(|container| container.mounts.as_deref());
    let volumes = mounts.unwrap_or_default().iter().filter_map(volume_driver).map(|name| ("Volume", name));
    let networks = task
        .networks
        .iter()
        .filter_map(|attachment| view.networks().get(attachment.network_id.as_str()))
        .map(|network| ("Network", network.driver().to_owned()));
    let log = task.spec.log_driver.as_ref().and_then(|driver| driver.name.clone());
    let log = log.filter(|name| !name.is_empty() && name != "none").map(|name| ("Log", name));
    volumes.chain(networks).chain(log).collect()
}

fn volume_driver(mount: &Mount) -> Option<String> {
    let options = mount.volume_options.as_ref().filter(|_| mount.typ == Some(MountTypeEnum::VOLUME))?;
    let name = options.driver_config.as_ref()?.name.clone()?;
    (!name.is_empty() && name != "local").then_some(name)
}

/// A node that says nothing of its engine is taken to have all; one that lists no log driver at
/// all is an old one, and has it.
fn has_plugins(info: &NodeInfo, wanted: &[(&'static str, String)]) -> bool {
    let engine = info.node.description.as_ref().and_then(|description| description.engine.as_ref());
    let Some(engine) = engine else { return true };
    let plugins = engine.plugins.as_deref().unwrap_or_default();
    wanted.iter().all(|(kind, name)| {
        let mut of_kind = plugins.iter().filter(|plugin| plugin.typ.as_deref() == Some(*kind)).peekable();
        (*kind == "Log" && of_kind.peek().is_none()) || of_kind.any(|plugin| is_named(plugin, name))
    })
}

fn is_named(plugin: &EngineDescriptionPlugins, name: &str) -> bool {
    let found = plugin.name.as_deref().unwrap_or_default();
    found == name || found.strip_prefix(name) == Some(":latest")
}

fn runs_one_of(info: &NodeInfo, platforms: &[Platform]) -> bool {
    let has = info.node.description.as_ref().and_then(|description| description.platform.as_ref());
    let Some(has) = has else { return false };
    platforms.iter().any(|wanted| {
        let architecture = architecture(wanted);
        let os = wanted.os.as_deref().unwrap_or_default();
        (architecture.is_empty() || architecture == self::architecture(has))
            && (os.is_empty() || Some(os) == has.os.as_deref())
    })
}

/// Kernels and images call the same machine by two names.
fn architecture(platform: &Platform) -> &str {
    match platform.architecture.as_deref().unwrap_or_default() {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
