//! `docker ps` and `docker inspect`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use crate::api::query::{Filters, Parameters};
use crate::container::record::Status;
use crate::container::{Container, Record, inspect as shape, links, summary};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

const FILTERS: [&str; 17] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "label!",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "is-automated",
];
const STATUSES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];

pub async fn list(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Vec<Value>>> {
    let filters = query.filters()?;
    filters.only(&FILTERS)?;
    if let Some(unknown) = filters.get("status").iter().find(|status| !STATUSES.contains(&status.as_str())) {
        return Err(ApiError::invalid(format!("invalid filter 'status={unknown}'")));
    }
    let limit =
        query.number("limit")?.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    // These two ask about containers that do not run.
    let all = query.flag("all") || limit.is_some() || filters.has("status") || filters.has("exited");
    let wanted = Selection::new(&engine, &filters)?;
    let now = time::OffsetDateTime::now_utc();
    let mut answer = Vec::new();
    let names = engine.containers.names();
    for container in engine.containers.all() {
        let record = container.record().clone();
        if (!all && !record.state.status.counts_as_running()) || !wanted.takes(&engine, &record) {
            continue;
        }
        let own = names.get(&record.id).map(Vec::as_slice).unwrap_or_default();
        let mut summary = summary::summary(&record, own, &image_name(&engine, &record), now);
        if query.flag("size") {
            add_size(&engine, &container, &mut summary);
        }
        answer.push(summary);
        if Some(answer.len()) == limit {
            break;
        }
    }
    Ok(Json(answer))
}

fn add_size(engine: &Engine, container: &Container, answer: &mut Value) {
    let (written, seen) = engine.images.rootfs_size(container.id.as_str()).unwrap_or_default();
    answer["SizeRw"] = json!(written);
    answer["SizeRootFs"] = json!(seen);
}

/// The name it was made from, while it still means the same image.
fn image_name(engine: &Engine, record: &Record) -> String {
    match engine.images.lookup(&record.config.image) {
        Ok(image) if image.id == record.image_id => record.config.image.clone(),
        _ => record.image_id.clone(),
    }
}

/// `docker ps --filter`, with what is named looked up once.
struct Selection<'a> {
    filters: &'a Filters,
    names: Vec<regex_lite::Regex>,
    /// Created after this, and before that.
    since: Option<String>,
    before: Option<String>,
    ancestors: Vec<String>,
}

impl<'a> Selection<'a> {
    fn new(engine: &Engine, filters: &'a Filters) -> ApiResult<Self> {
        let created = |filter: &str| match filters.get(filter).first() {
            Some(name) => Ok::<_, ApiError>(Some(engine.containers.find(name)?.record().created.clone())),
            None => Ok(None),
        };
        let names = filters
            .get("name")
            .iter()
            .map(|name| regex_lite::Regex::new(name).map_err(|error| ApiError::invalid(error.to_string())));
        let ancestors = filters.get("ancestor").iter();
        Ok(Self {
            filters,
            names: names.collect::<Result<_, _>>()?,
            since: created("since")?,
            before: created("before")?,
            ancestors: ancestors.filter_map(|name| Some(engine.images.lookup(name).ok()?.id)).collect(),
        })
    }

    fn takes(&self, engine: &Engine, record: &Record) -> bool {
        let filters = self.filters;
        let named = self.names.is_empty()
            || self
                .names
                .iter()
                .any(|name| name.is_match(&record.name) || name.is_match(&format!("/{}", record.name)));
        let exited =
            |code: &str| record.state.status == Status::Exited && code.parse() == Ok(record.state.exit_code);
        let health = record.state.health.as_ref().map_or("none", |health| health.status.as_str());
        named
            && filters.any("id", |id| record.id.as_str().starts_with(id))
            && filters.labels(&record.config.labels)
            && filters.any("status", |status| status == record.state.status.as_str())
            && filters.any("exited", exited)
            && filters.any("health", |wanted| wanted == health)
            && filters.any("volume", |volume| uses_volume(record, volume))
            && filters.any("network", |network| on_network(record, network))
            && filters.any("publish", |port| publishes(record, port))
            && filters.any("expose", |port| exposes(record, port))
            && filters.flag("is-task") != Some(true)
            && self.since.as_ref().is_none_or(|since| record.created > *since)
            && self.before.as_ref().is_none_or(|before| record.created < *before)
            && self.descends(engine, record)
    }

    fn descends(&self, _engine: &Engine, record: &Record) -> bool {
        let wanted = self.filters.get("ancestor");
        wanted.is_empty()
            || self.ancestors.contains(&record.image_id)
            || wanted.contains(&record.config.image)
    }
}

fn uses_volume(record: &Record, volume: &str) -> bool {
    record
        .mounts
        .iter()
        .any(|point| point.name == volume || point.destination == volume || point.source == volume)
}

fn on_network(record: &Record, network: &str) -> bool {
    let by_id =
        |id: &Option<String>| id.as_deref().is_some_and(|id| !id.is_empty() && id.starts_with(network));
    record.networks.iter().any(|(name, endpoint)| name == network || by_id(&endpoint.network_id))
}

/// `80`, `80/tcp` or `80-90/tcp`.
fn in_range(wanted: &str, port: &str) -> bool {
    let (wanted, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (number, own) = port.split_once('/').unwrap_or((port, "tcp"));
    let (first, last) = wanted.split_once('-').unwrap_or((wanted, wanted));
    let parse = |text: &str| text.parse::<u16>().ok();
    match (parse(first), parse(last), parse(number)) {
        (Some(first), Some(last), Some(number)) => own == protocol && (first..=last).contains(&number),
        _ => false,
    }
}

fn publishes(record: &Record, wanted: &str) -> bool {
    let bindings = record.ports.iter().flat_map(|(port, bindings)| {
        let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        bindings
            .iter()
            .flatten()
            .filter_map(move |binding| Some(format!("{}/{protocol}", binding.host_port.as_ref()?)))
    });
    let own =
        record.ports.iter().filter(|(_, bindings)| bindings.as_ref().is_some_and(|list| !list.is_empty()));
    bindings.chain(own.map(|(port, _)| port.clone())).any(|port| in_range(wanted, &port))
}

fn exposes(record: &Record, wanted: &str) -> bool {
    record.ports.keys().chain(record.config.exposed_ports.keys()).any(|port| in_range(wanted, port))
}

pub async fn inspect(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult<Json<Value>> {
    let container = engine.containers.find(&name)?;
    let record = container.record().clone();
    let mut around = shape::Around {
        exec_ids: engine.execs.of(&container.id),
        links: links::shown(&engine, &record),
        ..shape::Around::default()
    };
    if query.flag("size") {
        let (written, seen) = engine.images.rootfs_size(container.id.as_str()).unwrap_or_default();
        around.size_rw = Some(written);
        around.size_root = Some(seen);
    }
    Ok(Json(shape::inspect(&container, &record, &around)))
}
