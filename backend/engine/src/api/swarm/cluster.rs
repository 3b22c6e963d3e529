//! `/swarm/…`, and the swarm's part of `docker info`.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use bollard_stubs::models::{SwarmInitRequest, SwarmUnlockRequest};
use drydock_swarm::api;
use drydock_swarm::ask::{Ask, RotateKeys, SwarmUpdate};
use drydock_swarm::manager::ClusterError;
use drydock_swarm::manager::{InitRequest, JoinRequest, LocalState};
use drydock_swarm::objects::{Availability, Reachability, SwarmSpec};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::body::JsonBody;
use crate::api::query::Parameters;
use crate::engine::Engine;
use crate::error::{ApiError, ApiResult};
use crate::swarm::{self, Swarm};

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/swarm", get(inspect))
        .route("/swarm/init", post(init))
        .route("/swarm/join", post(join))
        .route("/swarm/leave", post(leave))
        .route("/swarm/update", post(update))
        .route("/swarm/unlockkey", get(unlock_key))
        .route("/swarm/unlock", post(unlock))
}

async fn inspect(State(engine): State<Arc<Engine>>) -> ApiResult<Json<Value>> {
    let cluster = engine.swarm()?.inspect().await?;
    Ok(Json(json!(api::swarm(&cluster))))
}

/// What the models of the API leave out.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Joining {
    listen_addr: String,
    advertise_addr: String,
    data_path_addr: String,
    remote_addrs: Option<Vec<String>>,
    join_token: String,
    availability: Option<String>,
}

fn availability(text: Option<&str>) -> ApiResult<Option<Availability>> {
    match text.unwrap_or_default().to_lowercase().as_str() {
        "" => Ok(None),
        "active" => Ok(Some(Availability::ACTIVE)),
        "pause" => Ok(Some(Availability::PAUSE)),
        "drain" => Ok(Some(Availability::DRAIN)),
        other => Err(ApiError::invalid(format!("invalid Availability: {other:?}"))),
    }
}

async fn init(State(engine): State<Arc<Engine>>, JsonBody(body): JsonBody<Value>) -> ApiResult<Json<Value>> {
    let given = body.get("Availability").and_then(Value::as_str).map(str::to_owned);
    let wanted: SwarmInitRequest = crate::api::body::decode(body)?;
    let bad = |error: swarm::AddressError| ApiError::invalid(error.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let is_forced = wanted.force_new_cluster.unwrap_or(false);
    match engine.swarm()?.local_state() {
        LocalState::Inactive => {}
        LocalState::Locked => return Err(ClusterError::Locked.into()),
        _ if is_forced => {}
        _ => return Err(ClusterError::Exists.into()),
    }
    let listen_addr = swarm::listening(&text(&wanted.listen_addr)).map_err(bad)?;
    let advertise_addr = match swarm::advertised(&text(&wanted.advertise_addr), &listen_addr) {
        Ok(address) => address,
        // The address that it had will do.
        Err(swarm::AddressError::None | swarm::AddressError::Several(..)) if is_forced => String::new(),
        Err(error) => return Err(bad(error)),
    };
    let request = InitRequest {
        listen_addr,
        advertise_addr,
        data_path_addr: swarm::data_path(&text(&wanted.data_path_addr)).map_err(bad)?,
        data_path_port: wanted.data_path_port.unwrap_or_default(),
        default_address_pool: wanted.default_addr_pool.unwrap_or_default(),
        subnet_size: wanted.subnet_size.unwrap_or_default(),
        force_new_cluster: is_forced,
        spec: wanted.spec.unwrap_or_default(),
        availability: availability(given.as_deref())?,
    };
    Ok(Json(json!(engine.swarm()?.init(request).await?)))
}

async fn join(
    State(engine): State<Arc<Engine>>,
    JsonBody(wanted): JsonBody<Joining>,
) -> ApiResult<StatusCode> {
    let bad = |error: swarm::AddressError| ApiError::invalid(error.to_string());
    let remote_addrs = wanted.remote_addrs.unwrap_or_default();
    let Some(first) = remote_addrs.first() else {
        return Err(ApiError::invalid("at least 1 RemoteAddr is required to join"));
    };
    let listen_addr = swarm::listening(&wanted.listen_addr).map_err(bad)?;
    let advertise_addr = match (wanted.advertise_addr.as_str(), swarm::towards(first)) {
        ("", Some(own)) => own,
        (given, _) => swarm::advertised(given, &listen_addr).map_err(bad)?,
    };
    let request = JoinRequest {
        listen_addr,
        advertise_addr,
        data_path_addr: swarm::data_path(&wanted.data_path_addr).map_err(bad)?,
        availability: availability(wanted.availability.as_deref())?,
        token: wanted.join_token,
        remote_addrs,
    };
    engine.swarm()?.join(request).await?;
    Ok(StatusCode::OK)
}

async fn leave(State(engine): State<Arc<Engine>>, Query(query): Query<Parameters>) -> ApiResult<StatusCode> {
    engine.swarm()?.leave(query.flag("force")).await?;
    engine.fabric.leave(&engine).await;
    Ok(StatusCode::OK)
}

async fn update(
    State(engine): State<Arc<Engine>>,
    Query(query): Query<Parameters>,
    JsonBody(spec): JsonBody<SwarmSpec>,
) -> ApiResult<StatusCode> {
    let update = SwarmUpdate {
        version: super::version(&query)?,
        spec,
        rotate: RotateKeys {
            worker_token: query.flag("rotateWorkerToken"),
            manager_token: query.flag("rotateManagerToken"),
            unlock_key: query.flag("rotateManagerUnlockKey"),
        },
    };
    engine.swarm()?.ask(Ask::UpdateSwarm(Box::new(update))).await?;
    Ok(StatusCode::OK)
}

async fn unlock_key(State(engine): State<Arc<Engine>>) -> ApiResult<Json<Value>> {
    Ok(Json(json!({ "UnlockKey": engine.swarm()?.unlock_key().await? })))
}

async fn unlock(
    State(engine): State<Arc<Engine>>,
    JsonBody(wanted): JsonBody<SwarmUnlockRequest>,
) -> ApiResult<StatusCode> {
    engine.swarm()?.unlock(&wanted.unlock_key.unwrap_or_default()).await?;
    Ok(StatusCode::OK)
}

/// What a ping says: the command line offers a swarm's commands by it.
pub fn state(engine: &Engine) -> &'static str {
    let Ok(swarm) = engine.swarm() else { return "inactive" };
    match swarm.local_state() {
        LocalState::Inactive => "inactive",
        LocalState::Pending => "pending",
        LocalState::Active if swarm.is_manager() => "active/manager",
        LocalState::Active => "active/worker",
        LocalState::Locked => "locked",
        LocalState::Error(_) => "error",
    }
}

/// `Swarm` of `GET /info`.
pub async fn info(engine: &Engine) -> Map<String, Value> {
    let none = json!({
        "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
        "RemoteManagers": null,
    });
    let mut info = match none {
        Value::Object(info) => info,
        _ => Map::new(),
    };
    let Ok(swarm) = engine.swarm() else { return info };
    let (state, error) = match swarm.local_state() {
        LocalState::Inactive => return info,
        LocalState::Pending => ("pending", String::new()),
        LocalState::Active => ("active", String::new()),
        LocalState::Locked => {
            let words = ClusterError::Locked.to_string();
            ("locked", words)
        }
        LocalState::Error(words) => ("error", words),
    };
    let settings = swarm.settings().unwrap_or_default();
    let remotes: Vec<Value> = swarm
        .remote_managers()
        .into_iter()
        .map(|manager| json!({ "NodeID": manager.node_id, "Addr": manager.address }))
        .collect();
    info.insert("LocalNodeState".into(), json!(state));
    info.insert("Error".into(), json!(error));
    info.insert("NodeID".into(), json!(swarm.node_id().unwrap_or_default()));
    let own = settings.advertised_ip().map(|ip| ip.to_string()).unwrap_or_default();
    info.insert("NodeAddr".into(), json!(own));
    info.insert("ControlAvailable".into(), json!(swarm.is_manager()));
    info.insert("RemoteManagers".into(), json!(remotes));
    if swarm.is_manager() {
        count(&mut info, swarm).await;
    }
    // Why nobody can be talked to comes before that nobody leads.
    if let Some(complaint) = swarm.complaint() {
        info.insert("Error".into(), json!(complaint));
    }
    info
}

/// What only a manager can tell, while there is a leader.
async fn count(info: &mut Map<String, Value>, swarm: &Swarm) {
    let counted = swarm.read(|view, reading| {
        let nodes: Vec<_> = view.nodes().iter().map(|node| reading.node(node)).collect();
        let managers = nodes.iter().filter_map(|node| node.manager_status.as_ref());
        let reachable = managers.filter(|status| status.reachability == Reachability::REACHABLE).count();
        (nodes.len(), reachable, view.cluster().cloned())
    });
    match counted.await {
        Ok((nodes, managers, cluster)) => {
            info.insert("Nodes".into(), json!(nodes));
            info.insert("Managers".into(), json!(managers));
            let cluster = cluster.as_deref().map(api::cluster);
            info.insert("Cluster".into(), json!(cluster));
        }
        Err(error) => drop(info.insert("Error".into(), json!(error.to_string()))),
    }
}
