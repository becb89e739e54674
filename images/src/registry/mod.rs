//! Registries: pulling and pushing images by the OCI distribution specification, logging in, asking.
//!
//! - [`Registries`] is what a daemon has one of; its methods are the verbs.
//! - `config` says which ways lead to a registry, `transport` makes the HTTP clients, `session` speaks to one repository
//!   (credentials, redirects, attempts), `download` and `upload` move one blob.
//! - `manifest` and [`Platform`] judge what comes; `pull` and `push` are the work as a whole.
//! - [`Credentials`] and [`CredentialFile`] are the user's side.
//!
//! The client is our own over `reqwest`: the crates for this (such as `oci-client`) take up no download where it was cut,
//! know no mirrors, follow redirects with credentials, and keep to themselves what the registry answered, which clients of
//! docker match on.
//!
//! Everything is asynchronous and stops where its future is dropped: a client that goes away cancels its pull.

mod challenge;
mod claims;
mod config;
mod credentials;
mod download;
mod error;
mod inspect;
mod manifest;
mod platform;
mod progress;
mod pull;
mod push;
mod search;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod transport;
mod upload;

use std::sync::Arc;

use reqwest::header::HeaderMap;

pub use config::{Config, HUB_INDEX};
pub use credentials::{CredentialFile, Credentials, for_registry, server_key};
pub use error::{Error, ErrorKind};
pub use inspect::Inspected;
pub use platform::Platform;
pub use progress::{Message, Progress};
pub use pull::{PullOptions, Pulled};
pub use push::{PushOptions, Pushed};
pub use search::Found;

use claims::Claims;
use config::Endpoint;
use session::Session;
use transport::Transports;

/// A client of all registries: its settings, its connections, and the downloads that are under way.
#[derive(Debug)]
pub struct Registries {
    config: Arc<Config>,
    transports: Arc<Transports>,
    claims: Claims,
}

/// Who asks, and what else goes with each request.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// For the registry of the request.
    pub credentials: Credentials,
    /// Headers for the registry: `X-Meta-…` of the API.
    pub headers: Vec<(String, String)>,
}

/// A successful login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// A line for the user.
    pub status: String,
    /// To be kept instead of the password; often empty.
    pub identity_token: String,
}

impl Registries {
    /// A client with these settings. Nothing is asked yet.
    pub fn new(config: Config) -> Registries {
        Registries { config: Arc::new(config), transports: Arc::default(), claims: Claims::default() }
    }

    /// An HTTP client for a URL that is no registry's: the same certificates, resolver and proxies. It follows no redirects.
    ///
    /// # Errors
    /// Certificates of the host that cannot be read.
    pub fn http_client(&self, url: &reqwest::Url) -> Result<reqwest::Client, Error> {
        self.transports.client(&self.config, &config::authority_of(url), false, false)
    }

    /// Tries credentials on a server, as `docker login` does.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] if they are wrong.
    pub async fn login(&self, server: &str, credentials: &Credentials) -> Result<Login, Error> {
        let domain = match server_key(server) {
            hub if hub == HUB_INDEX => crate::reference::DEFAULT_DOMAIN.to_owned(),
            other => other,
        };
        let caller = Caller { credentials: credentials.clone(), ..Caller::default() };
        let mut ways = self.ways(&domain, false, "", "", &caller)?;
        let session = ways.next().await?;
        let identity_token = session.login().await?;
        Ok(Login { status: "Login Succeeded".into(), identity_token })
    }

    /// The ways to a repository.
    fn ways(
        &self,
        domain: &str,
        mirrors: bool,
        repository: &str,
        actions: &'static str,
        caller: &Caller,
    ) -> Result<Ways, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in &caller.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<reqwest::header::HeaderName>(), value.parse()) {
                headers.append(name, value);
            }
        }
        Ok(Ways {
            config: self.config.clone(),
            transports: self.transports.clone(),
            endpoints: self.config.endpoints(domain, mirrors)?.into_iter(),
            repository: repository.to_owned(),
            actions,
            credentials: caller.credentials.clone(),
            headers,
            last: None,
        })
    }
}

/// The endpoints that are left to be tried.
#[derive(Debug)]
struct Ways {
    config: Arc<Config>,
    transports: Arc<Transports>,
    endpoints: std::vec::IntoIter<Endpoint>,
    repository: String,
    actions: &'static str,
    credentials: Credentials,
    headers: HeaderMap,
    last: Option<Error>,
}

impl Ways {
    /// A session with the next endpoint that answers.
    ///
    /// # Errors
    /// What the last one failed with, when there is none left.
    async fn next(&mut self) -> Result<Session, Error> {
        for endpoint in self.endpoints.by_ref() {
            let (base, mirror) = (endpoint.base.clone(), endpoint.mirror);
            let (transports, config) = (self.transports.clone(), self.config.clone());
            let opened = Session::open(
                transports,
                config,
                endpoint,
                &self.repository,
                self.actions,
                &self.credentials,
                &self.headers,
            );
            match opened.await {
                Ok(session) => return Ok(session),
                // Whoever speaks TLS, but not to our liking, is not asked in clear text.
                Err(e) if !mirror && e.kind != ErrorKind::Transport => return Err(e),
                Err(e) => {
                    tracing::debug!(%base, error = %e, "an endpoint does not answer");
                    self.last = Some(e);
                }
            }
        }
        let none = || Error::new(ErrorKind::Invalid, "no endpoint for this registry");
        Err(self.last.take().unwrap_or_else(none))
    }

    /// What was asked of the session has failed: an error unless the next endpoint shall be asked.
    fn failed(&mut self, session: &Session, e: Error) -> Result<(), Error> {
        let ours = matches!(e.kind, ErrorKind::System);
        if !session.endpoint.mirror || ours {
            return Err(e);
        }
        tracing::info!(mirror = %session.endpoint.base, error = %e, "a mirror does not help");
        self.last = Some(e);
        Ok(())
    }
}
