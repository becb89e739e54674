//! Images as archives: import, load, save.

use super::body::{self, channel};
use super::images::platform_object;
use super::{Call, Route, blocking, get, post};
use crate::engine::Engine;
use crate::engine::download;
use crate::engine::error::{Error, Result};
use crate::engine::images::join;
use axum::body::Body;
use axum::http::{Response, header};
use axum::response::IntoResponse;
use carrack_images::{ImportOptions, Progress};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Bytes between two reports of a download.
const REPORT_EVERY: u64 = 512 << 10;

pub(super) fn routes() -> Vec<Route> {
    vec![post("/images/load", load), get("/images/get", save), get("/images/{name}/get", save)]
}

/// One message of a stream.
pub(super) fn message(value: &Value) -> Vec<u8> {
    format!("{value}\r\n").into_bytes()
}

/// The message by which a stream that has begun tells of its failure.
pub(super) fn failure(e: &Error) -> Vec<u8> {
    message(&json!({ "errorDetail": { "message": e.message }, "error": e.message }))
}

pub(super) async fn import(mut call: Call) -> Result<Response<Body>> {
    let q = &call.query;
    let source = match q.text("fromSrc") {
        "" => return Err(Error::invalid("no source to import from")),
        "-" => None,
        url if url.contains("://") => Some(url.to_string()),
        bare => Some(format!("http://{bare}")),
    };
    let reference = join(q.text("repo"), q.text("tag"));
    if reference.contains('@') {
        return Err(Error::invalid("cannot import digest reference"));
    }
    let message_of_url = source.as_ref().map(|url| format!("Imported from {url}"));
    let options = ImportOptions {
        changes: q.all("changes"),
        message: q.get("message").filter(|m| !m.is_empty()).map(str::to_string).or(message_of_url),
        platform: q.get("platform").filter(|p| !p.is_empty()).map(str::to_string),
        reference: (!reference.is_empty()).then_some(reference),
        created: None,
    };
    let body = call.take_body();
    let engine = call.engine.clone();
    let Some(url) = source else {
        // The whole body is read before the first byte of the answer: a refusal is then a proper status.
        let id = blocking(move || import_from(&engine, body::blocking(body), &options)).await?;
        return Ok(lines(message(&json!({ "status": id })).into()));
    };
    let download = download::open(&url).await?;
    let total = download.size();
    let (out, answer) = channel(16);
    tokio::spawn(async move {
        let begun = message(&json!({ "status": format!("Downloading from {url}") }));
        // A client that went away still gets its image.
        let _ = out.send(begun).await;
        let progress = {
            let (out, mut told) = (out.clone(), 0);
            move |current: u64| {
                if current - told >= REPORT_EVERY {
                    told = current;
                    let detail = json!({ "current": current, "total": total });
                    // A slow client misses some of it.
                    let _ =
                        out.try_send(message(&json!({ "status": "Importing", "progressDetail": detail })));
                }
            }
        };
        let (pieces, fill) = download.read(progress);
        let imported = blocking(move || import_from(&engine, pieces, &options));
        let ((), imported) = tokio::join!(fill, imported);
        let last = match imported {
            Ok(id) => message(&json!({ "status": id })),
            Err(e) => failure(&e),
        };
        let _ = out.send(last).await;
    });
    Ok(lines(answer))
}

fn import_from(engine: &Engine, tar: impl std::io::Read, options: &ImportOptions) -> Result<String> {
    let id = engine.images.import(tar, options)?;
    engine.image_event("import", &id, &id);
    Ok(id)
}

fn lines(body: Body) -> Response<Body> {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A layer that was unpacked, in the form in which clients draw a bar.
fn layer_line(diff_id: &str, size: u64) -> Value {
    let short = diff_id.strip_prefix("sha256:").unwrap_or(diff_id).get(..12).unwrap_or(diff_id);
    json!({ "status": "Loading layer", "progressDetail": { "current": size, "total": size }, "id": short })
}

async fn load(mut call: Call) -> Result<Response<Body>> {
    let quiet = call.query.flag_or("quiet", true);
    let platform = platform_object(&call)?;
    let body = call.take_body();
    let engine = call.engine.clone();
    let (out, answer) = channel(16);
    tokio::task::spawn_blocking(move || {
        // A client that went away still gets what it sent loaded, as far as it sent it.
        let say = |line: Vec<u8>| drop(out.blocking_send(line));
        let mut progress = |p: Progress| {
            if let Progress::Layer { diff_id, size, existed: false } = p
                && !quiet
            {
                say(message(&layer_line(&diff_id, size)));
            }
        };
        let loaded = match engine.images.load(body::blocking(body), &platform, &mut progress) {
            Ok(loaded) => loaded,
            Err(e) => return say(failure(&e)),
        };
        for (id, names) in loaded {
            engine.image_event("load", &id, &id);
            let lines = if names.is_empty() {
                vec![format!("Loaded image ID: {id}\n")]
            } else {
                names.iter().map(|n| format!("Loaded image: {n}\n")).collect()
            };
            lines.iter().for_each(|line| say(message(&json!({ "stream": line }))));
        }
    });
    Ok(lines(answer))
}

async fn save(call: Call) -> Result<Response<Body>> {
    let names = if call.name.is_empty() { call.query.all("names") } else { vec![call.name.clone()] };
    if names.is_empty() {
        return Err(Error::invalid("no image was named"));
    }
    let platform = platform_object(&call)?;
    let engine = call.engine.clone();
    // What cannot be found is told before the stream begins; afterwards an error can only cut it off.
    let (checked, looking) = (names.clone(), engine.clone());
    let ids: BTreeSet<String> = blocking(move || {
        let found = checked.iter().map(|n| looking.images.named(n, &platform)).collect::<Result<Vec<_>>>()?;
        Ok(found.into_iter().flatten().collect())
    })
    .await?;
    let (out, answer) = body::breakable(8);
    tokio::task::spawn_blocking(move || {
        let mut writer = std::io::BufWriter::with_capacity(256 << 10, ChannelWriter(out.clone()));
        let saved = engine.images.save(&names, &mut writer);
        match saved.and_then(|()| std::io::Write::flush(&mut writer).map_err(Error::from)) {
            Ok(()) => ids.iter().for_each(|id| engine.image_event("save", id, id)),
            Err(e) => {
                tracing::warn!(error = %e, "a save was cut off");
                // The answer must not look complete.
                drop(out.blocking_send(Err(std::io::Error::other(e.message))));
            }
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-tar")], answer).into_response())
}

/// Writes into a response's body from a thread that may block.
struct ChannelWriter(tokio::sync::mpsc::Sender<std::io::Result<Vec<u8>>>);

impl std::io::Write for ChannelWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let sent = self.0.blocking_send(Ok(bytes.to_vec()));
        sent.map(|()| bytes.len()).map_err(|_| std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
