//! Sessions: made, shown, set up, extended, ended.

use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;

use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_sessions::{life, template};
use drydock_wire::session::{NewInstance, Session as View};
use futures_util::future::try_join_all;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use super::body::JsonBody;
use super::found::InSession;
use super::origin::host;
use super::refusal::Refusal;
use super::{assets, instances};
use crate::playground::create::NewSession;
use crate::playground::end::Reason;
use crate::playground::session::rfc3339;
use crate::state::AppState;

pub fn router() -> Router<AppState> {
    Router::new()
        .route("/", post(create).get(assets::page))
        .route("/p/{session}", get(assets::page))
        .route("/sessions/{session}", get(show).delete(close))
        .route("/sessions/{session}/close", post(close))
        .route("/sessions/{session}/extend", post(extend))
        .route("/sessions/{session}/setup", post(setup))
}

/// What the landing page's form, and play-with-docker's clients, send.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CreateForm {
    #[serde(rename = "session-duration")]
    duration: String,
    stack: String,
    stack_name: String,
    image_name: String,
    lab: String,
}

async fn create(
    State(state): State<AppState>,
    ConnectInfo(client): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    form: Result<Form<CreateForm>, FormRejection>,
) -> Response {
    let wants_json = wants_json(&headers);
    let form = match form {
        Ok(Form(form)) => Ok(form),
        // No form at all asks for nothing in particular.
        Err(FormRejection::InvalidFormContentType(_)) => Ok(CreateForm::default()),
        Err(rejection) => Err(Refusal::bad_request(rejection.body_text())),
    };
    let made = match form {
        Ok(form) => make(&state, client.ip(), form).await,
        Err(refusal) => Err(refusal),
    };
    match made {
        Ok(id) if wants_json => {
            let hostname = host(&headers).unwrap_or_default();
            Json(json!({ "session_id": id, "hostname": hostname })).into_response()
        }
        // 302, as play-with-docker answers.
        Ok(id) => (StatusCode::FOUND, [(header::LOCATION, format!("/p/{id}"))]).into_response(),
        Err(refusal) if wants_json => refusal.into_response(),
        Err(refusal) => assets::sorry(&refusal),
    }
}

async fn make(state: &AppState, client: IpAddr, form: CreateForm) -> Result<String, Refusal> {
    state
        .creation
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take(canonical(client), OffsetDateTime::now_utc())?;
    if !form.image_name.is_empty() && !state.config.images.contains(&form.image_name) {
        return Err(Refusal::bad_request(format!("the image {} is not offered", form.image_name)));
    }
    let duration = match form.duration.as_str() {
        "" => None,
        text => Some(life::parse_go_duration(text).ok_or_else(|| {
            Refusal::bad_request("session-duration is not a duration; `4h` or `90m` is one")
        })?),
    };
    let offered = state.config.life.duration;
    if duration.is_some_and(|asked| asked > offered) {
        let message =
            format!("a session lasts {} minutes at most, and can be extended", offered.whole_minutes());
        return Err(Refusal::bad_request(message));
    }
    let (lab, nodes) = beginnings(state, &form)?;
    let asked = NewSession {
        duration,
        stack: form.stack,
        stack_name: form.stack_name,
        image: form.image_name,
        lab,
        instances: nodes,
    };
    let session = state.playground.create(asked).await?;
    Ok(session.id().reveal().to_owned())
}

/// The lab and the nodes a session begins with: the lab's own, or the template's.
fn beginnings(state: &AppState, form: &CreateForm) -> Result<(Option<String>, Vec<NewInstance>), Refusal> {
    if !form.lab.is_empty() {
        let nodes =
            state.labs.nodes(&form.lab).ok_or_else(|| Refusal::bad_request("there is no such lab"))?;
        return Ok((Some(form.lab.clone()), nodes));
    }
    let template = template::find(&form.stack_name)
        .ok_or_else(|| Refusal::bad_request(format!("there is no template {:?}", form.stack_name)))?;
    let node = |number| NewInstance { hostname: format!("node{number}"), ..NewInstance::default() };
    Ok((None, (1..=template.nodes).map(node).collect()))
}

fn wants_json(headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains(wanted))
    };
    is("x-requested-with", "XMLHttpRequest") || is("accept", "application/json")
}

/// An IPv4 client of an IPv6 socket is the IPv4 client; one of IPv6 is its /64, which one household has.
fn canonical(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(client) => client.into(),
        IpAddr::V6(client) => {
            let mut segments = client.segments();
            segments[4..].fill(0);
            IpAddr::V6(segments.into())
        }
    }
}

async fn show(
    State(state): State<AppState>,
    InSession(session): InSession,
    headers: HeaderMap,
) -> Json<View> {
    Json(session.view(host(&headers).unwrap_or_default(), state.config.capacity.instances_per_session))
}

async fn close(State(state): State<AppState>, InSession(session): InSession) -> StatusCode {
    state.playground.end(&session.id(), Reason::Closed).await;
    StatusCode::OK
}

async fn extend(
    State(state): State<AppState>,
    InSession(session): InSession,
) -> Result<Json<serde_json::Value>, Refusal> {
    let expires = state.playground.extend(&session).await?;
    Ok(Json(json!({ "expires_at": rfc3339(expires) })))
}

#[derive(Debug, Deserialize)]
struct Setup {
    #[serde(default)]
    instances: Vec<SetupInstance>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SetupInstance {
    image: String,
    hostname: String,
    is_swarm_manager: bool,
    is_swarm_worker: bool,
    #[serde(rename = "type")]
    kind: String,
    run: Vec<Vec<String>>,
    tls: bool,
}

/// Makes several nodes at once and runs each one's commands in order.
async fn setup(
    State(state): State<AppState>,
    InSession(session): InSession,
    JsonBody(setup): JsonBody<Setup>,
) -> Result<StatusCode, Refusal> {
    if !session.instances().is_empty() {
        let message = "the session has nodes already";
        return Err(Refusal::new(StatusCode::CONFLICT, "not_empty", message));
    }
    if setup.instances.iter().any(|asked| asked.is_swarm_manager || asked.is_swarm_worker) {
        return Err(Refusal::bad_request(
            "this server does not form swarms at set-up: run `docker swarm init`",
        ));
    }
    let (playground, session) = (&state.playground, &session);
    try_join_all(setup.instances.into_iter().map(async |asked| {
        let new = NewInstance {
            image_name: asked.image,
            hostname: asked.hostname,
            kind: asked.kind,
            tls: asked.tls,
            ..NewInstance::default()
        };
        let instance = playground.create_instance(session, new).await?;
        for command in asked.run {
            instances::run(&instance, command).await?;
        }
        Ok::<_, Refusal>(())
    }))
    .await?;
    Ok(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_are_counted_by_what_one_of_them_can_have() {
        for (client, counted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(canonical(client.parse().unwrap()), counted.parse::<IpAddr>().unwrap());
        }
    }
}
