//! The API's surface: the table of routes, and the way of a request through it.
//!
//! Names contain slashes, encoded or not, so a `{name}` takes everything between what stands before and after it. That is
//! why the table is our own and not the web framework's. Handlers decode, call one method of the engine, and shape the
//! answer; they know nothing of supervisors.

mod archives;
pub(crate) mod body;
mod build;
mod containers;
pub(crate) mod detach;
mod events;
mod exec;
mod files;
mod hijack;
mod images;
mod networks;
pub(crate) mod query;
mod registry;
mod system;
mod unavailable;
mod volumes;
mod websocket;

use crate::engine::Engine;
use crate::engine::error::{Error, Result};
use crate::engine::record::Container;
use crate::engine::wire::Object;
use crate::version::{self, Version};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use query::Query;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

pub(crate) const SERVER_VERSION: &str = "28.5.0";

/// One request on its way to its handler.
pub(crate) struct Call {
    pub(crate) engine: Arc<Engine>,
    pub(crate) version: Version,
    /// What `{name}` stood for.
    pub(crate) name: String,
    pub(crate) query: Query,
    pub(crate) request: Request,
}

impl Call {
    fn container(&self) -> Result<Arc<Container>> {
        self.engine.find(&self.name)
    }

    /// The JSON body; `None` when there is none.
    async fn object(&mut self) -> Result<Option<Object>> {
        let body = std::mem::take(self.request.body_mut());
        body::object(self.request.headers(), body).await
    }

    fn take_body(&mut self) -> Body {
        std::mem::take(self.request.body_mut())
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>>> + Send>>;
type Handler = Arc<dyn Fn(Call) -> Answer + Send + Sync>;

/// One row of the table.
pub(crate) struct Route {
    method: Method,
    /// What stands before `{name}`, or the whole path.
    prefix: &'static str,
    /// What stands after it; `None`: there is no name.
    suffix: Option<&'static str>,
    handler: Handler,
}

fn route<F, Fut>(method: Method, pattern: &'static str, handler: F) -> Route
where
    F: Fn(Call) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>>> + Send + 'static,
{
    let (prefix, suffix) = match pattern.split_once("{name}") {
        Some((before, after)) => (before, Some(after)),
        None => (pattern, None),
    };
    Route { method, prefix, suffix, handler: Arc::new(move |call| Box::pin(handler(call))) }
}

macro_rules! methods {
    ($($name:ident $method:ident),*) => {
        $(fn $name<F, Fut>(pattern: &'static str, handler: F) -> Route
        where
            F: Fn(Call) -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<Response<Body>>> + Send + 'static,
        {
            route(Method::$method, pattern, handler)
        })*
    };
}
methods!(get GET, post POST, put PUT, delete DELETE, head HEAD);

impl Route {
    /// The name, if the path is one of this row's.
    fn matches<'p>(&self, method: &Method, path: &'p str) -> Option<&'p str> {
        if *method != self.method {
            return None;
        }
        match self.suffix {
            None => (path == self.prefix).then_some(""),
            Some(suffix) => {
                let name = path.strip_prefix(self.prefix)?.strip_suffix(suffix)?;
                (!name.is_empty()).then_some(name)
            }
        }
    }
}

/// The whole API.
pub(crate) struct Api {
    engine: Arc<Engine>,
    routes: Vec<Route>,
}

impl Api {
    pub(crate) fn new(engine: Arc<Engine>) -> Api {
        let mut routes: Vec<Route> = [
            system::routes(),
            events::routes(),
            containers::routes(),
            files::routes(),
            websocket::routes(),
            exec::routes(),
            images::routes(),
            build::routes(),
            archives::routes(),
            networks::routes(),
            registry::routes(),
            volumes::routes(),
            unavailable::routes(),
        ]
        .into_iter()
        .flatten()
        .collect();
        // Fixed paths win over names, and longer endings over shorter ones (`/x/attach/ws` is no container `x/attach`).
        routes.sort_by_key(|r| r.suffix.map_or((0, 0), |s| (1, usize::MAX - s.len())));
        Api { engine, routes }
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request) -> Response<Body> {
        let mut response = self.dispatch(request).await;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::SERVER, format!("Docker/{SERVER_VERSION} (linux)")),
            (HeaderName::from_static("api-version"), version::NEWEST.to_string()),
            (HeaderName::from_static("ostype"), "linux".to_string()),
            (HeaderName::from_static("docker-experimental"), "false".to_string()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
        response
    }

    async fn dispatch(&self, request: Request) -> Response<Body> {
        let method = request.method().clone();
        let path = clean(&query::decode(request.uri().path(), false));
        let query = Query::parse(request.uri().query().unwrap_or_default());
        if method == Method::OPTIONS {
            return StatusCode::OK.into_response();
        }
        let (asked, path) = version::split(&path);
        let version = match asked {
            None => version::NEWEST,
            Some(text) => {
                let Some(version) = Version::parse(text) else { return not_found() };
                if let Err(refusal) = version.check() {
                    return *refusal;
                }
                version
            }
        };
        let path = if path == "/networks/" { "/networks" } else { path };
        let found = self.routes.iter().find_map(|r| r.matches(&method, path).map(|name| (r, name)));
        let Some((route, name)) = found else { return not_found() };
        tracing::debug!(%method, path, "request");
        let call = Call { engine: self.engine.clone(), version, name: name.to_string(), query, request };
        (route.handler)(call).await.unwrap_or_else(IntoResponse::into_response)
    }
}

fn not_found() -> Response<Body> {
    crate::error::response(StatusCode::NOT_FOUND, "page not found", false)
}

/// Without double slashes: `/containers//web/json` is the container `web`.
fn clean(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for c in path.chars() {
        if c != '/' || !out.ends_with('/') {
            out.push(c);
        }
    }
    out
}

fn no_content() -> Result<Response<Body>> {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Runs what must be finished although the client may go away.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work)
        .await
        .unwrap_or_else(|e| Err(Error::internal(format!("the work was interrupted: {e}"))))
}

/// Runs what blocks on the disk for long.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|e| Err(Error::internal(format!("the work was interrupted: {e}"))))
}

#[cfg(test)]
mod tests;
