//! Requests to one repository at one endpoint: credentials, redirects, attempts, limits.
//!
//! A registry is asked without credentials first; its challenge says what it wants, and every later request of the session
//! brings that at once. Credentials go to the endpoint itself and to the token server that it names, and nowhere else.
//!
//! Redirects are followed by hand, for reads only: without credentials where they lead to another origin, never from a
//! registry elsewhere to an address of this machine or its link, and from HTTPS to HTTP only for insecure registries.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use parking_lot::Mutex;
use reqwest::header::{self, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use super::challenge::{self, Challenge};
use super::config::{Config, Endpoint, authority_of, is_loopback};
use super::credentials::Credentials;
use super::error::{self, Error, ErrorKind};
use super::manifest::{ACCEPT, Fetched, MANIFEST_MAX, digest_of};
use super::transport::{Transports, is_inside};

/// Redirects followed for one request.
const REDIRECTS_MAX: usize = 10;
/// Largest answer of a token server, or text of an error.
const ANSWER_MAX: u64 = 1 << 20;
/// The slowest body that is waited for, bytes a second over [`Config::patience`].
const SLOWEST: u64 = 64;
/// How long a token lives that does not say so (distribution specification, "Token Authentication").
const TOKEN_TIME: u64 = 60;
/// By what name we ask for tokens.
const CLIENT_ID: &str = "docker";

/// A request that can be sent again.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Request {
    pub(super) fn new(method: Method, url: Url) -> Request {
        Request { method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }

    pub(super) fn header(mut self, name: header::HeaderName, value: &str) -> Request {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(name, value);
        }
        self
    }
}

/// One repository at one endpoint.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) config: Arc<Config>,
    transports: Arc<Transports>,
    pub(super) endpoint: Endpoint,
    client: Client,
    /// The path of the repository; empty for a login.
    pub(super) repository: String,
    credentials: Credentials,
    meta: HeaderMap,
    auth: Mutex<Auth>,
    /// One token is fetched at a time.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Auth {
    challenge: Option<Challenge>,
    scopes: Vec<String>,
    token: Option<(String, Instant)>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
    #[serde(default)]
    refresh_token: String,
    #[serde(default)]
    expires_in: u64,
}

/// What may be tried again, and when.
#[derive(Debug)]
pub(super) struct Attempts<'c> {
    config: &'c Config,
    failed: u32,
}

impl<'c> Attempts<'c> {
    pub(super) fn new(config: &'c Config) -> Attempts<'c> {
        Attempts { config, failed: 0 }
    }

    /// Something was achieved: the count begins anew.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next attempt, or gives the error back. `tell` is given the wait.
    pub(super) async fn after(&mut self, e: Error, tell: impl FnOnce(Duration)) -> Result<(), Error> {
        self.failed += 1;
        if !e.again || self.failed >= self.config.attempts {
            return Err(e);
        }
        let doubled = self.config.backoff.saturating_mul(1 << (self.failed - 1).min(5));
        let wait = e.wait.unwrap_or(doubled).min(Duration::from_secs(60));
        tracing::debug!(error = %e, ?wait, "trying again");
        tell(wait);
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

impl Session {
    /// Asks the endpoint what it is and what it wants.
    ///
    /// # Errors
    /// Nobody answers there, or not as a registry.
    pub(super) async fn open(
        transports: Arc<Transports>,
        config: Arc<Config>,
        endpoint: Endpoint,
        repository: &str,
        actions: &str,
        credentials: &Credentials,
        meta: &HeaderMap,
    ) -> Result<Session, Error> {
        let mut session = Session::unasked(transports, config, endpoint, credentials, meta)?;
        session.repository = repository.to_owned();
        if !repository.is_empty() {
            session.auth.lock().scopes = vec![format!("repository:{repository}:{actions}")];
        }
        session.ping().await?;
        Ok(session)
    }

    /// The same without a repository and without a question.
    pub(super) fn unasked(
        transports: Arc<Transports>,
        config: Arc<Config>,
        endpoint: Endpoint,
        credentials: &Credentials,
        meta: &HeaderMap,
    ) -> Result<Session, Error> {
        let client = transports.client(&config, &authority_of(&endpoint.base), endpoint.insecure, false)?;
        Ok(Session {
            config,
            transports,
            client,
            repository: String::new(),
            // Mirrors are other people's.
            credentials: if endpoint.mirror { Credentials::default() } else { credentials.clone() },
            meta: meta.clone(),
            auth: Mutex::default(),
            fetching: tokio::sync::Mutex::new(()),
            endpoint,
        })
    }

    async fn ping(&self) -> Result<(), Error> {
        let request = Request::new(Method::GET, self.url("")?);
        let mut attempts = Attempts::new(&self.config);
        loop {
            let answered = async {
                let response = self.exchange(&self.client, &request, None).await?;
                if response.status() == StatusCode::UNAUTHORIZED {
                    self.auth.lock().challenge = strongest(response.headers());
                    return Ok(());
                }
                self.good(response).await.map(drop)
            };
            match answered.await {
                Ok(()) => return Ok(()),
                Err(e) => attempts.after(e, |_| {}).await?,
            }
        }
    }

    /// `v2/` and this.
    pub(super) fn url(&self, rest: &str) -> Result<Url, Error> {
        let bad = |e: url::ParseError| Error::new(ErrorKind::Invalid, format!("invalid URL: {e}"));
        self.endpoint.base.join("v2/").and_then(|base| base.join(rest)).map_err(bad)
    }

    /// `v2/REPOSITORY/` and this.
    pub(super) fn repository_url(&self, rest: &str) -> Result<Url, Error> {
        self.url(&format!("{}/{rest}", self.repository))
    }

    /// Wants more than the repository itself, such as reading another one for a mount.
    pub(super) fn add_scope(&self, scope: String) {
        let mut auth = self.auth.lock();
        if !auth.scopes.contains(&scope) {
            auth.scopes.push(scope);
            auth.token = None;
        }
    }

    /// Sends a request, as often as it may help; the response's status is a good one.
    pub(super) async fn send(&self, request: Request) -> Result<Response, Error> {
        let mut attempts = Attempts::new(&self.config);
        loop {
            match self.once(&request).await {
                Ok(response) => return Ok(response),
                Err(e) => attempts.after(e, |_| {}).await?,
            }
        }
    }

    /// Sends a request once; the response's status is a good one.
    pub(super) async fn once(&self, request: &Request) -> Result<Response, Error> {
        let response = self.authorized(request).await?;
        self.good(response).await
    }

    /// Whether there is something: a good status, or 404.
    pub(super) async fn look(&self, request: &Request) -> Result<bool, Error> {
        let response = self.authorized(request).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Ok(false);
        }
        self.good(response).await.map(|_| true)
    }

    /// With credentials where the registry wants some, and at most one new token; then after redirects.
    async fn authorized(&self, request: &Request) -> Result<Response, Error> {
        let (client, own) = self.lead(&request.url)?;
        if !own {
            let response = self.exchange(&client, request, None).await?;
            return self.follow(request, response).await;
        }
        let first = self.authorization(request).await?;
        let mut response = self.exchange(&client, request, first.as_ref()).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.renew(response.headers(), first.as_ref()) {
            let second = self.authorization(request).await?;
            response = self.exchange(&client, request, second.as_ref()).await?;
        }
        self.follow(request, response).await
    }

    /// Takes up a challenge; whether another attempt makes sense.
    fn renew(&self, headers: &HeaderMap, sent: Option<&HeaderValue>) -> bool {
        let Some(challenge) = strongest(headers) else { return false };
        let mut auth = self.auth.lock();
        let bearer = challenge.scheme == "bearer";
        if let Some(scope) = challenge.parameters.get("scope")
            && bearer
        {
            for scope in scope.split(' ').filter(|s| !s.is_empty()) {
                if !auth.scopes.iter().any(|s| s == scope) && auth.scopes.len() < 16 {
                    auth.scopes.push(scope.to_owned());
                }
            }
        }
        auth.challenge = Some(challenge);
        auth.token = None;
        // A token may have been too old; a password does not get better.
        bearer || sent.is_none()
    }

    async fn authorization(&self, request: &Request) -> Result<Option<HeaderValue>, Error> {
        let secret = |text: String| {
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| Error::new(ErrorKind::Invalid, "credentials that no header can hold"))?;
            value.set_sensitive(true);
            Ok(Some(value))
        };
        if !self.credentials.registry_token.is_empty() {
            return secret(format!("Bearer {}", self.credentials.registry_token));
        }
        let challenge = self.auth.lock().challenge.clone();
        match challenge {
            Some(c) if c.scheme == "basic" => match self.basic() {
                Some(basic) => secret(basic),
                None => {
                    let method = title(&request.method);
                    let why = format!("{method} \"{}\": no basic auth credentials", request.url);
                    Err(Error::new(ErrorKind::Unauthorized, why))
                }
            },
            Some(c) if c.scheme == "bearer" => {
                let token = self.token(&c).await.map_err(|e| match e.kind {
                    ErrorKind::Transport | ErrorKind::System => e,
                    _ => e.context(format_args!("{} \"{}\"", title(&request.method), request.url)),
                })?;
                secret(format!("Bearer {token}"))
            }
            _ => Ok(None),
        }
    }

    fn basic(&self) -> Option<String> {
        let c = &self.credentials;
        let pair = format!("{}:{}", c.username, c.password);
        (!c.username.is_empty()).then(|| format!("Basic {}", STANDARD.encode(pair)))
    }

    async fn token(&self, challenge: &Challenge) -> Result<String, Error> {
        let known = |session: &Session| {
            let auth = session.auth.lock();
            auth.token.as_ref().filter(|(_, until)| *until > Instant::now()).map(|(t, _)| t.clone())
        };
        if let Some(token) = known(self) {
            return Ok(token);
        }
        let _fetching = self.fetching.lock().await;
        if let Some(token) = known(self) {
            return Ok(token);
        }
        let answer = self.fetch_token(challenge, false).await?;
        let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
        if token.is_empty() {
            return Err(Error::new(
                ErrorKind::Registry,
                "authorization server did not include a token in the response",
            ));
        }
        let seconds = answer.expires_in.clamp(TOKEN_TIME, 3600);
        // Used up to a little before its end.
        let until = Instant::now() + Duration::from_secs(seconds - 10);
        self.auth.lock().token = Some((token.clone(), until));
        Ok(token)
    }

    /// Asks the token server that a challenge names (distribution specification, "Token Authentication").
    async fn fetch_token(&self, challenge: &Challenge, offline: bool) -> Result<TokenAnswer, Error> {
        let realm = challenge.parameter("realm");
        let bad = |why: &str| {
            Error::new(ErrorKind::Registry, format!("invalid token auth challenge realm {realm:?}: {why}"))
        };
        let mut url = Url::parse(realm).map_err(|e| bad(&e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("unsupported scheme"));
        }
        let named = !self.credentials.username.is_empty() || !self.credentials.identity_token.is_empty();
        if named
            && self.endpoint.base.scheme() == "https"
            && url.scheme() == "http"
            && !self.endpoint.insecure
        {
            return Err(bad("credentials are not sent in clear text"));
        }
        let (client, _) = self.lead(&url)?;
        let service = challenge.parameter("service").to_owned();
        let scopes = self.auth.lock().scopes.clone();
        let mut request;
        if self.credentials.identity_token.is_empty() {
            {
                let mut query = url.query_pairs_mut();
                if !service.is_empty() {
                    query.append_pair("service", &service);
                }
                for scope in &scopes {
                    query.append_pair("scope", scope);
                }
                if named {
                    query.append_pair("account", &self.credentials.username);
                }
                if offline {
                    query.append_pair("offline_token", "true").append_pair("client_id", CLIENT_ID);
                }
            }
            request = Request::new(Method::GET, url);
        } else {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            form.append_pair("grant_type", "refresh_token").append_pair("service", &service);
            form.append_pair("client_id", CLIENT_ID).append_pair("scope", &scopes.join(" "));
            form.append_pair("refresh_token", &self.credentials.identity_token);
            request = Request::new(Method::POST, url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.body = Bytes::from(form.finish());
        }
        let basic = self.basic().filter(|_| self.credentials.identity_token.is_empty());
        let basic = basic.and_then(|b| HeaderValue::from_str(&b).ok()).map(|mut b| {
            b.set_sensitive(true);
            b
        });
        let response = self.exchange(&client, &request, basic.as_ref()).await?;
        let response = self.good(response).await?;
        let body = self.read(response, ANSWER_MAX).await?;
        serde_json::from_slice(&body)
            .map_err(|e| Error::new(ErrorKind::Registry, format!("unable to decode token response: {e}")))
    }

    /// Which client a URL needs, and whether it is the endpoint's own origin, which may see credentials.
    ///
    /// # Errors
    /// The URL leads where a registry may not send us.
    fn lead(&self, url: &Url) -> Result<(Client, bool), Error> {
        let base = &self.endpoint.base;
        if url.origin() == base.origin() {
            return Ok((self.client.clone(), true));
        }
        let refused = |why: &str| {
            let mut shown = url.clone();
            shown.set_query(None);
            let why = format!("{base} leads to {shown}, which is not followed: {why}");
            Error::new(ErrorKind::Registry, why)
        };
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused("not HTTP"));
        }
        if base.scheme() == "https" && url.scheme() == "http" && !self.endpoint.insecure {
            return Err(refused("plain HTTP from a secure registry"));
        }
        let host = url.host_str().unwrap_or_default();
        let here = |host: &str| {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            is_loopback(host) || bare.parse().is_ok_and(is_inside)
        };
        // A registry on this machine may well send us to another port of it.
        let outside = !here(base.host_str().unwrap_or_default());
        if outside && here(host) {
            return Err(refused("an address of this machine"));
        }
        let authority = authority_of(url);
        let insecure = self.config.is_insecure(&authority);
        Ok((self.transports.client(&self.config, &authority, insecure, outside)?, false))
    }

    /// Follows redirects of a read.
    async fn follow(&self, request: &Request, mut response: Response) -> Result<Response, Error> {
        let reads = matches!(request.method, Method::GET | Method::HEAD);
        let mut url = request.url.clone();
        let mut count = 0;
        while reads && matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            count += 1;
            if count > REDIRECTS_MAX {
                let why = format!(
                    "{} \"{}\": stopped after {REDIRECTS_MAX} redirects",
                    title(&request.method),
                    request.url
                );
                return Err(Error::new(ErrorKind::Registry, why));
            }
            url = location(&url, response.headers())?;
            let (client, own) = self.lead(&url)?;
            let next = Request { url: url.clone(), ..request.clone() };
            let authorization = if own { self.authorization(&next).await? } else { None };
            response = self.exchange(&client, &next, authorization.as_ref()).await?;
        }
        Ok(response)
    }

    /// One request and the head of its response.
    async fn exchange(
        &self,
        client: &Client,
        request: &Request,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let mut builder =
            client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if request.url.origin() == self.endpoint.base.origin() {
            builder = builder.headers(self.meta.clone());
        }
        if let Some(value) = authorization {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        if !request.body.is_empty() || matches!(request.method, Method::POST | Method::PUT) {
            builder = builder.header(header::CONTENT_LENGTH, request.body.len()).body(request.body.clone());
        }
        self.head(builder, &request.method, &request.url).await
    }

    async fn head(
        &self,
        builder: reqwest::RequestBuilder,
        method: &Method,
        url: &Url,
    ) -> Result<Response, Error> {
        match tokio::time::timeout(self.config.patience, builder.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(e)) => Err(error::transport(method.as_str(), url, &e)),
            Err(_) => Err(self.silent(method, url)),
        }
    }

    fn silent(&self, method: &Method, url: &Url) -> Error {
        let seconds = self.config.patience.as_secs();
        let why =
            format!("{} \"{}\": net/http: timeout awaiting response ({seconds} s)", title(method), bare(url));
        Error::passing(ErrorKind::Transport, why)
    }

    /// Sends a body that comes from elsewhere, `length` bytes, once. No new token is fetched in the middle.
    ///
    /// There is no limit on the whole: the other side takes what it takes. Whoever fills the body watches its pace.
    pub(super) async fn send_body(
        &self,
        request: &Request,
        body: reqwest::Body,
        length: Option<u64>,
    ) -> Result<Response, Error> {
        let (client, own) = self.lead(&request.url)?;
        let mut builder =
            client.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if own && let Some(value) = self.authorization(request).await? {
            builder = builder.header(header::AUTHORIZATION, value);
        }
        if let Some(length) = length {
            builder = builder.header(header::CONTENT_LENGTH, length);
        }
        let sent = builder.body(body).send().await;
        let response = sent.map_err(|e| error::transport(request.method.as_str(), &request.url, &e))?;
        self.good(response).await
    }

    /// The response, or what its status means.
    async fn good(&self, response: Response) -> Result<Response, Error> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        if status.is_redirection() || status.is_informational() {
            let why = format!("received unexpected HTTP status: {status}");
            return Err(Error::new(ErrorKind::Registry, why));
        }
        let challenges = challenges(response.headers());
        let wait = error::retry_after(response.headers());
        let body = self.read(response, ANSWER_MAX).await.unwrap_or_default();
        Err(Error { wait, ..error::refusal(status, &challenges, &body) })
    }

    /// A whole body of at most `limit` bytes.
    pub(super) async fn read(&self, mut response: Response, limit: u64) -> Result<Vec<u8>, Error> {
        let url = bare(response.url());
        let mut pace = Pace::new(self.config.patience);
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response, &mut pace).await? {
            if body.len() as u64 + piece.len() as u64 > limit {
                return Err(Error::content(format!("{url}: an answer of more than {limit} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    /// The next piece of a body.
    pub(super) async fn piece(
        &self,
        response: &mut Response,
        pace: &mut Pace,
    ) -> Result<Option<Bytes>, Error> {
        let url = response.url().clone();
        match tokio::time::timeout(self.config.patience, response.chunk()).await {
            Ok(Ok(piece)) => {
                if let Some(piece) = &piece
                    && !pace.keeps_up(piece.len())
                {
                    let why = format!("Get \"{}\": the answer comes too slowly", bare(&url));
                    return Err(Error::passing(ErrorKind::Transport, why));
                }
                Ok(piece)
            }
            Ok(Err(e)) => Err(Error { again: true, ..error::transport("GET", &url, &e) }),
            Err(_) => Err(self.silent(&Method::GET, &url)),
        }
    }

    /// A manifest by tag or digest, verified where there is a digest.
    pub(super) async fn manifest(&self, reference: &str, name: &str) -> Result<Fetched, Error> {
        let request = self.manifest_request(reference)?;
        let response = self.send(request).await?;
        let text = |name: &str| {
            response.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
        };
        let (content_type, announced) = (text("content-type"), text("docker-content-digest"));
        let bytes = self.read(response, MANIFEST_MAX).await?;
        let digest = digest_of(&bytes);
        let wanted = if reference.contains(':') { reference } else { announced.as_str() };
        if wanted.starts_with("sha256:") && wanted != digest {
            return Err(Error::content(format!("manifest verification failed for digest {wanted}")));
        }
        Fetched::parse(bytes, &content_type, name)
    }

    fn manifest_request(&self, reference: &str) -> Result<Request, Error> {
        let url = self.repository_url(&format!("manifests/{reference}"))?;
        Ok(ACCEPT.iter().fold(Request::new(Method::GET, url), |r, kind| r.header(header::ACCEPT, kind)))
    }

    /// Logs in: whether the registry takes the credentials, and a token to keep instead of the password.
    pub(super) async fn login(&self) -> Result<String, Error> {
        let request = Request::new(Method::GET, self.url("")?);
        let challenge = self.auth.lock().challenge.clone();
        let mut identity = String::new();
        if let Some(c) = challenge.filter(|c| c.scheme == "bearer") {
            let answer = self.fetch_token(&c, true).await;
            let answer = answer.map_err(|e| e.context(format_args!("Get \"{}\"", request.url)))?;
            let token = if answer.token.is_empty() { answer.access_token } else { answer.token };
            self.auth.lock().token = Some((token, Instant::now() + Duration::from_secs(TOKEN_TIME)));
            identity = answer.refresh_token;
        }
        let authorization = self.authorization(&request).await?;
        let response = self.exchange(&self.client, &request, authorization.as_ref()).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(identity);
        }
        let kind = match status.as_u16() {
            401 | 403 => ErrorKind::Unauthorized,
            _ => ErrorKind::Registry,
        };
        let reason = status.canonical_reason().unwrap_or_default();
        let why =
            format!("login attempt to {} failed with status: {} {reason}", request.url, status.as_u16());
        Err(Error::new(kind, why.trim_end()))
    }
}

/// How fast a body comes: it may pause, but not for ever.
#[derive(Debug)]
pub(super) struct Pace {
    patience: Duration,
    since: Instant,
    bytes: u64,
}

impl Pace {
    pub(super) fn new(patience: Duration) -> Pace {
        Pace { patience, since: Instant::now(), bytes: 0 }
    }

    fn keeps_up(&mut self, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        let elapsed = self.since.elapsed();
        if elapsed < self.patience {
            return true;
        }
        let enough = self.bytes >= SLOWEST * elapsed.as_secs();
        (self.since, self.bytes) = (Instant::now(), 0);
        enough
    }
}

/// Where a response's `Location` leads.
pub(super) fn location(from: &Url, headers: &HeaderMap) -> Result<Url, Error> {
    let text = headers.get(header::LOCATION).and_then(|v| v.to_str().ok());
    let mut url = text.and_then(|t| from.join(t).ok()).ok_or_else(|| {
        Error::new(
            ErrorKind::Registry,
            format!("{} \"{}\": no usable Location in the response", "Get", bare(from)),
        )
    })?;
    // A registry behind a proxy that ends TLS does not know its own scheme.
    if from.scheme() == "https"
        && url.scheme() == "http"
        && url.host() == from.host()
        && url.port().is_none_or(|p| Some(p) == from.port())
    {
        let port = from.port();
        let _ = url.set_scheme("https");
        let _ = url.set_port(port);
    }
    Ok(url)
}

/// A URL without what may be secret in it.
fn bare(url: &Url) -> Url {
    let mut url = url.clone();
    url.set_query(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// `Get`, as Go writes it.
fn title(method: &Method) -> String {
    let text = method.as_str();
    text[..1].to_owned() + &text[1..].to_ascii_lowercase()
}

fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let values = headers.get_all(header::WWW_AUTHENTICATE).iter().filter_map(|v| v.to_str().ok());
    values.flat_map(challenge::parse).collect()
}

/// The challenge that is taken up: a token rather than a password.
fn strongest(headers: &HeaderMap) -> Option<Challenge> {
    let all = challenges(headers);
    let find = |scheme: &str| all.iter().find(|c| c.scheme == scheme).cloned();
    find("bearer").or_else(|| find("basic"))
}
