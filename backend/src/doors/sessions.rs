//! Sessions: made, shown, set up, extended, ended.

use std::net::{IpAddr, SocketAddr};
use std::sync::PoisonError;

use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, Form, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use drydock_sessions::template::Template;
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
use crate::playground::furnish::{Beginning, Furnish, Part};
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
fn beginnings(state: &AppState, form: &CreateForm) -> Result<(Option<String>, Vec<Beginning>), Refusal> {
    if !form.lab.is_empty() {
        let nodes =
            state.labs.nodes(&form.lab).ok_or_else(|| Refusal::bad_request("there is no such lab"))?;
        return Ok((Some(form.lab.clone()), nodes));
    }
    let template = template::find(&form.stack_name)
        .ok_or_else(|| Refusal::bad_request(format!("there is no template {:?}", form.stack_name)))?;
    Ok((None, nodes_of(template)))
}

fn nodes_of(template: &Template) -> Vec<Beginning> {
    let some = |count: u32, stem: &'static str, part: Part| {
        (1..=count).map(move |number| Beginning {
            new: NewInstance { hostname: format!("{stem}{number}"), ..NewInstance::default() },
            part,
        })
    };
    some(template.nodes, "node", Part::Outside)
        .chain(some(template.managers, "manager", Part::Manager))
        .chain(some(template.workers, "worker", Part::Worker))
        .collect()
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

/// One that is to be both manages, as in play-with-docker.
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

impl SetupInstance {
    fn part(&self) -> Part {
        match (self.is_swarm_manager, self.is_swarm_worker) {
            (true, _) => Part::Manager,
            (false, true) => Part::Worker,
            (false, false) => Part::Outside,
        }
    }

    fn beginning(&self) -> Beginning {
        let new = NewInstance {
            image_name: self.image.clone(),
            hostname: self.hostname.clone(),
            kind: self.kind.clone(),
            tls: self.tls,
            ..NewInstance::default()
        };
        Beginning { new, part: self.part() }
    }
}

/// Makes several nodes at once and the swarm they are to form, then runs each one's commands in order.
async fn setup(
    State(state): State<AppState>,
    InSession(session): InSession,
    JsonBody(Setup { instances: asked }): JsonBody<Setup>,
) -> Result<StatusCode, Refusal> {
    if !session.instances().is_empty() {
        let message = "the session has nodes already";
        return Err(Refusal::new(StatusCode::CONFLICT, "not_empty", message));
    }
    let has = |part| asked.iter().any(|asked| asked.part() == part);
    if has(Part::Worker) && !has(Part::Manager) {
        return Err(Refusal::bad_request("a swarm's workers need a manager: `is_swarm_manager`"));
    }
    let wanted = asked.iter().map(SetupInstance::beginning).collect();
    let made = state.playground.furnish(&session, wanted).await;
    let made = made.into_iter().collect::<Result<Vec<_>, Furnish>>()?;
    let runs = made.iter().zip(asked).map(async |(instance, asked)| {
        for command in asked.run {
            instances::run(instance, command).await?;
        }
        Ok::<_, Refusal>(())
    });
    try_join_all(runs).await?;
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
