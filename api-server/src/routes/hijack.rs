//! Byte streams over an HTTP connection: taking it over, and copying both ways.
//!
//! With an `Upgrade` header the client gets `101 UPGRADED` and the connection itself; without one a `200` whose body has
//! no length and no chunks, with the request's body as standard input. Either side may close its half alone: the client
//! to end standard input, we to end the output.

use super::body::{self, BodyReader};
use super::detach::Filter;
use crate::engine::error::{Error, Result};
use crate::engine::logs::frame;
use crate::engine::supervisor::Conversation;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode, Version, header};
use hyper::ext::ReasonPhrase;
use hyper_util::rt::TokioIo;
use std::future::Future;
use std::io::{self, Cursor};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;

const RAW: &str = "application/vnd.docker.raw-stream";
const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";
const BLOCK: usize = 64 << 10;
/// How long a client may take to close its half after we closed ours.
const LINGER: Duration = Duration::from_secs(5);

type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
type Pending = Pin<Box<dyn Future<Output = Result<Client>> + Send>>;

/// A connection that was taken over.
pub(crate) struct Client {
    reader: ReadHalf,
    pub(crate) writer: Writer,
}

/// The half towards the client.
pub(crate) enum Writer {
    Socket(OwnedWriteHalf),
    Body(DuplexStream),
}

/// How a relay came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The process's streams have ended.
    Output,
    /// The client pressed the detach keys.
    Detached,
    /// The client is gone.
    Gone,
}

/// What a relay does with what the client sends.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) stdin: bool,
    pub(crate) detach: Option<Filter>,
    pub(crate) framing: Framing,
}

/// What is done to the output on its way. The two ends may disagree on whether there is a terminal: an exec is made with
/// one and started without, or the other way round.
#[derive(Debug, Default)]
pub(crate) enum Framing {
    #[default]
    AsItIs,
    /// The process has a terminal, the client wants frames.
    Add,
    /// The process has none, the client wants plain bytes.
    Remove(Unframe),
}

/// Takes the headers out of a stream of frames that comes in pieces of any size.
#[derive(Debug, Default)]
pub(crate) struct Unframe {
    header: Vec<u8>,
    left: usize,
}

impl Unframe {
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(bytes.len());
        while !bytes.is_empty() {
            if self.left == 0 {
                let n = bytes.len().min(8 - self.header.len());
                self.header.extend_from_slice(&bytes[..n]);
                bytes = &bytes[n..];
                if let [.., a, b, c, d] = self.header[..]
                    && self.header.len() == 8
                {
                    self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                    self.header.clear();
                }
                continue;
            }
            let n = bytes.len().min(self.left);
            out.extend_from_slice(&bytes[..n]);
            self.left -= n;
            bytes = &bytes[n..];
        }
        out
    }
}

/// The response that takes the connection over, and the connection once the response is out.
pub(crate) fn take_over(mut request: Request, multiplexed: bool) -> (Response<Body>, Pending) {
    let content_type = if multiplexed { MULTIPLEXED } else { RAW };
    if !request.headers().contains_key(header::UPGRADE) {
        let (out, theirs) = tokio::io::duplex(BLOCK);
        let mut response = Response::new(body::reader(theirs));
        // Spoken to as HTTP/1.0 the server neither chunks nor reuses the connection: the end is the close.
        *response.version_mut() = Version::HTTP_10;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(RAW));
        let stdin = BodyReader::new(request.into_body());
        let client = Client { reader: Box::new(stdin), writer: Writer::Body(out) };
        return (response, Box::pin(async move { Ok(client) }));
    }
    let upgrade = hyper::upgrade::on(&mut request);
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.extensions_mut().insert(ReasonPhrase::from_static(b"UPGRADED"));
    for (name, value) in
        [(header::CONTENT_TYPE, content_type), (header::CONNECTION, "Upgrade"), (header::UPGRADE, "tcp")]
    {
        response.headers_mut().insert(name, header::HeaderValue::from_static(value));
    }
    let pending = async move {
        let upgraded =
            upgrade.await.map_err(|e| Error::internal(format!("the connection was not taken over: {e}")))?;
        match upgraded.downcast::<TokioIo<UnixStream>>() {
            Ok(parts) => {
                let (read, write) = parts.io.into_inner().into_split();
                let reader = Cursor::new(parts.read_buf).chain(read);
                Ok(Client { reader: Box::new(reader), writer: Writer::Socket(write) })
            }
            Err(_) => Err(Error::internal("a connection that is no Unix socket cannot be taken over yet")),
        }
    };
    (response, Box::pin(pending))
}

impl Writer {
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Writer::Socket(w) => w.write_all(bytes).await,
            Writer::Body(w) => w.write_all(bytes).await,
        }
    }

    /// Ends our half. The other may go on.
    pub(crate) async fn close(&mut self) {
        // A client that is gone already has no use for it.
        let _ = match self {
            Writer::Socket(w) => w.shutdown().await,
            Writer::Body(w) => w.shutdown().await,
        };
    }

    /// Waits until the peer has read what was sent so far, half a second at most.
    ///
    /// Some clients read the response's header through a buffer and then use the socket itself; output that arrives
    /// together with the header is lost to them.
    pub(crate) async fn drained(&self) {
        if let Writer::Socket(w) = self {
            for i in 0..100 {
                if unread(w.as_ref()) == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(if i < 20 { 1 } else { 6 })).await;
            }
        }
    }

    /// Completes when both halves of the peer are closed. It may have closed only one, to end its input.
    async fn hung_up(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            if let Writer::Socket(w) = self {
                use rustix::event::{PollFd, PollFlags, Timespec, poll};
                let mut fds = [PollFd::new(w.as_ref(), PollFlags::empty())];
                let now = Timespec { tv_sec: 0, tv_nsec: 0 };
                if poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::HUP) {
                    return;
                }
            }
        }
    }
}

/// Bytes that the peer of a Unix socket has not read yet.
fn unread(socket: &UnixStream) -> i32 {
    /// `SIOCOUTQ`, unix(7).
    const SIOCOUTQ: rustix::ioctl::Opcode = 0x5411;
    // SAFETY: SIOCOUTQ writes one int and nothing else.
    unsafe { rustix::ioctl::ioctl(socket, rustix::ioctl::Getter::<SIOCOUTQ, i32>::new()) }.unwrap_or(0)
}

/// Copies output to the client and input from it, until one of them ends it.
pub(crate) async fn relay(client: &mut Client, conversation: Conversation, mut rules: Rules) -> End {
    let (mut output, mut input) = tokio::io::split(conversation);
    let (to_client, mut hangup) = tokio::sync::oneshot::channel::<()>();
    let Client { reader, writer } = client;
    let mut framing = std::mem::take(&mut rules.framing);

    let stdin = async move {
        let mut buffer = vec![0u8; BLOCK];
        let mut open = rules.stdin;
        loop {
            let n = match reader.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(n) => n,
            };
            if !open {
                continue;
            }
            let (bytes, detached) = match &mut rules.detach {
                Some(filter) => filter.pass(&buffer[..n]),
                None => (buffer[..n].to_vec(), false),
            };
            if !bytes.is_empty() && input.write_all(&bytes).await.is_err() {
                // The process closed its input; what is typed from now on goes nowhere.
                open = false;
            }
            if detached {
                return End::Detached;
            }
        }
        if rules.stdin {
            let _ = input.shutdown().await;
        }
        // The output side learns that it must look for a hang-up.
        let _ = to_client.send(());
        // What the end of input means is the supervisor's to say; ending the relay is the output's business.
        std::future::pending::<End>().await
    };

    let stdout = async {
        let mut buffer = vec![0u8; BLOCK];
        let mut half_closed = false;
        loop {
            let n = tokio::select! {
                read = output.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return End::Output,
                    Ok(n) => n,
                },
                _ = &mut hangup, if !half_closed => {
                    half_closed = true;
                    continue;
                }
                () = writer.hung_up(), if half_closed => return End::Gone,
            };
            let sent = match &mut framing {
                Framing::AsItIs => writer.send(&buffer[..n]).await,
                Framing::Add => writer.send(&frame(1, &buffer[..n])).await,
                Framing::Remove(unframe) => writer.send(&unframe.pass(&buffer[..n])).await,
            };
            if sent.is_err() {
                return End::Gone;
            }
        }
    };

    tokio::select! {
        end = stdin => end,
        end = stdout => end,
    }
}

impl Client {
    /// Ends our half and lets the client end its own. Closing a socket with unread input would make the client see a reset
    /// instead of the end of the output, as in `yes | docker run -i … head -1`.
    pub(crate) async fn finish(mut self) {
        self.writer.close().await;
        let mut buffer = vec![0u8; BLOCK];
        let drain = async { while matches!(self.reader.read(&mut buffer).await, Ok(n) if n > 0) {} };
        // One that goes on for ever is cut off.
        let _ = tokio::time::timeout(LINGER, drain).await;
    }
}

/// Waits until the client sends something or hangs up, and forgets what it sent.
pub(crate) async fn gone(client: &mut Client) {
    let mut buffer = [0u8; 1024];
    while matches!(client.reader.read(&mut buffer).await, Ok(n) if n > 0) {}
    client.writer.hung_up().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_taken_out_wherever_the_stream_is_cut() {
        let stream = [frame(1, b"hello "), frame(2, b""), frame(2, b"world")].concat();
        for cut in 0..=stream.len() {
            let mut unframe = Unframe::default();
            let mut out = unframe.pass(&stream[..cut]);
            out.extend(unframe.pass(&stream[cut..]));
            assert_eq!(out, b"hello world", "cut at {cut}");
        }
    }
}
