//! A blob on its way out: looked for, mounted from another repository, or sent, and taken up again where it was cut.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use reqwest::{Method, Response, StatusCode, header};
use tokio::sync::mpsc;
use url::Url;

use super::error::{Error, ErrorKind};
use super::manifest::digest_of;
use super::progress::Line;
use super::pull::blocking;
use super::session::{Attempts, Request, Session, location};
use crate::store::{Compression, LayerBlob, Store};

/// Pieces between the compressor and the network.
const DEPTH: usize = 8;
/// Bytes of a piece.
const PIECE: usize = 64 << 10;

/// How an attempt to mount went.
pub(super) enum Mounted {
    Yes,
    /// The registry began an upload instead, here.
    Instead(Url),
}

/// Whether the repository has a blob.
pub(super) async fn exists(session: &Session, digest: &str) -> Result<bool, Error> {
    let url = session.repository_url(&format!("blobs/{digest}"))?;
    let mut attempts = Attempts::new(&session.config);
    loop {
        match session.look(&Request::new(Method::HEAD, url.clone())).await {
            Ok(found) => return Ok(found),
            Err(e) => attempts.after(e, |_| {}).await?,
        }
    }
}

/// Begins an upload; or mounts a blob from another repository of the registry.
pub(super) async fn mount(session: &Session, digest: &str, from: &str) -> Result<Mounted, Error> {
    session.add_scope(format!("repository:{from}:pull"));
    let mut url = session.repository_url("blobs/uploads/")?;
    url.query_pairs_mut().append_pair("mount", digest).append_pair("from", from);
    let response = session.send(Request::new(Method::POST, url)).await?;
    match response.status() {
        StatusCode::CREATED => Ok(Mounted::Yes),
        _ => Ok(Mounted::Instead(place(&response)?)),
    }
}

async fn begin(session: &Session) -> Result<Url, Error> {
    let url = session.repository_url("blobs/uploads/")?;
    place(&session.send(Request::new(Method::POST, url)).await?)
}

/// Where an upload goes on.
fn place(response: &Response) -> Result<Url, Error> {
    location(response.url(), response.headers())
}

/// Uploads a small blob as a whole, unless it is there.
pub(super) async fn bytes(session: &Session, content: &[u8]) -> Result<(), Error> {
    let digest = digest_of(content);
    if exists(session, &digest).await? {
        return Ok(());
    }
    let mut attempts = Attempts::new(&session.config);
    loop {
        let sent = async {
            let mut url = begin(session).await?;
            url.query_pairs_mut().append_pair("digest", &digest);
            let mut request =
                Request::new(Method::PUT, url).header(header::CONTENT_TYPE, "application/octet-stream");
            request.body = Bytes::copy_from_slice(content);
            session.once(&request).await
        };
        match sent.await {
            Ok(_) => return Ok(()),
            Err(e) => attempts.after(e, |_| {}).await?,
        }
    }
}

/// Compresses a layer and uploads it on the way; `size` is what the layer is known to have, for the progress.
///
/// The compressor gives the same bytes each time, so an upload that was cut goes on with the bytes that the registry
/// does not have yet, without anything being kept here.
pub(super) async fn layer(
    session: &Session,
    store: &Store,
    diff_id: &str,
    begun: Option<Url>,
    size: u64,
    line: &mut Line,
) -> Result<LayerBlob, Error> {
    let mut attempts = Attempts::new(&session.config);
    let mut upload = begun;
    loop {
        let (at, offset) = match upload.take() {
            // One that was begun and then cut; or one that a mount began.
            Some(url) => match progress_of(session, &url).await {
                Some((at, offset)) => (at, offset),
                None => (begin(session).await?, 0),
            },
            None => (begin(session).await?, 0),
        };
        match send(session, store, diff_id, &at, offset, size, line).await {
            Ok(blob) => return Ok(blob),
            Err(e) => {
                // The registry may know how far it came; what it refuses, it refuses again.
                upload = Some(at).filter(|_| e.kind == ErrorKind::Transport);
                let e = Error { again: e.again || e.kind == ErrorKind::Transport, ..e };
                attempts.after(e, |wait| super::download::retrying(line, wait)).await?;
            }
        }
    }
}

/// How many bytes of an upload have arrived, and where it goes on; `None`: the registry has forgotten it.
async fn progress_of(session: &Session, url: &Url) -> Option<(Url, u64)> {
    let response = session.once(&Request::new(Method::GET, url.clone())).await.ok()?;
    let range = response.headers().get(header::RANGE)?.to_str().ok()?;
    let last = range.trim().trim_start_matches("bytes=").split_once('-')?.1.parse::<u64>().ok()?;
    let next =
        if response.headers().contains_key(header::LOCATION) { place(&response).ok()? } else { url.clone() };
    // `0-0` is an empty upload, or one of one byte: then that byte is sent again, and refused by its digest.
    Some((next, if last == 0 { 0 } else { last + 1 }))
}

async fn send(
    session: &Session,
    store: &Store,
    diff_id: &str,
    at: &Url,
    offset: u64,
    size: u64,
    line: &mut Line,
) -> Result<LayerBlob, Error> {
    let (pieces, body) = mpsc::channel(DEPTH);
    let sent = Arc::new(AtomicU64::new(offset));
    let (store, diff) = (store.clone(), diff_id.to_owned());
    let compressing = blocking(move || {
        let mut out = Pieces { out: pieces, skip: offset, pending: Vec::with_capacity(PIECE) };
        let blob = store.write_blob(&diff, Compression::Gzip, &mut out)?;
        out.flush().map_err(|e| Error::new(ErrorKind::Transport, e.to_string()))?;
        Ok(blob)
    });
    // It works while we wait for the registry.
    let compressing = tokio::spawn(compressing);
    let request =
        Request::new(Method::PATCH, at.clone()).header(header::CONTENT_TYPE, "application/octet-stream");
    let patch = session.send_body(&request, reqwest::Body::wrap_stream(counted(body, sent.clone())), None);
    let mut patch = std::pin::pin!(patch);
    let mut before = (offset, std::time::Instant::now());
    let response = loop {
        let tick = tokio::time::sleep(std::time::Duration::from_millis(100));
        tokio::select! {
            response = &mut patch => break response?,
            () = tick => {
                let now = sent.load(Ordering::Relaxed);
                if now != before.0 {
                    before = (now, std::time::Instant::now());
                    line.amount("Pushing", now, size.max(now));
                } else if before.1.elapsed() > session.config.patience {
                    let why = format!("Patch \"{at}\": the registry takes nothing any more");
                    return Err(Error::passing(ErrorKind::Transport, why));
                }
            }
        }
    };
    let ended = compressing.await.map_err(|e| Error::new(ErrorKind::System, e.to_string()))?;
    let blob = ended?;
    let mut url = place(&response)?;
    url.query_pairs_mut().append_pair("digest", &blob.digest);
    session.once(&Request::new(Method::PUT, url)).await?;
    Ok(blob)
}

/// Cuts a stream into pieces, without its beginning.
struct Pieces {
    out: mpsc::Sender<Bytes>,
    skip: u64,
    pending: Vec<u8>,
}

impl Write for Pieces {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let skip = usize::try_from(self.skip).unwrap_or(usize::MAX).min(buf.len());
        self.skip -= skip as u64;
        self.pending.extend_from_slice(&buf[skip..]);
        if self.pending.len() >= PIECE {
            self.flush()?;
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.pending, Vec::with_capacity(PIECE));
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload was cut off");
        self.out.blocking_send(piece.into()).map_err(gone)
    }
}

/// The pieces as a body.
fn counted(
    pieces: mpsc::Receiver<Bytes>,
    sent: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    unfold((pieces, sent), |(mut pieces, sent)| async move {
        let piece = pieces.recv().await?;
        sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Some((Ok(piece), (pieces, sent)))
    })
}
