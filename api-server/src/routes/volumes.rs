//! `/volumes`.

use super::body::{json, ok};
use super::{Call, Route, blocking, delete, get, no_content, post, put};
use crate::engine::Engine;
use crate::engine::error::{Error, Kind, Result};
use crate::engine::filters::Filters;
use crate::engine::volumes::{ANONYMOUS, Volume};
use crate::engine::wire;
use crate::version;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/volumes", list),
        post("/volumes/create", create),
        post("/volumes/prune", prune),
        get("/volumes/{name}", inspect),
        put("/volumes/{name}", update),
        delete("/volumes/{name}", remove),
    ]
}

fn show(engine: &Engine, volume: &Volume) -> Value {
    json!({
        "CreatedAt": volume.created, "Driver": "local", "Name": volume.name, "Scope": "local",
        "Labels": if volume.labels.is_empty() { Value::Null } else { json!(volume.labels) },
        "Options": if volume.options.is_empty() { Value::Null } else { json!(volume.options) },
        "Mountpoint": engine.volumes.path(volume).to_string_lossy(),
    })
}

async fn list(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), &["dangling", "driver", "label", "name"])?;
    let dangling = filters.flag("dangling")?;
    let engine = &call.engine;
    let rows: Vec<Value> = engine
        .volumes
        .list()
        .iter()
        .filter(|v| {
            filters.matches("name", &[&v.name])
                && filters.any("driver", |d| d == "local")
                && filters.labels(&v.labels)
                && dangling.is_none_or(|d| d == engine.volume_users(&v.name).is_empty())
        })
        .map(|v| show(engine, v))
        .collect();
    Ok(ok(&json!({ "Volumes": rows, "Warnings": null })))
}

async fn inspect(call: Call) -> Result<Response<Body>> {
    Ok(ok(&show(&call.engine, &call.engine.volumes.get(&call.name)?)))
}

async fn create(mut call: Call) -> Result<Response<Body>> {
    let body = call.object().await?.unwrap_or_default();
    let text = |key: &str| wire::field(&body, key).and_then(Value::as_str).unwrap_or_default().to_string();
    let map = |key: &str| -> Result<BTreeMap<String, String>> {
        match wire::field(&body, key) {
            None => Ok(BTreeMap::new()),
            Some(v) => serde_json::from_value(v.clone())
                .map_err(|e| Error::invalid(format!("invalid JSON: {key}: {e}"))),
        }
    };
    let (name, driver) = (text("Name"), text("Driver"));
    let (options, mut labels) = (map("DriverOpts")?, map("Labels")?);
    if name.is_empty() {
        labels.insert(ANONYMOUS.into(), String::new());
    }
    let engine = call.engine.clone();
    let (volume, is_new) = blocking(move || engine.volumes.create(&name, &driver, options, labels)).await?;
    if is_new {
        call.engine.volume_event(&volume, "create", "");
    }
    Ok(json(StatusCode::CREATED, &show(&call.engine, &volume)))
}

async fn update(_call: Call) -> Result<Response<Body>> {
    Err(Error::new(
        Kind::Unavailable,
        "volume update only valid for cluster volumes, but swarm is unavailable",
    ))
}

async fn remove(call: Call) -> Result<Response<Body>> {
    let engine = call.engine.clone();
    let name = call.name.clone();
    let volume = match engine.volumes.get(&name) {
        Err(e) if e.kind == Kind::NotFound && call.query.flag("force") => return no_content(),
        other => other?,
    };
    let users = engine.volume_users(&name);
    if !users.is_empty() {
        return Err(Error::conflict(format!("remove {name}: volume is in use - [{}]", users.join(", "))));
    }
    blocking(move || {
        engine.volumes.remove(&name)?;
        engine.volume_event(&volume, "destroy", "");
        Ok(())
    })
    .await?;
    no_content()
}

async fn prune(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), &["all", "label", "label!"])?;
    let all = filters.flag("all")?.unwrap_or(!call.version.has(version::PRUNE_ANONYMOUS_ONLY));
    let engine = call.engine.clone();
    let (deleted, space) = blocking(move || engine.prune_volumes(&filters, all)).await?;
    Ok(ok(&json!({
        "VolumesDeleted": if deleted.is_empty() { None } else { Some(deleted) },
        "SpaceReclaimed": space,
    })))
}
