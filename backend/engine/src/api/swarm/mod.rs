//! The swarm's doors: `/swarm`, `/nodes`, `/services`, `/tasks`, `/secrets`, `/configs`.

mod cluster;
mod logs;
pub mod networks;
mod nodes;
mod secrets;
mod services;
mod words;

use std::sync::Arc;

use axum::Router;
use drydock_swarm::api::filter::Filters;
use drydock_swarm::ask::{Answer, Ask, Wish};
use drydock_swarm::manager::ClusterError;
use drydock_swarm::objects::Stored;
use drydock_swarm::store::View;
use drydock_swarm::{Status, api};
use http::StatusCode;
use serde_json::{Value, json};

use crate::api::query::Parameters;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};

pub use cluster::{info, state};

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .merge(cluster::routes())
        .merge(nodes::routes())
        .merge(services::routes())
        .merge(secrets::routes())
}

impl From<ClusterError> for ApiError {
    fn from(error: ClusterError) -> Self {
        let status = StatusCode::from_u16(error.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, error.to_string())
    }
}

fn refused(status: &Status) -> ApiError {
    let code = StatusCode::from_u16(status.code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    ApiError::new(code, status.to_string())
}

/// Asks the leader; the answer is the id of what was made.
async fn wish(engine: &Engine, wish: Wish) -> ApiResult<String> {
    match engine.swarm()?.ask(Ask::Wish(Box::new(wish))).await? {
        Answer::Id(id) => Ok(id),
        _ => Ok(String::new()),
    }
}

/// The `version` that an update must name.
fn version(query: &Parameters) -> ApiResult<u64> {
    let text = query.text("version").unwrap_or_default();
    let bad = |why: &str| {
        ApiError::invalid(format!("invalid version '{text}': strconv.ParseUint: parsing {text:?}: {why}"))
    };
    text.parse().map_err(|_| bad("invalid syntax"))
}

fn filters(query: &Parameters) -> ApiResult<Filters> {
    Ok(Filters::new(query.filters()?.into_map()))
}

/// An answer that holds specs of services, with what the API's model calls by another name than moby does.
fn as_moby_names(answer: impl serde::Serialize) -> Value {
    let mut answer = json!(answer);
    rename_health_checks(&mut answer);
    answer
}

fn rename_health_checks(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(rename_health_checks),
        Value::Object(fields) => {
            if let Some(Value::Object(spec)) = fields.get_mut("ContainerSpec")
                && let Some(check) = spec.remove("HealthCheck")
            {
                spec.insert("Healthcheck".to_owned(), check);
            }
            fields.values_mut().for_each(rename_health_checks);
        }
        _ => {}
    }
}

/// The object that a client means by an id, a name, or the beginning of an id.
fn found<T: Stored>(
    view: &View,
    table: &drydock_swarm::store::Table<T>,
    kind: &str,
    reference: &str,
) -> ApiResult<Arc<T>> {
    match view.resolve(table, reference) {
        Ok(Some(object)) => Ok(object.clone()),
        Ok(None) => Err(refused(&api::not_found(kind, reference))),
        Err(ambiguous) => Err(refused(&api::ambiguous(kind, reference, ambiguous))),
    }
}
