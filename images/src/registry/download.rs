//! A blob on its way in: streamed, verified, and taken up again where it was cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::header;
use reqwest::{Method, StatusCode};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::error::{Error, ErrorKind};
use super::manifest::Descriptor;
use super::progress::Line;
use super::session::{Attempts, Pace, Request, Session};

/// Pieces on the way between the network and who reads them: a few times the size of a piece, at most 64 KiB or so.
const DEPTH: usize = 16;
/// Bytes after which an attempt counts as a success although it was cut.
const ACHIEVEMENT: u64 = 64 << 10;

/// The reading end of a download, for a thread that may block.
#[derive(Debug)]
pub(super) struct Incoming {
    pieces: mpsc::Receiver<Bytes>,
    verified: Arc<AtomicBool>,
}

/// The writing end.
#[derive(Debug)]
pub(super) struct Outlet {
    pieces: mpsc::Sender<Bytes>,
    verified: Arc<AtomicBool>,
}

pub(super) fn pipe() -> (Outlet, Incoming) {
    let (sender, receiver) = mpsc::channel(DEPTH);
    let verified = Arc::new(AtomicBool::new(false));
    let outlet = Outlet { pieces: sender, verified: verified.clone() };
    (outlet, Incoming { pieces: receiver, verified })
}

impl Incoming {
    /// The next piece; `None`: there is no more.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.pieces.blocking_recv()
    }

    /// Whether everything came, and was right; to be asked at the end.
    pub(super) fn is_complete(&self) -> bool {
        self.verified.load(Ordering::Acquire)
    }
}

/// Where a download is.
struct Position {
    at: u64,
    hasher: Sha256,
    /// Whether somebody still reads; if not, only the digest matters.
    read: bool,
}

/// Downloads a blob into `outlet`, to the last byte and the right digest.
///
/// A reader that went away does not end the download: whether the bytes were right decides whose fault that was.
///
/// # Errors
/// The registry's, after all attempts; one that may pass if the bytes were wrong.
pub(super) async fn download(
    session: &Session,
    descriptor: &Descriptor,
    outlet: Outlet,
    line: &mut Line,
) -> Result<(), Error> {
    let mut position = Position { at: 0, hasher: Sha256::new(), read: true };
    let mut attempts = Attempts::new(&session.config);
    loop {
        let begun = position.at;
        match stream(session, descriptor, &mut position, &outlet, line).await {
            Ok(()) => break,
            Err(e) => {
                if position.at - begun >= ACHIEVEMENT {
                    attempts.progressed();
                }
                // In the middle of a blob, a registry that is not there is one that comes back.
                let e = Error { again: e.again || e.kind == ErrorKind::Transport, ..e };
                attempts.after(e, |wait| retrying(line, wait)).await?;
            }
        }
    }
    line.state("Verifying Checksum");
    let digest = format!("sha256:{}", hex::encode(position.hasher.finalize()));
    if digest != descriptor.digest {
        let why = format!("filesystem layer verification failed for digest {}", descriptor.digest);
        return Err(Error::passing(ErrorKind::Registry, why));
    }
    outlet.verified.store(true, Ordering::Release);
    line.state("Download complete");
    Ok(())
}

/// Tells a wait that is worth telling.
pub(super) fn retrying(line: &mut Line, wait: std::time::Duration) {
    match wait.as_secs() {
        0 => {}
        1 => line.state("Retrying in 1 second"),
        seconds => line.state(format!("Retrying in {seconds} seconds")),
    }
}

/// One response, from the position on.
async fn stream(
    session: &Session,
    descriptor: &Descriptor,
    position: &mut Position,
    outlet: &Outlet,
    line: &mut Line,
) -> Result<(), Error> {
    if position.at == descriptor.size && position.at > 0 {
        return Ok(());
    }
    let url = session.repository_url(&format!("blobs/{}", descriptor.digest))?;
    let mut request = Request::new(Method::GET, url).header(header::ACCEPT_ENCODING, "identity");
    if position.at > 0 {
        request = request.header(header::RANGE, &format!("bytes={}-", position.at));
    }
    let mut response = session.once(&request).await?;
    let wrong = |what: String| Error::passing(ErrorKind::Registry, format!("{}: {what}", descriptor.digest));
    // What the registry sends again although it was asked for the rest only.
    let mut skip = 0;
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let range =
            response.headers().get(header::CONTENT_RANGE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        if !range.trim().starts_with(&format!("bytes {}-", position.at)) {
            return Err(wrong(format!("asked for the bytes from {}, got {range:?}", position.at)));
        }
    } else {
        skip = position.at;
        if let Some(length) = response.content_length()
            && length != descriptor.size
        {
            return Err(wrong(format!("{length} bytes instead of {}", descriptor.size)));
        }
    }
    let mut pace = Pace::new(session.config.patience);
    while let Some(mut piece) = session.piece(&mut response, &mut pace).await? {
        if skip > 0 {
            let repeated = piece.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            let _ = piece.split_to(repeated);
            skip -= repeated as u64;
        }
        if piece.is_empty() {
            continue;
        }
        if position.at + piece.len() as u64 > descriptor.size {
            return Err(wrong(format!("more than the announced {} bytes", descriptor.size)));
        }
        position.at += piece.len() as u64;
        position.hasher.update(&piece);
        line.amount("Downloading", position.at, descriptor.size);
        if position.read && outlet.pieces.send(piece).await.is_err() {
            position.read = false;
        }
    }
    if position.at < descriptor.size {
        return Err(wrong(format!("unexpected EOF after {} of {} bytes", position.at, descriptor.size)));
    }
    Ok(())
}

/// A small blob as a whole.
pub(super) async fn blob(session: &Session, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
    let mut attempts = Attempts::new(&session.config);
    loop {
        let fetch = async {
            let url = session.repository_url(&format!("blobs/{}", descriptor.digest))?;
            let request = Request::new(Method::GET, url).header(header::ACCEPT_ENCODING, "identity");
            let bytes = session.read(session.once(&request).await?, descriptor.size).await?;
            if super::manifest::digest_of(&bytes) != descriptor.digest {
                let why = format!("image config verification failed for digest {}", descriptor.digest);
                return Err(Error::passing(ErrorKind::Registry, why));
            }
            Ok(bytes)
        };
        match fetch.await {
            Ok(bytes) => return Ok(bytes),
            Err(e) => attempts.after(e, |_| {}).await?,
        }
    }
}
