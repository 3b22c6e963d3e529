//! Links of a session, with real packets on them: what cables lose, what passes, what is caught.

mod support;

use serde_json::{Value, json};
use support::{Gateway, Play};

async fn put(play: &Play, path: &str, body: &Value) -> reqwest::Response {
    play.http.put(format!("{}/links/{path}", play.url)).json(body).send().await.unwrap()
}

async fn get(play: &Play, path: &str) -> Value {
    play.http.get(format!("{}{path}", play.url)).send().await.unwrap().json().await.unwrap()
}

async fn reaches(play: &Play, node: &str, address: &str) -> bool {
    play.run(node, &format!("ping -c1 -W2 {address} >/dev/null && echo yes || echo no")).await == "yes"
}

#[tokio::test]
async fn a_link_is_cut_and_healed_by_its_door_and_the_browsers_are_told() {
    let gateway = Gateway::start().await;
    let play = gateway.session(&[("stack_name", "two-nodes")]).await;
    let nodes = play.ready().await;
    let [one, two] = nodes.as_slice() else { panic!("{nodes:?}") };
    let mut events = play.events().await;
    assert!(reaches(&play, &one.name, &two.ip).await);
    assert_eq!(get(&play, "/links").await, json!([]));

    let way = format!("{}/{}", two.name, one.name);
    let cut: Value = put(&play, &way, &json!({ "loss": 100 })).await.json().await.unwrap();
    assert_eq!(cut["loss"], 100);
    assert!(!reaches(&play, &one.name, &two.ip).await);
    assert_eq!(get(&play, "/links").await, json!([cut]));
    // The way is the same from its other end.
    assert_eq!(get(&play, &format!("/links/{}/{}", one.name, two.name)).await, cut);
    assert_eq!(get(&play, &format!("/links/{}", one.name)).await, json!({ "one": one.name, "loss": 0 }));
    events.told("session topology", |args| args[0]["faults"] == json!([cut])).await;

    let healed = play.http.delete(format!("{}/links/{way}", play.url)).send().await.unwrap();
    assert_eq!(healed.status(), 200);
    assert!(reaches(&play, &one.name, &two.ip).await);
    events.until("session topology", |args| args[0]["faults"] == json!([])).await;

    assert_eq!(put(&play, &one.name, &json!({ "loss": 100 })).await.status(), 200);
    assert!(!reaches(&play, &one.name, &two.ip).await);
    // The gateway speaks with the node all the same, and 0 heals as well.
    assert_eq!(put(&play, &one.name, &json!({ "loss": 0 })).await.status(), 200);
    assert!(reaches(&play, &one.name, &two.ip).await);
    gateway.end().await;
}

#[tokio::test]
async fn a_link_that_is_not_the_sessions_or_a_loss_that_is_none_is_refused() {
    let gateway = Gateway::start().await;
    let (play, other) = (gateway.session(&[]).await, gateway.session(&[]).await);
    let (node, foreign) = (play.node().await, other.node().await);
    for (path, body, status) in [
        (foreign.name.clone(), json!({ "loss": 100 }), 404),
        (format!("{}/{}", node.name, foreign.name), json!({ "loss": 100 }), 404),
        ("..%2F..".to_owned(), json!({ "loss": 100 }), 404),
        (format!("{}/{}", node.name, node.name), json!({ "loss": 100 }), 400),
        (node.name.clone(), json!({ "loss": 101 }), 400),
        (node.name.clone(), json!({ "loss": -1 }), 400),
        (node.name.clone(), json!({}), 400),
    ] {
        assert_eq!(put(&play, &path, &body).await.status(), status, "{path} {body}");
    }
    assert_eq!(get(&play, "/links").await, json!([]));
    assert_eq!(get(&other, "/links").await, json!([]));
    gateway.end().await;
}
