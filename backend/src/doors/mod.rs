//! HTTP and WebSockets: one family of endpoints per file, each with its `router`.
//!
//! Doors parse what comes in, call the verb, and translate its outcome. They trust no id: [`found`] looks every one
//! up. A failure is logged once, in [`refusal`].

pub mod assets;
pub mod body;
pub mod capture;
pub mod editor;
pub mod events;
pub mod fetch;
pub mod files;
pub mod found;
pub mod instances;
pub mod labs;
pub mod links;
pub mod metrics;
pub mod origin;
pub mod pcap;
pub mod playground;
pub mod port_host;
pub mod ports;
pub mod refusal;
pub mod relay;
pub mod security;
pub mod sessions;
pub mod terminal_socket;
pub mod terminals;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};

use crate::config::BODY_LIMIT;
use crate::state::AppState;

/// Everything, as served on the listening socket.
pub fn router(state: AppState) -> Router {
    let playground = Router::new()
        .merge(playground::router())
        .merge(sessions::router())
        .merge(instances::router())
        .merge(terminals::router())
        .merge(files::router())
        .merge(capture::router())
        .merge(editor::router())
        .merge(events::router())
        .merge(labs::router())
        .merge(links::router())
        .merge(metrics::router())
        .fallback(assets::serve)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(state.clone(), origin::share))
        .layer(from_fn(security::headers))
        .with_state(state.clone());
    // Outermost: a request for a node's port never comes near the playground, nor its headers.
    playground.layer(from_fn_with_state(state, ports::divert))
}
