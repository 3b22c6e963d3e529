//! `docker ps` and `docker inspect`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use crate::api::order::InOrder;
use crate::api::query::{Filters, Parameters};
use crate::container::record::Status;
use crate::container::{Container, Record, inspect as shape, links, summary};
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::swarm::TASK_LABEL;

const FILTERS: [&str; 16] = [
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
    "is-automated",
];
const STATUSES: [&str; 7] = ["created", "running", "paused", "restarting", "removing", "exited", "dead"];
const HEALTHS: [&str; 4] = ["none", "starting", "healthy", "unhealthy"];

pub async fn list(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult {
    let filters = query.filters()?;
    filters.only(&FILTERS)?;
    check(&filters)?;
    let limit = query
        .number("limit")
        .map_err(|error| ApiError::internal(error.message))?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|limit| *limit > 0);
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
    Ok(Json(InOrder(&Value::Array(answer))).into_response())
}

/// Values that no container can have are a mistake, not an empty list.
fn check(filters: &Filters) -> ApiResult<()> {
    for (filter, what, known) in [("status", "state", &STATUSES[..]), ("health", "health", &HEALTHS[..])] {
        if let Some(word) = filters.get(filter).iter().find(|word| !known.contains(&word.as_str())) {
            return Err(ApiError::invalid(format!(
                "invalid filter '{filter}={word}': invalid value for {what} ({word}): must be one of {}",
                known.join(", ")
            )));
        }
    }
    if let Some(code) = filters.get("exited").iter().find(|code| code.parse::<i64>().is_err()) {
        return Err(ApiError::invalid(format!(
            "invalid filter 'exited={code}': strconv.Atoi: parsing \"{code}\": invalid syntax"
        )));
    }
    for filter in ["publish", "expose"] {
        if let Some(port) = filters.get(filter).iter().find(|port| range(port).is_none()) {
            return Err(ApiError::internal(format!(
                "error while looking up for {filter} {port}: strconv.ParseUint: parsing \"{port}\": invalid syntax"
            )));
        }
    }
    filters.yes_or_no("is-task").map(drop)
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
            // A name that is no pattern matches nothing; moby looks for it as it stands.
            .filter_map(|name| regex_lite::Regex::new(name).ok());
        let ancestors = filters.get("ancestor").iter();
        Ok(Self {
            filters,
            names: names.collect(),
            since: created("since")?,
            before: created("before")?,
            ancestors: ancestors.filter_map(|name| Some(engine.images.lookup(name).ok()?.id)).collect(),
        })
    }

    fn takes(&self, engine: &Engine, record: &Record) -> bool {
        let filters = self.filters;
        let named = filters.get("name").is_empty()
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
            && filters.flag("is-task").is_none_or(|wanted| wanted == is_task(record))
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

/// Made by the swarm.
fn is_task(record: &Record) -> bool {
    record.config.labels.contains_key(TASK_LABEL)
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
    let (number, own) = port.split_once('/').unwrap_or((port, "tcp"));
    match (range(wanted), number.parse::<u16>()) {
        (Some((first, last, protocol)), Ok(number)) => own == protocol && (first..=last).contains(&number),
        _ => false,
    }
}

fn range(wanted: &str) -> Option<(u16, u16, &str)> {
    let (numbers, protocol) = wanted.split_once('/').unwrap_or((wanted, "tcp"));
    let (first, last) = numbers.split_once('-').unwrap_or((numbers, numbers));
    Some((first.parse().ok()?, last.parse().ok()?, protocol))
}

fn publishes(record: &Record, wanted: &str) -> bool {
    let mut bindings = record.ports.iter().flat_map(|(port, bindings)| {
        let protocol = port.split_once('/').map_or("tcp", |(_, protocol)| protocol);
        bindings
            .iter()
            .flatten()
            .filter_map(move |binding| Some(format!("{}/{protocol}", binding.host_port.as_ref()?)))
    });
    bindings.any(|port| in_range(wanted, &port))
}

fn exposes(record: &Record, wanted: &str) -> bool {
    record.ports.keys().chain(record.config.exposed_ports.keys()).any(|port| in_range(wanted, port))
}

pub async fn inspect(
    State(engine): State<Arc<Engine>>,
    Path(name): Path<String>,
    Query(query): Query<Parameters>,
) -> ApiResult {
    let container = engine.containers.find(&name)?;
    let record = container.record().clone();
    let mut around = shape::Around {
        exec_ids: engine.execs.of(&container.id),
        links: links::shown(&engine, &record),
        root: engine.images.store().snapshot(container.id.as_str()).ok(),
        driver: engine.images.driver_name(),
        ..shape::Around::default()
    };
    if query.flag("size") {
        let (written, seen) = engine.images.rootfs_size(container.id.as_str()).unwrap_or_default();
        around.size_rw = Some(written);
        around.size_root = Some(seen);
    }
    Ok(Json(InOrder(&shape::inspect(&container, &record, &around))).into_response())
}
