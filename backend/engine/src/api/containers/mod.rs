//! `/containers/…`.

mod archive;
mod attach;
mod create;
mod lifecycle;
mod list;
mod logs;
mod mac;
mod observe;
mod wait;

pub use attach::size;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::engine::Engine;

pub fn routes() -> Router<Arc<Engine>> {
    Router::new()
        .route("/containers/json", get(list::list))
        .route("/containers/create", post(create::create))
        .route("/containers/prune", post(lifecycle::prune))
        .route("/containers/{name}", delete(lifecycle::remove))
        .route("/containers/{parent}/{alias}", delete(lifecycle::remove_by_link))
        .route("/containers/{name}/json", get(list::inspect))
        .route("/containers/{name}/start", post(lifecycle::start))
        .route("/containers/{name}/stop", post(lifecycle::stop))
        .route("/containers/{name}/restart", post(lifecycle::restart))
        .route("/containers/{name}/kill", post(lifecycle::kill))
        .route("/containers/{name}/pause", post(lifecycle::pause))
        .route("/containers/{name}/unpause", post(lifecycle::unpause))
        .route("/containers/{name}/rename", post(lifecycle::rename))
        .route("/containers/{name}/resize", post(attach::resize))
        .route("/containers/{name}/attach", post(attach::attach))
        .route("/containers/{name}/attach/ws", get(attach::attach_by_websocket))
        .route("/containers/{name}/wait", post(wait::wait))
        .route("/containers/{name}/logs", get(logs::logs))
        .route("/containers/{name}/top", get(observe::top))
        .route("/containers/{name}/stats", get(observe::stats))
        .route("/containers/{name}/update", post(observe::update))
        .route("/containers/{name}/archive", get(archive::get).head(archive::stat).put(archive::put))
        .route("/containers/{name}/export", get(archive::export))
        .route("/containers/{name}/changes", get(archive::changes))
}
