//! The client's side of the Engine API: one connection to the daemon's socket for each request; or, for images, the same
//! API in this process.
//!
//! Everything blocks: a verb does one thing after the other. Streams that were taken over become plain sockets, so that
//! sessions of the daemon's containers and of containers without a daemon share their code (`session`).

mod body;

use crate::args::{Cli, Daemon, Registries};
use crate::dirs;
use crate::failure::Failure;
pub(crate) use body::{BodyReader, Upload};
use bytes::Bytes;
use carrack_api_server::Local;
use http_body_util::combinators::{BoxBody, UnsyncBoxBody};
use http_body_util::{BodyExt, Full};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::io::{self, Cursor, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use tokio::runtime::Runtime;

/// What is asked for in the path, so that answers keep their shape whatever the daemon learns later.
const VERSION: &str = "v1.51";
/// Longest answer that is kept in memory.
const MAX_JSON: usize = 256 << 20;

type Sent = BoxBody<Bytes, io::Error>;
type Answer = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// Somebody who answers requests.
pub(crate) struct Client {
    runtime: Rc<Runtime>,
    peer: Peer,
}

enum Peer {
    /// The daemon at this socket.
    Daemon(PathBuf),
    /// This process, for images.
    Local(Local),
}

fn runtime() -> Result<Rc<Runtime>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map(Rc::new).map_err(|e| Failure::doing("cannot start", e))
}

impl Client {
    /// A client of the daemon that the flags, `DOCKER_HOST` or the run directory name; nothing is sent yet.
    ///
    /// # Errors
    /// An address that is no Unix socket.
    pub(crate) fn new(daemon: &Daemon) -> Result<Client, Failure> {
        let path = match daemon.host.as_deref().filter(|h| !h.is_empty()) {
            Some(host) => dirs::socket(host)?,
            None => dirs::default_socket()?,
        };
        Ok(Client { runtime: runtime()?, peer: Peer::Daemon(path) })
    }

    /// The image store in this process.
    ///
    /// # Errors
    /// A store that cannot be opened.
    pub(crate) fn local(cli: &Cli, registries: Option<&Registries>) -> Result<Client, Failure> {
        Client::open(cli, registries, false)
    }

    /// For what must know the containers that use an image: the daemon where it keeps this data root,
    /// else this process, with the records of the daemon that does not run.
    pub(crate) fn keeper(cli: &Cli, daemon: &Daemon) -> Result<Client, Failure> {
        let data_root = dirs::data_root(cli)?;
        if let Ok(client) = Client::connect(daemon)
            && let Ok(info) = client.get("/info")
            && let Some(theirs) = info["DockerRootDir"].as_str()
            && same(Path::new(theirs), &data_root)
        {
            return Ok(client);
        }
        Client::open(cli, None, true)
    }

    fn open(cli: &Cli, registries: Option<&Registries>, with_records: bool) -> Result<Client, Failure> {
        let runtime = runtime()?;
        let _inside = runtime.enter();
        let local = Local::open(dirs::settings(cli, registries)?, with_records).map_err(Failure::new)?;
        Ok(Client { runtime: runtime.clone(), peer: Peer::Local(local) })
    }

    /// Whether it is the daemon.
    pub(crate) fn is_daemon(&self) -> bool {
        matches!(self.peer, Peer::Daemon(_))
    }

    /// The same; an error where no daemon answers.
    pub(crate) fn connect(daemon: &Daemon) -> Result<Client, Failure> {
        let client = Client::new(daemon)?;
        let tried = match &client.peer {
            Peer::Daemon(path) => UnixStream::connect(path).map(drop),
            Peer::Local(_) => Ok(()),
        };
        match tried {
            Ok(()) => Ok(client),
            Err(e) => Err(client.unreachable(&e)),
        }
    }

    /// What goes into `DOCKER_HOST`; empty without a daemon.
    pub(crate) fn address(&self) -> String {
        match &self.peer {
            Peer::Daemon(path) => format!("unix://{}", path.display()),
            Peer::Local(_) => String::new(),
        }
    }

    /// The socket, for a thread that makes a client of its own.
    pub(crate) fn daemon(&self) -> Daemon {
        Daemon { host: Some(self.address()) }
    }

    fn unreachable(&self, e: &io::Error) -> Failure {
        let why = match e.kind() {
            io::ErrorKind::NotFound => "there is no such socket".to_owned(),
            io::ErrorKind::ConnectionRefused => "nobody answers there".to_owned(),
            _ => e.to_string(),
        };
        Failure::new(format!(
            "cannot reach the daemon at {}: {why}\n  Start it with `carrack serve &`, or say where it is with -H or DOCKER_HOST.\n  `carrack run`, `images`, `pull` and the other verbs for images work without it.",
            self.address()
        ))
    }

    /// Sends a request; the answer may be a refusal.
    fn send(
        &self,
        method: Method,
        path: &str,
        with: &Extra<'_>,
        body: Body,
    ) -> Result<Response<Answer>, Failure> {
        let mut request =
            Request::builder().method(method).uri(format!("/{VERSION}{path}")).header(HOST, "docker");
        if with.upgrade {
            request = request.header(CONNECTION, "Upgrade").header(UPGRADE, "tcp");
        }
        for (name, value) in with.headers {
            request = request.header(*name, value);
        }
        let (kind, body): (_, Sent) = match body {
            Body::None => (None, Full::default().map_err(|e| match e {}).boxed()),
            Body::Json(value) => {
                (Some("application/json"), Full::from(value.to_string()).map_err(|e| match e {}).boxed())
            }
            Body::Upload(upload, kind) => (Some(kind), upload.boxed()),
        };
        if let Some(kind) = kind {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request.body(body).map_err(|e| Failure::doing("the request", e))?;
        let path = match &self.peer {
            Peer::Daemon(path) => path,
            Peer::Local(local) => {
                let answer = self.runtime.block_on(local.answer(request));
                return Ok(answer.map(|b| b.map_err(Into::into).boxed_unsync()));
            }
        };
        self.runtime.block_on(async {
            let stream = tokio::net::UnixStream::connect(path).await.map_err(|e| self.unreachable(&e))?;
            let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
                .max_buf_size(1 << 20)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|e| Failure::doing("the daemon", e))?;
            tokio::spawn(connection.with_upgrades());
            let answer = sender
                .send_request(request)
                .await
                .map_err(|e| Failure::new(format!("the daemon at {} did not answer: {e}", self.address())))?;
            Ok(answer.map(|b| b.map_err(Into::into).boxed_unsync()))
        })
    }

    /// The body of an answer, whole.
    fn collect(&self, response: Response<Answer>) -> Result<Bytes, Failure> {
        let body = http_body_util::Limited::new(response.into_body(), MAX_JSON);
        let collected = self.runtime.block_on(body.collect());
        collected.map(|b| b.to_bytes()).map_err(|e| Failure::doing("the daemon's answer was cut off", e))
    }

    /// A refusal as a failure, in the daemon's words.
    fn accepted(&self, response: Response<Answer>) -> Result<Response<Answer>, Failure> {
        let status = response.status();
        if !(status.is_client_error() || status.is_server_error()) {
            return Ok(response);
        }
        let text = self.collect(response)?;
        let message = serde_json::from_slice::<Value>(&text)
            .ok()
            .and_then(|v| v["message"].as_str().map(str::to_owned))
            .unwrap_or_else(|| String::from_utf8_lossy(&text).trim().to_owned());
        let message = if message.is_empty() { format!("the daemon answered {status}") } else { message };
        Err(Failure::refused(status.as_u16(), &message))
    }

    fn json(&self, method: Method, path: &str, body: Body) -> Result<Value, Failure> {
        let response = self.accepted(self.send(method, path, &Extra::default(), body)?)?;
        let empty = matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let bytes = self.collect(response)?;
        if empty || bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|e| Failure::doing("the daemon's answer", e))
    }

    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::GET, path, Body::None)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::DELETE, path, Body::None)
    }

    /// Posts an object, or nothing for null.
    pub(crate) fn post(&self, path: &str, value: Value) -> Result<Value, Failure> {
        self.json(Method::POST, path, Body::of(value))
    }

    /// An answer that comes bit by bit.
    pub(crate) fn stream(&self, method: Method, path: &str, body: Body) -> Result<BodyReader, Failure> {
        self.stream_with(method, path, &[], body)
    }

    /// The same, with these headers.
    pub(crate) fn stream_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, String)],
        body: Body,
    ) -> Result<BodyReader, Failure> {
        let with = Extra { upgrade: false, headers };
        let response = self.accepted(self.send(method, path, &with, body)?)?;
        Ok(BodyReader::new(self.runtime.clone(), response))
    }

    /// The connection itself, after the daemon has agreed to hand it over; and what had already come over it.
    pub(crate) fn take_over(&self, path: &str, value: Value) -> Result<Connection, Failure> {
        let with = Extra { upgrade: true, headers: &[] };
        let mut response = self.accepted(self.send(Method::POST, path, &with, Body::of(value))?)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(Failure::new(format!(
                "the daemon did not hand the connection over ({})",
                response.status()
            )));
        }
        let failed = |e: &dyn std::fmt::Display| Failure::doing("the connection", e);
        let upgraded = self.runtime.block_on(hyper::upgrade::on(&mut response)).map_err(|e| failed(&e))?;
        let parts = upgraded
            .downcast::<TokioIo<tokio::net::UnixStream>>()
            .map_err(|_| Failure::new("the connection is no socket"))?;
        let socket = parts.io.into_inner().into_std().map_err(|e| failed(&e))?;
        socket.set_nonblocking(false).map_err(|e| failed(&e))?;
        Ok(Connection { socket, first: Cursor::new(parts.read_buf) })
    }
}

/// What goes with a request beside its body.
#[derive(Default)]
struct Extra<'a> {
    upgrade: bool,
    headers: &'a [(&'a str, String)],
}

/// Whether both name one directory.
fn same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// What a request carries.
pub(crate) enum Body {
    None,
    Json(Value),
    /// A stream and its media type.
    Upload(Upload, &'static str),
}

impl Body {
    fn of(value: Value) -> Body {
        if value.is_null() { Body::None } else { Body::Json(value) }
    }
}

/// A connection that was handed over.
pub(crate) struct Connection {
    pub(crate) socket: UnixStream,
    first: Cursor<Bytes>,
}

impl Read for Connection {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.first.read(buf)? {
            0 => self.socket.read(buf),
            n => Ok(n),
        }
    }
}

/// The value of a path segment or a query, percent-encoded.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// `?a=1&b=2` of what is set; empty where nothing is.
#[derive(Default)]
pub(crate) struct Query(String);

impl Query {
    pub(crate) fn text(mut self, key: &str, value: &str) -> Query {
        self.0.push(if self.0.is_empty() { '?' } else { '&' });
        self.0.push_str(&format!("{key}={}", encode(value)));
        self
    }

    pub(crate) fn flag(self, key: &str, value: bool) -> Query {
        if value { self.text(key, "1") } else { self }
    }

    pub(crate) fn option(self, key: &str, value: Option<&str>) -> Query {
        match value {
            Some(value) => self.text(key, value),
            None => self,
        }
    }

    /// `filters`, as the API has them: lists of values by key.
    pub(crate) fn filters(self, filters: &[(String, String)]) -> Query {
        if filters.is_empty() {
            return self;
        }
        let mut map = std::collections::BTreeMap::<&str, Vec<&str>>::new();
        for (key, value) in filters {
            map.entry(key).or_default().push(value);
        }
        self.text("filters", &serde_json::json!(map).to_string())
    }
}

impl std::fmt::Display for Query {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_encoded() {
        let q = Query::default().flag("a", true).flag("b", false).option("c", None).text("d", "x/y z&ü");
        assert_eq!(q.to_string(), "?a=1&d=x%2Fy%20z%26%C3%BC");
        let filters = [("status".to_owned(), "exited".to_owned()), ("status".to_owned(), "dead".to_owned())];
        let q = Query::default().filters(&filters).to_string();
        assert_eq!(q, "?filters=%7B%22status%22%3A%5B%22exited%22%2C%22dead%22%5D%7D");
        assert_eq!(Query::default().filters(&[]).to_string(), "");
    }
}
