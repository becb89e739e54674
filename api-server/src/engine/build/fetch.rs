//! Files at URLs: of ADD, and of build contexts.

use super::Event;
use super::context::{Builder, Context};
use super::executor::{Executor, blocking};
use super::tree::Node;
use crate::engine::error::{Error, Result};
use carrack_images::registry::{Config, Registries};
use futures_util::StreamExt;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const REDIRECTS_MAX: usize = 10;
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);
/// Bytes between two reports.
const REPORT_EVERY: u64 = 512 << 10;

/// A file that was fetched.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) tree: Arc<Context>,
    pub(super) node: Node,
    /// The last part of its URL.
    pub(super) name: Vec<u8>,
}

/// Whether a source of ADD is to be fetched.
pub(super) fn is_url(source: &str) -> bool {
    let lower = source.get(..8).unwrap_or(source).to_ascii_lowercase();
    lower.starts_with("http://") || lower.starts_with("https://")
}

/// The name of a URL's file.
fn file_name(url: &reqwest::Url) -> Option<String> {
    url.path_segments()?.next_back().filter(|name| !name.is_empty()).map(str::to_owned)
}

/// Fetches a URL; `teller` hears how far it is.
pub(super) async fn fetch(url: &str, scratch: &Path, teller: Option<&Executor>) -> Result<Fetched> {
    let bad = |why: String| Error::invalid(format!("failed to GET {url}: {why}"));
    let mut at = reqwest::Url::parse(url).map_err(|e| bad(e.to_string()))?;
    let name = file_name(&at).unwrap_or_default();
    let registries = Registries::new(Config::default());
    let mut response = None;
    for _ in 0..=REDIRECTS_MAX {
        let client = registries.http_client(&at).map_err(|e| bad(e.to_string()))?;
        let answer = tokio::time::timeout(SILENCE, client.get(at.clone()).send())
            .await
            .map_err(|_| bad("the server does not answer".into()))?
            .map_err(|e| bad(reason(&e)))?;
        let location = answer.headers().get("location").and_then(|v| v.to_str().ok());
        match location.filter(|_| answer.status().is_redirection()) {
            Some(location) => {
                at = at.join(location).map_err(|e| bad(e.to_string()))?;
                if !matches!(at.scheme(), "http" | "https") {
                    return Err(bad(format!("a redirection to {}", at.scheme())));
                }
            }
            None => {
                response = Some(answer);
                break;
            }
        }
    }
    let response = response.ok_or_else(|| bad("stopped after 10 redirects".into()))?;
    if !response.status().is_success() {
        return Err(Error::invalid(format!("failed to GET {url} with status {}", response.status())));
    }
    let total = response.content_length();
    let modified = response.headers().get("last-modified").and_then(|v| v.to_str().ok()).map_or(0, http_date);
    let (sender, receiver) = mpsc::channel(8);
    let mut builder = Builder::new(scratch)?;
    let stored = {
        let name = if name.is_empty() { "file".to_owned() } else { name.clone() };
        blocking(move || {
            let node = builder.file(
                name.as_bytes(),
                0o600,
                modified,
                &mut Pieces { receiver, left: bytes::Bytes::new() },
            )?;
            Ok((builder, node))
        })
    };
    let read = async {
        let mut stream = response.bytes_stream();
        let (mut current, mut told) = (0u64, 0u64);
        loop {
            let piece = match tokio::time::timeout(SILENCE, stream.next()).await {
                Ok(None) => return,
                Ok(Some(Ok(piece))) => {
                    current += piece.len() as u64;
                    Ok(piece)
                }
                Ok(Some(Err(e))) => Err(reason(&e)),
                Err(_) => Err("the server has become silent".to_owned()),
            };
            let is_end = piece.is_err();
            if sender.send(piece).await.is_err() || is_end {
                return;
            }
            if let Some(teller) = teller
                && current - told >= REPORT_EVERY
            {
                told = current;
                let _ = teller.tell(Event::Fetching { current, total }).await;
            }
        }
    };
    let ((), stored) = tokio::join!(
        async {
            read.await;
        },
        stored
    );
    let (builder, node) = stored.map_err(|e| e.context(format!("failed to GET {url}")))?;
    Ok(Fetched { tree: Arc::new(builder.finish()), node, name: name.into_bytes() })
}

fn reason(e: &reqwest::Error) -> String {
    let mut text = e.to_string();
    let mut source = std::error::Error::source(e);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// Seconds since the epoch of `Sun, 06 Nov 1994 08:49:37 GMT`; 0 for anything else.
fn http_date(text: &str) -> i64 {
    let text = text.replace("GMT", "+0000");
    let parsed = time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc2822);
    parsed.map_or(0, |t| t.unix_timestamp())
}

/// What arrives, for a thread that may block.
struct Pieces {
    receiver: mpsc::Receiver<Result<bytes::Bytes, String>>,
    left: bytes::Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.left.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(Ok(piece)) => self.left = piece,
                Some(Err(why)) => return Err(std::io::Error::other(why)),
            }
        }
        let n = self.left.len().min(buffer.len());
        buffer[..n].copy_from_slice(&self.left.split_to(n));
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_dates() {
        assert!(is_url("http://x/y") && is_url("HTTPS://x") && !is_url("httpx") && !is_url("a/http://b"));
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784_111_777);
        assert_eq!(http_date("yesterday"), 0);
        let url = |text| reqwest::Url::parse(text).unwrap();
        assert_eq!(file_name(&url("http://x/a/b.tar?q=1#f")).as_deref(), Some("b.tar"));
        assert_eq!(file_name(&url("http://x/a/")), None);
    }
}
