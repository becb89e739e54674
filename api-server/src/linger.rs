//! What a client still sends of a request that is already answered is read and thrown away for a while.
//!
//! A handler may know its answer before the body has ended: an archive has padding behind its end, a bad one
//! is refused at its first entry. If the socket were closed with bytes unread, the client's write would fail,
//! or its read with ECONNRESET, and the answer would be lost (RFC 9112 section 9.6).

use axum::body::{Body, HttpBody};
use axum::http::{Request, header};
use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a client may go on with a body that nobody wants.
const LINGER: Duration = Duration::from_secs(2);

/// The request with a body whose rest is read when the handler drops it.
pub(crate) fn lingering(request: Request<Incoming>) -> Request<Body> {
    // Such a client waits for leave to send and will not get it.
    let asks = request.headers().contains_key(header::EXPECT);
    request.map(|body| if asks { Body::new(body) } else { Body::new(Lingering(Some(body))) })
}

struct Lingering(Option<Incoming>);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = self.0.as_mut() else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        // Handlers may drop it on a thread of the blocking pool, or while the runtime ends.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let rest = async { while let Some(Ok(_)) = body.frame().await {} };
            let _ = tokio::time::timeout(LINGER, rest).await;
        });
    }
}
