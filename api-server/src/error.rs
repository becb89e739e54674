//! The only map from the kind of a refusal to an HTTP status, and the only writer of `{"message": …}`.

use crate::engine::error::{Error, Kind};
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;

/// The status of a kind of refusal.
pub(crate) fn status(kind: Kind) -> StatusCode {
    match kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthorized => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::NotModified => StatusCode::NOT_MODIFIED,
        Kind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A refusal as a response: an object with a message, or plain text where a client expects that.
pub(crate) fn response(status: StatusCode, message: &str, plain: bool) -> Response<Body> {
    if status == StatusCode::NOT_MODIFIED {
        return status.into_response();
    }
    // A client that finds no message invents one that blames the server's version.
    let message = if message.is_empty() { status.canonical_reason().unwrap_or("error") } else { message };
    if plain {
        return (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{message}\n"))
            .into_response();
    }
    let mut body = serde_json::json!({ "message": message }).to_string();
    body.push('\n');
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

impl IntoResponse for Error {
    fn into_response(self) -> Response<Body> {
        let status = status(self.kind);
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(message = %self.message, "a request failed");
        }
        response(status, &self.message, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_never_empty() {
        let r = response(StatusCode::NOT_FOUND, "", false);
        assert_eq!(r.status(), 404);
        assert_eq!(r.headers()[header::CONTENT_TYPE], "application/json");
        let r = Error::not_modified().into_response();
        assert_eq!(r.status(), 304);
    }
}
