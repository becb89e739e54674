//! Files at URLs: of ADD, and of build contexts.

use super::Event;
use super::context::{Builder, Context};
use super::executor::{Executor, blocking};
use super::tree::Node;
use crate::engine::download;
use crate::engine::error::Result;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

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
    let name = reqwest::Url::parse(url).ok().and_then(|u| file_name(&u)).unwrap_or_default();
    let download = download::open(url).await?;
    let total = download.size();
    let modified = http_date(download.last_modified());
    let (hear, mut heard) = watch::channel(0u64);
    let (mut pieces, fill) = download.read(move |current| {
        // Nobody may want to hear it.
        let _ = hear.send(current);
    });
    let mut builder = Builder::new(scratch)?;
    let stored = {
        let name = if name.is_empty() { "file".to_owned() } else { name.clone() };
        blocking(move || {
            let node = builder.file(name.as_bytes(), 0o600, modified, &mut pieces)?;
            Ok((builder, node))
        })
    };
    let tell = async {
        let mut told = 0;
        while heard.changed().await.is_ok() {
            let current = *heard.borrow_and_update();
            if let Some(teller) = teller
                && current - told >= REPORT_EVERY
            {
                told = current;
                let _ = teller.tell(Event::Fetching { current, total }).await;
            }
        }
    };
    let ((), (), stored) = tokio::join!(fill, tell, stored);
    let (builder, node) = stored.map_err(|e| e.context(format!("failed to GET {url}")))?;
    Ok(Fetched { tree: Arc::new(builder.finish()), node, name: name.into_bytes() })
}

/// Seconds since the epoch of `Sun, 06 Nov 1994 08:49:37 GMT`; 0 for anything else.
fn http_date(text: &str) -> i64 {
    let text = text.replace("GMT", "+0000");
    let parsed = time::OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc2822);
    parsed.map_or(0, |t| t.unix_timestamp())
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
