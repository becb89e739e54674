//! API versions: which are spoken, and the only comparisons with one, each under the name of the fact it stands for.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use std::fmt;

/// `1.NN`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    major: u32,
    minor: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

pub(crate) const NEWEST: Version = v(51);
pub(crate) const OLDEST: Version = v(24);

/// Attach and exec streams say that they are multiplexed.
pub(crate) const MULTIPLEX_TYPE: Version = v(42);
/// Attaching over a websocket is to the streams that were asked for, not to all.
pub(crate) const WEBSOCKET_STREAMS: Version = v(42);
/// Websockets carry binary messages, not text.
pub(crate) const WEBSOCKET_BINARY: Version = v(28);
/// Prune of volumes leaves named ones alone unless `all` is set.
pub(crate) const PRUNE_ANONYMOUS_ONLY: Version = v(42);
/// Untagged images have empty lists instead of `<none>`.
pub(crate) const UNTAGGED_IS_EMPTY: Version = v(43);
/// `VirtualSize` is gone.
pub(crate) const NO_VIRTUAL_SIZE: Version = v(44);
/// Events tell of images that were made here.
pub(crate) const IMAGE_CREATED: Version = v(46);
/// An image's configuration is shown without the fields that only containers have.
pub(crate) const IMAGE_FIELDS_ONLY: Version = v(50);
/// `Containers` in the image list is a count.
pub(crate) const IMAGE_USERS_COUNTED: Version = v(51);
/// `outputs` of events without the fields of API 1.51 and older.
pub(crate) const EVENTS_WITHOUT_LEGACY: Version = v(52);

const fn v(minor: u32) -> Version {
    Version { major: 1, minor }
}

impl Version {
    /// `1.41`; anything else is no version.
    pub(crate) fn parse(text: &str) -> Option<Version> {
        let (major, minor) = text.split_once('.')?;
        Some(Version { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    pub(crate) fn has(self, since: Version) -> bool {
        self >= since
    }

    /// The refusal of a version that is not spoken.
    pub(crate) fn check(self) -> Result<(), Box<Response<Body>>> {
        let message = if self < OLDEST {
            format!(
                "client version {self} is too old. Minimum supported API version is {OLDEST}, please upgrade your client to a newer version"
            )
        } else if self > NEWEST {
            format!("client version {self} is too new. Maximum supported API version is {NEWEST}")
        } else {
            return Ok(());
        };
        Err(Box::new(crate::error::response(StatusCode::BAD_REQUEST, &message, self < OLDEST)))
    }
}

/// Splits `/v1.41/path` into its version, if it has one, and `/path`.
pub(crate) fn split(path: &str) -> (Option<&str>, &str) {
    if let Some(rest) = path.strip_prefix("/v") {
        let end = rest.find('/').unwrap_or(rest.len());
        let text = &rest[..end];
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
            return (Some(text), if end == rest.len() { "/" } else { &rest[end..] });
        }
    }
    (None, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        assert_eq!(split("/v1.41/_ping"), (Some("1.41"), "/_ping"));
        assert_eq!(split("/version"), (None, "/version"));
        assert_eq!(split("/volumes/x"), (None, "/volumes/x"));
        assert_eq!(split("/info"), (None, "/info"));
    }

    #[test]
    fn refusals() {
        let old = Version::parse("1.12").unwrap().check().unwrap_err();
        assert_eq!(old.headers()["content-type"], "text/plain; charset=utf-8");
        let new = Version::parse("1.99").unwrap().check().unwrap_err();
        assert_eq!(new.headers()["content-type"], "application/json");
        assert!(Version::parse("1.44").unwrap().check().is_ok());
        assert!(Version::parse("1").is_none());
    }
}
