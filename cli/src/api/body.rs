//! Bodies as plain readers and writers.

use super::Answer;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::Response;
use hyper::body::{Body, Frame};
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;

/// Blocks of an upload that may wait to be sent.
const WAITING: usize = 8;
const BLOCK: usize = 64 << 10;

/// The body of an answer, as it comes.
pub(crate) struct BodyReader {
    runtime: Rc<Runtime>,
    body: Answer,
    block: Bytes,
}

impl BodyReader {
    pub(super) fn new(runtime: Rc<Runtime>, response: Response<Answer>) -> BodyReader {
        BodyReader { runtime, body: response.into_body(), block: Bytes::new() }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.block.is_empty() {
            match self.runtime.block_on(self.body.frame()) {
                None => return Ok(0),
                Some(Ok(frame)) => self.block = frame.into_data().unwrap_or_default(),
                Some(Err(e)) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, e)),
            }
        }
        let n = buf.len().min(self.block.len());
        buf[..n].copy_from_slice(&self.block.split_to(n));
        Ok(n)
    }
}

/// The body of a request, written by a thread of its own.
pub(crate) struct Upload(mpsc::Receiver<io::Result<Bytes>>);

impl Upload {
    /// What `write` writes. An error of its ends the request unfinished.
    pub(crate) fn new(
        write: impl FnOnce(&mut dyn Write) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Upload> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let work = move || {
            let mut out = io::BufWriter::with_capacity(BLOCK, Sender(sender.clone()));
            if let Err(e) = write(&mut out).and_then(|()| out.flush()) {
                // Nobody is left to be told where the daemon has refused already.
                let _ = sender.blocking_send(Err(e));
            }
        };
        std::thread::Builder::new().spawn(work)?;
        Ok(Upload(receiver))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|block| block.map(|b| b.map(Frame::data)))
    }
}

struct Sender(mpsc::Sender<io::Result<Bytes>>);

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map(|()| bytes.len()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
