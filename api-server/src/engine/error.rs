//! Why the engine refuses something: a kind (whose fault it is) and a sentence for the user.
//!
//! The engine knows nothing of HTTP; `crate::error` has the one map from kind to status.

use carrack_emu::control::{ControlError, ErrorKind};

/// Whose fault a refused request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Invalid,
    Unauthorized,
    Forbidden,
    NotFound,
    Conflict,
    /// Already in the state that was asked for; carries no message.
    NotModified,
    NotImplemented,
    Unavailable,
    Internal,
}

/// A refusal. `message` is what the client prints; it must never be empty except for [`Kind::NotModified`].
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    pub kind: Kind,
    pub message: String,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into() }
    }

    pub fn invalid(message: impl Into<String>) -> Error {
        Error::new(Kind::Invalid, message)
    }

    pub fn not_found(message: impl Into<String>) -> Error {
        Error::new(Kind::NotFound, message)
    }

    pub fn conflict(message: impl Into<String>) -> Error {
        Error::new(Kind::Conflict, message)
    }

    pub fn forbidden(message: impl Into<String>) -> Error {
        Error::new(Kind::Forbidden, message)
    }

    pub fn not_implemented(message: impl Into<String>) -> Error {
        Error::new(Kind::NotImplemented, message)
    }

    pub fn internal(message: impl Into<String>) -> Error {
        Error::new(Kind::Internal, message)
    }

    pub fn not_modified() -> Error {
        Error::new(Kind::NotModified, "")
    }

    /// The same refusal with words before it.
    pub fn context(mut self, before: impl std::fmt::Display) -> Error {
        self.message = format!("{before}: {}", self.message);
        self
    }

    /// The refusal of a supervisor, for requests other than a start (whose texts clients parse; see `engine::start`).
    pub(crate) fn of_supervisor(kind: ErrorKind, message: String) -> Error {
        let kind = match kind {
            ErrorKind::Invalid | ErrorKind::CommandNotFound | ErrorKind::CommandNotExecutable => {
                Kind::Invalid
            }
            ErrorKind::NotFound => Kind::NotFound,
            ErrorKind::Conflict => Kind::Conflict,
            ErrorKind::NotSupported => Kind::NotImplemented,
            ErrorKind::Host | ErrorKind::Internal => Kind::Internal,
        };
        Error { kind, message }
    }
}

impl From<ControlError> for Error {
    fn from(e: ControlError) -> Error {
        Error::internal(e.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        Error::internal(e.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(e: serde_json::Error) -> Error {
        Error::internal(e.to_string())
    }
}
