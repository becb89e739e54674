//! `/networks`: the predefined ones.

use super::body::ok;
use super::{Call, Route, delete, get, post};
use crate::engine::error::{Error, Result};
use crate::engine::filters::Filters;
use crate::engine::networks::Network;
use axum::body::Body;
use axum::http::Response;
use serde_json::{Map, Value, json};

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/networks", list),
        post("/networks/create", create),
        post("/networks/prune", prune),
        get("/networks/{name}", inspect),
        delete("/networks/{name}", remove),
        post("/networks/{name}/connect", connect),
        post("/networks/{name}/disconnect", connect),
    ]
}

async fn list(call: Call) -> Result<Response<Body>> {
    let known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
    let filters = Filters::parse(call.query.get("filters"), &known)?;
    let dangling = filters.flag("dangling")?;
    let chosen: Vec<Value> = call
        .engine
        .networks
        .list()
        .iter()
        .filter(|n| {
            filters.matches("name", &[&n.name])
                && filters.any("id", |v| n.id.starts_with(v))
                && filters.any("driver", |v| v == n.driver)
                && filters.any("scope", |v| v == "local")
                && filters.any("type", |v| v == if n.is_builtin() { "builtin" } else { "custom" })
                && filters.labels(&n.labels)
                && dangling != Some(true)
        })
        .map(Network::to_json)
        .collect();
    Ok(ok(&json!(chosen)))
}

async fn inspect(call: Call) -> Result<Response<Body>> {
    let network = call.engine.networks.find(&call.name)?;
    let mut members = Map::new();
    for c in call.engine.all() {
        let record = c.record.read();
        if record.state.is_alive() && record.host_view().network_mode == network.name {
            members.insert(
                c.id.clone(),
                json!({ "Name": record.name, "EndpointID": "", "MacAddress": "", "IPv4Address": "", "IPv6Address": "" }),
            );
        }
    }
    let mut o = network.to_json();
    o["Containers"] = Value::Object(members);
    Ok(ok(&o))
}

async fn create(mut call: Call) -> Result<Response<Body>> {
    let body = call.object().await?.unwrap_or_default();
    let name = crate::engine::wire::field(&body, "Name").and_then(Value::as_str).unwrap_or_default();
    if matches!(name, "bridge" | "host" | "none" | "default") {
        return Err(Error::forbidden(format!("operation is not permitted on predefined {name} network ")));
    }
    Err(Error::not_implemented(format!(
        "cannot create network {name}: virtual networks are not built yet; use --network host or none"
    )))
}

async fn remove(call: Call) -> Result<Response<Body>> {
    let network = call.engine.networks.find(&call.name)?;
    Err(Error::forbidden(format!("{} is a pre-defined network and cannot be removed", network.name)))
}

async fn connect(call: Call) -> Result<Response<Body>> {
    call.engine.networks.find(&call.name)?;
    Err(Error::not_implemented("virtual networks are not built yet; use --network host or none"))
}

async fn prune(call: Call) -> Result<Response<Body>> {
    Filters::parse(call.query.get("filters"), &["label", "label!", "until"])?;
    Ok(ok(&json!({ "NetworksDeleted": null })))
}
