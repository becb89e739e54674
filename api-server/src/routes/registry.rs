//! Registries: pull, push, login, distribution, search.

use super::archives::{failure, message};
use super::body::ok;
use super::images::platform_object;
use super::{Call, Route, get, post};
use crate::engine::error::{Error, Result};
use crate::engine::filters::Filters;
use crate::engine::registry::{PullRequest, PushRequest};
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, header};
use axum::response::IntoResponse;
use carrack_images::registry::{Caller, Credentials, Message, Progress};
use futures_util::stream::unfold;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Messages that may wait for a client that does not read; beyond that, amounts are left out.
const WAITING_MAX: usize = 256;

pub(super) fn routes() -> Vec<Route> {
    vec![
        post("/auth", login),
        post("/images/{name}/push", push),
        get("/images/search", search),
        get("/distribution/{name}/json", distribution),
    ]
}

/// Who asks: `X-Registry-Auth`, and headers that go on to the registry.
fn caller(headers: &HeaderMap) -> Caller {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let meta = headers.iter().filter(|(name, _)| name.as_str().starts_with("x-meta-"));
    Caller {
        credentials: Credentials::of_header(text("x-registry-auth")),
        headers: meta
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_string())))
            .collect(),
    }
}

/// `POST /images/create` with `fromImage`.
pub(super) async fn pull(call: Call) -> Result<Response<Body>> {
    let q = &call.query;
    let caller = caller(call.request.headers());
    let request = PullRequest::new(q.text("fromImage"), q.text("tag"), q.text("platform"), caller)?;
    let engine = call.engine.clone();
    stream(|progress| async move { engine.pull(&request, &progress).await }).await
}

async fn push(call: Call) -> Result<Response<Body>> {
    let platform = platform_object(&call)?;
    let caller = caller(call.request.headers());
    let request = PushRequest::new(&call.name, call.query.text("tag"), &platform, caller)?;
    let engine = call.engine.clone();
    stream(|progress| async move { engine.push(&request, &progress).await }).await
}

/// What comes out of work under way.
enum Item {
    Message(Message),
    Failed(Error),
}

/// A stream of messages: the work behind it ends with it.
struct Stream {
    items: mpsc::UnboundedReceiver<Item>,
    waiting: Arc<AtomicUsize>,
    work: AbortHandle,
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Stream {
    async fn next(&mut self) -> Option<Item> {
        let item = self.items.recv().await?;
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        Some(item)
    }
}

/// Runs work that tells its progress. What it fails with before the first message becomes a proper status; a client that
/// goes away ends it.
async fn stream<F, Fut>(work: F) -> Result<Response<Body>>
where
    F: FnOnce(Progress) -> Fut,
    Fut: Future<Output = Result<()>> + Send + 'static,
{
    let (sender, items) = mpsc::unbounded_channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let (counter, teller) = (waiting.clone(), sender.clone());
    let progress: Progress = Arc::new(move |m: Message| {
        let amount = m.progress.is_some_and(|(current, _)| current > 0);
        if !amount || counter.load(Ordering::Relaxed) < WAITING_MAX {
            counter.fetch_add(1, Ordering::Relaxed);
            // Nobody there: then the work is being ended.
            let _ = teller.send(Item::Message(m));
        }
    });
    let (work, counter) = (work(progress), waiting.clone());
    let work = tokio::spawn(async move {
        if let Err(e) = work.await {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = sender.send(Item::Failed(e));
        }
    });
    let mut stream = Stream { items, waiting, work: work.abort_handle() };
    let first = match stream.next().await {
        Some(Item::Failed(e)) => return Err(e),
        first => first,
    };
    let pieces = unfold((first, stream), |(first, mut stream)| async move {
        let item = match first {
            Some(item) => item,
            None => stream.next().await?,
        };
        let piece = match item {
            Item::Message(m) => message(&m.to_json()),
            Item::Failed(e) => failure(&e),
        };
        Some((Ok::<_, Infallible>(Bytes::from(piece)), (None, stream)))
    });
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response())
}

async fn login(mut call: Call) -> Result<Response<Body>> {
    let object = call
        .object()
        .await?
        .ok_or_else(|| Error::invalid("invalid JSON: got EOF while reading request body"))?;
    let object = Value::Object(object);
    let server = object["serveraddress"].as_str().unwrap_or_default();
    let login = call.engine.login(server, &Credentials::of(&object)).await?;
    Ok(ok(&json!({ "Status": login.status, "IdentityToken": login.identity_token })))
}

async fn distribution(call: Call) -> Result<Response<Body>> {
    let caller = caller(call.request.headers());
    let found = call.engine.distribution(&call.name, &caller).await?;
    Ok(ok(&json!({
        "Descriptor": { "mediaType": found.media_type, "digest": found.digest, "size": found.size },
        "Platforms": found.platforms,
    })))
}

/// As many as are found unless the client says how many, and at most.
const FOUND: u32 = 25;
const FOUND_MAX: u32 = 100;

async fn search(call: Call) -> Result<Response<Body>> {
    let q = &call.query;
    let filters = Filters::parse(q.get("filters"), &["is-automated", "is-official", "stars"])?;
    let limit = match q.number("limit")? {
        None | Some(0) => FOUND,
        Some(n) => u32::try_from(n)
            .ok()
            .filter(|n| *n <= FOUND_MAX)
            .ok_or_else(|| Error::invalid(format!("limit {n} is outside the range of [1, {FOUND_MAX}]")))?,
    };
    let (official, automated) = (filters.flag("is-official")?, filters.flag("is-automated")?);
    let stars = filters
        .get("stars")
        .iter()
        .map(|s| s.parse::<i64>().map_err(|_| Error::invalid(format!("invalid filter 'stars=[{s}]'"))));
    let stars = stars.collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
    let caller = caller(call.request.headers());
    let found = call.engine.search(q.text("term"), limit, &caller).await?;
    let fits = found.into_iter().filter(|f| {
        official.is_none_or(|o| o == f.is_official)
            && automated.is_none_or(|a| a == f.is_automated)
            && f.star_count >= stars
    });
    Ok(ok(&json!(fits.collect::<Vec<_>>())))
}
