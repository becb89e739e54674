//! Searching for images by words: an older interface that few registries besides the default one have.

use reqwest::Method;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};

use super::error::{Error, ErrorKind};
use super::session::{Request, Session};
use super::{Caller, HUB_INDEX, Registries};
use crate::reference::DEFAULT_DOMAIN;

/// Largest answer, bytes.
const ANSWER_MAX: u64 = 4 << 20;

/// One image that fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Found {
    pub name: String,
    pub description: String,
    pub star_count: i64,
    pub is_official: bool,
    pub is_automated: bool,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    results: Vec<Found>,
}

impl Registries {
    /// Searches a registry; `term` may begin with one (`host/words`).
    ///
    /// # Errors
    /// The registry's; most have no search.
    pub async fn search(&self, term: &str, limit: u32, caller: &Caller) -> Result<Vec<Found>, Error> {
        let (domain, words) = match term.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
            _ => (DEFAULT_DOMAIN, term),
        };
        let endpoints = match domain {
            DEFAULT_DOMAIN => {
                let base = HUB_INDEX.trim_end_matches("v1/");
                let base =
                    base.parse().map_err(|e| Error::new(ErrorKind::Invalid, format!("{base}: {e}")))?;
                vec![super::Endpoint { base, mirror: false, insecure: false }]
            }
            _ => self.config.endpoints(domain, false)?,
        };
        let mut last = Error::new(ErrorKind::Invalid, "no endpoint for this registry");
        for endpoint in endpoints {
            let (transports, config) = (self.transports.clone(), self.config.clone());
            let session =
                Session::unasked(transports, config, endpoint, &caller.credentials, &HeaderMap::new())?;
            match search(&session, words, limit).await {
                Ok(found) => return Ok(found),
                Err(e) if e.kind == ErrorKind::Transport => last = e,
                Err(e) => return Err(e),
            }
        }
        Err(last)
    }
}

async fn search(session: &Session, words: &str, limit: u32) -> Result<Vec<Found>, Error> {
    let bad = |e: url::ParseError| Error::new(ErrorKind::Invalid, e.to_string());
    let mut url = session.endpoint.base.join("v1/search").map_err(bad)?;
    url.query_pairs_mut().append_pair("q", words).append_pair("n", &limit.to_string());
    let request = Request::new(Method::GET, url);
    let response = session.once(&request).await.map_err(|e| match e.kind {
        ErrorKind::Transport | ErrorKind::Unauthorized => e,
        _ => Error::new(e.kind, format!("the registry has no search: {e}")),
    })?;
    let bytes = session.read(response, ANSWER_MAX).await?;
    let answer: Answer = serde_json::from_slice(&bytes)
        .map_err(|e| Error::new(ErrorKind::Registry, format!("an answer to a search that is none: {e}")))?;
    Ok(answer.results)
}
