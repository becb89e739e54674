//! `/exec`, and the exec of a container.

use super::body::{json, ok};
use super::detach::Filter;
use super::hijack::{self, End, Framing, Rules, Unframe};
use super::{Call, Route, get, post, to_the_end};
use crate::engine::error::{Error, Result};
use crate::engine::exec::ExecSpec;
use crate::engine::logs::frame;
use crate::engine::wire::{self, Object};
use crate::version;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde_json::{Value, json};

pub(super) fn routes() -> Vec<Route> {
    vec![
        post("/containers/{name}/exec", create),
        post("/exec/{name}/start", start),
        get("/exec/{name}/json", inspect),
        post("/exec/{name}/resize", resize),
    ]
}

fn flag(body: &Object, key: &str) -> bool {
    wire::field(body, key).and_then(Value::as_bool).unwrap_or(false)
}

fn text(body: &Object, key: &str) -> String {
    wire::field(body, key).and_then(Value::as_str).unwrap_or_default().to_string()
}

/// A list of words, or one word.
fn words(body: &Object, key: &str) -> Result<Vec<String>> {
    match wire::field(body, key) {
        None => Ok(Vec::new()),
        Some(Value::String(word)) => Ok(vec![word.clone()]),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|e| Error::invalid(format!("invalid JSON: {key}: {e}"))),
    }
}

fn console_size(body: &Object) -> Option<(u16, u16)> {
    let list = wire::field(body, "ConsoleSize")?.as_array()?;
    let side = |i: usize| list.get(i).and_then(Value::as_u64).and_then(|n| u16::try_from(n).ok());
    Some((side(0)?, side(1)?)).filter(|size| *size != (0, 0))
}

async fn create(mut call: Call) -> Result<Response<Body>> {
    let c = call.container()?;
    let body = call.object().await?.ok_or_else(|| Error::invalid("No exec command specified"))?;
    let spec = ExecSpec {
        args: words(&body, "Cmd")?,
        env: words(&body, "Env")?,
        cwd: text(&body, "WorkingDir"),
        user: text(&body, "User"),
        tty: flag(&body, "Tty"),
        stdin: flag(&body, "AttachStdin"),
        stdout: flag(&body, "AttachStdout"),
        stderr: flag(&body, "AttachStderr"),
        privileged: flag(&body, "Privileged"),
        console_size: console_size(&body),
    };
    let detach_keys = text(&body, "DetachKeys");
    Filter::parse(&detach_keys)?;
    let id = call.engine.exec_create(&c, spec, detach_keys).await?;
    Ok(json(StatusCode::CREATED, &json!({ "Id": id })))
}

async fn start(mut call: Call) -> Result<Response<Body>> {
    let body = call.object().await?.unwrap_or_default();
    let tty = flag(&body, "Tty");
    let (exec, c) = call.engine.exec_claim(&call.name)?;
    let engine = call.engine.clone();
    if flag(&body, "Detach") {
        to_the_end(async move { engine.exec_detached(&exec, &c).await }).await?;
        return Ok(StatusCode::OK.into_response());
    }
    let multiplexed = !tty && call.version.has(version::MULTIPLEX_TYPE);
    let filter = Filter::parse(&exec.detach_keys)?;
    let size = console_size(&body);
    let (response, pending) = hijack::take_over(call.request, multiplexed);
    tokio::spawn(async move {
        let mut client = match pending.await {
            Ok(client) => client,
            Err(e) => return tracing::debug!(error = %e, "an exec's client went away before the start"),
        };
        client.writer.drained().await;
        match engine.exec_attach(&exec, &c).await {
            Ok(conversation) => {
                if let Some((rows, cols)) = size
                    && tty
                {
                    // A size that comes too late is no harm: the client sends it again.
                    let _ = engine.exec_resize(&exec.id, rows, cols).await;
                }
                let rules = Rules {
                    stdin: exec.spec.stdin,
                    detach: (exec.spec.tty && exec.spec.stdin).then_some(filter),
                    framing: match (exec.spec.tty, tty) {
                        (true, false) => Framing::Add,
                        (false, true) => Framing::Remove(Unframe::default()),
                        _ => Framing::AsItIs,
                    },
                };
                let end = hijack::relay(&mut client, conversation, rules).await;
                match end {
                    // The client asks for the exit code as soon as it sees the end.
                    End::Output => engine.exec_wait(&exec, &c).await,
                    End::Detached => {
                        engine.container_event(&c, "exec_detach", &[("execID", exec.id.clone())]);
                    }
                    End::Gone => {}
                }
            }
            Err(e) => {
                let text = format!("{}\r\n", e.message);
                let bytes = if tty { text.into_bytes() } else { frame(1, text.as_bytes()) };
                let _ = client.writer.send(&bytes).await;
            }
        }
        client.finish().await;
    });
    Ok(response)
}

async fn inspect(call: Call) -> Result<Response<Body>> {
    let exec = call.engine.exec_inspect(&call.name).await?;
    let spec = &exec.spec;
    Ok(ok(&json!({
        "ID": exec.id, "Running": exec.running, "ExitCode": exec.exit_code,
        "ProcessConfig": {
            "tty": spec.tty, "entrypoint": spec.args.first(), "arguments": spec.args.get(1..).unwrap_or_default(),
            "privileged": spec.privileged, "user": spec.user,
        },
        "OpenStdin": spec.stdin, "OpenStdout": spec.stdout, "OpenStderr": spec.stderr,
        "CanRemove": exec.exit_code.is_some(), "ContainerID": exec.container,
        "DetachKeys": exec.detach_keys, "Pid": exec.pid,
    })))
}

async fn resize(call: Call) -> Result<Response<Body>> {
    let (rows, cols) = super::containers::window(&call)?;
    call.engine.exec_resize(&call.name, rows, cols).await?;
    Ok(StatusCode::OK.into_response())
}
