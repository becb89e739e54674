//! `/containers`: life, streams and views.

use super::body::{channel, json, ok};
use super::detach::Filter;
use super::hijack::{self, End, Framing, Rules};
use super::{Call, Route, delete, get, no_content, post, to_the_end};
use crate::engine::clock;
use crate::engine::create::CreateRequest;
use crate::engine::error::{Error, Result};
use crate::engine::filters::Filters;
use crate::engine::record::Container;
use crate::engine::wait::Condition;
use crate::engine::{Engine, life, logs, signals, stats};
use crate::version;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

pub(super) fn routes() -> Vec<Route> {
    vec![
        post("/containers/create", create),
        get("/containers/json", list),
        post("/containers/prune", prune),
        get("/containers/{name}/json", inspect),
        post("/containers/{name}/start", start),
        post("/containers/{name}/stop", stop),
        post("/containers/{name}/restart", restart),
        post("/containers/{name}/kill", kill),
        post("/containers/{name}/pause", pause),
        post("/containers/{name}/unpause", unpause),
        post("/containers/{name}/rename", rename),
        post("/containers/{name}/update", update),
        post("/containers/{name}/wait", wait),
        post("/containers/{name}/resize", resize),
        post("/containers/{name}/attach", attach),
        get("/containers/{name}/logs", get_logs),
        get("/containers/{name}/top", top),
        get("/containers/{name}/stats", get_stats),
        delete("/containers/{name}", remove),
    ]
}

async fn create(mut call: Call) -> Result<Response<Body>> {
    let body = call
        .object()
        .await?
        .ok_or_else(|| Error::invalid("config cannot be empty in order to create a container"))?;
    let request = CreateRequest {
        name: call.query.get("name").map(str::to_string),
        platform: call.query.get("platform").map(str::to_string),
        body,
    };
    let engine = call.engine.clone();
    let created = super::blocking(move || engine.create(request)).await?;
    Ok(json(StatusCode::CREATED, &json!({ "Id": created.id, "Warnings": created.warnings })))
}

const LIST_FILTERS: &[&str] = &[
    "ancestor",
    "before",
    "exited",
    "expose",
    "health",
    "id",
    "is-task",
    "isolation",
    "label",
    "name",
    "network",
    "publish",
    "since",
    "status",
    "volume",
];

async fn list(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), LIST_FILTERS)?;
    let limit = call.query.number("limit")?.and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let size = call.query.flag("size");
    let chosen = call.engine.select(call.query.flag("all"), limit, &filters)?;
    let rows: Vec<_> = chosen.iter().map(|c| call.engine.summary(c, size)).collect();
    Ok(ok(&json!(rows)))
}

async fn inspect(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    Ok(ok(&call.engine.inspect(&c, call.query.flag("size"))))
}

async fn start(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let headers = call.request.headers();
    let length = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    if length.unwrap_or(0) > 7 || headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Error::invalid(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
        ));
    }
    let engine = call.engine.clone();
    to_the_end(async move { engine.start(&c).await }).await?;
    no_content()
}

/// `signal` and `t` of stop and restart.
fn stop_options(call: &Call) -> Result<(Option<i32>, Option<i64>)> {
    let signal = match call.query.text("signal") {
        "" => None,
        text => Some(signals::parse(text)?),
    };
    Ok((signal, call.query.number("t")?))
}

async fn stop(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let (signal, timeout) = stop_options(&call)?;
    let engine = call.engine.clone();
    to_the_end(async move { engine.stop(&c, signal, timeout).await }).await?;
    no_content()
}

async fn restart(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let (signal, timeout) = stop_options(&call)?;
    let engine = call.engine.clone();
    to_the_end(async move { engine.restart(&c, signal, timeout).await }).await?;
    no_content()
}

async fn kill(call: Call) -> Result<Response<Body>> {
    let name = call.name.clone();
    let context = |e: Error| e.context(format!("cannot kill container: {name}"));
    let c = call.container().map_err(context)?;
    let signal = match call.query.text("signal") {
        "" => signals::SIGKILL,
        text => signals::parse(text).map_err(context)?,
    };
    let engine = call.engine.clone();
    to_the_end(async move { engine.kill(&c, signal).await }).await.map_err(context)?;
    no_content()
}

async fn pause(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    call.engine.pause(&c).await?;
    no_content()
}

async fn unpause(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    call.engine.unpause(&c).await?;
    no_content()
}

async fn rename(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    call.engine.rename(&c, call.query.text("name"))?;
    no_content()
}

async fn update(mut call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let body = call.object().await?.unwrap_or_default();
    let warnings =
        call.engine.update(&c, &body).map_err(|e| e.context(format!("Cannot update container {}", c.id)))?;
    Ok(ok(&json!({ "Warnings": warnings })))
}

async fn wait(call: Call) -> Result<Response<Body>> {
    let condition = match call.query.text("condition") {
        "" | "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => return Err(Error::invalid(format!("invalid condition: {other:?}"))),
    };
    let c = call.container()?;
    let published = c.published.subscribe();
    let (out, body) = channel(1);
    tokio::spawn(async move {
        let (code, error) = tokio::select! {
            met = Engine::wait(published, condition) => met,
            () = out.closed() => return,
        };
        let mut answer = json!({ "StatusCode": code });
        if let Some(message) = error {
            answer["Error"] = json!({ "Message": message });
        }
        // Nobody may be there any more to read it.
        let _ = out.send(format!("{answer}\n").into_bytes()).await;
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// `h` and `w`, both required.
pub(super) fn window(call: &Call) -> Result<(u16, u16)> {
    let read = |key: &str, what: &str| {
        let text = call.query.text(key);
        let number = text
            .parse::<u64>()
            .map_err(|_| Error::invalid(format!("invalid resize {what} {text:?}: invalid syntax")))?;
        if number > u64::from(u32::MAX) {
            return Err(Error::invalid(format!("invalid resize {what} {text:?}: value out of range")));
        }
        Ok(u16::try_from(number).unwrap_or(u16::MAX))
    };
    Ok((read("h", "height")?, read("w", "width")?))
}

async fn resize(call: Call) -> Result<Response<Body>> {
    let (rows, cols) = window(&call)?;
    let c = call.container()?;
    call.engine.resize(&c, rows, cols).await?;
    Ok(StatusCode::OK.into_response())
}

async fn top(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let (titles, processes) = call.engine.top(&c).await?;
    let (titles, processes) = super::files::select_columns(call.query.text("ps_args"), titles, processes)?;
    Ok(ok(&json!({ "Titles": titles, "Processes": processes })))
}

async fn remove(call: Call) -> Result<Response<Body>> {
    if call.query.flag("link") {
        return Err(Error::not_found("legacy links are not supported"));
    }
    let c = call.container()?;
    let (force, volumes) = (call.query.flag("force"), call.query.flag("v"));
    let engine = call.engine.clone();
    to_the_end(async move { engine.remove(&c, force, volumes).await }).await?;
    no_content()
}

async fn prune(call: Call) -> Result<Response<Body>> {
    let filters = Filters::parse(call.query.get("filters"), &["label", "label!", "until"])?;
    let engine = call.engine.clone();
    let (deleted, space) = to_the_end(async move { engine.prune_containers(&filters).await }).await?;
    Ok(ok(&json!({
        "ContainersDeleted": if deleted.is_empty() { None } else { Some(deleted) },
        "SpaceReclaimed": space,
    })))
}

pub(super) fn log_options(call: &Call, framed: bool) -> Result<logs::Options> {
    let q = &call.query;
    let time = |key: &str| match q.text(key) {
        "" => Ok(None),
        text => clock::parse_unix(text)
            .map(|t| Some(t).filter(|t| *t != 0))
            .map_err(|e| Error::invalid(format!("invalid value for {key:?}: {e}"))),
    };
    Ok(logs::Options {
        stdout: q.flag("stdout"),
        stderr: q.flag("stderr"),
        follow: q.flag("follow"),
        since: time("since")?,
        until: time("until")?,
        timestamps: q.flag("timestamps"),
        details: q.flag("details"),
        tail: q.text("tail").parse().ok(),
        framed,
    })
}

pub(super) fn has_readable_log(c: &Container) -> Result<()> {
    if c.record.read().host_view().log_config.r#type == "none" {
        return Err(Error::not_implemented("configured logging driver does not support reading"));
    }
    Ok(())
}

async fn get_logs(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let tty = c.record.read().config_view().tty;
    let options = log_options(&call, !tty)?;
    if !options.stdout && !options.stderr {
        return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
    }
    if matches!(c.state(), life::State::Dead | life::State::Removing) {
        return Err(Error::conflict("can not get logs from container which is dead or marked for removal"));
    }
    has_readable_log(&c)?;
    let multiplexed = !tty && call.version.has(version::MULTIPLEX_TYPE);
    let content_type = if multiplexed {
        "application/vnd.docker.multiplexed-stream"
    } else {
        "application/vnd.docker.raw-stream"
    };
    let (out, body) = channel(16);
    let published = c.published.subscribe();
    tokio::spawn(async move {
        if let Err(e) = logs::send(&c, options, published, out).await {
            tracing::warn!(container = %c.id, error = %e, "a log cannot be read");
        }
    });
    Ok(([(header::CONTENT_TYPE, content_type)], body).into_response())
}

async fn attach(call: Call) -> Result<Response<Body>> {
    match try_attach(call).await {
        Ok(response) => Ok(response),
        Err(e) => Ok(crate::error::response(crate::error::status(e.kind), &e.message, true)),
    }
}

async fn try_attach(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let q = &call.query;
    let filter = Filter::parse(q.text("detachKeys"))?;
    let config = c.record.read().config_view();
    let stream = q.flag("stream");
    let stdin = q.flag("stdin") && config.open_stdin && stream;
    let (stdout, stderr) = (q.flag("stdout"), q.flag("stderr"));
    let replay = if q.flag("logs") {
        has_readable_log(&c)?;
        Some(logs::Options { follow: false, tail: None, stdout, stderr, ..log_options(&call, !config.tty)? })
    } else {
        None
    };
    let attachment = if stream { Some(call.engine.attach(&c, stdin, stdout, stderr).await?) } else { None };
    call.engine.container_event(&c, "attach", &[]);
    let multiplexed = !config.tty && call.version.has(version::MULTIPLEX_TYPE);
    let engine = call.engine.clone();
    let (response, pending) = hijack::take_over(call.request, multiplexed);
    let rules = Rules { stdin, detach: (config.tty && stdin).then_some(filter), framing: Framing::AsItIs };
    tokio::spawn(async move {
        let mut client = match pending.await {
            Ok(client) => client,
            // A client that vanishes is no error of ours.
            Err(e) => return tracing::debug!(error = %e, "an attach ended before it began"),
        };
        client.writer.drained().await;
        if let Some(options) = replay {
            replay_log(&c, options, &mut client).await;
        }
        if let Some(mut attachment) = attachment {
            let end = match attachment.conversation.take() {
                Some(conversation) => hijack::relay(&mut client, conversation, rules).await,
                None => {
                    let seen = attachment.published.borrow_and_update().attempts;
                    tokio::select! {
                        _ = attachment.published.wait_for(|p| p.attempts > seen || p.removed.is_some()) => End::Output,
                        () = hijack::gone(&mut client) => End::Gone,
                    }
                }
            };
            if end == End::Detached {
                engine.container_event(&c, "detach", &[]);
            }
        }
        client.finish().await;
    });
    Ok(response)
}

async fn replay_log(c: &Arc<Container>, options: logs::Options, client: &mut hijack::Client) {
    let (out, mut pieces) = tokio::sync::mpsc::channel(16);
    let (c, published) = (c.clone(), c.published.subscribe());
    tokio::spawn(async move { logs::send(&c, options, published, out).await });
    while let Some(piece) = pieces.recv().await {
        if client.writer.send(&piece).await.is_err() {
            return;
        }
    }
}

async fn get_stats(call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let engine = call.engine.clone();
    if !call.query.flag_or("stream", true) {
        let mut before = None;
        let mut now = engine.sample(&c).await;
        if now.is_some() && !call.query.flag("one-shot") {
            tokio::time::sleep(Duration::from_secs(1)).await;
            before = now.take();
            now = engine.sample(&c).await;
        }
        return Ok(ok(&stats::to_json(&c, now.as_ref(), before.as_ref())));
    }
    let (out, body) = channel(2);
    tokio::spawn(async move {
        let mut before = None;
        let mut published = c.published.subscribe();
        loop {
            let now = engine.sample(&c).await;
            let line = format!("{}\n", stats::to_json(&c, now.as_ref(), before.as_ref()));
            if out.send(line.into_bytes()).await.is_err() {
                return;
            }
            before = now;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                _ = published.wait_for(|p| p.removed.is_some()) => return,
                () = out.closed() => return,
            }
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}
