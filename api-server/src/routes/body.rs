//! Request and response bodies: bounded JSON in, JSON and streams out.

use crate::engine::error::{Error, Result};
use crate::engine::files::SyncReader;
use crate::engine::wire::Object;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::response::IntoResponse;
use futures_util::Stream;
use http_body_util::{BodyExt, Limited};
use serde_json::Value;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// Largest JSON body, bytes.
const MAX_JSON: usize = 4 << 20;

/// The JSON object in the body; `None` when there is none.
pub(crate) async fn object(headers: &HeaderMap, body: Body) -> Result<Option<Object>> {
    let bytes = Limited::new(body, MAX_JSON)
        .collect()
        .await
        .map_err(|e| Error::invalid(format!("the request body cannot be read: {e}")))?
        .to_bytes();
    if bytes.is_empty() {
        return Ok(None);
    }
    check_type(headers)?;
    match parse(&bytes)? {
        Value::Null => Ok(None),
        Value::Object(map) => Ok(Some(map)),
        _ => Err(Error::invalid("invalid JSON: an object was expected")),
    }
}

fn check_type(headers: &HeaderMap) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if given.is_empty() {
        return Err(Error::invalid("malformed Content-Type header (): mime: no media type"));
    }
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(Error::invalid(format!("unsupported Content-Type header ({given}): must be 'application/json'")))
    }
}

/// One JSON value and nothing after it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    let mut stream = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let value = match stream.next() {
        None => return Ok(Value::Null),
        Some(Ok(value)) => value,
        Some(Err(e)) if e.is_eof() => {
            return Err(Error::invalid("invalid JSON: got EOF while reading request body"));
        }
        Some(Err(e)) => return Err(Error::invalid(format!("invalid JSON: {e}"))),
    };
    let rest = bytes.get(stream.byte_offset()..).unwrap_or_default();
    if rest.iter().all(u8::is_ascii_whitespace) {
        Ok(value)
    } else {
        Err(Error::invalid("unexpected content after JSON"))
    }
}

/// A JSON answer with its trailing newline.
pub(crate) fn json(status: StatusCode, value: &Value) -> Response<Body> {
    let mut text = value.to_string();
    text.push('\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

pub(crate) fn ok(value: &Value) -> Response<Body> {
    json(StatusCode::OK, value)
}

/// A body of the pieces that are sent to the channel; it ends when all senders are gone.
pub(crate) fn channel(capacity: usize) -> (mpsc::Sender<Vec<u8>>, Body) {
    let (sender, receiver) = mpsc::channel(capacity);
    (sender, Body::from_stream(Pieces(receiver)))
}

struct Pieces(mpsc::Receiver<Vec<u8>>);

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|p| Ok(Bytes::from(p))))
    }
}

/// The same of pieces that may also be a failure, which cuts the body off.
pub(crate) fn breakable(capacity: usize) -> (mpsc::Sender<io::Result<Vec<u8>>>, Body) {
    let (sender, receiver) = mpsc::channel(capacity);
    let next = |mut receiver: mpsc::Receiver<io::Result<Vec<u8>>>| async move {
        receiver.recv().await.map(|piece| (piece.map(Bytes::from), receiver))
    };
    (sender, Body::from_stream(futures_util::stream::unfold(receiver, next)))
}

/// A body of everything that can be read from `from`.
pub(crate) fn reader(from: impl AsyncRead + Send + 'static) -> Body {
    Body::from_stream(Reading { from: Box::pin(from), buffer: vec![0; 64 << 10] })
}

struct Reading<R> {
    from: Pin<Box<R>>,
    buffer: Vec<u8>,
}

impl<R: AsyncRead> Stream for Reading<R> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let mut buffer = ReadBuf::new(&mut this.buffer);
        match this.from.as_mut().poll_read(cx, &mut buffer) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Some(Err(e))),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => Poll::Ready(Some(Ok(Bytes::copy_from_slice(buffer.filled())))),
        }
    }
}

/// A request body as something to read from.
pub(crate) struct BodyReader {
    body: Body,
    left: Bytes,
}

impl BodyReader {
    pub(crate) fn new(body: Body) -> BodyReader {
        BodyReader { body, left: Bytes::new() }
    }
}

impl AsyncRead for BodyReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        use axum::body::HttpBody;
        loop {
            if !self.left.is_empty() {
                let n = self.left.len().min(out.remaining());
                out.put_slice(&self.left.split_to(n));
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(e))) => return Poll::Ready(Err(io::Error::other(e))),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.left = data;
                    }
                }
            }
        }
    }
}

/// The same for code that blocks: reads on a thread of the blocking pool.
pub(crate) fn blocking(body: Body) -> impl io::Read + Send {
    SyncReader::new(BodyReader::new(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn malformed_json_is_told_apart() {
        let text = |b: &[u8]| parse(b).unwrap_err().message;
        assert_eq!(text(b"{\"a\":"), "invalid JSON: got EOF while reading request body");
        assert_eq!(text(b"{} x"), "unexpected content after JSON");
        assert!(text(b"{a}").starts_with("invalid JSON: "));
        assert!(text("[".repeat(10_000).as_bytes()).starts_with("invalid JSON"));
        assert!(parse(b"{} \n").is_ok());
    }

    #[tokio::test]
    async fn bodies_are_read_and_written() {
        use tokio::io::AsyncReadExt;
        let mut text = String::new();
        BodyReader::new(reader(&b"hello"[..])).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        let (sender, body) = channel(4);
        sender.send(b"a".to_vec()).await.unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "a");
    }
}
