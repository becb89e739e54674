//! Why a registry could not be used, in the words that users of the docker client know.
//!
//! Programs match on these texts: they are those of dockerd and of the distribution client in it, including the
//! way Go writes the errors of its network library.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;

use super::challenge::Challenge;

/// What sort of failure an [`Error`] is; what an API maps to a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// There is no such image, or nobody says that there is.
    NotFound,
    /// The credentials are missing or wrong.
    Unauthorized,
    /// The credentials are known, but do not suffice.
    Denied,
    /// The caller's input is not valid.
    Invalid,
    /// Valid, but of a kind that is not supported.
    Unsupported,
    /// The registry gave something that it should not, such as wrong bytes.
    Registry,
    /// The registry cannot be reached, or went away.
    Transport,
    /// This host failed: the disk, the store.
    System,
}

/// A failure of a pull, a push, a login or a question to a registry. The text is meant for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// What sort of failure.
    pub kind: ErrorKind,
    /// The text.
    pub message: String,
    /// The registry's code, such as `MANIFEST_UNKNOWN`.
    pub(super) code: Option<String>,
    /// Whether the same request may succeed in a moment.
    pub(super) again: bool,
    /// How long the registry asks to wait before that.
    pub(super) wait: Option<Duration>,
}

impl Error {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), code: None, again: false, wait: None }
    }

    /// A failure that may pass.
    pub(super) fn passing(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { again: true, ..Error::new(kind, message) }
    }

    /// The bytes are not what they should be.
    pub(super) fn content(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Registry, message)
    }

    fn coded(code: &str, message: &str) -> Error {
        let known = KNOWN.iter().find(|(c, ..)| *c == code);
        let kind = known.map_or(ErrorKind::Registry, |(_, kind, _)| *kind);
        let message = match message {
            "" => known.map_or("unknown error", |(_, _, text)| text),
            given => given,
        };
        let words = code.to_ascii_lowercase().replace('_', " ");
        Error {
            kind,
            message: format!("{words}: {message}"),
            again: code == "TOOMANYREQUESTS" || code == "UNAVAILABLE",
            code: Some(code.to_owned()),
            wait: None,
        }
    }

    /// The same with words before it.
    pub(super) fn context(mut self, before: impl std::fmt::Display) -> Error {
        self.message = format!("{before}: {}", self.message);
        self
    }

    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// Codes of the distribution specification: whose fault, and the text where the registry gives none.
const KNOWN: &[(&str, ErrorKind, &str)] = &[
    ("UNAUTHORIZED", ErrorKind::Unauthorized, "authentication required"),
    ("DENIED", ErrorKind::Denied, "requested access to the resource is denied"),
    ("MANIFEST_UNKNOWN", ErrorKind::NotFound, "manifest unknown"),
    ("NAME_UNKNOWN", ErrorKind::NotFound, "repository name not known to registry"),
    ("BLOB_UNKNOWN", ErrorKind::NotFound, "blob unknown to registry"),
    ("BLOB_UPLOAD_UNKNOWN", ErrorKind::NotFound, "blob upload unknown to registry"),
    ("NAME_INVALID", ErrorKind::Invalid, "invalid repository name"),
    ("TAG_INVALID", ErrorKind::Invalid, "manifest tag did not match URI"),
    ("MANIFEST_INVALID", ErrorKind::Invalid, "manifest invalid"),
    ("DIGEST_INVALID", ErrorKind::Invalid, "provided digest did not match uploaded content"),
    ("SIZE_INVALID", ErrorKind::Invalid, "provided length did not match content length"),
    ("UNSUPPORTED", ErrorKind::Unsupported, "The operation is unsupported."),
    ("TOOMANYREQUESTS", ErrorKind::Registry, "too many requests"),
    ("UNAVAILABLE", ErrorKind::Transport, "service unavailable"),
];

impl From<crate::Error> for Error {
    fn from(e: crate::Error) -> Error {
        let kind = match e.kind() {
            crate::ErrorKind::NotFound => ErrorKind::NotFound,
            crate::ErrorKind::Invalid => ErrorKind::Invalid,
            crate::ErrorKind::Conflict => ErrorKind::Invalid,
            crate::ErrorKind::Unsupported => ErrorKind::Unsupported,
            crate::ErrorKind::System => ErrorKind::System,
        };
        Error::new(kind, e.to_string())
    }
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<One>,
    /// What token servers that are no registries say.
    #[serde(default)]
    details: String,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a status of 400 or more means, from the response's parts.
pub(super) fn refusal(status: StatusCode, challenges: &[Challenge], body: &[u8]) -> Error {
    let mut error = match status.as_u16() {
        400..500 => client_refusal(status, challenges, body),
        _ => {
            let reason = status.canonical_reason().unwrap_or_default();
            let message = format!("received unexpected HTTP status: {} {reason}", status.as_u16());
            Error::new(ErrorKind::Registry, message.trim_end())
        }
    };
    error.again |= matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504);
    error
}

fn client_refusal(status: StatusCode, challenges: &[Challenge], body: &[u8]) -> Error {
    let by_status = match status.as_u16() {
        401 => Some("UNAUTHORIZED"),
        403 => Some("DENIED"),
        429 => Some("TOOMANYREQUESTS"),
        _ => None,
    };
    let parsed = serde_json::from_slice::<Errors>(body);
    if let Ok(Errors { errors, .. }) = &parsed
        && let Some(first) = errors.iter().find(|e| !e.code.is_empty())
    {
        // The scope of a token says more than the registry's word for it.
        let denied = first.code == "UNAUTHORIZED" && insufficient(challenges);
        return Error::coded(if denied { "DENIED" } else { &first.code }, &first.message);
    }
    if insufficient(challenges) {
        return Error::coded("DENIED", "");
    }
    match (by_status, parsed) {
        (Some(code), Ok(errors)) => Error::coded(code, &errors.details),
        (Some(code), Err(_)) => Error::coded(code, ""),
        (None, _) => {
            let text = String::from_utf8_lossy(&body[..body.len().min(256)]).into_owned();
            Error::new(
                ErrorKind::Registry,
                format!("error parsing HTTP {} response body: no error in it: {text:?}", status.as_u16()),
            )
        }
    }
}

/// RFC 6750, section 3.1.
fn insufficient(challenges: &[Challenge]) -> bool {
    challenges.iter().any(|c| c.scheme == "bearer" && c.parameter("error") == "insufficient_scope")
}

/// `Retry-After` in seconds, at most a minute; dates are not understood.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get("retry-after")?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

/// A request that found nobody, in the words of Go's client: `Get "https://…": dial tcp: …`.
pub(super) fn transport(method: &str, url: &url::Url, error: &reqwest::Error) -> Error {
    let method = match method {
        "" => String::new(),
        m => m[..1].to_ascii_uppercase() + &m[1..].to_ascii_lowercase(),
    };
    let mut url = url.clone();
    // Signatures of storage services and credentials are nobody's business.
    url.set_query(None);
    let _ = url.set_password(None);
    let _ = url.set_username("");
    let message = format!("{method} \"{url}\": {}", cause(error));
    // Whoever is not there now is not there in a second either; whoever hung up may be.
    Error { again: !error.is_connect(), ..Error::new(ErrorKind::Transport, message) }
}

/// The last cause that says something.
fn cause(error: &reqwest::Error) -> String {
    let host = error.url().and_then(|u| u.host_str()).unwrap_or_default().to_owned();
    let port = error.url().and_then(url::Url::port_or_known_default).unwrap_or_default();
    let mut texts = Vec::new();
    let mut next = error.source();
    while let Some(e) = next {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            match io.kind() {
                io::ErrorKind::ConnectionRefused => {
                    return format!("dial tcp {host}:{port}: connect: connection refused");
                }
                io::ErrorKind::ConnectionReset => return "read: connection reset by peer".into(),
                io::ErrorKind::TimedOut => return format!("dial tcp {host}:{port}: i/o timeout"),
                io::ErrorKind::HostUnreachable => {
                    return format!("dial tcp {host}:{port}: connect: no route to host");
                }
                io::ErrorKind::NetworkUnreachable => {
                    return format!("dial tcp {host}:{port}: connect: network is unreachable");
                }
                _ => {}
            }
        }
        if let Some(tls) = find_tls(e) {
            return tls;
        }
        texts.push(e.to_string());
        next = e.source();
    }
    if error.is_timeout() {
        return "net/http: request canceled (timeout exceeded while awaiting an answer)".into();
    }
    if texts
        .iter()
        .any(|t| t.contains("connection closed before message completed") || t.contains("IncompleteMessage"))
    {
        return "EOF".into();
    }
    texts.pop().unwrap_or_else(|| error.to_string())
}

fn find_tls(e: &(dyn std::error::Error + 'static)) -> Option<String> {
    // An I/O error gives its cause's cause as its own, and hides the cause.
    if let Some(inner) = e.downcast_ref::<io::Error>().and_then(|io| io.get_ref()) {
        return find_tls(inner);
    }
    let tls = e.downcast_ref::<rustls::Error>()?;
    use rustls::CertificateError as Certificate;
    Some(match tls {
        rustls::Error::InvalidCertificate(Certificate::UnknownIssuer | Certificate::BadSignature) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".into()
        }
        rustls::Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid".into()
        }
        rustls::Error::InvalidCertificate(why) => {
            format!("tls: failed to verify certificate: x509: {why}")
        }
        rustls::Error::InvalidMessage(_) => "http: server gave HTTP response to HTTPS client".into(),
        other => format!("tls: {other}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::challenge::parse;

    fn text(status: u16, challenge: &str, body: &str) -> String {
        refusal(StatusCode::from_u16(status).unwrap(), &parse(challenge), body.as_bytes()).message
    }

    #[test]
    fn the_words_of_the_distribution_client() {
        let body =
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#;
        assert_eq!(text(404, "", body), "manifest unknown: manifest unknown");
        assert_eq!(text(401, "", ""), "unauthorized: authentication required");
        assert_eq!(
            text(401, "", r#"{"details":"incorrect username or password"}"#),
            "unauthorized: incorrect username or password"
        );
        let denied = r#"{"errors":[{"code":"UNAUTHORIZED","message":""}]}"#;
        let challenge = r#"Bearer realm="x",error="insufficient_scope""#;
        assert_eq!(text(401, challenge, denied), "denied: requested access to the resource is denied");
        assert_eq!(text(500, "", "oops"), "received unexpected HTTP status: 500 Internal Server Error");
        assert_eq!(text(429, "", ""), "toomanyrequests: too many requests");
        assert!(text(404, "", "<html>").starts_with("error parsing HTTP 404 response body"));
        assert!(text(404, "", "{\"errors\":null}").starts_with("error parsing HTTP 404 response body"));
    }

    #[test]
    fn what_may_pass() {
        let again = |status: u16| refusal(StatusCode::from_u16(status).unwrap(), &[], b"").again;
        assert!(again(429) && again(500) && again(503));
        assert!(!again(404) && !again(401) && !again(501));
    }
}
