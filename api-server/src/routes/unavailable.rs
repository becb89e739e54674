//! What this daemon does not do, refused in the words that clients know.

use super::body::ok;
use super::{Call, Route, delete, get, post};
use crate::engine::error::{Error, Kind, Result};
use axum::body::Body;
use axum::http::Response;
use serde_json::json;

pub(super) fn routes() -> Vec<Route> {
    let mut rows = vec![
        get("/plugins", no_plugins),
        get("/plugins/{name}/json", no_plugin),
        post("/session", no_buildkit),
        post("/grpc", no_buildkit),
        get("/containers/{name}/checkpoints", experimental),
        post("/containers/{name}/checkpoints", experimental),
        post("/swarm/init", not_built),
        post("/swarm/join", not_built),
        post("/swarm/leave", no_swarm_member),
    ];
    for fixed in ["/swarm", "/swarm/unlockkey", "/services", "/tasks", "/nodes", "/secrets", "/configs"] {
        rows.push(get(fixed, no_swarm));
    }
    for named in ["/services/{name}", "/tasks/{name}", "/nodes/{name}", "/secrets/{name}", "/configs/{name}"]
    {
        rows.push(get(named, no_swarm));
        rows.push(post(named, no_swarm));
        rows.push(delete(named, no_swarm));
    }
    rows.push(post("/swarm/update", no_swarm));
    rows.push(post("/swarm/unlock", no_swarm));
    rows
}

async fn no_plugins(_call: Call) -> Result<Response<Body>> {
    Ok(ok(&json!([])))
}

async fn no_plugin(call: Call) -> Result<Response<Body>> {
    Err(Error::not_found(format!("plugin {:?} not found", call.name)))
}

async fn not_built(call: Call) -> Result<Response<Body>> {
    let path = call.request.uri().path().to_string();
    Err(Error::not_implemented(format!(
        "{} {path} is not supported by this daemon yet",
        call.request.method()
    )))
}

async fn no_buildkit(_call: Call) -> Result<Response<Body>> {
    Err(Error::not_found(
        "this daemon has no BuildKit: set DOCKER_BUILDKIT=0, with which docker build uses the classic builder",
    ))
}

async fn experimental(_call: Call) -> Result<Response<Body>> {
    Err(Error::not_implemented(
        "This experimental feature is disabled by default. Start the Docker daemon in experimental mode in order to enable it.",
    ))
}

async fn no_swarm(_call: Call) -> Result<Response<Body>> {
    Err(Error::new(
        Kind::Unavailable,
        "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again.",
    ))
}

async fn no_swarm_member(_call: Call) -> Result<Response<Body>> {
    Err(Error::new(Kind::Unavailable, "This node is not part of a swarm"))
}
