//! `/images`: list, inspect, history, tag, remove, prune, create; `/commit`.

use super::body::{self, ok};
use super::{Call, Route, blocking, delete, get, post};
use crate::engine::clock;
use crate::engine::commit::CommitRequest;
use crate::engine::error::{Error, Result};
use crate::engine::filters::Filters;
use crate::engine::glob::Glob;
use crate::engine::images::{Image, join};
use crate::engine::wire;
use crate::version::{self, Version};
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use carrack_images::Removed;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use time::OffsetDateTime;

pub(super) fn routes() -> Vec<Route> {
    vec![
        get("/images/json", list),
        post("/images/create", create),
        post("/images/prune", prune),
        post("/commit", commit),
        get("/images/{name}/json", inspect),
        get("/images/{name}/history", history),
        post("/images/{name}/tag", tag),
        delete("/images/{name}", remove),
    ]
}

fn none_list(list: &[String], none: &str, version: Version) -> Value {
    if list.is_empty() && !version.has(version::UNTAGGED_IS_EMPTY) { json!([none]) } else { json!(list) }
}

/// What the list shows of an image.
struct Row<'a> {
    image: &'a Image,
    tags: Vec<String>,
    digests: Vec<String>,
}

impl Row<'_> {
    fn to_json(&self, containers: i64, shared: i64, version: Version) -> Value {
        let image = self.image;
        let mut o = json!({
            "Id": image.id, "ParentId": image.parent,
            "RepoTags": none_list(&self.tags, "<none>:<none>", version),
            "RepoDigests": none_list(&self.digests, "<none>@<none>", version),
            "Created": image.created_unix, "Size": image.size, "SharedSize": shared, "Labels": image.labels(),
            "Containers": if version.has(version::IMAGE_USERS_COUNTED) { containers } else { -1 },
        });
        if !version.has(version::NO_VIRTUAL_SIZE) {
            o["VirtualSize"] = json!(image.size);
        }
        o
    }
}

/// The filters of the list, with names resolved and patterns compiled.
struct Wanted {
    filters: Filters,
    dangling: Option<bool>,
    references: Vec<Glob>,
    /// Created before this.
    before: Option<OffsetDateTime>,
    since: Option<OffsetDateTime>,
}

impl Wanted {
    fn parse(call: &Call) -> Result<Wanted> {
        let known = ["before", "dangling", "label", "label!", "reference", "since", "until"];
        let filters = Filters::parse(call.query.get("filters"), &known)?;
        let bad = |p: &String| Error::invalid(format!("syntax error in pattern: {p}"));
        let references = filters.get("reference").iter().map(|p| Glob::parse(p).ok_or_else(|| bad(p)));
        let now = clock::now();
        let until = filters.get("until").iter().map(|t| clock::parse_until(t, now).map_err(Error::invalid));
        let mut wanted = Wanted {
            dangling: filters.flag("dangling")?,
            references: references.collect::<Result<_>>()?,
            before: until.collect::<Result<Vec<_>>>()?.into_iter().min(),
            since: None,
            filters,
        };
        let created = |name: &String| {
            let image = call.engine.images.resolve(name)?;
            Ok(clock::parse_rfc3339(&image.created).unwrap_or(OffsetDateTime::UNIX_EPOCH))
        };
        let before = wanted.filters.get("before").iter().map(created).collect::<Result<Vec<_>>>()?;
        wanted.before = before.into_iter().chain(wanted.before).min();
        let since = wanted.filters.get("since").iter().map(created).collect::<Result<Vec<_>>>()?;
        wanted.since = since.into_iter().max();
        Ok(wanted)
    }

    /// A name matches with and without its tag or digest.
    fn matches_name(&self, name: &str) -> bool {
        let bare = match name.split_once('@') {
            Some((bare, _)) => bare,
            None => name.rsplit_once(':').map_or(name, |(bare, _)| bare),
        };
        self.references.is_empty() || self.references.iter().any(|g| g.matches(name) || g.matches(bare))
    }

    /// What is shown of the image; `None`: nothing.
    fn row<'a>(&self, image: &'a Image, is_hidden: bool) -> Option<Row<'a>> {
        let created = clock::parse_rfc3339(&image.created);
        if self.before.is_some_and(|t| created.is_none_or(|c| c >= t))
            || self.since.is_some_and(|t| created.is_none_or(|c| c <= t))
            || !self.filters.labels(&image.label_map())
        {
            return None;
        }
        let some = |names: &[String]| names.iter().filter(|n| self.matches_name(n)).cloned().collect();
        let row = Row { image, tags: some(&image.tags), digests: some(&image.digests) };
        let is_shown = if row.tags.is_empty() && row.digests.is_empty() {
            !is_hidden && self.dangling != Some(false) && self.references.is_empty()
        } else {
            self.dangling != Some(true) || row.tags.is_empty()
        };
        is_shown.then_some(row)
    }
}

async fn list(call: Call) -> Result<Response<Body>> {
    let (all, sizes) = (call.query.flag("all"), call.query.flag("shared-size"));
    blocking(move || {
        let wanted = Wanted::parse(&call)?;
        let images = call.engine.images.list()?;
        let users = call.engine.image_users();
        let shared = if sizes { Some(call.engine.images.shared_sizes()?) } else { None };
        // What only stands between a base and its child is shown with `all` alone.
        let parents: HashSet<&str> = images.iter().map(|i| i.parent.as_str()).collect();
        let is_hidden = |i: &Image| !all && !i.is_named() && parents.contains(i.id.as_str());
        let rows: Vec<Value> = images
            .iter()
            .filter_map(|i| wanted.row(i, is_hidden(i)))
            .map(|row| {
                let id = &row.image.id;
                let shared = match &shared {
                    Some(sizes) => sizes.get(id).and_then(|s| i64::try_from(*s).ok()).unwrap_or(0),
                    None => -1,
                };
                row.to_json(users.get(id).copied().unwrap_or(0), shared, call.version)
            })
            .collect();
        Ok(ok(&json!(rows)))
    })
    .await
}

/// The `platform` parameter where it is a JSON object: `os/architecture[/variant]`, empty if it is absent.
pub(super) fn platform_object(call: &Call) -> Result<String> {
    let text = call.query.text("platform");
    if text.is_empty() {
        return Ok(String::new());
    }
    let failed = |e: &dyn std::fmt::Display| Error::invalid(format!("failed to parse platform: {e}"));
    let value = super::body::parse(text.as_bytes()).map_err(|e| failed(&e.message))?;
    let object = value.as_object().ok_or_else(|| failed(&"an object was expected"))?;
    let part = |key: &str| wire::field(object, key).and_then(Value::as_str).unwrap_or_default();
    let (os, architecture, variant) = (part("os"), part("architecture"), part("variant"));
    match (os, architecture, variant) {
        ("", "", v) if !v.is_empty() => {
            Err(Error::invalid("optional platform fields provided, but OS and Architecture are missing"))
        }
        ("", ..) | (_, "", _) => Err(Error::invalid("both OS and Architecture must be provided")),
        (os, architecture, "") => Ok(format!("{os}/{architecture}")),
        (os, architecture, variant) => Ok(format!("{os}/{architecture}/{variant}")),
    }
}

/// Fields of an image's configuration that are always shown.
const ALWAYS: [(&str, bool); 8] = [
    ("Cmd", false),
    ("Entrypoint", false),
    ("Env", false),
    ("Labels", false),
    ("OnBuild", false),
    ("User", true),
    ("Volumes", false),
    ("WorkingDir", true),
];

/// Those that are shown where they are set.
const WHERE_SET: [&str; 5] = ["ArgsEscaped", "ExposedPorts", "Healthcheck", "Shell", "StopSignal"];

/// Those of containers, which every image had too before API 1.50.
fn of_containers() -> Value {
    json!({
        "AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Domainname": "", "Hostname": "",
        "Image": "", "OpenStdin": false, "StdinOnce": false, "Tty": false,
    })
}

fn config(image: &Image, version: Version) -> Value {
    let mut shown = Map::new();
    for (key, is_text) in ALWAYS {
        let default = if is_text { json!("") } else { Value::Null };
        shown.insert(key.into(), image.config.get(key).filter(|v| !v.is_null()).cloned().unwrap_or(default));
    }
    for key in WHERE_SET {
        if let Some(value) = image.config.get(key).filter(|v| !v.is_null()) {
            shown.insert(key.into(), value.clone());
        }
    }
    if let (false, Value::Object(fields)) = (version.has(version::IMAGE_FIELDS_ONLY), of_containers()) {
        for (key, default) in fields {
            let value = image.config.get(&key).cloned().unwrap_or(default);
            shown.insert(key, value);
        }
    }
    Value::Object(shown)
}

async fn inspect(call: Call) -> Result<Response<Body>> {
    let image = call.engine.images.on_platform(&call.name, &platform_object(&call)?)?;
    let mut o = json!({
        "Id": image.id, "RepoTags": image.tags, "RepoDigests": image.digests,
        "Parent": image.parent, "Comment": image.comment, "DockerVersion": image.docker_version,
        "Author": image.author, "Config": config(&image, call.version),
        "Architecture": if image.architecture.is_empty() { crate::engine::images::host_architecture() } else { &image.architecture },
        "Os": if image.os.is_empty() { "linux" } else { &image.os },
        "Size": image.size,
        "GraphDriver": { "Name": "carrack", "Data": {} },
        "RootFS": { "Type": "layers", "Layers": image.layers },
        "Metadata": { "LastTagTime": clock::or_zero(&image.last_tagged) },
    });
    for (key, text) in [("Variant", &image.variant), ("OsVersion", &image.os_version)] {
        if !text.is_empty() {
            o[key] = json!(text);
        }
    }
    if !image.created.is_empty() {
        o["Created"] = json!(image.created);
    } else if !call.version.has(version::NO_VIRTUAL_SIZE) {
        o["Created"] = json!(clock::ZERO);
    }
    if !call.version.has(version::NO_VIRTUAL_SIZE) {
        o["VirtualSize"] = json!(image.size);
    }
    Ok(ok(&o))
}

async fn history(call: Call) -> Result<Response<Body>> {
    let (engine, name, platform) = (call.engine.clone(), call.name.clone(), platform_object(&call)?);
    blocking(move || {
        engine.images.on_platform(&name, &platform)?;
        Ok(ok(&engine.images.history(&name)?))
    })
    .await
}

async fn tag(call: Call) -> Result<Response<Body>> {
    let (engine, name) = (call.engine.clone(), call.name.clone());
    let (repo, tag) = (call.query.text("repo").to_string(), call.query.text("tag").to_string());
    let (id, tagged) = blocking(move || engine.images.tag(&name, &repo, &tag)).await?;
    call.engine.image_event("tag", &id, &tagged);
    Ok(StatusCode::CREATED.into_response())
}

fn removed_rows(removed: &[Removed]) -> Value {
    let row = |r: &Removed| match r {
        Removed::Untagged(name) => json!({ "Untagged": name }),
        Removed::Deleted(what) => json!({ "Deleted": what }),
    };
    removed.iter().map(row).collect()
}

async fn remove(call: Call) -> Result<Response<Body>> {
    let (engine, name) = (call.engine.clone(), call.name.clone());
    let (force, prune) = (call.query.flag("force"), !call.query.flag("noprune"));
    let removed = blocking(move || engine.remove_image(&name, force, prune)).await?;
    Ok(ok(&removed_rows(&removed)))
}

async fn prune(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), &["dangling", "label", "label!", "until"])?;
    let engine = call.engine.clone();
    let (removed, space) = blocking(move || engine.prune_images(&filters)).await?;
    Ok(ok(&json!({
        "ImagesDeleted": if removed.is_empty() { Value::Null } else { removed_rows(&removed) },
        "SpaceReclaimed": space,
    })))
}

async fn create(call: Call) -> Result<Response<Body>> {
    if call.query.get("fromSrc").is_some() {
        return super::archives::import(call).await;
    }
    super::registry::pull(call).await
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

    fn wanted(references: &[&str]) -> Wanted {
        Wanted {
            filters: Filters::default(),
            dangling: None,
            references: references.iter().map(|p| Glob::parse(p).unwrap()).collect(),
            before: None,
            since: None,
        }
    }

    #[test]
    fn references_match_with_and_without_tag() {
        let cases = [
            ("debian", "debian:12", true),
            ("deb*:12", "debian:12", true),
            ("*", "debian:12", true),
            ("*", "a/debian:12", false),
            ("*/debian", "a/debian:12", true),
            ("alpine", "debian:12", false),
            ("localhost:5000/*", "localhost:5000/x:1", true),
            ("debian", "debian@sha256:00", true),
        ];
        for (pattern, name, want) in cases {
            assert_eq!(wanted(&[pattern]).matches_name(name), want, "{pattern} {name}");
        }
    }

    #[test]
    fn only_names_that_match_are_shown() {
        let image = Image { tags: vec!["a:1".into(), "b:1".into()], ..Image::default() };
        assert_eq!(wanted(&["b"]).row(&image, false).unwrap().tags, ["b:1"]);
        assert!(wanted(&["c"]).row(&image, false).is_none());
        let nameless = Image::default();
        assert!(wanted(&[]).row(&nameless, false).is_some());
        assert!(wanted(&[]).row(&nameless, true).is_none(), "an intermediate image");
        let dangling = |d| Wanted { dangling: Some(d), ..wanted(&[]) };
        assert!(dangling(true).row(&image, false).is_none() && dangling(false).row(&image, false).is_some());
        assert!(dangling(true).row(&nameless, false).is_some());
        assert!(dangling(false).row(&nameless, false).is_none());
    }

    #[test]
    fn configurations_have_the_fields_of_their_version() {
        let raw = json!({"Cmd": ["x"], "Hostname": "h", "StopSignal": "SIGINT"});
        let image = Image { config: raw.as_object().cloned().unwrap(), ..Image::default() };
        let new = config(&image, Version::parse("1.50").unwrap());
        assert_eq!(
            new,
            json!({"Cmd": ["x"], "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null, "User": "",
                "Volumes": null, "WorkingDir": "", "StopSignal": "SIGINT"})
        );
        let old = config(&image, Version::parse("1.49").unwrap());
        assert_eq!((&old["Hostname"], &old["Tty"], &old["Image"]), (&json!("h"), &json!(false), &json!("")));
    }
}
