//! Build arguments: which `ARG` has which value where.

use std::collections::{BTreeMap, BTreeSet};

/// Arguments that need no `ARG`, and that are part of neither cache nor history.
const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// Whether an argument is one of the proxies.
fn is_proxy(name: &str) -> bool {
    PROXIES.contains(&name)
}

/// What an image is built for or on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// Such as `linux`.
    pub os: String,
    /// Such as `amd64`.
    pub architecture: String,
    /// Such as `v8`; mostly empty.
    pub variant: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// The arguments of a build, as they are seen at one place of the Dockerfile.
#[derive(Clone, Debug, Default)]
pub struct BuildArgs {
    /// `--build-arg`
    given: BTreeMap<String, Option<String>>,
    /// Declared before the first stage, and the platforms.
    meta: BTreeMap<String, Option<String>>,
    /// Declared in this stage so far, with their defaults.
    declared: BTreeMap<String, Option<String>>,
    /// Declared anywhere.
    referenced: BTreeSet<String>,
}

impl BuildArgs {
    /// With what the client gave; `build` and `target` are the predefined platforms.
    pub fn new(given: BTreeMap<String, Option<String>>, build: &Platform, target: &Platform) -> BuildArgs {
        let mut meta = BTreeMap::new();
        for (prefix, platform) in [("BUILD", build), ("TARGET", target)] {
            let mut set = |name: &str, value: String| meta.insert(format!("{prefix}{name}"), Some(value));
            set("PLATFORM", platform.to_string());
            set("OS", platform.os.clone());
            set("ARCH", platform.architecture.clone());
            set("VARIANT", platform.variant.clone());
        }
        BuildArgs { given, meta, declared: BTreeMap::new(), referenced: BTreeSet::new() }
    }

    /// An `ARG` before the first `FROM`.
    pub fn declare_meta(&mut self, name: &str, default: Option<String>) {
        self.referenced.insert(name.to_owned());
        let value = match self.given.get(name) {
            Some(Some(value)) => Some(value.clone()),
            // A platform keeps its value when it is only named.
            _ => default.or_else(|| self.meta.get(name).cloned().flatten()),
        };
        self.meta.insert(name.to_owned(), value);
    }

    /// An `ARG` in a stage.
    pub fn declare(&mut self, name: &str, default: Option<String>) {
        self.referenced.insert(name.to_owned());
        self.declared.insert(name.to_owned(), default);
    }

    /// A stage begins: nothing is declared.
    pub fn begin_stage(&mut self) {
        self.declared.clear();
    }

    /// The value that `FROM` sees.
    pub fn meta(&self, name: &str) -> Option<String> {
        self.meta.get(name).cloned().flatten()
    }

    /// What instructions of the stage see, but for names in `env`, which are stronger.
    pub fn visible(&self, env: &[String]) -> BTreeMap<String, String> {
        let is_env = |name: &str| env.iter().any(|e| e.split('=').next() == Some(name));
        let names = self.declared.keys().map(String::as_str).chain(PROXIES);
        let mut visible = BTreeMap::new();
        for name in names {
            if !is_env(name)
                && let Some(value) = self.value(name)
            {
                visible.insert(name.to_owned(), value);
            }
        }
        visible
    }

    /// Whether an argument is part of a command's identity: a proxy only is where it was declared.
    pub fn counts(&self, name: &str) -> bool {
        !is_proxy(name) || self.referenced.contains(name)
    }

    /// Given, but nowhere declared; sorted.
    pub fn unused(&self) -> Vec<String> {
        let unknown = |name: &&String| !self.referenced.contains(*name) && !is_proxy(name);
        self.given.keys().filter(unknown).cloned().collect()
    }

    fn value(&self, name: &str) -> Option<String> {
        if let Some(Some(value)) = self.given.get(name) {
            return Some(value.clone());
        }
        match self.declared.get(name) {
            Some(Some(default)) => Some(default.clone()),
            Some(None) => self.meta.get(name).cloned().flatten(),
            None => None,
        }
    }
}
