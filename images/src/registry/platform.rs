//! Platforms: `linux/arm64/v8`, how people write them and which one of an index fits.
//!
//! Names and rules are those of containerd's `platforms` package, which docker uses.

use std::fmt;

use serde::Deserialize;

use crate::Error;

/// An operating system and a processor, by Go's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Platform {
    /// GOOS, such as `linux`.
    #[serde(default)]
    pub os: String,
    /// GOARCH, such as `amd64`.
    #[serde(default)]
    pub architecture: String,
    /// Such as `v8`; often empty.
    #[serde(default)]
    pub variant: String,
}

impl Platform {
    /// What this host runs.
    pub fn host() -> Platform {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Platform { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
    }

    /// Parses `os[/architecture[/variant]]`, or an architecture alone.
    ///
    /// # Errors
    /// [`Error::InvalidPlatform`].
    pub fn parse(text: &str) -> Result<Platform, Error> {
        let good = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
        };
        let parts: Vec<&str> = text.split('/').collect();
        if parts.len() > 3 || !parts.iter().all(|p| good(p)) {
            return Err(Error::InvalidPlatform(text.to_owned()));
        }
        let host = Platform::host();
        let part = |i: usize| parts.get(i).map(|p| p.to_ascii_lowercase()).unwrap_or_default();
        let platform = match parts.len() {
            1 if is_os(&part(0)) => Platform { os: part(0), ..host },
            1 => Platform { os: host.os, architecture: part(0), variant: String::new() },
            _ => Platform { os: part(0), architecture: part(1), variant: part(2) },
        };
        let platform = platform.normalised();
        if parts.len() == 1 && !is_os(&part(0)) && !is_architecture(&platform.architecture) {
            return Err(Error::InvalidPlatform(text.to_owned()));
        }
        Ok(platform)
    }

    /// The same by the usual names, without a variant that goes without saying.
    #[must_use]
    pub fn normalised(&self) -> Platform {
        let architecture = self.architecture.to_ascii_lowercase();
        let variant = self.variant.to_ascii_lowercase();
        let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "v1" | "") => ("amd64", ""),
            ("x86_64" | "x86-64", v) => ("amd64", v),
            ("i386" | "i486" | "i586" | "i686" | "386", _) => ("386", ""),
            ("aarch64" | "arm64", "8" | "v8" | "") => ("arm64", ""),
            ("aarch64", v) => ("arm64", v),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("arm", "8") => ("arm", "v8"),
            (a, v) => (a, v),
        };
        let os = match self.os.to_ascii_lowercase() {
            os if os == "macos" => "darwin".to_owned(),
            os => os,
        };
        Platform { os, architecture: architecture.to_owned(), variant: variant.to_owned() }
    }

    /// How well an image of `offered` serves where this is wanted: 0 is exact, higher is worse, `None` not at all.
    pub fn accepts(&self, offered: &Platform) -> Option<u32> {
        let (want, have) = (self.normalised(), offered.normalised());
        if want.os != have.os || want.architecture != have.architecture {
            return None;
        }
        let number = |v: &str| v.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
        match (number(&want.variant), number(&have.variant)) {
            _ if want.variant == have.variant => Some(0),
            // A processor of a later version runs what was made for an earlier one.
            (Some(w), Some(h)) if h <= w => Some(w - h),
            (Some(w), None) if have.variant.is_empty() => Some(w),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

fn is_os(text: &str) -> bool {
    matches!(
        text,
        "linux"
            | "windows"
            | "darwin"
            | "macos"
            | "freebsd"
            | "netbsd"
            | "openbsd"
            | "solaris"
            | "aix"
            | "android"
    )
}

fn is_architecture(text: &str) -> bool {
    matches!(
        text,
        "amd64"
            | "386"
            | "arm"
            | "arm64"
            | "ppc64"
            | "ppc64le"
            | "s390x"
            | "riscv64"
            | "mips"
            | "mipsle"
            | "mips64"
            | "mips64le"
            | "loong64"
            | "wasm"
            | "sparc64"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap()
    }

    #[test]
    fn spellings() {
        assert_eq!(platform("linux/x86_64").to_string(), "linux/amd64");
        assert_eq!(platform("arm64").to_string(), "linux/arm64");
        assert_eq!(platform("linux/arm64/v8").to_string(), "linux/arm64");
        assert_eq!(platform("linux/arm").to_string(), "linux/arm/v7");
        assert_eq!(platform("linux/armhf").to_string(), "linux/arm/v7");
        assert_eq!(platform("linux"), Platform::host());
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/am d64", "nonsense", "linux//v8"] {
            assert!(Platform::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn which_fits() {
        let fits = |want: &str, have: &str| platform(want).accepts(&platform(have));
        assert_eq!(fits("linux/amd64", "linux/amd64"), Some(0));
        assert_eq!(fits("linux/amd64", "linux/amd64/v3"), None);
        assert_eq!(fits("linux/amd64/v3", "linux/amd64/v2"), Some(1));
        assert_eq!(fits("linux/amd64/v3", "linux/amd64"), Some(3));
        assert_eq!(fits("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(fits("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(fits("linux/amd64", "windows/amd64"), None);
        assert_eq!(fits("linux/amd64", "linux/arm64"), None);
    }
}
