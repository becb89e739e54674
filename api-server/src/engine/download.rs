//! Files at URLs: for `docker import`, and for ADD and contexts of builds.

use super::error::{Error, Result};
use bytes::Bytes;
use carrack_images::registry::{Config, Registries};
use futures_util::StreamExt;
use reqwest::{Response, Url};
use std::future::Future;
use std::io::Read;
use std::time::Duration;
use tokio::sync::mpsc;

const REDIRECTS_MAX: usize = 10;
/// How long a server may be silent.
const SILENCE: Duration = Duration::from_secs(60);

/// A file whose server has answered.
#[derive(Debug)]
pub struct Download {
    response: Response,
}

/// What arrives, for a thread that may block.
#[derive(Debug)]
pub struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, String>>,
    left: Bytes,
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

/// Asks for a URL, by HTTP or HTTPS, and follows where it leads.
pub async fn open(url: &str) -> Result<Download> {
    let bad = |why: String| Error::invalid(format!("failed to GET {url}: {why}"));
    let mut at = Url::parse(url).map_err(|e| bad(e.to_string()))?;
    let registries = Registries::new(Config::default());
    for _ in 0..=REDIRECTS_MAX {
        if !matches!(at.scheme(), "http" | "https") {
            return Err(bad(format!("{} is not supported", at.scheme())));
        }
        let client = registries.http_client(&at).map_err(|e| bad(e.to_string()))?;
        let response = tokio::time::timeout(SILENCE, client.get(at.clone()).send())
            .await
            .map_err(|_| bad("the server does not answer".into()))?
            .map_err(|e| bad(reason(&e)))?;
        let location = response.headers().get("location").and_then(|v| v.to_str().ok());
        match location.filter(|_| response.status().is_redirection()) {
            Some(location) => at = at.join(location).map_err(|e| bad(e.to_string()))?,
            None if response.status().is_success() => return Ok(Download { response }),
            None => {
                return Err(Error::invalid(format!("failed to GET {url} with status {}", response.status())));
            }
        }
    }
    Err(bad("stopped after 10 redirects".into()))
}

impl Download {
    /// Bytes, where the server says.
    pub fn size(&self) -> Option<u64> {
        self.response.content_length()
    }

    /// The `Last-Modified` header.
    pub fn last_modified(&self) -> &str {
        self.response.headers().get("last-modified").and_then(|v| v.to_str().ok()).unwrap_or_default()
    }

    /// Something to read from, and the work that fills it: to be polled while a thread reads. `progress` hears how many
    /// bytes have come.
    pub fn read(self, mut progress: impl FnMut(u64) + Send) -> (Pieces, impl Future<Output = ()> + Send) {
        let (sender, receiver) = mpsc::channel(8);
        let mut stream = self.response.bytes_stream();
        let fill = async move {
            let mut current = 0u64;
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
                progress(current);
            }
        };
        (Pieces { receiver, left: Bytes::new() }, fill)
    }
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
