//! What can go wrong with images, sorted by whose fault it is.

use std::io;
use std::path::Path;

/// Whose fault an [`Error`] is; what an API maps to a status code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// No image goes by that name.
    NotFound,
    /// The caller's input (a name, a change, an archive) is not valid.
    Invalid,
    /// The request is valid, but the present state forbids it.
    Conflict,
    /// Valid input of a kind that is not supported.
    Unsupported,
    /// The host failed (no space, no permission) or the store is damaged.
    System,
}

/// An error of the image store. The text is meant for the user and says what to do where that is known.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No image goes by that name (given as the user wrote it).
    #[error("no such image: {0}")]
    NotFound(String),
    /// An id prefix fits several images.
    #[error("ambiguous reference: {0} is the beginning of several image ids; give more digits")]
    Ambiguous(String),
    /// The image is in use or has several names; the text is the one docker clients know.
    #[error("{0}")]
    Conflict(String),
    /// An image name that is not well-formed.
    #[error("{0}")]
    InvalidReference(String),
    /// A `--change` instruction that is not well-formed.
    #[error("{0}")]
    InvalidChange(String),
    /// A platform that is not well-formed.
    #[error("invalid platform {0:?}: expected os/architecture[/variant]")]
    InvalidPlatform(String),
    /// The tar stream of a layer or an archive is broken or hostile.
    #[error("invalid tar archive: {0}")]
    InvalidTar(String),
    /// An image archive whose parts do not fit together.
    #[error("invalid archive: {0}")]
    InvalidArchive(String),
    /// Bytes that do not have the digest or the size that was asked for.
    #[error("{0}")]
    Mismatch(String),
    /// Something is bigger than this store was told to take. See [`crate::Limits`].
    #[error("{0}")]
    Limit(String),
    /// Valid, but not something this store can read.
    #[error("{0}")]
    Unsupported(String),
    /// The host refused something.
    #[error("{what}: {source}")]
    Io {
        /// The operation and its object.
        what: String,
        /// The host's answer.
        source: io::Error,
    },
    /// A file of the store does not hold what it should.
    #[error("the image store is damaged: {0}")]
    Corrupt(String),
}

impl Error {
    /// Whose fault it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::NotFound(_) | Error::Ambiguous(_) => ErrorKind::NotFound,
            Error::Conflict(_) => ErrorKind::Conflict,
            Error::InvalidReference(_)
            | Error::InvalidChange(_)
            | Error::InvalidPlatform(_)
            | Error::InvalidTar(_)
            | Error::InvalidArchive(_)
            | Error::Mismatch(_)
            | Error::Limit(_) => ErrorKind::Invalid,
            Error::Unsupported(_) => ErrorKind::Unsupported,
            Error::Io { .. } | Error::Corrupt(_) => ErrorKind::System,
        }
    }

    /// An I/O error with the operation and the path it was about.
    pub(crate) fn io(what: &str, path: &Path, source: impl Into<io::Error>) -> Error {
        Error::Io { what: format!("{what} {}", path.display()), source: source.into() }
    }

    /// An error while reading the caller's stream: a broken encoding is the stream's fault, the rest the
    /// host's.
    pub(crate) fn reading(source: io::Error) -> Error {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Error::InvalidTar("unexpected end of the stream".into()),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Error::InvalidTar(source.to_string()),
            // The zstd decoder reports every format error as Other.
            io::ErrorKind::Other => Error::InvalidTar(source.to_string()),
            _ => Error::Io { what: "reading the archive".into(), source },
        }
    }
}

/// Maps a host call's error to an [`Error`] that names the operation and the path.
pub(crate) trait Context<T> {
    fn context(self, what: &str, path: &Path) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, what: &str, path: &Path) -> Result<T, Error> {
        self.map_err(|e| Error::io(what, path, e))
    }
}
