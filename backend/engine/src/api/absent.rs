//! Requests no door takes: an endpoint of moby's that is not there yet, one for swarm managers only, or nothing.

use axum::extract::Request;

use crate::error::ApiError;

/// Bytes of a body that are waited for.
const BODY: usize = 1 << 20;

pub async fn answer(request: Request) -> ApiError {
    let answer = explain(request.method().as_str(), request.uri().path());
    // An answer before the request has arrived closes the connection under a client that still sends: it would see the
    // closed connection, not the answer.
    _ = axum::body::to_bytes(request.into_body(), BODY).await;
    answer
}

fn explain(method: &str, path: &str) -> ApiError {
    let mut words = path.trim_start_matches('/').split('/');
    if let Some(error) = slashed(path) {
        return error;
    }
    let (first, second) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match (first, second) {
        ("plugins", name) if method == "GET" && !name.is_empty() => {
            ApiError::not_found(format!("plugin \"{name}\" not found"))
        }
        ("images", "") if method != "GET" => ApiError::not_found("page not found"),
        ("plugins", name) if !name.is_empty() => ApiError::not_implemented("docker plugin"),
        ("session" | "grpc", "") => ApiError::not_implemented("BuildKit's API (set DOCKER_BUILDKIT=0)"),
        _ => ApiError::not_found("page not found"),
    }
}

/// A name with slashes is the name of nothing but an image; `docker inspect` asks for all the others all the same.
fn slashed(path: &str) -> Option<ApiError> {
    let (kind, rest) = path.strip_prefix('/')?.split_once('/')?;
    let text = match kind {
        "containers" => {
            let (name, _verb) = rest.rsplit_once('/')?;
            name.contains('/').then(|| format!("No such container: {name}"))
        }
        "networks" => rest.contains('/').then(|| format!("network {rest} not found")),
        "volumes" => rest.contains('/').then(|| format!("get {rest}: no such volume")),
        _ => None,
    };
    text.map(ApiError::not_found)
}

#[cfg(test)]
mod tests {
    use super::explain;

    #[test]
    fn what_is_not_there_is_never_a_success() {
        let cases = [
            ("POST", "/session", 501),
            ("POST", "/plugins/pull", 501),
            ("GET", "/plugins/some/json", 404),
            ("GET", "/build", 404),
            ("POST", "/containers/json", 404),
            ("GET", "/containers/", 404),
            ("POST", "/swarm/nonsense", 404),
            ("GET", "/nonsense", 404),
            ("GET", "/containers/host:5000/team/app/json", 404),
            ("GET", "/networks/team/app", 404),
        ];
        for (method, path, status) in cases {
            assert_eq!(explain(method, path).status.as_u16(), status, "{path}");
        }
    }
}
