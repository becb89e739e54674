//! Image names: `debian`, `debian:12`, `registry.example:5000/team/app@sha256:…`.
//!
//! The grammar and the defaults are those of `github.com/distribution/reference`, which the docker client
//! and the engine use, with the same error texts, since people and programs match on them.

use std::fmt;

use crate::Error;

/// The registry of names that do not say one.
pub const DEFAULT_DOMAIN: &str = "docker.io";
/// The tag of names that do not say one.
pub const DEFAULT_TAG: &str = "latest";
/// An older name of [`DEFAULT_DOMAIN`].
const LEGACY_DOMAIN: &str = "index.docker.io";
/// What is before a path of one component on the default registry.
const OFFICIAL: &str = "library/";
/// Longest `domain/path`.
const NAME_MAX: usize = 255;

/// A parsed name with its defaults filled in: always a domain and a path, maybe a tag, maybe a digest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Parses a name as a user writes it. No tag is added; see [`Reference::with_default_tag`].
    ///
    /// # Errors
    /// [`Error::InvalidReference`] with the text docker gives.
    pub fn parse(text: &str) -> Result<Reference, Error> {
        let invalid = |why: &str| Error::InvalidReference(why.to_owned());
        if is_hex(text, 64) {
            let why = format!("invalid repository name ({text}), cannot specify 64-byte hexadecimal strings");
            return Err(Error::InvalidReference(why));
        }
        if text.is_empty() {
            return Err(invalid("repository name must have at least one component"));
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (domain, rest) = split_domain(name);
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (&*rest, None),
        };
        if path.chars().any(char::is_uppercase) {
            let why = format!("invalid reference format: repository name ({path}) must be lowercase");
            return Err(Error::InvalidReference(why));
        }
        let good = is_domain(&domain)
            && path.split('/').all(is_path_component)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(is_digest);
        if !good {
            return Err(invalid("invalid reference format"));
        }
        if domain.len() + 1 + path.len() > NAME_MAX {
            return Err(invalid("repository name must not be more than 255 characters"));
        }
        Ok(Reference {
            domain: domain.clone(),
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The same with the tag `latest` if it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Reference {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same with another tag and without a digest.
    ///
    /// # Errors
    /// [`Error::InvalidReference`]: not a tag.
    pub fn with_tag(mut self, tag: &str) -> Result<Reference, Error> {
        if !is_tag(tag) {
            return Err(Error::InvalidReference("invalid tag format".into()));
        }
        self.tag = Some(tag.to_owned());
        self.digest = None;
        Ok(self)
    }

    /// The same repository by digest alone.
    ///
    /// # Errors
    /// [`Error::InvalidReference`]: not a digest.
    pub fn with_digest(mut self, digest: &str) -> Result<Reference, Error> {
        if !is_digest(digest) {
            return Err(Error::InvalidReference("invalid digest format".into()));
        }
        self.tag = None;
        self.digest = Some(digest.to_owned());
        Ok(self)
    }

    /// Host and maybe port of the registry.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository on the registry, such as `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, such as `sha256:…`.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// `domain/path`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// The repository as people write it: `debian`, `user/app`, `registry.example/app`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.name();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(official) if !official.contains('/') => official.to_owned(),
            _ => self.path.clone(),
        }
    }

    /// The whole reference as people write it; what RepoTags and messages show.
    pub fn familiar(&self) -> String {
        self.suffixed(self.familiar_name())
    }

    fn suffixed(&self, mut text: String) -> String {
        for (mark, part) in [(':', &self.tag), ('@', &self.digest)] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }
}

impl fmt::Display for Reference {
    /// The full form: `docker.io/library/debian:12`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.name()))
    }
}

/// What is before the first slash is a registry if it looks like a host: a dot, a port, an upper-case letter,
/// or `localhost`.
fn split_domain(name: &str) -> (String, String) {
    let (domain, rest) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { domain };
    // A tag may hold no slash, so the first colon ends the path.
    let path = rest.split(':').next().unwrap_or(rest);
    if domain == DEFAULT_DOMAIN && !path.contains('/') {
        return (domain.to_owned(), format!("{OFFICIAL}{rest}"));
    }
    (domain.to_owned(), rest.to_owned())
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|t| t.split_once(']')) {
        Some((v6, rest)) => {
            let good = !v6.is_empty() && v6.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            match (good, rest.strip_prefix(':')) {
                (true, Some(port)) => return is_port(port),
                (true, None) => return rest.is_empty(),
                (false, _) => return false,
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let component = |c: &str| {
        !c.is_empty()
            && c.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !c.starts_with('-')
            && !c.ends_with('-')
    };
    host.split('.').all(component) && port.is_none_or(is_port)
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Letters and digits, with single separators between: `.`, `_`, `__` or any number of `-`.
fn is_path_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(word) || !bytes.last().copied().is_some_and(word) {
        return false;
    }
    bytes.split(|&b| word(b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|&b| b == b'-')
    })
}

fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = text.as_bytes();
    (1..=128).contains(&bytes.len())
        && bytes.first().copied().is_some_and(word)
        && bytes.iter().all(|&b| word(b) || b == b'.' || b == b'-')
}

/// `algorithm:hex`, at least 32 digits; SHA-256 has exactly 64.
pub(crate) fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let part = |p: &str| {
        p.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && p.bytes().all(|b| b.is_ascii_alphanumeric())
    };
    if !algorithm.split(['+', '.', '_', '-']).all(part) {
        return false;
    }
    match algorithm {
        "sha256" => is_hex(hex, 64),
        "sha512" => is_hex(hex, 128),
        _ => hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()),
    }
}

/// Exactly so many lower-case hex digits.
pub(crate) fn is_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_filled_in_and_hidden() {
        for (text, full, familiar) in [
            ("debian", "docker.io/library/debian", "debian"),
            ("debian:12", "docker.io/library/debian:12", "debian:12"),
            ("user/app", "docker.io/user/app", "user/app"),
            ("docker.io/debian", "docker.io/library/debian", "debian"),
            ("docker.io/library/debian:12", "docker.io/library/debian:12", "debian:12"),
            ("index.docker.io/debian", "docker.io/library/debian", "debian"),
            ("localhost/app", "localhost/app", "localhost/app"),
            ("localhost:5000/app:1", "localhost:5000/app:1", "localhost:5000/app:1"),
            ("registry.example/a/b-c__d.e", "registry.example/a/b-c__d.e", "registry.example/a/b-c__d.e"),
            ("Reg/app", "Reg/app", "Reg/app"),
            ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
            ("127.0.0.1:5000/app:a_B.c-1", "127.0.0.1:5000/app:a_B.c-1", "127.0.0.1:5000/app:a_B.c-1"),
        ] {
            let r = Reference::parse(text).unwrap();
            assert_eq!((&*r.to_string(), &*r.familiar()), (full, familiar), "{text}");
            assert_eq!(Reference::parse(full).unwrap(), r, "{text}");
        }
        assert_eq!(Reference::parse("debian").unwrap().with_default_tag().familiar(), "debian:latest");
    }

    #[test]
    fn digests() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let r = Reference::parse(&format!("debian:12@{digest}")).unwrap().with_default_tag();
        assert_eq!((r.tag(), r.digest()), (Some("12"), Some(&*digest)));
        let r = Reference::parse(&format!("debian@{digest}")).unwrap().with_default_tag();
        assert_eq!(r.tag(), None);
        assert!(Reference::parse("debian@sha256:abc").is_err());
        assert!(Reference::parse("debian@").is_err());
    }

    #[test]
    fn errors_have_dockers_words() {
        for (text, wanted) in [
            ("", "repository name must have at least one component"),
            ("Debian", "invalid reference format: repository name (library/Debian) must be lowercase"),
            ("a/Debian:x", "invalid reference format: repository name (a/Debian) must be lowercase"),
            ("debian:", "invalid reference format"),
            ("deb ian", "invalid reference format"),
            ("-debian", "invalid reference format"),
            ("a..b", "invalid reference format"),
            ("a___b", "invalid reference format"),
            ("a//b", "invalid reference format"),
            ("debian:-x", "invalid reference format"),
            ("example.com:port/a", "invalid reference format"),
            ("\u{e9}", "invalid reference format"),
        ] {
            assert_eq!(Reference::parse(text).unwrap_err().to_string(), wanted, "{text:?}");
        }
        let long = format!("{}/a", "a".repeat(250));
        assert_eq!(
            Reference::parse(&long).unwrap_err().to_string(),
            "repository name must not be more than 255 characters"
        );
        assert!(Reference::parse(&"0".repeat(64)).unwrap_err().to_string().contains("64-byte hex"));
    }
}
