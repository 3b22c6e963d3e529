//! What this playground offers, before there is a session.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use drydock_sessions::template::TEMPLATES;
use drydock_wire::session::{Playground, Template};
use http::StatusCode;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/ping", get(ping))
        .route("/playground", get(playground))
        .route("/my/playground", get(my_playground))
        .route("/instances/images", get(images))
        .route("/users/me", get(nobody))
        .route("/oauth/providers", get(providers))
}

/// 200 when a session can be made.
async fn ping(State(state): State<AppState>) -> Result<&'static str, Refusal> {
    match state.playground.full() {
        None => Ok("OK\n"),
        Some(reason) => Err(Refusal::full(reason)),
    }
}

async fn playground(State(state): State<AppState>) -> Json<Playground> {
    let limits = &state.config.life;
    let most = state.config.capacity.instances_per_session;
    Json(Playground {
        default_duration_seconds: limits.duration.whole_seconds().unsigned_abs(),
        max_duration_seconds: limits.longest.whole_seconds().unsigned_abs(),
        max_instances: most,
        images: state.config.images.clone(),
        templates: TEMPLATES
            .iter()
            .filter(|template| template.size() <= most)
            .map(|template| Template {
                name: template.name.to_owned(),
                title: template.title.to_owned(),
                summary: template.summary.to_owned(),
                nodes: template.size(),
            })
            .collect(),
        full: state.playground.full(),
    })
}

/// The same for play-with-docker's clients, in its words.
async fn my_playground(State(state): State<AppState>) -> Json<Value> {
    let images = &state.config.images;
    Json(json!({
        "id": "drydock",
        "domain": state.config.domain.clone().unwrap_or_default(),
        "default_dind_instance_image": images.first(),
        "available_dind_instance_images": images,
        "allow_windows_instances": false,
        // Go prints durations in nanoseconds.
        "default_session_duration": state.config.life.duration.whole_nanoseconds() as i64,
        "max_instances": state.config.capacity.instances_per_session,
    }))
}

async fn images(State(state): State<AppState>) -> Json<Vec<String>> {
    Json(state.config.images.clone())
}

/// There are no accounts: nobody is signed in, and no provider could sign anyone in.
async fn nobody() -> Refusal {
    Refusal::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "nobody is signed in: this playground has no accounts",
    )
}

async fn providers() -> Json<[&'static str; 0]> {
    Json([])
}
