//! `/images`: list, inspect, history, tag, remove, import, load, prune.

use super::body::{self, channel, ok};
use super::{Call, Route, blocking, delete, get, post};
use crate::engine::Engine;
use crate::engine::clock;
use crate::engine::commit::CommitRequest;
use crate::engine::error::{Error, Result};
use crate::engine::filters::Filters;
use crate::engine::images::{Image, join};
use crate::version::{self, Version};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use carrack_images::{ImportOptions, Removed};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/images/json", list),
        post("/images/create", create),
        post("/images/load", load),
        post("/images/prune", prune),
        get("/images/get", save),
        get("/images/{name}/get", save),
        post("/commit", commit),
        get("/images/{name}/json", inspect),
        get("/images/{name}/history", history),
        post("/images/{name}/tag", tag),
        delete("/images/{name}", remove),
    ]
}

/// How many containers use each image.
fn users(engine: &Engine) -> HashMap<String, i64> {
    let mut users = HashMap::new();
    for c in engine.all() {
        *users.entry(c.record.read().image_id.clone()).or_default() += 1;
    }
    users
}

fn none_list(list: &[String], none: &str, version: Version) -> Value {
    if list.is_empty() && !version.has(version::UNTAGGED_IS_EMPTY) { json!([none]) } else { json!(list) }
}

fn summary(image: &Image, containers: i64, version: Version) -> Value {
    let mut o = json!({
        "Id": image.id, "ParentId": "",
        "RepoTags": none_list(&image.tags, "<none>:<none>", version),
        "RepoDigests": none_list(&image.digests, "<none>@<none>", version),
        "Created": image.created_unix, "Size": image.size, "SharedSize": -1, "Labels": image.labels(),
        "Containers": if version.has(version::IMAGE_USERS_COUNTED) { containers } else { -1 },
    });
    if !version.has(version::NO_VIRTUAL_SIZE) {
        o["VirtualSize"] = json!(image.size);
    }
    o
}

async fn list(call: Call) -> Result<Response<Body>> {
    let known = ["before", "dangling", "label", "label!", "reference", "since", "until"];
    let filters = Filters::parse(call.query.get("filters"), &known)?;
    let dangling = filters.flag("dangling")?;
    let until = filters.until()?;
    let version = call.version;
    let engine = call.engine.clone();
    blocking(move || {
        let all = engine.images.list()?;
        let created = |reference: &String| engine.images.resolve(reference).map(|i| i.created_unix);
        let before = filters.get("before").iter().map(created).collect::<Result<Vec<_>>>()?;
        let since = filters.get("since").iter().map(created).collect::<Result<Vec<_>>>()?;
        let users = users(&engine);
        let rows: Vec<Value> = all
            .iter()
            .filter(|i| {
                dangling.is_none_or(|d| d == (i.tags.is_empty() && i.digests.is_empty()))
                    && filters.labels(&labels(i))
                    && filters.any("reference", |v| i.tags.iter().any(|t| matches_reference(v, t)))
                    && before.iter().all(|t| i.created_unix < *t)
                    && since.iter().all(|t| i.created_unix > *t)
                    && until.is_none_or(|u| i.created_unix < u.unix_timestamp())
            })
            .map(|i| summary(i, users.get(&i.id).copied().unwrap_or(0), version))
            .collect();
        Ok(ok(&json!(rows)))
    })
    .await
}

fn labels(image: &Image) -> std::collections::BTreeMap<String, String> {
    serde_json::from_value(image.labels()).unwrap_or_default()
}

/// A reference pattern: `*` within a path component; the tag may be left out.
fn matches_reference(pattern: &str, reference: &str) -> bool {
    fn glob(p: &[u8], t: &[u8]) -> bool {
        // Iterative, with one place to go back to: no pattern costs more than the product of the lengths.
        let (mut pi, mut ti, mut star) = (0, 0, None);
        while ti < t.len() {
            match p.get(pi) {
                Some(b'*') => {
                    star = Some((pi, ti));
                    pi += 1;
                }
                Some(c) if *c == t[ti] || *c == b'?' => {
                    pi += 1;
                    ti += 1;
                }
                _ => match star {
                    Some((sp, st)) if t[st] != b'/' => {
                        star = Some((sp, st + 1));
                        pi = sp + 1;
                        ti = st + 1;
                    }
                    _ => return false,
                },
            }
        }
        p[pi..].iter().all(|c| *c == b'*')
    }
    let name = reference.rsplit_once(':').map_or(reference, |(n, _)| n);
    glob(pattern.as_bytes(), reference.as_bytes()) || glob(pattern.as_bytes(), name.as_bytes())
}

async fn inspect(call: Call) -> Result<Response<Body>> {
    let image = call.engine.images.resolve(&call.name)?;
    let mut config = image.config.clone();
    for key in ["Env", "Cmd", "Entrypoint", "Labels", "Volumes"] {
        config.entry(key).or_insert(Value::Null);
    }
    for key in ["User", "WorkingDir"] {
        config.entry(key).or_insert(json!(""));
    }
    config.entry("OnBuild").or_insert(Value::Null);
    let mut o = json!({
        "Id": image.id, "RepoTags": image.tags, "RepoDigests": image.digests,
        "Parent": "", "Comment": image.comment, "DockerVersion": "", "Author": image.author,
        "Config": config,
        "Architecture": if image.architecture.is_empty() { crate::engine::images::host_architecture() } else { &image.architecture },
        "Os": if image.os.is_empty() { "linux" } else { &image.os },
        "Size": image.size,
        "GraphDriver": { "Name": "carrack", "Data": {} },
        "RootFS": { "Type": "layers", "Layers": image.layers },
        "Metadata": { "LastTagTime": clock::or_zero(&image.last_tagged) },
    });
    if !image.variant.is_empty() {
        o["Variant"] = json!(image.variant);
    }
    if !image.created.is_empty() {
        o["Created"] = json!(image.created);
    }
    if !call.version.has(version::NO_VIRTUAL_SIZE) {
        o["VirtualSize"] = json!(image.size);
    }
    Ok(ok(&o))
}

async fn history(call: Call) -> Result<Response<Body>> {
    let (engine, name) = (call.engine.clone(), call.name.clone());
    blocking(move || Ok(ok(&engine.images.history(&name)?))).await
}

async fn tag(call: Call) -> Result<Response<Body>> {
    let (engine, name) = (call.engine.clone(), call.name.clone());
    let (repo, tag) = (call.query.text("repo").to_string(), call.query.text("tag").to_string());
    let (id, tagged) = blocking(move || engine.images.tag(&name, &repo, &tag)).await?;
    call.engine.image_event("tag", &id, &tagged);
    Ok(StatusCode::CREATED.into_response())
}

fn tell_removed(engine: &Engine, id: &str, removed: &[Removed]) -> Vec<Value> {
    removed
        .iter()
        .map(|r| match r {
            Removed::Untagged(name) => {
                engine.image_event("untag", id, name);
                json!({ "Untagged": name })
            }
            Removed::Deleted(what) => {
                if what == id {
                    engine.image_event("delete", what, what);
                }
                json!({ "Deleted": what })
            }
        })
        .collect()
}

fn remove_image(engine: &Arc<Engine>, name: &str, force: bool) -> Result<Vec<Value>> {
    let id = engine.images.resolve(name)?.id;
    let usage = engine.image_usage();
    let removed = engine.images.remove(name, force, &|id| usage.get(id).cloned())?;
    Ok(tell_removed(engine, &id, &removed))
}

async fn remove(call: Call) -> Result<Response<Body>> {
    let (engine, name, force) = (call.engine.clone(), call.name.clone(), call.query.flag("force"));
    let rows = blocking(move || remove_image(&engine, &name, force)).await?;
    Ok(ok(&json!(rows)))
}

async fn prune(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), &["dangling", "label", "label!", "until"])?;
    let dangling_only = filters.flag("dangling")?.unwrap_or(true);
    let until = filters.until()?;
    let engine = call.engine.clone();
    let (deleted, space) = blocking(move || {
        let (usage, before) = (engine.image_usage(), engine.images.layers_size());
        let mut rows = Vec::new();
        for image in engine.images.list()? {
            let dangling = image.tags.is_empty() && image.digests.is_empty();
            if usage.contains_key(&image.id)
                || (dangling_only && !dangling)
                || !filters.labels(&labels(&image))
                || until.is_some_and(|u| image.created_unix >= u.unix_timestamp())
            {
                continue;
            }
            let names: Vec<String> = if dangling { vec![image.id.clone()] } else { image.tags.clone() };
            for name in names {
                match remove_image(&engine, &name, false) {
                    Ok(more) => rows.extend(more),
                    Err(e) => tracing::debug!(%name, error = %e, "not pruned"),
                }
            }
        }
        engine.images.sweep(&|id| usage.get(id).cloned());
        Ok((rows, before.saturating_sub(engine.images.layers_size())))
    })
    .await?;
    call.engine.events.send("image", "prune", "", [("reclaimed".to_string(), space.to_string())].into());
    Ok(ok(&json!({
        "ImagesDeleted": if deleted.is_empty() { None } else { Some(deleted) },
        "SpaceReclaimed": space,
    })))
}

fn message(value: &Value) -> Vec<u8> {
    format!("{value}\r\n").into_bytes()
}

fn failure(e: &Error) -> Vec<u8> {
    message(&json!({ "errorDetail": { "message": e.message }, "error": e.message }))
}

async fn create(mut call: Call) -> Result<Response<Body>> {
    if call.query.get("fromSrc").is_some() {
        return import(call).await;
    }
    let image = join(call.query.text("fromImage"), call.query.text("tag"));
    if image.is_empty() {
        return Err(Error::invalid("invalid reference format"));
    }
    drop(call.take_body());
    Err(Error::not_implemented(format!(
        "cannot pull {image}: this daemon has no registry client yet; bring images with `docker load` or `docker import`"
    )))
}

async fn import(mut call: Call) -> Result<Response<Body>> {
    let source = call.query.text("fromSrc").to_string();
    if source != "-" {
        return Err(Error::not_implemented(
            "importing from a URL is not supported; fetch it and use `docker import -`",
        ));
    }
    let q = &call.query;
    let reference = join(q.text("repo"), q.text("tag"));
    let options = ImportOptions {
        changes: q.all("changes"),
        message: q.get("message").filter(|m| !m.is_empty()).map(str::to_string),
        platform: q.get("platform").filter(|p| !p.is_empty()).map(str::to_string),
        reference: (!reference.is_empty()).then_some(reference.clone()),
        created: None,
    };
    let body = call.take_body();
    let engine = call.engine.clone();
    // The whole body is read before the first byte of the answer: a refusal is then a proper status.
    let id = blocking(move || {
        let id = engine.images.import(body::blocking(body), &options)?;
        engine.image_event("import", &id, if reference.is_empty() { &id } else { &reference });
        Ok(id)
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], message(&json!({ "status": id }))).into_response())
}

async fn load(mut call: Call) -> Result<Response<Body>> {
    let body = call.take_body();
    let engine = call.engine.clone();
    let (out, answer) = channel(16);
    tokio::task::spawn_blocking(move || {
        let pieces = match engine.images.load(body::blocking(body)) {
            Ok(loaded) => loaded
                .iter()
                .flat_map(|(id, names)| {
                    engine.image_event("load", id, names.first().unwrap_or(id));
                    if names.is_empty() {
                        vec![format!("Loaded image ID: {id}\n")]
                    } else {
                        names.iter().map(|n| format!("Loaded image: {n}\n")).collect()
                    }
                })
                .map(|line| message(&json!({ "stream": line })))
                .collect(),
            Err(e) => vec![failure(&e)],
        };
        for piece in pieces {
            if out.blocking_send(piece).is_err() {
                return;
            }
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

async fn save(call: Call) -> Result<Response<Body>> {
    let names = if call.name.is_empty() { call.query.all("names") } else { vec![call.name.clone()] };
    if names.is_empty() {
        return Err(Error::invalid("no image was named"));
    }
    let engine = call.engine.clone();
    // What cannot be found is told before the stream begins; afterwards an error can only cut it off.
    let checked = names.clone();
    let looking = engine.clone();
    blocking(move || checked.iter().try_for_each(|n| looking.images.resolve(n).map(drop))).await?;
    let (out, answer) = channel(8);
    tokio::task::spawn_blocking(move || {
        let mut writer = std::io::BufWriter::with_capacity(256 << 10, ChannelWriter(out));
        let saved = engine.images.save(&names, &mut writer);
        match saved.and_then(|()| std::io::Write::flush(&mut writer).map_err(Error::from)) {
            Ok(()) => names.iter().for_each(|n| engine.image_event("save", n, n)),
            Err(e) => tracing::warn!(error = %e, "a save was cut off"),
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], answer).into_response())
}

/// Writes into a response's body from a thread that may block.
struct ChannelWriter(tokio::sync::mpsc::Sender<Vec<u8>>);

impl std::io::Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let sent = self.0.blocking_send(bytes.to_vec());
        sent.map(|()| bytes.len()).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn commit(mut call: Call) -> Result<Response<Body>> {
    let c = call.engine.find(call.query.text("container"))?;
    let config = call.object().await?;
    let q = &call.query;
    let reference = join(q.text("repo"), q.text("tag"));
    let request = CommitRequest {
        reference: (!reference.is_empty()).then_some(reference),
        comment: q.text("comment").to_string(),
        pause: q.flag_or("pause", true),
        changes: q.all("changes"),
        author: q.text("author").to_string(),
        config,
    };
    let engine = call.engine.clone();
    let id = super::to_the_end(async move { engine.commit(&c, request).await }).await?;
    Ok(body::json(StatusCode::CREATED, &json!({ "Id": id })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_match_with_and_without_tag() {
        assert!(matches_reference("debian", "debian:12"));
        assert!(matches_reference("deb*:12", "debian:12"));
        assert!(matches_reference("*", "debian:12"));
        assert!(!matches_reference("*", "a/debian:12"));
        assert!(matches_reference("*/debian", "a/debian:12"));
        assert!(!matches_reference("alpine", "debian:12"));
    }
}
