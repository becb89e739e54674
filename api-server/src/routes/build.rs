//! `/build`: the classic builder's protocol. A context comes as a tar stream, steps go out as the lines that it prints.

use super::body::{self, channel, ok};
use super::{Call, Route, post};
use crate::engine::build::{Event, Failure, Options, Source};
use crate::engine::error::{Error, Result};
use crate::engine::filters::Filters;
use crate::engine::names::short;
use crate::engine::wire::Object;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use carrack_images::registry::Credentials;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// Bytes of output that a quiet build keeps for the case that it fails.
const KEEP: usize = 1 << 20;

pub(super) fn routes() -> Vec<Route> {
    vec![post("/build", build), post("/build/prune", prune), post("/build/cancel", cancel)]
}

/// A parameter in JSON; absent or empty: the default.
fn parameter<T: DeserializeOwned + Default>(call: &Call, name: &str) -> Result<T> {
    match call.query.text(name) {
        "" => Ok(T::default()),
        text => serde_json::from_str::<Option<T>>(text)
            .map(Option::unwrap_or_default)
            .map_err(|e| Error::invalid(format!("error reading {name}: {e}"))),
    }
}

fn options(call: &Call) -> Result<Options> {
    let q = &call.query;
    if q.flag("squash") {
        return Err(Error::invalid("squash is only supported with experimental mode"));
    }
    if q.get("securityopt").is_some_and(|v| !matches!(v, "" | "null" | "[]")) {
        return Err(Error::invalid(
            "The daemon on this platform does not support setting security options on build",
        ));
    }
    if q.text("version") == "2" {
        return Err(Error::invalid(
            "this daemon has no BuildKit: set DOCKER_BUILDKIT=0, with which docker build uses the classic builder",
        ));
    }
    if !matches!(q.text("isolation"), "" | "default") {
        return Err(Error::invalid(format!("Unsupported isolation: {:?}", q.text("isolation"))));
    }
    let mut host = Object::new();
    host.insert("LogConfig".into(), json!({ "Type": "none" }));
    for (parameter, key) in [("networkmode", "NetworkMode"), ("cgroupparent", "CgroupParent")] {
        if !q.text(parameter).is_empty() {
            host.insert(key.into(), json!(q.text(parameter)));
        }
    }
    for (parameter, key) in [("cpusetcpus", "CpusetCpus"), ("cpusetmems", "CpusetMems")] {
        if !q.text(parameter).is_empty() {
            host.insert(key.into(), json!(q.text(parameter)));
        }
    }
    for (parameter, key) in [
        ("memory", "Memory"),
        ("memswap", "MemorySwap"),
        ("cpushares", "CpuShares"),
        ("cpuperiod", "CpuPeriod"),
        ("cpuquota", "CpuQuota"),
        ("shmsize", "ShmSize"),
    ] {
        if let Some(number) = q.number(parameter)?.filter(|n| *n != 0) {
            host.insert(key.into(), json!(number));
        }
    }
    let hosts: Vec<String> = q.all("extrahosts").into_iter().filter(|h| !h.is_empty()).collect();
    if !hosts.is_empty() {
        host.insert("ExtraHosts".into(), json!(hosts));
    }
    let ulimits: Vec<Value> = parameter(call, "ulimits")?;
    if !ulimits.is_empty() {
        host.insert("Ulimits".into(), json!(ulimits));
    }
    let cache_from: Vec<String> = parameter(call, "cachefrom")?;
    Ok(Options {
        tags: q.all("t").into_iter().filter(|t| !t.is_empty()).collect(),
        dockerfile: match q.text("dockerfile") {
            "" => "Dockerfile".into(),
            name => name.into(),
        },
        target: q.text("target").into(),
        build_args: parameter(call, "buildargs")?,
        labels: parameter(call, "labels")?,
        no_cache: q.flag("nocache"),
        pull: q.flag("pull"),
        remove: q.flag_or("rm", true),
        force_remove: q.flag("forcerm"),
        cache_from: (!cache_from.is_empty()).then_some(cache_from),
        host,
        credentials: Credentials::of_config_header(
            call.request.headers().get("x-registry-config").and_then(|v| v.to_str().ok()).unwrap_or_default(),
        ),
        platform: q.text("platform").to_ascii_lowercase(),
    })
}

async fn build(mut call: Call) -> Result<Response<Body>> {
    let quiet = call.query.flag("q");
    let id = call.query.text("buildid").to_owned();
    let source = match call.query.text("remote") {
        "" => Source::Stream(Box::new(body::blocking(call.take_body()))),
        url => Source::Url(url.to_owned()),
    };
    let options = match options(&call) {
        Ok(options) => options,
        Err(e) => {
            source.refuse();
            return Err(e);
        }
    };
    let engine = call.engine.clone();
    // What is wrong with context and Dockerfile is a proper status; after that the answer is a stream.
    let definition = engine.prepare_build(&options, source).await?;
    let (out, answer) = channel(16);
    tokio::spawn(async move {
        let (events, mut received) = mpsc::channel(64);
        let cancel = engine.build_cancels.begin(&id);
        let mut printer = Printer { out: out.clone(), quiet, kept: Vec::new() };
        let steps = async {
            let building = engine.build(options, definition, events);
            let printing = async {
                while let Some(event) = received.recv().await {
                    printer.event(event).await;
                }
            };
            tokio::join!(building, printing).0
        };
        let result = tokio::select! {
            result = steps => result,
            () = cancel.cancelled() => Err(Error::internal("Build cancelled").into()),
            // The client has gone: what is under way is dropped, which ends it.
            () = out.closed() => return,
        };
        printer.end(result).await;
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], answer).into_response())
}

/// Prints events as the classic builder does.
struct Printer {
    out: mpsc::Sender<Vec<u8>>,
    quiet: bool,
    kept: Vec<u8>,
}

impl Printer {
    async fn event(&mut self, event: Event) {
        for message in messages(event) {
            let line = line(&message);
            if !self.quiet {
                // Whether the client has gone is watched elsewhere.
                let _ = self.out.send(line).await;
            } else if self.kept.len() + line.len() <= KEEP {
                self.kept.extend(line);
            }
        }
    }

    async fn end(&mut self, result: Result<String, Failure>) {
        let last = match result {
            Ok(id) if self.quiet => json!({ "stream": format!("{id}\n") }),
            Ok(_) => return,
            Err(Failure { error, code }) => {
                let _ = self.out.send(std::mem::take(&mut self.kept)).await;
                let mut detail = json!({ "message": error.message });
                if let Some(code) = code {
                    detail["code"] = json!(code);
                }
                json!({ "errorDetail": detail, "error": error.message })
            }
        };
        let _ = self.out.send(line(&last)).await;
    }
}

fn line(message: &Value) -> Vec<u8> {
    format!("{message}\r\n").into_bytes()
}

/// What the client is told of an event.
fn messages(event: Event) -> Vec<Value> {
    let hex = |id: &str| short(id.trim_start_matches("sha256:")).to_owned();
    let stream = |text: String| vec![json!({ "stream": text })];
    match event {
        Event::Step { number, total, text } => {
            vec![json!({ "stream": format!("Step {number}/{total} : {text}") }), json!({ "stream": "\n" })]
        }
        Event::Triggers(1) => stream("# Executing 1 build trigger\n".into()),
        Event::Triggers(n) => stream(format!("# Executing {n} build triggers\n")),
        Event::Image(id) => stream(format!(" ---> {}\n", id.as_deref().map(hex).unwrap_or_default())),
        Event::CacheHit => stream(" ---> Using cache\n".into()),
        Event::Running { container } => stream(format!(" ---> Running in {}\n", hex(&container))),
        Event::Removed { container } => {
            stream(format!(" ---> Removed intermediate container {}\n", hex(&container)))
        }
        Event::Output { is_error: false, bytes } => stream(String::from_utf8_lossy(&bytes).into_owned()),
        Event::Output { is_error: true, bytes } => {
            stream(format!("\u{1b}[91m{}\u{1b}[0m", String::from_utf8_lossy(&bytes)))
        }
        Event::Pulling(message) => vec![message.to_json()],
        Event::Fetching { current, total } => {
            let mut detail = json!({ "current": current });
            if let Some(total) = total {
                detail["total"] = json!(total);
            }
            vec![json!({ "status": "Downloading", "progressDetail": detail })]
        }
        Event::Note(text) => stream(text),
        Event::Stage { image } => vec![json!({ "aux": { "ID": image } })],
        Event::Built { image } => stream(format!("Successfully built {}\n", hex(&image))),
        Event::Tagged { name } => stream(format!("Successfully tagged {name}\n")),
    }
}

/// There is no cache beside the images, which have a prune of their own; `docker system prune` asks this too.
async fn prune(call: Call) -> Result<Response<Body>> {
    let known = ["id", "type", "until", "unused-for", "parent", "description", "inuse", "shared", "private"];
    Filters::parse(call.query.get("filters"), &known)?;
    Ok(ok(&json!({ "CachesDeleted": null, "SpaceReclaimed": 0 })))
}

async fn cancel(call: Call) -> Result<Response<Body>> {
    match call.query.text("id") {
        "" => Err(Error::invalid("build ID not provided")),
        id => {
            call.engine.build_cancels.cancel(id);
            Ok(StatusCode::NO_CONTENT.into_response())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(event: Event) -> String {
        messages(event).iter().map(|m| m["stream"].as_str().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn events_are_the_classic_builders_lines() {
        let id = format!("sha256:{}", "ab".repeat(32));
        let container = "cd".repeat(32);
        let step = Event::Step { number: 1, total: 5, text: "FROM x".into() };
        assert_eq!(text(step), "Step 1/5 : FROM x\n");
        assert_eq!(text(Event::Image(Some(id.clone()))), " ---> abababababab\n");
        assert_eq!(text(Event::Image(None)), " ---> \n");
        assert_eq!(text(Event::CacheHit), " ---> Using cache\n");
        assert_eq!(text(Event::Running { container: container.clone() }), " ---> Running in cdcdcdcdcdcd\n");
        assert_eq!(text(Event::Removed { container }), " ---> Removed intermediate container cdcdcdcdcdcd\n");
        assert_eq!(text(Event::Built { image: id.clone() }), "Successfully built abababababab\n");
        assert_eq!(messages(Event::Stage { image: id.clone() }), [json!({ "aux": { "ID": id } })]);
        let shouted = Event::Output { is_error: true, bytes: b"x\n".to_vec() };
        assert_eq!(text(shouted), "\u{1b}[91mx\n\u{1b}[0m");
    }
}
